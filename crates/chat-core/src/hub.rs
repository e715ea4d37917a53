//! The hub: all rooms and all sessions.

pub(crate) mod authenticator;
mod builder;
mod cloak;
mod ended;
mod ending;
mod follower;
mod hub;
mod local_roster;
mod lookup;
mod members;
mod moderation;
mod opening;
pub(crate) mod operators;
pub mod policy;
mod profiles;
mod reading;
mod rooms;
mod roster;
mod session_table;
mod sessions;
mod tell;
mod visiting;
mod watching;

pub use builder::HubBuilder;
pub use follower::Follower;
pub use hub::Hub;
pub use local_roster::LocalRoster;
pub use members::{InviteError, KickError};
pub use policy::Policy;
pub(crate) use policy::{Decision, Question, Visitor};
pub use reading::HistoryError;
pub(crate) use rooms::Visit;
pub use roster::{
    Claimed, IfTaken, NickClaim, NickError, NickKeys, Roster, RosterCommand, RosterEvent,
    SessionPresence, TellError,
};
pub use visiting::IfMissing;
