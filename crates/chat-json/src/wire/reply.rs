//! The server's replies to commands.

use super::{Entry, Event, Id, Text};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// A reply to a command that the server has executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply<T> {
    /// The id of the command.
    pub re: Id,
    /// The result of the command.
    pub ok: T,
}

/// A reply to a command that the server has refused, or to a line that the server could not use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused<'a> {
    /// The id of the command; `None` if the line has no valid id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub re: Option<Id>,
    /// Why the command is refused.
    #[serde(borrow)]
    pub err: Fault<'a>,
}

/// A line from the server, parsed only as far as needed to know whether it is a reply, an error or an event.
#[derive(Debug, Deserialize)]
pub struct Incoming<'a> {
    /// The id of the command that the line answers; `None` if the line answers no command.
    #[serde(default)]
    pub re: Option<Id>,
    /// The result, if the server has executed the command.
    #[serde(borrow, default)]
    pub ok: Option<&'a RawValue>,
    /// The error, if the server has refused the command or could not use the line.
    #[serde(borrow, default)]
    pub err: Option<Fault<'a>>,
    /// The name of the event, if the line is an event.
    #[serde(borrow, default)]
    pub ev: Option<Text<'a>>,
}

/// Why the server has refused a command, or could not use a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault<'a> {
    /// A stable code for programs.
    #[serde(borrow)]
    pub code: Text<'a>,
    /// What was wrong, and what the client can do about it, for people.
    #[serde(borrow)]
    pub msg: Text<'a>,
    /// How many milliseconds the client should wait before it tries again. `null` if trying again does not help.
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
    /// The client's token: the one from its hello, or one that the server has created. `None` if the hello had no token
    /// and the server has created no token.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Text<'a>>,
    /// The limits of the server.
    pub limits: Allowed,
    /// The seconds of silence after which the server pings the client.
    pub ping: u64,
    /// The name of the server's lobby. The session is in the lobby only if the hello named it.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub lobby: Option<Text<'a>>,
    /// The operator's message of the day, line by line.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub motd: Vec<Text<'a>>,
    /// The state of each room that the hello named, in the order of the hello.
    #[serde(borrow)]
    pub rooms: Vec<Place<'a>>,
}

/// Limits of the server that a client needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowed {
    /// The maximum length in bytes of a line that the client sends.
    pub line: usize,
    /// The maximum length in bytes of the text of a message.
    pub text: usize,
}

/// The reply to `join`, and an element of the reply to `hello`: the state of a room, or why the room can't be joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place<'a> {
    /// The room.
    #[serde(borrow)]
    pub room: Text<'a>,
    /// The [epoch](chat_core::log::Epoch) of the room's log.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Text<'a>>,
    /// The last position of the room's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Whether the replay has all messages after the position that the client asked to resume from. `None` if the
    /// client named no position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered: Option<bool>,
    /// The number of members, including this session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<usize>,
    /// The nicks of the first 100 members.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub members: Option<Vec<Text<'a>>>,
    /// Those of `members` that have a role in the room, and their roles: `voice`, `operator` or `owner`.
    #[serde(borrow, default, skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<Text<'a>, Text<'a>>,
    /// The role of this session in the room; `None` if it has none.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Text<'a>>,
    /// Those of `members` that are away.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub away: Vec<Text<'a>>,
    /// Whether the room has too many members to announce joins and leaves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hushed: bool,
    /// The room's topic; empty if there is none.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<Text<'a>>,
    /// Why the session could not join the room; `None` if the session has joined. With an error, only `room` and `err`
    /// are set.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub err: Option<Fault<'a>>,
}

/// The reply to `say`, `act`, `publish`, to `topic` with a text, and to `mode` with changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published<'a> {
    /// The room.
    #[serde(borrow)]
    pub room: Text<'a>,
    /// The message's position in the room's log.
    pub seq: u64,
    /// Whether the client has already published the message under the same key. If so, the message was not published
    /// again, and `seq` is the position of the published message.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dup: bool,
}

/// The reply to `tell`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent<'a> {
    /// The recipient's nick.
    #[serde(borrow)]
    pub to: Text<'a>,
    /// The time at which the message was sent, in milliseconds since 1970, UTC.
    pub ts: u64,
    /// What the recipient has left for others, if the recipient is away.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub away: Option<Text<'a>>,
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
    /// The nicks of the first 100 members.
    #[serde(borrow)]
    pub members: Vec<Text<'a>>,
    /// Those of `members` that have a role in the room, and their roles: `voice`, `operator` or `owner`.
    #[serde(borrow, default, skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<Text<'a>, Text<'a>>,
    /// Those of `members` that are away.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub away: Vec<Text<'a>>,
}

/// The reply to `mode` without changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Modes<'a> {
    /// The room.
    #[serde(borrow)]
    pub room: Text<'a>,
    /// The modes that are set, of `topic-lock`, `moderated`, `invite-only`, `secret` and `no-external`.
    #[serde(borrow)]
    pub modes: Vec<Text<'a>>,
    /// The key of the room, if it has one; `*` if this session is not in the room.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Text<'a>>,
    /// How many members the room may have, if there is a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// The masks of the lists `ban`, `except`, `invite-except` and `quiet` that are not empty.
    #[serde(borrow, default, skip_serializing_if = "BTreeMap::is_empty")]
    pub masks: BTreeMap<Text<'a>, Vec<MaskEntry<'a>>>,
    /// The accounts that have a role in the room, and their roles.
    #[serde(borrow, default, skip_serializing_if = "BTreeMap::is_empty")]
    pub accounts: BTreeMap<Text<'a>, Text<'a>>,
    /// The role of this session in the room; `None` if it has none.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Text<'a>>,
}

/// A mask in a list of a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaskEntry<'a> {
    /// The mask.
    #[serde(borrow)]
    pub mask: Text<'a>,
    /// The nick of the session that added the mask.
    #[serde(borrow)]
    pub by: Text<'a>,
    /// When the mask was added, in milliseconds since 1970, UTC.
    pub ts: u64,
}

/// The reply to `kick` and `invite`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Affected<'a> {
    /// The room.
    #[serde(borrow)]
    pub room: Text<'a>,
    /// The nick of the other session.
    #[serde(borrow)]
    pub nick: Text<'a>,
}

/// The reply to `away`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awayness<'a> {
    /// What others see of this session; `None` if the session is not away.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub away: Option<Text<'a>>,
}

/// What is known of a session besides its nick. The reply to `profile`, and a part of the reply to `whois`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile<'a> {
    /// The user name, and a host that hides the address, as `user@host`.
    #[serde(borrow)]
    pub who: Text<'a>,
    /// The account; `None` if the session has none.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Text<'a>>,
    /// The real name; `None` if there is none.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Text<'a>>,
    /// What the session has left for others; `None` if it is not away.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub away: Option<Text<'a>>,
    /// Whether the session says that it is a bot.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bot: bool,
    /// Whether the session is a server operator.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub operator: bool,
}

/// The reply to `whois`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whois<'a> {
    /// The nick.
    #[serde(borrow)]
    pub nick: Text<'a>,
    /// What is known besides the nick.
    #[serde(borrow, flatten)]
    pub profile: Profile<'a>,
    /// The rooms of the session, as far as the client may see them.
    #[serde(borrow)]
    pub rooms: Vec<Text<'a>>,
    /// When the session began, in milliseconds since 1970, UTC; `None` if this is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// For how many milliseconds the session has said nothing; `None` if this is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_ms: Option<u64>,
}

/// The reply to `rooms`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomsList<'a> {
    /// The rooms that have members, sorted by name.
    #[serde(borrow)]
    pub rooms: Vec<Listed<'a>>,
    /// Whether more rooms follow after the last room of this list.
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
    /// The beginning of the room's topic, at most 64 bytes; empty if there is none.
    #[serde(borrow)]
    pub topic: Text<'a>,
}

/// The reply to `history` and `search`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histories<'a> {
    /// The room.
    #[serde(borrow)]
    pub room: Text<'a>,
    /// For `history`, the requested positions that the log no longer holds, if there are any. For `search`, the
    /// positions that the server had no time to search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<Hole>,
    /// The messages, at most as many as fit in a line: oldest first for `history`, latest first for `search`. Empty if
    /// there are no further messages.
    #[serde(borrow)]
    pub messages: Vec<Event<'a>>,
}

/// A range of positions in a room's log whose messages are missing from a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hole {
    /// The first position.
    pub from: u64,
    /// The last position of the range.
    pub to: u64,
}

/// The reply to `leave`, `ping` and `quit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Empty {}

impl<'a> Event<'a> {
    /// Returns the message if this event is a message: a said text, an action, a topic, a notice or a
    /// change of modes.
    #[must_use]
    pub fn entry(&self) -> Option<&Entry<'a>> {
        match self {
            Self::Said(entry)
            | Self::Acted(entry)
            | Self::Topic(entry)
            | Self::Notice(entry)
            | Self::Mode(entry) => Some(entry),
            _ => None,
        }
    }
}
