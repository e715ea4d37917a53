//! The events of a client.

use super::GapCause;
use crate::wire::{self, Text};
use std::time::Duration;

/// An event of a client. Names and texts contain no control characters, whatever the server sent.
///
/// While more than 1,000 events wait to be read, [`Online`](Self::Online), [`Greeting`](Self::Greeting),
/// [`Offline`](Self::Offline), [`Entered`](Self::Entered) and [`Rejected`](Self::Rejected) are dropped, and events
/// about members are replaced by one [`Present`](Self::Present) later.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The client is connected.
    Online {
        /// The client's nick.
        nick: String,
    },
    /// The server's greeting; follows [`Online`](Self::Online).
    Greeting {
        /// The server's lobby; `None` if the server has none.
        lobby: Option<String>,
        /// The message of the day, line by line.
        motd: Vec<String>,
    },
    /// The server refused the nick, and the client enters as a guest. Only with
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
    /// The client is in a room: after its join, or again after a disconnect. Missed messages follow.
    Entered(Room),
    /// The client is not in a room, or no longer.
    NotEntered {
        /// The room.
        room: String,
        /// A stable code for programs: why the join was refused, such as `full`; `removed` if the server removed the
        /// client, `closed` if the room was closed.
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
    /// The present members of a room, after events about members were dropped.
    Present(super::Present),
    /// The number of members of a large room, at most once a second.
    Members {
        /// The room.
        room: String,
        /// How many members it has.
        count: usize,
    },
    /// A room starts or stops announcing joins and leaves.
    Hushed {
        /// The room.
        room: String,
        /// Whether they are no longer announced.
        on: bool,
    },
    /// A direct message to this client.
    Direct {
        /// When: milliseconds since 1970, UTC.
        at: u64,
        /// The sender.
        from: String,
        /// The text.
        text: String,
    },
    /// Direct messages were dropped because events were not read.
    DirectsMissed {
        /// How many.
        count: u64,
    },
    /// Messages of a room were missed and can't be read.
    Gap {
        /// The room.
        room: String,
        /// The first position, if it is known.
        from: Option<u64>,
        /// The last position, if it is known.
        to: Option<u64>,
        /// The cause.
        why: GapCause,
    },
    /// The server could not use a line of this client.
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
    /// The epoch of its log.
    pub epoch: String,
    /// The last position of its log.
    pub seq: u64,
    /// Whether all messages since the last connection follow; `None` on the first join.
    pub recovered: Option<bool>,
    /// How many members it has, the client included.
    pub count: usize,
    /// The nicks of the first 100.
    pub members: Vec<String>,
    /// Whether joins and leaves are not announced because it has too many members.
    pub is_hushed: bool,
    /// Its topic; empty if there is none.
    pub topic: String,
}

/// A message of a room's log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The room.
    pub room: String,
    /// The epoch of its position; empty in the result of [`history`](super::Client::history).
    pub epoch: String,
    /// Its position in the log.
    pub seq: u64,
    /// When: milliseconds since 1970, UTC.
    pub at: u64,
    /// The sender.
    pub from: String,
    /// The text.
    pub text: String,
    /// The kind.
    pub kind: MessageKind,
    /// Whether it was sent before the client joined, or while it was disconnected.
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
    /// A text that no program should answer automatically.
    Notice,
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
            wire::Event::Left { room, nick, reason } => Self::Left {
                room: own(room),
                nick: own(nick),
                reason: reason.map(own),
            },
            wire::Event::Renamed { room, nick, to } => Self::Renamed {
                room: own(room),
                nick: own(nick),
                to: own(to),
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
            } => {
                let present = wire::Present {
                    room,
                    count,
                    members,
                };
                Self::Present(super::Present::from(present))
            }
            _ => return None,
        })
    }
}

impl Message {
    /// Makes a message for tests of a program; change its fields as needed.
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

    /// Converts a message of a page of history.
    pub(super) fn past(event: wire::Event<'_>) -> Option<Self> {
        let (entry, kind) = entry(event)?;
        Some(Self::new(&entry, kind, ""))
    }
}

/// Returns the message of an event, if it is one.
pub(super) fn entry(event: wire::Event<'_>) -> Option<(wire::Entry<'_>, MessageKind)> {
    match event {
        wire::Event::Said(entry) => Some((entry, MessageKind::Said)),
        wire::Event::Acted(entry) => Some((entry, MessageKind::Acted)),
        wire::Event::Topic(entry) => Some((entry, MessageKind::Topic)),
        wire::Event::Notice(entry) => Some((entry, MessageKind::Notice)),
        _ => None,
    }
}

impl Room {
    /// Makes a room with these members for tests of a program; change its fields as needed.
    #[must_use]
    pub fn with(room: &str, members: &[&str]) -> Self {
        Self {
            room: room.to_owned(),
            epoch: "0".to_owned(),
            seq: 0,
            recovered: None,
            count: members.len(),
            members: members.iter().map(ToString::to_string).collect(),
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
            is_hushed: place.hushed,
            topic: place
                .topic
                .map(|topic| super::request::printable(&topic))
                .unwrap_or_default(),
        }
    }
}
