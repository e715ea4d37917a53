//! What happens in rooms, as their members receive it.

mod direct;
mod encoder;
mod event;
mod info;
mod presence;

pub use direct::{Direct, DirectKind};
pub use encoder::{Broadcast, Encoder, Missed, Moment};
pub use event::Event;
pub use info::{RoomInfo, RoomSummary};
pub use presence::{CloseReason, Presence, PresenceChange};
