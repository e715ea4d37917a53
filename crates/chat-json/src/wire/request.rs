//! The requests of a client.

use super::Text;
use serde::{Deserialize, Serialize};

/// A line from a client: a command and its fields.
///
/// One type has the fields of all commands, so that a line is parsed once and without copying. A field's description
/// begins with the commands that use it. The server refuses a command without a required field, with the code
/// `bad_request`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request<'a> {
    /// The name of the command: `hello`, `join`, `leave`, `say`, `act`, `publish`, `tell`, `nick`, `topic`, `who`,
    /// `rooms`, `history`, `search`, `mode`, `kick`, `invite`, `away`, `whois`, `profile`, `ping` or `quit`.
    #[serde(borrow)]
    pub cmd: Text<'a>,
    /// The id that the reply repeats. The server answers a command with an id exactly once. It answers a command
    /// without an id only if it refuses the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Id>,
    /// `hello`: the version of the protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub v: Option<u32>,
    /// `hello`, `nick`: the requested nick. `kick`, `invite`, `whois`: the nick of the other session.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub nick: Option<Text<'a>>,
    /// `hello`: a secret of 16 to 128 bytes, by which the server recognises a returning client.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub token: Option<Text<'a>>,
    /// `hello`: the name and version of the client program.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub client: Option<Text<'a>>,
    /// `hello`: whether the client receives its own messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub echo: Option<bool>,
    /// `hello`: the rooms to join.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub join: Vec<JoinRoom<'a>>,
    /// The room that the command is for. For `rooms`, a name; the reply lists only rooms whose names sort after this
    /// name.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub room: Option<Text<'a>>,
    /// `join`: the position of the last message that the client has seen. `history`: a position; the reply has only
    /// messages after this position.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub after: Option<Position<'a>>,
    /// `history`, `search`: a position; the reply has only messages before this position.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// `join`, `history`, `search`: the maximum number of messages. `rooms`: the maximum number of rooms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// `tell`: the recipient's nick.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub to: Option<Text<'a>>,
    /// `say`, `act`, `publish`, `tell`, `topic`: the text. `search`: the words to search for. `away`: what others see
    /// of a client that is away; without it, the client is back.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub text: Option<Text<'a>>,
    /// `say`, `act`, `publish`: a key for the message. If the client sends the command again under the same key, the
    /// message is not published a second time. `join`: the key of the room, if the room has one.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub key: Option<Text<'a>>,
    /// `publish`: whether to open the room if it does not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create: Option<bool>,
    /// `quit`, `kick`: the reason.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text<'a>>,
    /// `mode`: the changes, such as `+moderated -key`. Without this field, the reply has the modes.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub set: Option<Text<'a>>,
    /// `profile`: the client's real name; an empty text removes it.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub name: Option<Text<'a>>,
    /// `profile`: whether the client is a bot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bot: Option<bool>,
}

impl<'a> Request<'a> {
    /// Creates a request with only the name of the command. The caller sets the fields that the command needs.
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
            set: None,
            name: None,
            bot: None,
        }
    }
}

/// A room to join, and the position to resume from, as an element of a `hello`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRoom<'a> {
    /// The room.
    #[serde(borrow)]
    pub room: Text<'a>,
    /// The position of the last message that the client has seen. The server replays the messages after it.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub after: Option<Position<'a>>,
    /// The maximum number of replayed messages. If the log has more messages, the server replays the latest ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// The key of the room, if the room has one.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Text<'a>>,
}

/// A position in a room's log.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Position<'a> {
    /// The [epoch](chat_core::log::Epoch) of the log, as the server has sent it. `None` is the log's current epoch.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Text<'a>>,
    /// The sequence number within the epoch.
    pub seq: u64,
}

/// The id that connects a reply to its command: any integer, or a JSON string of at most 256 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged, expecting = "an id is an integer or a string")]
pub enum Id {
    /// A non-negative integer.
    Unsigned(u64),
    /// A negative integer.
    Signed(i64),
    /// A string.
    Text(String),
}
