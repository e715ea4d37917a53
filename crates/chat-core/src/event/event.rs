//! What happened, as a member is told of it.

use crate::event::encoder::Missed;
use crate::event::info::RoomInfo;
use crate::event::presence::Presence;
use crate::log::Message;
use std::sync::Arc;

/// What happened in a room.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// Somebody said or did something, or set the topic: see [`Message::kind`].
    Message(Message),
    /// A message that was said before this member joined, and that it asked to be given when it joined.
    Replayed(Message),
    /// Who is in the room changed.
    Presence(Arc<Presence>),
    /// This member fell behind and missed changes of presence: who is in the room now. What it missed of the log
    /// follows, and then what happens from now on. `nicks` are all members, unless the room has too many to announce
    /// each.
    Present(Box<RoomInfo>),
    /// Messages that this member missed and is not given, and why: the log no longer holds them, or can't be read now.
    Gap(Missed),
    /// The application has closed the room, perhaps with a reason: this is its last event.
    Closed(Arc<str>),
}
