//! What a command is answered.

use super::{Entry, Event, Id, Text};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// An answer that grants what was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply<T> {
    /// The id of the command.
    pub re: Id,
    /// What it asked for.
    pub ok: T,
}

/// A line of the server's, as far as is needed to tell what it is.
#[derive(Debug, Deserialize)]
pub struct Incoming<'a> {
    /// The id of the command that it answers.
    #[serde(default)]
    pub re: Option<Id>,
    /// What was asked for.
    #[serde(borrow, default)]
    pub ok: Option<&'a RawValue>,
    /// Why it can't be had.
    #[serde(borrow, default)]
    pub err: Option<Fault<'a>>,
    /// Which event it is, if it is one.
    #[serde(borrow, default)]
    pub ev: Option<Text<'a>>,
}

/// Why a command is refused, or a line can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault<'a> {
    /// A stable word for programs.
    #[serde(borrow)]
    pub code: Text<'a>,
    /// What was wrong and what to do, for people.
    #[serde(borrow)]
    pub msg: Text<'a>,
    /// When to try again; `null` if that won't help.
    pub retry_ms: Option<u64>,
}

/// To `hello`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome<'a> {
    /// The version of the protocol.
    pub v: u32,
    /// The session's nick.
    #[serde(borrow)]
    pub nick: Text<'a>,
    /// The client's token: the one of its hello, or one that the server made. `None`: the server has none to give.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Text<'a>>,
    /// What the server allows.
    pub limits: Allowed,
    /// After how many seconds of silence the server asks whether the client is there.
    pub ping: u64,
    /// The room that newcomers are put in. The session is in it only if it asked for it.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub lobby: Option<Text<'a>>,
    /// The operator's words to those who come, line by line.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub motd: Vec<Text<'a>>,
    /// The rooms that were asked for, in that order.
    #[serde(borrow)]
    pub rooms: Vec<Place<'a>>,
}

/// What the server allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowed {
    /// The longest line in bytes.
    pub line: usize,
    /// The longest text of a message in bytes.
    pub text: usize,
}

/// To `join`, and in the welcome: what is in a room, or why it can't be joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place<'a> {
    /// Which.
    #[serde(borrow)]
    pub room: Text<'a>,
    /// The life of its log.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Text<'a>>,
    /// The end of its log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Whether all that followed the position that was named is replayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered: Option<bool>,
    /// How many are in it, this session included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<usize>,
    /// The first 100 of them.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub members: Option<Vec<Text<'a>>>,
    /// It has too many members to announce who comes and goes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hushed: bool,
    /// Its topic; empty if there is none.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<Text<'a>>,
    /// Why the session is not in it.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub err: Option<Fault<'a>>,
}

/// To `say`, `act`, and `topic` with a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published<'a> {
    /// Where.
    #[serde(borrow)]
    pub room: Text<'a>,
    /// The message's place in the room's log.
    pub seq: u64,
    /// It was said before under this key, and not again now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dup: bool,
}

/// To `tell`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent<'a> {
    /// To whom.
    #[serde(borrow)]
    pub to: Text<'a>,
    /// When: milliseconds since 1970, UTC.
    pub ts: u64,
}

/// To `nick`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named<'a> {
    /// The session's nick now.
    #[serde(borrow)]
    pub nick: Text<'a>,
}

/// To `topic` without a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topic<'a> {
    /// Where.
    #[serde(borrow)]
    pub room: Text<'a>,
    /// The topic; empty if there is none.
    #[serde(borrow)]
    pub topic: Text<'a>,
}

/// To `who`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Present<'a> {
    /// Where.
    #[serde(borrow)]
    pub room: Text<'a>,
    /// How many.
    pub count: usize,
    /// The first 100 of them.
    #[serde(borrow)]
    pub members: Vec<Text<'a>>,
}

/// To `rooms`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomsList<'a> {
    /// The rooms that have members, by name.
    #[serde(borrow)]
    pub rooms: Vec<Listed<'a>>,
    /// There are more: those that follow the last of these.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// A room that somebody is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed<'a> {
    /// Which.
    #[serde(borrow)]
    pub room: Text<'a>,
    /// How many are in it.
    pub count: usize,
    /// The beginning of its topic, at most 64 bytes; empty if there is none.
    #[serde(borrow)]
    pub topic: Text<'a>,
}

/// To `history` and `search`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histories<'a> {
    /// Where.
    #[serde(borrow)]
    pub room: Text<'a>,
    /// The places that were asked for and that the log no longer holds, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<Hole>,
    /// The messages, oldest first, or to `search` the latest first: as many as fit in a line. None: there are no more.
    #[serde(borrow)]
    pub messages: Vec<Event<'a>>,
}

/// Places that a log no longer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hole {
    /// The first.
    pub from: u64,
    /// The last.
    pub to: u64,
}

/// To `leave`, `ping` and `quit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Empty {}

impl<'a> Event<'a> {
    /// The message, if it is one.
    #[must_use]
    pub fn entry(&self) -> Option<&Entry<'a>> {
        match self {
            Self::Said(entry) | Self::Acted(entry) | Self::Topic(entry) => Some(entry),
            _ => None,
        }
    }
}
