//! What happened, as a client is told of it.

use super::Text;
use serde::{Deserialize, Serialize};

/// One line of the server's that is no reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ev", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event<'a> {
    /// Somebody said something.
    #[serde(borrow)]
    Said(Entry<'a>),
    /// Somebody did something.
    #[serde(borrow)]
    Acted(Entry<'a>),
    /// Somebody set the topic; an empty text takes it away.
    #[serde(borrow)]
    Topic(Entry<'a>),
    /// A text that no program answers automatically.
    #[serde(borrow)]
    Notice(Entry<'a>),
    /// Somebody came into a room.
    Joined {
        /// Which.
        #[serde(borrow)]
        room: Text<'a>,
        /// Who.
        #[serde(borrow)]
        nick: Text<'a>,
    },
    /// Somebody left a room.
    Left {
        /// Which.
        #[serde(borrow)]
        room: Text<'a>,
        /// Who.
        #[serde(borrow)]
        nick: Text<'a>,
        /// Why the session ended; `null` if it only left the room.
        #[serde(borrow)]
        reason: Option<Text<'a>>,
    },
    /// Somebody has another nick.
    Renamed {
        /// In which room.
        #[serde(borrow)]
        room: Text<'a>,
        /// The nick before.
        #[serde(borrow)]
        nick: Text<'a>,
        /// The nick now.
        #[serde(borrow)]
        to: Text<'a>,
    },
    /// How many are in a room that has too many to announce each; at most once a second.
    Members {
        /// Which.
        #[serde(borrow)]
        room: Text<'a>,
        /// How many.
        count: usize,
    },
    /// Whether who comes and goes in a room is announced has changed.
    Hushed {
        /// Which.
        #[serde(borrow)]
        room: Text<'a>,
        /// From now on it isn't: there are too many. `false`: it is again; ask `who` for the list.
        on: bool,
    },
    /// Who is in a room: the client has missed who came and went.
    Present {
        /// Which.
        #[serde(borrow)]
        room: Text<'a>,
        /// How many.
        count: usize,
        /// The first 100 of them.
        #[serde(borrow)]
        members: Vec<Text<'a>>,
    },
    /// Somebody said something to this session alone.
    Told {
        /// When: milliseconds since 1970, UTC.
        ts: u64,
        /// Who.
        #[serde(borrow)]
        from: Text<'a>,
        /// What.
        #[serde(borrow)]
        text: Text<'a>,
    },
    /// Messages that the client missed and is not given.
    Gap {
        /// In which room.
        #[serde(borrow)]
        room: Text<'a>,
        /// The first place, if it is known.
        from: Option<u64>,
        /// The last place, if it is known.
        to: Option<u64>,
        /// Why.
        why: Why,
    },
    /// The session is not in a room any more: the server took it out, or closed the room.
    Removed {
        /// Which.
        #[serde(borrow)]
        room: Text<'a>,
        /// Why; empty if there is no reason.
        #[serde(borrow)]
        reason: Text<'a>,
        /// The room was closed, and everybody taken out.
        closed: bool,
    },
    /// The server asks whether the client is there: any line is an answer.
    Ping,
    /// The server's last words.
    Bye {
        /// Why: `quit`, `draining`, `kicked`, `denied`, `taken_over`, `failed`.
        #[serde(borrow)]
        code: Text<'a>,
        /// What the server has to say about it.
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        reason: Option<Text<'a>>,
        /// Whether coming back makes sense.
        reconnect: bool,
        /// When to come back, so that not everybody does at once.
        #[serde(skip_serializing_if = "Option::is_none")]
        after_ms: Option<u64>,
    },
    /// An event that this side does not know.
    #[serde(other)]
    Unknown,
}

/// A message of a room's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry<'a> {
    /// Where.
    #[serde(borrow)]
    pub room: Text<'a>,
    /// Its place in the log.
    pub seq: u64,
    /// When: milliseconds since 1970, UTC.
    pub ts: u64,
    /// Who.
    #[serde(borrow)]
    pub from: Text<'a>,
    /// What.
    #[serde(borrow)]
    pub text: Text<'a>,
    /// The key that its author gave it.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Text<'a>>,
    /// It happened before the client came.
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
    /// There are more than the client asked for.
    Limit,
    /// The log can't be read now.
    Unavailable,
    /// The log that they were in is gone, or was restored.
    Epoch,
    /// Another reason, which this side does not know.
    #[serde(other)]
    Other,
}
