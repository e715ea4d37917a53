//! The dialect of one JSON connection: parses requests to commands, and writes replies and direct messages as objects.
//!
//! Invariant: a command with an id gets exactly one reply. Before the welcome, only `hello`, `ping` and `quit` are
//! accepted.
//!
//! ```text
//!   New -- hello --> Asked -- welcome --> In
//!    ^                 |
//!    +---- refused ----+
//! ```

use super::encoder::{JsonForm, write_earliest, write_latest, write_latest_first, write_line};
use crate::token::Token;
use crate::wire::{
    Allowed, Empty, Event, Fault, Hole, Id, JoinRoom, Listed, Named, Place, Position, Present,
    Published, Reply as Granted, Request, RoomsList, Sent, Text, Topic, VERSION, Welcome,
};
use bytes::{BufMut, BytesMut};
use chat_core::log::{Batch, Epoch, Gap, Page, Span};
use chat_core::protocol::{
    Code, Command, Commands, Dialect, DialectOptions, Encoder, Greeting, Hint, IfMissing,
    JoinRequest, Joined, Refusal, Reply,
};
use chat_core::rooms::{RoomInfo, RoomSummary};
use chat_core::{CloseReason, Direct, Echo, RoomName, Seq, text};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::time::Duration;

/// The maximum length in bytes of an id and of the name of a client program.
const ID_BYTES_MAX: usize = 256;

/// The length of a token in bytes. A shorter token could be guessed.
const TOKEN_BYTES: RangeInclusive<usize> = 16..=128;

/// The maximum number of message bytes in a page of history. They fit into one line of any client, with bytes to spare.
const PAGE_BYTES_MAX: usize = 48 * 1024;

/// The maximum number of bytes of a topic in a list of rooms: enough to recognise it.
const LISTED_TOPIC_BYTES_MAX: usize = 64;

/// The maximum number of rooms in a hello.
const HELLO_ROOMS_MAX: usize = 256;

/// How long clients wait before they reconnect to a server that shuts down. Random, so that not all clients reconnect
/// at once.
const COME_BACK_MS: Range<u64> = 500..3_000;

/// How long a client waits before it repeats a request that the server can't perform now.
const RETRY_UNAVAILABLE: Duration = Duration::from_secs(1);

/// How long a client waits before it repeats a request that a limit rejected.
const RETRY_FULL: Duration = Duration::from_secs(5);

/// The state of one JSON connection.
#[derive(Debug)]
pub(super) struct Json {
    encoder: Arc<JsonForm>,
    line_bytes: NonZeroUsize,
    echo: Echo,
    stage: Stage,
    /// The client's token, until it is sent in the welcome.
    token: Option<Token>,
    /// The ids of the unanswered commands, oldest first.
    unanswered: VecDeque<Option<Id>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    New,
    Asked,
    In,
}

impl Json {
    pub(super) const fn new(encoder: Arc<JsonForm>, line_bytes: NonZeroUsize) -> Self {
        Self {
            encoder,
            line_bytes,
            echo: Echo::Exclude,
            stage: Stage::New,
            token: None,
            unanswered: VecDeque::new(),
        }
    }

    fn command<'a>(&mut self, request: Request<'a>) -> Result<Command<'a>, Refusal> {
        match (self.stage, &*request.cmd) {
            (_, "ping") => return Ok(Command::Ping),
            (_, "quit") => {
                let reason = request.reason.map(|Text(reason)| reason);
                return Ok(Command::Quit { reason });
            }
            (Stage::New, "hello") => return self.hello(request),
            (_, "hello") => return Err(bad("hello was said already")),
            (Stage::In, _) => {}
            (Stage::New | Stage::Asked, cmd) if COMMANDS.contains(&cmd) => {
                return Err(bad(r#"say hello first: {"cmd":"hello","v":1,"nick":"…"}"#));
            }
            _ => {}
        }
        let Request {
            cmd,
            nick,
            room,
            after,
            before,
            limit,
            to,
            text,
            key,
            create,
            ..
        } = request;
        Ok(match &*cmd {
            "say" => Command::Say {
                room: Some(needed(room, "say", "room")?),
                text: needed(text, "say", "text")?,
                key: key.map(|Text(key)| key),
            },
            "act" => Command::Act {
                room: Some(needed(room, "act", "room")?),
                text: needed(text, "act", "text")?,
                key: key.map(|Text(key)| key),
            },
            "publish" => Command::Publish {
                room: needed(room, "publish", "room")?,
                text: needed(text, "publish", "text")?,
                key: key.map(|Text(key)| key),
                if_missing: match create {
                    Some(true) => IfMissing::Create,
                    _ => IfMissing::Refuse,
                },
            },
            "topic" => Command::Topic {
                room: Some(needed(room, "topic", "room")?),
                text: text.map(|Text(text)| text),
            },
            "tell" => Command::Tell {
                to: needed(to, "tell", "to")?,
                text: needed(text, "tell", "text")?,
            },
            "nick" => Command::Nick {
                nick: needed(nick, "nick", "nick")?,
            },
            "join" => Command::Join(join_request(JoinRoom {
                room: Text(needed(room, "join", "room")?),
                after,
                limit,
            })?),
            "leave" => Command::Leave {
                room: Some(needed(room, "leave", "room")?),
            },
            "who" => Command::Who {
                room: Some(needed(room, "who", "room")?),
            },
            "rooms" => Command::Rooms {
                after: room.map(|Text(room)| room),
                limit,
            },
            "search" => Command::Search {
                room: Some(needed(room, "search", "room")?),
                text: needed(text, "search", "text")?,
                before: before.map(Seq),
                limit,
            },
            "history" => Command::Read {
                room: Some(needed(room, "history", "room")?),
                after: after.as_ref().map(|after| Seq(after.seq)),
                epoch: after.as_ref().map(epoch).transpose()?.flatten(),
                before: before.map(Seq),
                limit,
            },
            unknown => return Err(unknown_command(unknown)),
        })
    }

    fn hello<'a>(&mut self, request: Request<'a>) -> Result<Command<'a>, Refusal> {
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
        let rooms: Result<Vec<_>, Refusal> = request.join.into_iter().map(join_request).collect();
        let rooms = rooms?;
        self.token = match request.token {
            Some(token) => Some(token.into_string().into()),
            None => Token::make(),
        };
        let hello = Command::Hello {
            nick: request.nick.map(|Text(nick)| nick),
            token: self.token.as_ref().map(Token::digest),
            rooms,
        };
        self.echo = match request.echo {
            Some(true) => Echo::Include,
            _ => Echo::Exclude,
        };
        self.stage = Stage::Asked;
        Ok(hello)
    }

    /// Returns the id of the command that the next reply answers.
    fn answered(&mut self) -> Option<Id> {
        let id = self.unanswered.pop_front().flatten();
        if self.unanswered.is_empty() {
            // Frees the memory, so that an idle connection holds none.
            self.unanswered = VecDeque::new();
        }
        id
    }

    fn grant(&mut self, ok: impl Serialize, out: &mut BytesMut) {
        if let Some(re) = self.answered() {
            write_line(&Granted { re, ok }, out);
        }
    }

    fn refuse(&mut self, refusal: &Refusal, out: &mut BytesMut) {
        if self.stage == Stage::Asked {
            self.stage = Stage::New;
        }
        let re = self.answered();
        write_fault(re, refusal, out);
    }

    fn welcome(&mut self, welcome: Welcome<'_>, out: &mut BytesMut) {
        self.stage = Stage::In;
        self.grant(welcome, out);
    }

    fn published(&mut self, batch: &Batch, out: &mut BytesMut) {
        for message in batch.messages(0..batch.len()) {
            let published = Published {
                room: batch.room().as_str().into(),
                seq: message.seq.0,
                dup: false,
            };
            self.grant(published, out);
        }
    }

    /// Answers a search with as many messages as fit in a line, latest first.
    fn found(&mut self, room: &RoomName, page: &Page, out: &mut BytesMut) {
        let slices = slices(page);
        let mut list = BytesMut::from(&b"["[..]);
        write_latest_first(&slices, PAGE_BYTES_MAX, &mut list);
        list.put_u8(b']');
        self.grant_messages(room, page.gap.map(hole), &list, out);
    }

    fn page(&mut self, room: &RoomName, span: Span, page: &Page, out: &mut BytesMut) {
        let slices = slices(page);
        let mut list = BytesMut::from(&b"["[..]);
        match span {
            Span::After(_) => write_earliest(&slices, PAGE_BYTES_MAX, &mut list),
            _ => write_latest(&slices, PAGE_BYTES_MAX, &mut list),
        }
        list.put_u8(b']');
        self.grant_messages(room, page.gap.map(hole), &list, out);
    }

    /// Grants a request with messages that are already written as JSON.
    fn grant_messages(
        &mut self,
        room: &RoomName,
        gap: Option<Hole>,
        list: &[u8],
        out: &mut BytesMut,
    ) {
        /// The fields of [`Histories`](crate::wire::Histories), with messages as written JSON.
        #[derive(Serialize)]
        struct Written<'a> {
            room: Text<'a>,
            #[serde(skip_serializing_if = "Option::is_none")]
            gap: Option<Hole>,
            messages: &'a serde_json::value::RawValue,
        }
        let Ok(messages) = serde_json::from_slice(list) else {
            debug_assert!(false, "what we wrote is JSON");
            return;
        };
        let written = Written {
            room: room.as_str().into(),
            gap,
            messages,
        };
        self.grant(written, out);
    }
}

impl Dialect for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn encoder(&self) -> Arc<dyn Encoder> {
        Arc::<JsonForm>::clone(&self.encoder)
    }

    fn echo(&self) -> Echo {
        self.echo
    }

    fn options(&self) -> DialectOptions {
        let mut options = DialectOptions::default();
        options.has_heartbeat = true;
        options.line_bytes = Some(self.line_bytes);
        options
    }

    fn receive<'a>(&mut self, line: &'a str, commands: &mut Commands<'a>) {
        if line.trim().is_empty() {
            return;
        }
        let mut request: Request<'a> = match serde_json::from_str(line) {
            Ok(request) => request,
            Err(error) => {
                let (re, refusal) = unreadable(line, &error);
                return write_fault(re, &refusal, commands.out());
            }
        };
        let id = match request.id.take() {
            Some(Id::Text(id)) if id.len() > ID_BYTES_MAX => {
                let refusal = bad(format!("id: at most {ID_BYTES_MAX} bytes"));
                return write_fault(None, &refusal, commands.out());
            }
            id => id,
        };
        match self.command(request) {
            Ok(command) => {
                self.unanswered.push_back(id);
                commands.push(command);
            }
            Err(refusal) => write_fault(id, &refusal, commands.out()),
        }
    }

    fn greet(&mut self, _greeting: &Greeting<'_>, _out: &mut BytesMut) {}

    fn reply(&mut self, reply: &Reply<'_>, out: &mut BytesMut) {
        match *reply {
            Reply::Welcome {
                nick,
                rooms,
                limits,
                lobby,
                motd,
            } => {
                let line = self.line_bytes.get();
                let text = limits.text_bytes.get();
                let welcome = Welcome {
                    v: VERSION,
                    nick: nick.as_str().into(),
                    token: self.token.take().map(Text::from),
                    limits: Allowed { line, text },
                    ping: limits.ping_after.as_secs(),
                    lobby: Some(lobby.as_str().into()),
                    motd: motd.iter().map(|line| line.as_str().into()).collect(),
                    rooms: places(rooms),
                };
                self.welcome(welcome, out);
            }
            Reply::Joined { joined, .. } => self.grant(place(joined), out),
            Reply::Published(batch) => self.published(batch, out),
            Reply::Duplicate { room, seq } => self.grant(
                Published {
                    room: room.as_str().into(),
                    seq: seq.0,
                    dup: true,
                },
                out,
            ),
            Reply::Unpublished(count, refusal) => {
                (0..count).for_each(|_| self.refuse(refusal, out));
            }
            Reply::Rejected(refusal) => write_fault(None, refusal, out),
            Reply::Renamed(nick) => self.grant(
                Named {
                    nick: nick.as_str().into(),
                },
                out,
            ),
            Reply::DirectSent { to, at, .. } => self.grant(
                Sent {
                    to: to.as_str().into(),
                    ts: at.0,
                },
                out,
            ),
            Reply::Who(info) => self.grant(present(info), out),
            Reply::Present(info) => {
                let Present {
                    room,
                    count,
                    members,
                } = present(info);
                let event = Event::Present {
                    room,
                    count,
                    members,
                };
                write_line(&event, out);
            }
            Reply::Removed {
                room,
                reason,
                is_closed,
            } => {
                let removed = Event::Removed {
                    room: room.as_str().into(),
                    reason: reason.into(),
                    closed: is_closed,
                };
                write_line(&removed, out);
            }
            Reply::Rooms { rooms, has_more } => {
                self.grant(rooms_list(rooms, has_more), out);
            }
            Reply::Topic(info) => self.grant(
                Topic {
                    room: info.room.as_str().into(),
                    topic: (*info.topic).into(),
                },
                out,
            ),
            Reply::Page { room, span, page } => self.page(room, span, page, out),
            Reply::Found { room, page } => self.found(room, page, out),
            Reply::Refused(refusal) => self.refuse(refusal, out),
            // Answers `leave` and `ping`, and grants of later versions of core.
            _ => self.grant(Empty {}, out),
        }
    }

    fn direct(&mut self, direct: &Direct, out: &mut BytesMut) {
        let told = Event::Told {
            ts: direct.at.0,
            from: direct.from.as_str().into(),
            text: (*direct.text).into(),
        };
        write_line(&told, out);
    }

    fn ping(&mut self, out: &mut BytesMut) {
        write_line(&Event::Ping, out);
    }

    fn goodbye(&mut self, reason: &CloseReason, out: &mut BytesMut) {
        let mut why = None;
        let (code, after_ms) = match reason {
            CloseReason::Quit(_) => {
                self.grant(Empty {}, out);
                ("quit", None)
            }
            CloseReason::Kicked(reason) => {
                why = Some(&**reason).filter(|reason| !reason.is_empty());
                ("kicked", None)
            }
            // The refusal before the close has told the peer the reason.
            CloseReason::Refused | CloseReason::NotAuthenticated => ("denied", None),
            CloseReason::TakenOver => ("taken_over", None),
            CloseReason::TooSoon(wait) => {
                let wait = wait.as_millis() as u64;
                ("rate_limited", Some(wait + fastrand::u64(COME_BACK_MS)))
            }
            CloseReason::Draining => ("draining", Some(fastrand::u64(COME_BACK_MS))),
            CloseReason::Failed | CloseReason::NoTimers | CloseReason::Dropped => {
                ("failed", Some(fastrand::u64(COME_BACK_MS)))
            }
            // The peer ended the connection or can't be reached.
            _ => return,
        };
        let bye = Event::Bye {
            code: code.into(),
            reason: why.map(Text::from),
            reconnect: after_ms.is_some(),
            after_ms,
        };
        write_line(&bye, out);
    }
}

/// The commands, for suggestions.
const COMMANDS: [&str; 15] = [
    "hello", "join", "leave", "say", "act", "publish", "tell", "nick", "topic", "who", "rooms",
    "history", "search", "ping", "quit",
];

fn slices(page: &Page) -> Vec<(&Batch, Range<usize>)> {
    let slices = page.slices.iter();
    slices
        .map(|slice| (&*slice.batch, slice.range.clone()))
        .collect()
}

const fn hole(gap: Gap) -> Hole {
    Hole {
        from: gap.from.0,
        to: gap.to.0,
    }
}

fn beginning(topic: &str) -> &str {
    &topic[..topic.floor_char_boundary(LISTED_TOPIC_BYTES_MAX)]
}

fn bad(message: impl Into<String>) -> Refusal {
    Refusal::new(Code::BadRequest, message)
}

fn unknown_command(cmd: &str) -> Refusal {
    let cmd: String = text::clean(cmd).chars().take(32).collect();
    let known = COMMANDS.join(", ");
    Refusal::new(
        Code::UnknownCmd,
        format!("no such command: {cmd} (there are {known})"),
    )
}

/// Returns a required field, or the refusal if it is missing.
fn needed<'a>(
    field: Option<Text<'a>>,
    cmd: &'static str,
    name: &'static str,
) -> Result<Cow<'a, str>, Refusal> {
    field
        .map(|Text(text)| text)
        .ok_or_else(|| bad(format!("{cmd} needs \"{name}\"")))
}

fn join_request(join: JoinRoom<'_>) -> Result<JoinRequest<'_>, Refusal> {
    let mut request = JoinRequest::new(join.room.0);
    request.after = join.after.as_ref().map(|after| Seq(after.seq));
    request.epoch = join.after.as_ref().map(epoch).transpose()?.flatten();
    request.limit = join.limit;
    Ok(request)
}

fn epoch(position: &Position<'_>) -> Result<Option<Epoch>, Refusal> {
    let epoch = position.epoch.as_ref().map(|epoch| epoch.parse());
    epoch
        .transpose()
        .map_err(|error| bad(format!("epoch: {error}")))
}

/// Returns why a line is not a valid request, and its id if it has one.
fn unreadable(line: &str, error: &serde_json::Error) -> (Option<Id>, Refusal) {
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
    (re, bad(text::clean(&message)))
}

/// Writes a refusal. It names the command's id if there is one.
fn write_fault(re: Option<Id>, refusal: &Refusal, out: &mut BytesMut) {
    #[derive(Serialize)]
    struct Refused<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        re: Option<Id>,
        err: Fault<'a>,
    }
    write_line(
        &Refused {
            re,
            err: fault(refusal),
        },
        out,
    );
}

/// Returns what was wrong and which command may help.
fn message(refusal: &Refusal) -> Cow<'_, str> {
    let hint = match refusal.hint {
        Some(Hint::ListRooms | Hint::JoinListed) => "\"rooms\" lists them",
        Some(Hint::ListMembers) => "\"who\" lists who is in a room",
        _ => return refusal.message.as_str().into(),
    };
    format!("{} ({hint})", refusal.message).into()
}

fn fault(refusal: &Refusal) -> Fault<'_> {
    let retry = match refusal.code {
        Code::Unavailable => Some(RETRY_UNAVAILABLE),
        Code::Full => Some(RETRY_FULL),
        _ => None,
    };
    Fault {
        code: refusal.code.as_str().into(),
        msg: Text(message(refusal)),
        retry_ms: retry.map(|retry| retry.as_millis() as u64),
    }
}

fn place(joined: &Joined) -> Place<'_> {
    let info = &joined.info;
    let Present {
        room,
        count,
        members,
    } = present(info);
    Place {
        room,
        epoch: Some(info.position.epoch.to_string().into()),
        seq: Some(info.position.seq.0),
        recovered: joined.is_recovered,
        count: Some(count),
        members: Some(members),
        hushed: info.is_hushed,
        topic: Some((*info.topic).into()),
        err: None,
    }
}

/// Returns the results for the rooms in a hello: the room's state, or why it can't be joined.
fn places<'a>(rooms: &'a [(&'a str, Result<Joined, Refusal>)]) -> Vec<Place<'a>> {
    let places = rooms.iter().map(|(room, joined)| match joined {
        Ok(joined) => place(joined),
        Err(refusal) => no_place(room, refusal),
    });
    places.collect()
}

fn no_place<'a>(room: &'a str, refusal: &'a Refusal) -> Place<'a> {
    let shown: String = text::clean(room).chars().take(64).collect();
    Place {
        room: shown.into(),
        epoch: None,
        seq: None,
        recovered: None,
        count: None,
        members: None,
        hushed: false,
        topic: None,
        err: Some(fault(refusal)),
    }
}

fn rooms_list(rooms: &[RoomSummary], has_more: bool) -> RoomsList<'_> {
    let listed = rooms.iter().map(|summary| Listed {
        room: summary.room.as_str().into(),
        count: summary.count,
        topic: beginning(&summary.topic).into(),
    });
    RoomsList {
        rooms: listed.collect(),
        more: has_more,
    }
}

fn present(info: &RoomInfo) -> Present<'_> {
    Present {
        room: info.room.as_str().into(),
        count: info.count,
        members: info.nicks.iter().map(|nick| nick.as_str().into()).collect(),
    }
}
