//! Parses the lines of a client into requests, and converts the requests into commands.
//!
//! Invariant: nothing here depends on the state of a connection.

use crate::wire::{Id, JoinRoom, Position, Refused, Request, Text, VERSION};
use chat_core::log::Epoch;
use chat_core::protocol::{Code, Command, IfMissing, JoinRequest, Refusal};
use chat_core::rooms::ModeChanges;
use chat_core::{Seq, text};
use serde::Deserialize;
use std::borrow::Cow;
use std::ops::RangeInclusive;

/// The maximum length in bytes of an id and of the name of a client program.
const ID_BYTES_MAX: usize = 256;

/// The allowed length of a token in bytes. A shorter token could be guessed.
const TOKEN_BYTES: RangeInclusive<usize> = 16..=128;

/// The maximum number of rooms in a hello.
const HELLO_ROOMS_MAX: usize = 256;

impl<'a> Request<'a> {
    /// Parses the line of a client, which is one JSON object.
    ///
    /// # Errors
    ///
    /// Returns the reply that tells the client what is wrong with the line.
    pub fn parse(line: &'a str) -> Result<Self, Refused<'static>> {
        let request: Self = serde_json::from_str(line).map_err(|error| unreadable(line, &error))?;
        // serde would also accept a JSON array that holds the values of the fields in order.
        if !line.trim_start().starts_with('{') {
            return Err(Refused::new(None, &bad("not a JSON object")));
        }
        match &request.id {
            Some(Id::Text(id)) if id.len() > ID_BYTES_MAX => {
                let too_long = bad(format!("id: at most {ID_BYTES_MAX} bytes"));
                Err(Refused::new(None, &too_long))
            }
            _ => Ok(request),
        }
    }

    /// Converts the request to a command. The command has all fields that it needs.
    ///
    /// # Errors
    ///
    /// Returns a refusal if the command is unknown, or if a field is missing or invalid. A `hello` is refused, too,
    /// because the session exists already.
    pub fn command(mut self) -> Result<Command<'a>, Refusal> {
        command(&mut self)
    }
}

/// Returns the reply to a line that is not a valid request, with the line's id if it has a valid one.
fn unreadable(line: &str, error: &serde_json::Error) -> Refused<'static> {
    #[derive(Deserialize)]
    struct Headless {
        id: Option<Id>,
        cmd: Option<serde::de::IgnoredAny>,
    }
    let headless: Option<Headless> = serde_json::from_str(line).ok();
    let re = headless.as_ref().and_then(|headless| headless.id.clone());
    let re = re.filter(|id| !matches!(id, Id::Text(id) if id.len() > ID_BYTES_MAX));
    let message = match (error.classify(), &headless) {
        (_, Some(Headless { cmd: None, .. })) => "an object without \"cmd\"".to_owned(),
        (serde_json::error::Category::Data, _) => format!("not as it should be: {error}"),
        _ => format!("not JSON, one object a line: {error}"),
    };
    Refused::new(re, &bad(text::clean(&message)))
}

/// Checks the fields of a hello, and returns the rooms that it names.
pub(super) fn hello_rooms<'a>(request: &mut Request<'a>) -> Result<Vec<JoinRequest<'a>>, Refusal> {
    if request.v.is_some_and(|version| version != VERSION) {
        return Err(bad(format!("this server speaks version {VERSION}")));
    }
    let too_long = |client: &Text<'_>| client.len() > ID_BYTES_MAX;
    if request.client.as_ref().is_some_and(too_long) {
        return Err(bad(format!("client: at most {ID_BYTES_MAX} bytes")));
    }
    if request.join.len() > HELLO_ROOMS_MAX {
        return Err(bad(format!("join: at most {HELLO_ROOMS_MAX} rooms")));
    }
    let is_token = |token: &Text<'_>| TOKEN_BYTES.contains(&token.len());
    if request.token.as_ref().is_some_and(|token| !is_token(token)) {
        let (least, most) = (TOKEN_BYTES.start(), TOKEN_BYTES.end());
        return Err(bad(format!(
            "token: {least} to {most} bytes, and hard to guess"
        )));
    }
    let rooms = std::mem::take(&mut request.join);
    rooms.into_iter().map(join_request).collect()
}

/// Converts a request to a command; see [`Request::command`]. Takes the fields that the command needs.
pub(super) fn command<'a>(request: &mut Request<'a>) -> Result<Command<'a>, Refusal> {
    let command = match &*request.cmd {
        "say" => Command::Say {
            room: Some(room(request)?),
            text: text(request)?,
            key: inner(request.key.take()),
        },
        "act" => Command::Act {
            room: Some(room(request)?),
            text: text(request)?,
            key: inner(request.key.take()),
        },
        "publish" => Command::Publish {
            room: room(request)?,
            text: text(request)?,
            key: inner(request.key.take()),
            if_missing: match request.create {
                Some(true) => IfMissing::Create,
                _ => IfMissing::Refuse,
            },
        },
        "topic" => Command::Topic {
            room: Some(room(request)?),
            text: inner(request.text.take()),
        },
        "tell" => Command::Tell {
            to: needed(request.to.take(), &request.cmd, "to")?,
            text: text(request)?,
        },
        "nick" => Command::Nick {
            nick: needed(request.nick.take(), &request.cmd, "nick")?,
        },
        "join" => Command::Join(join_request(JoinRoom {
            room: Text(room(request)?),
            after: request.after.take(),
            limit: request.limit,
            key: request.key.take(),
        })?),
        "leave" => Command::Leave {
            room: Some(room(request)?),
        },
        "who" => Command::Who {
            room: Some(room(request)?),
        },
        "rooms" => Command::Rooms {
            after: inner(request.room.take()),
            limit: request.limit,
        },
        "search" => Command::Search {
            room: Some(room(request)?),
            text: text(request)?,
            before: request.before.map(Seq),
            limit: request.limit,
        },
        "history" => Command::Read {
            room: Some(room(request)?),
            after: request.after.as_ref().map(|after| Seq(after.seq)),
            epoch: request.after.as_ref().map(epoch).transpose()?.flatten(),
            before: request.before.map(Seq),
            limit: request.limit,
        },
        "mode" => Command::Mode {
            room: Some(room(request)?),
            changes: match request.set.take() {
                Some(Text(set)) => ModeChanges::parse(&set)?,
                None => ModeChanges::default(),
            },
        },
        "kick" => Command::Kick {
            room: Some(room(request)?),
            nick: needed(request.nick.take(), &request.cmd, "nick")?,
            reason: inner(request.reason.take()),
        },
        "invite" => Command::Invite {
            room: Some(room(request)?),
            nick: needed(request.nick.take(), &request.cmd, "nick")?,
        },
        "away" => Command::Away {
            message: inner(request.text.take()),
        },
        "whois" => Command::Whois {
            nick: needed(request.nick.take(), &request.cmd, "nick")?,
        },
        "profile" => Command::SetProfile {
            user: None,
            real_name: inner(request.name.take()),
            is_bot: request.bot,
        },
        "ping" => Command::Ping,
        "quit" => Command::Quit {
            reason: inner(request.reason.take()),
        },
        "hello" => return Err(bad("the session exists already")),
        unknown => return Err(unknown_command(unknown)),
    };
    Ok(command)
}

/// Returns whether a command has this name.
pub(super) fn is_known(cmd: &str) -> bool {
    COMMANDS.contains(&cmd)
}

/// The names of all commands. The error about an unknown command lists them.
const COMMANDS: [&str; 21] = [
    "hello", "join", "leave", "say", "act", "publish", "tell", "nick", "topic", "who", "rooms",
    "history", "search", "mode", "kick", "invite", "away", "whois", "profile", "ping", "quit",
];

pub(super) fn unknown_command(cmd: &str) -> Refusal {
    let cmd: String = text::clean(cmd).chars().take(32).collect();
    let known = COMMANDS.join(", ");
    Refusal::new(
        Code::UnknownCmd,
        format!("no such command: {cmd} (there are {known})"),
    )
}

pub(super) fn bad(message: impl Into<String>) -> Refusal {
    Refusal::new(Code::BadRequest, message)
}

/// Takes the room of a request; refuses a request without one.
fn room<'a>(request: &mut Request<'a>) -> Result<Cow<'a, str>, Refusal> {
    needed(request.room.take(), &request.cmd, "room")
}

/// Takes the text of a request; refuses a request without one.
fn text<'a>(request: &mut Request<'a>) -> Result<Cow<'a, str>, Refusal> {
    needed(request.text.take(), &request.cmd, "text")
}

/// Returns a required field, or the refusal if it is missing.
fn needed<'a>(field: Option<Text<'a>>, cmd: &str, name: &str) -> Result<Cow<'a, str>, Refusal> {
    inner(field).ok_or_else(|| bad(format!("{cmd} needs \"{name}\"")))
}

fn inner(field: Option<Text<'_>>) -> Option<Cow<'_, str>> {
    field.map(|Text(text)| text)
}

fn join_request(join: JoinRoom<'_>) -> Result<JoinRequest<'_>, Refusal> {
    let mut request = JoinRequest::new(join.room.0);
    request.after = join.after.as_ref().map(|after| Seq(after.seq));
    request.epoch = join.after.as_ref().map(epoch).transpose()?.flatten();
    request.limit = join.limit;
    request.key = inner(join.key);
    Ok(request)
}

fn epoch(position: &Position<'_>) -> Result<Option<Epoch>, Refusal> {
    let epoch = position.epoch.as_ref().map(|epoch| epoch.parse());
    epoch
        .transpose()
        .map_err(|error| bad(format!("epoch: {error}")))
}
