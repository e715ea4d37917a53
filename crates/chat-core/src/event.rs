//! What happens in rooms, as their members receive it.

mod direct;
mod encoder;
mod event;
mod info;
mod lookup;
mod presence;
mod profile;

pub use direct::{Direct, DirectKind};
pub use encoder::{Broadcast, Encoder, Missed, Moment};
pub use event::Event;
pub use info::{RoomInfo, RoomSummary};
pub use lookup::{EndedSession, NickStatus, Whois};
pub use presence::{CloseReason, Presence, PresenceChange};
pub use profile::{MemberInfo, Profile};
