//! What a client asks.

use super::Text;
use serde::{Deserialize, Serialize};

/// One line of a client: a command and whatever it needs.
///
/// One flat type for all commands, because a line is read once and without copying; what a command needs and does not
/// have is a `bad_request`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request<'a> {
    /// What is asked: `hello`, `join`, `leave`, `say`, `act`, `publish`, `tell`, `nick`, `topic`, `who`, `rooms`, `history`,
    /// `search`, `ping`, `quit`.
    #[serde(borrow)]
    pub cmd: Text<'a>,
    /// With an id a command gets exactly one reply that names it; without one it gets none but its refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Id>,
    /// `hello`: the version of the protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub v: Option<u32>,
    /// `hello`, `nick`: the nick that is wanted.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub nick: Option<Text<'a>>,
    /// `hello`: a secret by which the server knows the client again, 16 to 128 bytes.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub token: Option<Text<'a>>,
    /// `hello`: the program and its version.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub client: Option<Text<'a>>,
    /// `hello`: whether the client gets its own messages back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub echo: Option<bool>,
    /// `hello`: rooms to join.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub join: Vec<JoinRoom<'a>>,
    /// The room that is meant. `rooms`: only those that follow this room by name.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub room: Option<Text<'a>>,
    /// `join`: the position of the last message that was seen. `history`: what follows this position.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub after: Option<Position<'a>>,
    /// `history`, `search`: what precedes this place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// `join`, `history`, `search`: how many messages at most. `rooms`: how many rooms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// `tell`: the nick of the other.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub to: Option<Text<'a>>,
    /// `say`, `act`, `publish`, `tell`, `topic`: the text. `search`: the words.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub text: Option<Text<'a>>,
    /// `say`, `act`, `publish`: a name for the message, so that it can be said again without being said twice.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub key: Option<Text<'a>>,
    /// `publish`: whether the room is opened if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create: Option<bool>,
    /// `quit`: why.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text<'a>>,
}

impl<'a> Request<'a> {
    /// Starts a request; the fields that the command needs are set by the caller.
    #[must_use]
    pub fn new(cmd: &'a str) -> Self {
        Self {
            cmd: cmd.into(),
            id: None,
            v: None,
            nick: None,
            token: None,
            client: None,
            echo: None,
            join: Vec::new(),
            room: None,
            after: None,
            before: None,
            limit: None,
            to: None,
            text: None,
            key: None,
            create: None,
            reason: None,
        }
    }
}

/// A room to join, and from where on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRoom<'a> {
    /// Which.
    #[serde(borrow)]
    pub room: Text<'a>,
    /// The position of the last message that was seen: what followed is replayed.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub after: Option<Position<'a>>,
    /// How many messages are replayed at most, the latest ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// A place in a room's log.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Position<'a> {
    /// Which life of the log; to be passed back as it came. Without it the present one is meant.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Text<'a>>,
    /// Which place in it.
    pub seq: u64,
}

/// What a reply is told by: any JSON string of at most 256 bytes, or integer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged, expecting = "an id is an integer or a string")]
pub enum Id {
    /// A number.
    Unsigned(u64),
    /// A number below 0.
    Signed(i64),
    /// A string.
    Text(String),
}
