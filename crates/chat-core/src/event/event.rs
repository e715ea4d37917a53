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
    /// A message was published in the room. [`Message::kind`] says what it is: a text, an action, a notice or a new
    /// topic.
    Message(Message),
    /// A message from before this member joined. The member asked for it in its [`JoinRequest`](crate::JoinRequest).
    Replayed(Message),
    /// A change of the room's members: a session joined, left, was removed or took another nick. Also reports that the
    /// room begins or ceases to announce such changes.
    Presence(Arc<Presence>),
    /// This member fell behind and missed changes of presence. The value describes the room as it is now, and replaces
    /// what the program knew of the room's members. This member then receives the messages that it missed, and then the
    /// later events.
    ///
    /// In this event, [`RoomInfo::nicks`] holds all members of the room, also if there are more than 100. If the room
    /// has too many members to announce each change ([`RoomInfo::is_hushed`]), `nicks` holds the first 100.
    Present(Box<RoomInfo>),
    /// Messages of the room are missing at this point of the stream of events. The value says which messages are
    /// missing, and why this member does not receive them.
    Gap(Missed),
    /// The application closed the room. The text is the reason; empty if the application gave none. A member receives
    /// no event of the room after this one.
    Closed(Arc<str>),
}
