//! The server's replies to commands.

use super::{Entry, Event, Id, Text};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A reply that grants a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply<T> {
    /// The id of the command.
    pub re: Id,
    /// The result.
    pub ok: T,
}

/// A line from the server, parsed only as far as needed to tell its type.
#[derive(Debug, Deserialize)]
pub struct Incoming<'a> {
    /// The id of the command that the line answers.
    #[serde(default)]
    pub re: Option<Id>,
    /// The result, if the command was granted.
    #[serde(borrow, default)]
    pub ok: Option<&'a RawValue>,
    /// The error, if the command was refused.
    #[serde(borrow, default)]
    pub err: Option<Fault<'a>>,
    /// The name of the event, if the line is one.
    #[serde(borrow, default)]
    pub ev: Option<Text<'a>>,
}

/// Why a command is refused or a line is not valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault<'a> {
    /// A stable code for programs.
    #[serde(borrow)]
    pub code: Text<'a>,
    /// What was wrong and what to do, for people.
    #[serde(borrow)]
    pub msg: Text<'a>,
    /// How many milliseconds to wait before trying again; `null` if trying again does not help.
    pub retry_ms: Option<u64>,
}

/// The reply to `hello`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome<'a> {
    /// The version of the protocol.
    pub v: u32,
    /// The session's nick.
    #[serde(borrow)]
    pub nick: Text<'a>,
    /// The client's token: the one from its hello, or one that the server created. `None` if the server gives no
    /// tokens.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Text<'a>>,
    /// The limits of the server.
    pub limits: Allowed,
    /// The seconds of silence after which the server pings the client.
    pub ping: u64,
    /// The default room. The session is in it only if the hello named it.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub lobby: Option<Text<'a>>,
    /// The operator's message of the day, line by line.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub motd: Vec<Text<'a>>,
    /// The rooms that the hello named, in the same order.
    #[serde(borrow)]
    pub rooms: Vec<Place<'a>>,
}

/// The limits of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowed {
    /// The longest line in bytes.
    pub line: usize,
    /// The longest text of a message in bytes.
    pub text: usize,
}

/// The reply to `join`, and an element of the welcome: the state of a room, or why it can't be joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place<'a> {
    /// The room.
    #[serde(borrow)]
    pub room: Text<'a>,
    /// The epoch of its log.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Text<'a>>,
    /// The last position of its log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Whether all messages after the requested position are replayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered: Option<bool>,
    /// The number of members, including this session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<usize>,
    /// The first 100 of them.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub members: Option<Vec<Text<'a>>>,
    /// Whether the room has too many members to announce arrivals and departures.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hushed: bool,
    /// Its topic; empty if there is none.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<Text<'a>>,
    /// Why the session is not in the room.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub err: Option<Fault<'a>>,
}

/// The reply to `say`, `act`, and `topic` with a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published<'a> {
    /// The room.
    #[serde(borrow)]
    pub room: Text<'a>,
    /// The message's position in the room's log.
    pub seq: u64,
    /// Whether the key was already used: the message was not published again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dup: bool,
}

/// The reply to `tell`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent<'a> {
    /// The recipient's nick.
    #[serde(borrow)]
    pub to: Text<'a>,
    /// The time, in milliseconds since 1970, UTC.
    pub ts: u64,
}

/// The reply to `nick`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named<'a> {
    /// The session's current nick.
    #[serde(borrow)]
    pub nick: Text<'a>,
}

/// The reply to `topic` without a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topic<'a> {
    /// The room.
    #[serde(borrow)]
    pub room: Text<'a>,
    /// The topic; empty if there is none.
    #[serde(borrow)]
    pub topic: Text<'a>,
}

/// The reply to `who`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Present<'a> {
    /// The room.
    #[serde(borrow)]
    pub room: Text<'a>,
    /// The number of members.
    pub count: usize,
    /// The first 100 of them.
    #[serde(borrow)]
    pub members: Vec<Text<'a>>,
}

/// The reply to `rooms`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomsList<'a> {
    /// The rooms that have members, sorted by name.
    #[serde(borrow)]
    pub rooms: Vec<Listed<'a>>,
    /// Whether more rooms follow the last of these.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// A room that has members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed<'a> {
    /// The room's name.
    #[serde(borrow)]
    pub room: Text<'a>,
    /// The number of members.
    pub count: usize,
    /// The beginning of its topic, at most 64 bytes; empty if there is none.
    #[serde(borrow)]
    pub topic: Text<'a>,
}

/// The reply to `history` and `search`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histories<'a> {
    /// The room.
    #[serde(borrow)]
    pub room: Text<'a>,
    /// The requested positions that the log no longer holds, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<Hole>,
    /// As many messages as fit in a line: oldest first for `history`, latest first for `search`. Empty if there are no
    /// more.
    #[serde(borrow)]
    pub messages: Vec<Event<'a>>,
}

/// A range of positions that a log no longer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hole {
    /// The first position.
    pub from: u64,
    /// The last position.
    pub to: u64,
}

/// The reply to `leave`, `ping` and `quit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Empty {}

impl<'a> Event<'a> {
    /// Returns the message if this event is one.
    #[must_use]
    pub fn entry(&self) -> Option<&Entry<'a>> {
        match self {
            Self::Said(entry) | Self::Acted(entry) | Self::Topic(entry) => Some(entry),
            _ => None,
        }
    }
}
