//! Rooms and sessions together.

pub mod authenticator;
mod builder;
mod ending;
mod follower;
mod hub;
mod moderation;
mod opening;
pub mod policy;
mod reading;
mod rooms;
mod roster;
mod tell;
mod visiting;

pub use builder::HubBuilder;
pub use follower::Follower;
pub use hub::Hub;
pub use policy::Policy;
pub(crate) use policy::{Decision, Question, Visitor};
pub use reading::HistoryError;
pub(crate) use rooms::Visit;
pub use roster::NickError;
pub use tell::TellError;
pub use visiting::IfMissing;
