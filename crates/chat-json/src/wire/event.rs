//! The events that the server sends to clients.

use super::Text;
use serde::{Deserialize, Serialize};

/// A line from the server that is not a reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ev", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event<'a> {
    /// A member sent a message.
    #[serde(borrow)]
    Said(Entry<'a>),
    /// A member sent an action, as `/me` does.
    #[serde(borrow)]
    Acted(Entry<'a>),
    /// A member changed the topic. An empty text removes it.
    #[serde(borrow)]
    Topic(Entry<'a>),
    /// A message that programs must not answer automatically.
    #[serde(borrow)]
    Notice(Entry<'a>),
    /// A session joined a room.
    Joined {
        /// The room.
        #[serde(borrow)]
        room: Text<'a>,
        /// The session's nick.
        #[serde(borrow)]
        nick: Text<'a>,
    },
    /// A session left a room.
    Left {
        /// The room.
        #[serde(borrow)]
        room: Text<'a>,
        /// The session's nick.
        #[serde(borrow)]
        nick: Text<'a>,
        /// Why the session ended; `null` if it only left the room.
        #[serde(borrow)]
        reason: Option<Text<'a>>,
    },
    /// A member changed its nick.
    Renamed {
        /// The room.
        #[serde(borrow)]
        room: Text<'a>,
        /// The old nick.
        #[serde(borrow)]
        nick: Text<'a>,
        /// The new nick.
        #[serde(borrow)]
        to: Text<'a>,
    },
    /// The number of members of a room that is too big to announce each arrival and departure. Sent at most once a
    /// second.
    Members {
        /// The room.
        #[serde(borrow)]
        room: Text<'a>,
        /// The number of members.
        count: usize,
    },
    /// The room started or stopped announcing arrivals and departures.
    Hushed {
        /// The room.
        #[serde(borrow)]
        room: Text<'a>,
        /// `true` if they are no longer announced because the room has too many members. `false` if they are announced
        /// again; `who` gives the list.
        on: bool,
    },
    /// The members of a room. Sent if the client has missed arrivals or departures.
    Present {
        /// The room.
        #[serde(borrow)]
        room: Text<'a>,
        /// The number of members.
        count: usize,
        /// The first 100 of them.
        #[serde(borrow)]
        members: Vec<Text<'a>>,
    },
    /// A direct message to this session.
    Told {
        /// The time, in milliseconds since 1970, UTC.
        ts: u64,
        /// The sender's nick.
        #[serde(borrow)]
        from: Text<'a>,
        /// The text.
        #[serde(borrow)]
        text: Text<'a>,
    },
    /// Messages that the client missed and does not get.
    Gap {
        /// The room.
        #[serde(borrow)]
        room: Text<'a>,
        /// The first missing position; `null` if it is unknown.
        from: Option<u64>,
        /// The last missing position; `null` if it is unknown.
        to: Option<u64>,
        /// Why they are missing.
        why: Why,
    },
    /// The session is no longer in a room: the server removed it or closed the room.
    Removed {
        /// The room.
        #[serde(borrow)]
        room: Text<'a>,
        /// The reason; empty if there is none.
        #[serde(borrow)]
        reason: Text<'a>,
        /// Whether the room was closed and all members were removed.
        closed: bool,
    },
    /// The server checks whether the client is alive. Any line is an answer.
    Ping,
    /// The last line before the server closes the connection.
    Bye {
        /// The cause: `quit`, `draining`, `kicked`, `denied`, `taken_over`, `rate_limited` or `failed`.
        #[serde(borrow)]
        code: Text<'a>,
        /// The server's explanation, if there is one.
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        reason: Option<Text<'a>>,
        /// Whether reconnecting makes sense.
        reconnect: bool,
        /// How many milliseconds to wait before reconnecting. Random, so that not all clients reconnect at once.
        #[serde(skip_serializing_if = "Option::is_none")]
        after_ms: Option<u64>,
    },
    /// An event that this version does not know.
    #[serde(other)]
    Unknown,
}

/// A message of a room's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry<'a> {
    /// The room.
    #[serde(borrow)]
    pub room: Text<'a>,
    /// The message's position in the log.
    pub seq: u64,
    /// The time, in milliseconds since 1970, UTC.
    pub ts: u64,
    /// The author's nick.
    #[serde(borrow)]
    pub from: Text<'a>,
    /// The text.
    #[serde(borrow)]
    pub text: Text<'a>,
    /// The key that the author gave the message.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Text<'a>>,
    /// Whether the message was published before the client joined.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replay: bool,
}

/// Why messages are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Why {
    /// The log no longer holds them.
    Expired,
    /// The client's limit was lower than the number of messages.
    Limit,
    /// The log can't be read now.
    Unavailable,
    /// The log that held them is gone or was restored.
    Epoch,
    /// A reason that this version does not know.
    #[serde(other)]
    Other,
}
