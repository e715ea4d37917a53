//! What happens in a room, as a member receives it.

use crate::event::encoder::Missed;
use crate::event::info::RoomInfo;
use crate::event::presence::Presence;
use crate::log::Message;
use std::sync::Arc;

/// Something that happened in a room.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A member said or did something, or set the topic; see [`Message::kind`].
    Message(Message),
    /// A message from before this member joined, which it asked for in its join request.
    Replayed(Message),
    /// The members of the room changed.
    Presence(Arc<Presence>),
    /// This member fell behind and missed presence changes; this is who is in the room now. The messages that it missed
    /// follow, and then the events that happen after this. `nicks` holds all members, unless the room has too many to
    /// announce each.
    Present(Box<RoomInfo>),
    /// Messages that this member missed and does not receive, and why: the log no longer holds them, or can't be read
    /// now.
    Gap(Missed),
    /// The application closed the room, perhaps with a reason. This is the last event of the room.
    Closed(Arc<str>),
}
