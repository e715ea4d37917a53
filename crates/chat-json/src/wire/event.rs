//! The events that the server sends to clients.

use super::Text;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A line from the server that answers no command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ev", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event<'a> {
    /// A member sent a message.
    #[serde(borrow)]
    Said(Entry<'a>),
    /// A member sent an action. In the plain dialect, the command `/me` sends an action.
    #[serde(borrow)]
    Acted(Entry<'a>),
    /// A member changed the topic. An empty text removes the topic.
    #[serde(borrow)]
    Topic(Entry<'a>),
    /// A member sent a notice: a message that programs must not answer automatically.
    #[serde(borrow)]
    Notice(Entry<'a>),
    /// A member changed the modes of the room. The text holds the changes, such as `+moderated +operator bob`; see
    /// [`ModeChange`](chat_core::rooms::ModeChange).
    #[serde(borrow)]
    Mode(Entry<'a>),
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
        /// Why the session ended; `null` if the session only left the room.
        #[serde(borrow)]
        reason: Option<Text<'a>>,
        /// The nick of the operator of the room that removed the session; `None` if no operator did.
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        by: Option<Text<'a>>,
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
    /// The number of members of a room has changed. The server sends this event, at most once a second, in a room with
    /// too many members to announce each join and leave.
    Members {
        /// The room.
        #[serde(borrow)]
        room: Text<'a>,
        /// The number of members.
        count: usize,
    },
    /// The room has stopped or resumed announcing joins and leaves.
    Hushed {
        /// The room.
        #[serde(borrow)]
        room: Text<'a>,
        /// `true` if the room no longer announces joins and leaves, because it has too many members. `false` if it
        /// announces them again; the command `who` returns the current members.
        on: bool,
    },
    /// A member is away. The server also sends this event if the member changes the text.
    Away {
        /// The room.
        #[serde(borrow)]
        room: Text<'a>,
        /// The member's nick.
        #[serde(borrow)]
        nick: Text<'a>,
        /// What the member has left for others.
        #[serde(borrow)]
        text: Text<'a>,
    },
    /// A member that was away has come back.
    Back {
        /// The room.
        #[serde(borrow)]
        room: Text<'a>,
        /// The member's nick.
        #[serde(borrow)]
        nick: Text<'a>,
    },
    /// The current members of a room. The server sends this event if the client has missed joins or leaves.
    Present {
        /// The room.
        #[serde(borrow)]
        room: Text<'a>,
        /// The number of members.
        count: usize,
        /// The nicks of the first 100 members.
        #[serde(borrow)]
        members: Vec<Text<'a>>,
        /// Those of `members` that have a role in the room, and their roles: `voice`, `operator` or `owner`.
        #[serde(borrow, default, skip_serializing_if = "BTreeMap::is_empty")]
        roles: BTreeMap<Text<'a>, Text<'a>>,
        /// Those of `members` that are away.
        #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
        away: Vec<Text<'a>>,
    },
    /// A member of a room invites this session to the room.
    Invited {
        /// When the session was invited, in milliseconds since 1970, UTC.
        ts: u64,
        /// The nick of the member.
        #[serde(borrow)]
        from: Text<'a>,
        /// The room.
        #[serde(borrow)]
        room: Text<'a>,
    },
    /// A direct message to this session.
    Told {
        /// When the message was sent, in milliseconds since 1970, UTC.
        ts: u64,
        /// The sender's nick.
        #[serde(borrow)]
        from: Text<'a>,
        /// The text.
        #[serde(borrow)]
        text: Text<'a>,
        /// What the message is if the sender did not simply say it: `acted` for an action, `notice` for a text that no
        /// program should answer automatically.
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        kind: Option<Text<'a>>,
    },
    /// The client has missed messages of a room, and does not receive these messages.
    Gap {
        /// The room.
        #[serde(borrow)]
        room: Text<'a>,
        /// The first position whose message is missing; `null` if the position is unknown.
        from: Option<u64>,
        /// The last position whose message is missing; `null` if the position is unknown.
        to: Option<u64>,
        /// Why the messages are missing.
        why: Why,
    },
    /// The session is no longer in a room: the server removed the session or closed the room.
    Removed {
        /// The room.
        #[serde(borrow)]
        room: Text<'a>,
        /// The reason; empty if there is none.
        #[serde(borrow)]
        reason: Text<'a>,
        /// Whether the server closed the room, and so removed all members.
        closed: bool,
        /// The nick of the operator of the room that removed the session; `None` if the server did.
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        by: Option<Text<'a>>,
    },
    /// The server asks whether the client is alive. Any line from the client is an answer.
    Ping,
    /// The last line before the server closes the connection.
    Bye {
        /// Why the connection ends: `quit`, `draining`, `kicked`, `denied`, `taken_over`, `rate_limited` or `failed`.
        #[serde(borrow)]
        code: Text<'a>,
        /// The server's explanation, if there is one.
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        reason: Option<Text<'a>>,
        /// Whether the client should reconnect.
        reconnect: bool,
        /// How many milliseconds the client should wait before it reconnects. The number is random, so that not all
        /// clients reconnect at once.
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
    /// The time at which the message was published, in milliseconds since 1970, UTC.
    pub ts: u64,
    /// The author's nick.
    #[serde(borrow)]
    pub from: Text<'a>,
    /// The text.
    #[serde(borrow)]
    pub text: Text<'a>,
    /// The key under which the author published the message, if the author gave one.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Text<'a>>,
    /// Whether the message was published before the client joined, and is now replayed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replay: bool,
}

/// Why messages are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Why {
    /// The log no longer holds the messages.
    Expired,
    /// There were more messages than the limit that the client set.
    Limit,
    /// The log can't be read now.
    Unavailable,
    /// The log that held the messages no longer exists, or was restored from a copy.
    Epoch,
    /// A reason that this version does not know.
    #[serde(other)]
    Other,
}
