//! One participant of a hub, and its presence in rooms.

mod member;
mod session;
mod wire_member;

pub use member::Member;
pub use session::{Session, SessionError};
pub(crate) use wire_member::{Repaired, WireMember};
