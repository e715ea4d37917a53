//! The events of a client.

use super::GapCause;
use crate::wire::{self, Text};
use chat_core::rooms::ModeChanges;
use std::borrow::Cow;
use std::time::Duration;

/// An event of a client, from [`Events`](super::Events). The client removes control characters from names and texts.
///
/// While more than 1,000 events wait for the caller, the client drops [`Online`](Self::Online),
/// [`Greeting`](Self::Greeting), [`Offline`](Self::Offline), [`Entered`](Self::Entered) and
/// [`Rejected`](Self::Rejected). It also drops events about members. Later it sends one [`Present`](Self::Present) for
/// each room whose events about members were dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The client is connected, and its session has begun.
    Online {
        /// The client's nick.
        nick: String,
    },
    /// The server's greeting, after [`Online`](Self::Online).
    Greeting {
        /// The name of the server's lobby; `None` if the server did not say.
        lobby: Option<String>,
        /// The message of the day, line by line.
        motd: Vec<String>,
    },
    /// The server refused the nick, and the client has begun its session as a guest. Occurs only with
    /// [`guest_if_refused`](super::ClientBuilder::guest_if_refused).
    NickRefused {
        /// The refused nick.
        nick: String,
        /// A stable code for programs: `nick_taken` or `bad_name`.
        code: String,
        /// The reason, for people.
        message: String,
    },
    /// The connection was lost, or could not be opened.
    Offline {
        /// The reason.
        why: String,
        /// The delay before the next attempt.
        retry_in: Duration,
    },
    /// The client has joined a room, for the first time or again after a disconnect. Messages that the client missed
    /// while it was disconnected follow.
    Entered(Room),
    /// The client could not join a room, or is no longer in the room.
    NotEntered {
        /// The room.
        room: String,
        /// A stable code for programs: `removed` if the server removed the client from the room, `closed` if the server
        /// closed the room. Any other code, such as `full`, says why the server refused the join.
        code: String,
        /// The reason, for people.
        message: String,
    },
    /// A message, an action or a topic.
    Message(Message),
    /// A member joined a room.
    Joined {
        /// The room.
        room: String,
        /// The member.
        nick: String,
    },
    /// A member left a room.
    Left {
        /// The room.
        room: String,
        /// The member.
        nick: String,
        /// Why the session ended; `None` if the member only left the room.
        reason: Option<String>,
    },
    /// A member changed its nick.
    Renamed {
        /// The room.
        room: String,
        /// The old nick.
        nick: String,
        /// The new nick.
        to: String,
    },
    /// A member is away, or has come back.
    Away {
        /// The room.
        room: String,
        /// The member.
        nick: String,
        /// What the member has left for others; `None` if the member has come back.
        text: Option<String>,
    },
    /// The current members of a room. The client sends this event if it has dropped events about members.
    Present(super::Present),
    /// The number of members of a room that has too many members to announce each join and leave. Occurs at most once a
    /// second.
    Members {
        /// The room.
        room: String,
        /// The number of members.
        count: usize,
    },
    /// A room has stopped or resumed announcing joins and leaves.
    Hushed {
        /// The room.
        room: String,
        /// `true` if the room no longer announces joins and leaves, `false` if it announces them again.
        on: bool,
    },
    /// A direct message to this client.
    Direct {
        /// The time at which the message was sent, in milliseconds since 1970, UTC.
        at: u64,
        /// The sender's nick.
        from: String,
        /// The text.
        text: String,
    },
    /// A member of a room invites this client to the room.
    Invited {
        /// The time of the invitation, in milliseconds since 1970, UTC.
        at: u64,
        /// The nick of the member.
        from: String,
        /// The room.
        room: String,
    },
    /// The client dropped direct messages, because the caller did not read its events fast enough.
    DirectsMissed {
        /// How many direct messages were dropped.
        count: u64,
    },
    /// The client has missed messages of a room, and can't read these messages from the log.
    Gap {
        /// The room.
        room: String,
        /// The first position whose message is missing; `None` if the position is unknown.
        from: Option<u64>,
        /// The last position whose message is missing; `None` if the position is unknown.
        to: Option<u64>,
        /// Why the messages are missing.
        why: GapCause,
    },
    /// The server has rejected a line of this client, or a nick that the caller set while there was no connection. This
    /// error is not the result of any request of the caller.
    Rejected {
        /// A stable code for programs.
        code: String,
        /// The reason, for people.
        message: String,
    },
    /// The client is closed; this is the last event.
    Closed {
        /// The reason.
        why: String,
    },
}

/// A room that the client is in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Room {
    /// The room's name, as its members spell it.
    pub room: String,
    /// The [epoch](chat_core::log::Epoch) of the room's log.
    pub epoch: String,
    /// The last position of the room's log.
    pub seq: u64,
    /// Whether all messages after the client's last position follow. `None` if the client gave no position, as on its
    /// first join.
    pub recovered: Option<bool>,
    /// The number of members, including the client.
    pub count: usize,
    /// The nicks of the first 100 members.
    pub members: Vec<String>,
    /// Those of `members` that are away.
    pub away: Vec<String>,
    /// Whether the room has too many members to announce joins and leaves.
    pub is_hushed: bool,
    /// The room's topic; empty if there is none.
    pub topic: String,
}

/// A message of a room's log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The room.
    pub room: String,
    /// The [epoch](chat_core::log::Epoch) of the room's log. Empty in the result of
    /// [`history`](super::Client::history).
    pub epoch: String,
    /// The position of the message in the room's log.
    pub seq: u64,
    /// The time at which the message was sent, in milliseconds since 1970, UTC.
    pub at: u64,
    /// The sender's nick.
    pub from: String,
    /// The text. For a change of modes, the changes, as in the room's log.
    pub text: String,
    /// The kind of message.
    pub kind: MessageKind,
    /// Whether the message was sent before the client joined the room, or while the client was disconnected.
    pub is_replay: bool,
}

/// The kind of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MessageKind {
    /// An ordinary message.
    Said,
    /// An action.
    Acted,
    /// A new topic; an empty text removes the topic.
    Topic,
    /// A notice, which no program should answer automatically.
    Notice,
    /// A change of the room's modes. [`Message::in_words`] describes it.
    Mode,
}

impl Event {
    /// Converts an event about the members of a room; `None` for other events.
    pub(super) fn presence(event: wire::Event<'_>) -> Option<Self> {
        let own = |text: Text<'_>| super::request::printable(&text);
        Some(match event {
            wire::Event::Joined { room, nick } => Self::Joined {
                room: own(room),
                nick: own(nick),
            },
            wire::Event::Left {
                room,
                nick,
                reason,
                by,
            } => Self::Left {
                room: own(room),
                nick: own(nick),
                reason: match (reason, by) {
                    (Some(reason), Some(by)) => Some(format!("{} by {}", own(reason), own(by))),
                    (reason, _) => reason.map(own),
                },
            },
            wire::Event::Renamed { room, nick, to } => Self::Renamed {
                room: own(room),
                nick: own(nick),
                to: own(to),
            },
            wire::Event::Away { room, nick, text } => Self::Away {
                room: own(room),
                nick: own(nick),
                text: Some(own(text)),
            },
            wire::Event::Back { room, nick } => Self::Away {
                room: own(room),
                nick: own(nick),
                text: None,
            },
            wire::Event::Members { room, count } => Self::Members {
                room: own(room),
                count,
            },
            wire::Event::Hushed { room, on } => Self::Hushed {
                room: own(room),
                on,
            },
            wire::Event::Present {
                room,
                count,
                members,
                roles,
                away,
            } => {
                let present = wire::Present {
                    room,
                    count,
                    members,
                    roles,
                    away,
                };
                Self::Present(super::Present::from(present))
            }
            _ => return None,
        })
    }
}

impl Message {
    /// Creates a message for the tests of a program. The caller changes the other fields as needed.
    #[must_use]
    pub fn said(room: &str, seq: u64, from: &str, text: &str) -> Self {
        Self {
            room: room.to_owned(),
            epoch: "0".to_owned(),
            seq,
            at: 0,
            from: from.to_owned(),
            text: text.to_owned(),
            kind: MessageKind::Said,
            is_replay: false,
        }
    }

    /// Returns the text in words. For a change of modes these follow the nick of the author, such as
    /// `made bob an operator`. For any other message, returns the text.
    #[must_use]
    pub fn in_words(&self) -> Cow<'_, str> {
        match self.kind {
            MessageKind::Mode => ModeChanges::read(&self.text).in_words().into(),
            _ => self.text.as_str().into(),
        }
    }

    pub(super) fn new(entry: &wire::Entry<'_>, kind: MessageKind, epoch: &str) -> Self {
        Self {
            room: super::request::printable(&entry.room),
            epoch: epoch.to_owned(),
            seq: entry.seq,
            at: entry.ts,
            from: super::request::printable(&entry.from),
            text: super::request::printable(&entry.text),
            kind,
            is_replay: entry.replay,
        }
    }

    /// Converts an event of a page of a room's log; `None` if the event is not a message.
    pub(super) fn past(event: wire::Event<'_>) -> Option<Self> {
        let (entry, kind) = entry(event)?;
        Some(Self::new(&entry, kind, ""))
    }
}

/// Returns the message of an event; `None` if the event is not a message.
pub(super) fn entry(event: wire::Event<'_>) -> Option<(wire::Entry<'_>, MessageKind)> {
    match event {
        wire::Event::Said(entry) => Some((entry, MessageKind::Said)),
        wire::Event::Acted(entry) => Some((entry, MessageKind::Acted)),
        wire::Event::Topic(entry) => Some((entry, MessageKind::Topic)),
        wire::Event::Notice(entry) => Some((entry, MessageKind::Notice)),
        wire::Event::Mode(entry) => Some((entry, MessageKind::Mode)),
        _ => None,
    }
}

impl Room {
    /// Creates a room with these members, for the tests of a program. The caller changes the other fields as needed.
    #[must_use]
    pub fn with(room: &str, members: &[&str]) -> Self {
        Self {
            room: room.to_owned(),
            epoch: "0".to_owned(),
            seq: 0,
            recovered: None,
            count: members.len(),
            members: members.iter().map(ToString::to_string).collect(),
            away: Vec::new(),
            is_hushed: false,
            topic: String::new(),
        }
    }

    pub(super) fn new(place: wire::Place<'_>) -> Self {
        let members = place.members.unwrap_or_default();
        Self {
            room: super::request::printable(&place.room),
            epoch: place.epoch.map(Text::into_string).unwrap_or_default(),
            seq: place.seq.unwrap_or_default(),
            recovered: place.recovered,
            count: place.count.unwrap_or(members.len()),
            members: members
                .iter()
                .map(|nick| super::request::printable(nick))
                .collect(),
            away: place
                .away
                .iter()
                .map(|nick| super::request::printable(nick))
                .collect(),
            is_hushed: place.hushed,
            topic: place
                .topic
                .map(|topic| super::request::printable(&topic))
                .unwrap_or_default(),
        }
    }
}
