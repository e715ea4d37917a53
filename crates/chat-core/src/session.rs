//! One participant of a hub, and its presence in rooms.

mod events;
mod handle;
mod join_request;
mod mail;
mod member;
mod modes;
mod profile;
mod session;
mod wire_member;

pub use events::{SessionEvent, SessionEvents};
pub use handle::{MemberHandle, Published};
pub use join_request::JoinRequest;
pub use member::Member;
pub use profile::{DisconnectError, WatchError};
pub use session::{Session, SessionError};
pub(crate) use wire_member::WireMember;
