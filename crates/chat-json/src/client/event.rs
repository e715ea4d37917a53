//! What a client's caller is told.

use super::GapCause;
use crate::wire::{self, Text};
use std::time::Duration;

/// What happened. Names and texts hold no control character, whatever the server sent.
///
/// While more than a thousand events wait to be read, [`Online`](Self::Online), [`Greeting`](Self::Greeting),
/// [`Offline`](Self::Offline), [`Entered`](Self::Entered) and [`Rejected`](Self::Rejected) are left out, and instead of
/// coming and going there is one [`Present`](Self::Present) later.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// There is a connection, under this nick.
    Online {
        /// The nick.
        nick: String,
    },
    /// What the server tells those who come; follows [`Online`](Self::Online).
    Greeting {
        /// The room that newcomers are put in; `None` if the server does not say.
        lobby: Option<String>,
        /// The operator's words, line by line.
        motd: Vec<String>,
    },
    /// The server refuses the nick: the client comes in as a guest. Only with
    /// [`guest_if_refused`](super::ClientBuilder::guest_if_refused).
    NickRefused {
        /// The nick that was asked for.
        nick: String,
        /// A stable word for programs: `nick_taken` or `bad_name`.
        code: String,
        /// Why, for people.
        message: String,
    },
    /// There is no connection; the next attempt comes after this time.
    Offline {
        /// What happened.
        why: String,
        /// When the next attempt is made.
        retry_in: Duration,
    },
    /// The client is in a room: joined, or back after a break. What it missed follows.
    Entered(Room),
    /// The client is not, or no longer, in a room.
    NotEntered {
        /// Which.
        room: String,
        /// A stable word for programs: why it could not be joined, such as `full`; `removed` if the server took the
        /// client out, `closed` if it closed the room.
        code: String,
        /// Why, for people.
        message: String,
    },
    /// Somebody said or did something, or set the topic.
    Message(Message),
    /// Somebody came into a room.
    Joined {
        /// Which.
        room: String,
        /// Who.
        nick: String,
    },
    /// Somebody left a room.
    Left {
        /// Which.
        room: String,
        /// Who.
        nick: String,
        /// Why the session ended; `None` if it only left the room.
        reason: Option<String>,
    },
    /// Somebody has another nick.
    Renamed {
        /// In which room.
        room: String,
        /// The nick before.
        nick: String,
        /// The nick now.
        to: String,
    },
    /// Who is in a room: who came and went meanwhile was missed.
    Present(super::Present),
    /// How many are in a room that has too many to announce each; at most once a second.
    Members {
        /// Which.
        room: String,
        /// How many.
        count: usize,
    },
    /// Whether who comes and goes in a room is announced has changed.
    Hushed {
        /// Which.
        room: String,
        /// From now on it isn't.
        on: bool,
    },
    /// Somebody said something to this client alone.
    Told {
        /// When: milliseconds since 1970, UTC.
        at: u64,
        /// Who.
        from: String,
        /// What.
        text: String,
    },
    /// So many direct messages had to be thrown away, because events were not read.
    DirectsMissed {
        /// How many.
        count: u64,
    },
    /// Messages of a room that were missed and can't be had.
    Gap {
        /// In which room.
        room: String,
        /// The first place, if it is known.
        from: Option<u64>,
        /// The last place, if it is known.
        to: Option<u64>,
        /// Why.
        why: GapCause,
    },
    /// The server could not use a line of ours.
    Rejected {
        /// A stable word for programs.
        code: String,
        /// Why, for people.
        message: String,
    },
    /// There will be no more connection; this is the last event.
    Closed {
        /// Why.
        why: String,
    },
}

/// A room that the client is in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Room {
    /// Which, as its members spell it.
    pub room: String,
    /// This life of its log.
    pub epoch: String,
    /// The end of its log.
    pub seq: u64,
    /// Whether all that was missed since the last connection follows; `None` if the client was not in it before.
    pub recovered: Option<bool>,
    /// How many are in it, the client included.
    pub count: usize,
    /// The first 100 of them.
    pub members: Vec<String>,
    /// It has too many members to announce who comes and goes.
    pub is_hushed: bool,
    /// Its topic; empty if there is none.
    pub topic: String,
}

/// A message of a room's log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// Where.
    pub room: String,
    /// Which life of the log its place is in; empty in what [`history`](super::Client::history) returns.
    pub epoch: String,
    /// Its place in the log.
    pub seq: u64,
    /// When: milliseconds since 1970, UTC.
    pub at: u64,
    /// Who.
    pub from: String,
    /// What.
    pub text: String,
    /// What it is.
    pub kind: MessageKind,
    /// It was said while the client was away, or before it came.
    pub is_replay: bool,
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MessageKind {
    /// Somebody said something.
    Said,
    /// Somebody did something.
    Acted,
    /// Somebody set the topic; an empty text takes it away.
    Topic,
    /// A text that no program should answer automatically.
    Notice,
}

impl Event {
    /// Reads an event about who is in a room; `None` if it is another event.
    pub(super) fn presence(event: wire::Event<'_>) -> Option<Self> {
        let own = |text: Text<'_>| super::ask::printable(&text);
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
    /// Makes a message that somebody said, for tests of what a program does with it; change its fields as needed.
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
            room: super::ask::printable(&entry.room),
            epoch: epoch.to_owned(),
            seq: entry.seq,
            at: entry.ts,
            from: super::ask::printable(&entry.from),
            text: super::ask::printable(&entry.text),
            kind,
            is_replay: entry.replay,
        }
    }

    /// A message of a page of history.
    pub(super) fn past(event: wire::Event<'_>) -> Option<Self> {
        let (entry, kind) = entry(event)?;
        Some(Self::new(&entry, kind, ""))
    }
}

/// The message that an event is, if it is one.
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
    /// Makes a room with these members, for tests of what a program does with it; change its fields as needed.
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
            room: super::ask::printable(&place.room),
            epoch: place.epoch.map(Text::into_string).unwrap_or_default(),
            seq: place.seq.unwrap_or_default(),
            recovered: place.recovered,
            count: place.count.unwrap_or(members.len()),
            members: members
                .iter()
                .map(|nick| super::ask::printable(nick))
                .collect(),
            is_hushed: place.hushed,
            topic: place
                .topic
                .map(|topic| super::ask::printable(&topic))
                .unwrap_or_default(),
        }
    }
}
