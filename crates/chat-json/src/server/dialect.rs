//! The dialect of one JSON connection: its stage, and the order of its replies.
//!
//! Invariant: a command with an id gets exactly one reply. Before the welcome (the reply to `hello`), only `hello`,
//! `ping` and `quit` are accepted.
//!
//! ```text
//!   New -- hello --> Asked -- welcome --> In
//!    ^                 |
//!    +---- refused ----+
//! ```

use super::encoder::{JsonForm, write_line};
use super::events::{direct_event, present_event};
use super::replies;
use super::requests::{self, bad};
use crate::token::Token;
use crate::wire::{
    Allowed, Empty, Event, Id, Named, Present, Profile, Refused, Reply as Granted, Request,
    RoomsList, Sent, Text, Topic, VERSION, Welcome, Whois,
};
use bytes::BytesMut;
use chat_core::log::{Batch, Page};
use chat_core::protocol::{
    Command, Commands, Dialect, DialectOptions, Encoder, Greeting, Refusal, Reply,
};
use chat_core::{CloseReason, Direct, Echo, RoomName};
use serde::Serialize;
use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// The state of one JSON connection.
#[derive(Debug)]
pub(super) struct Json {
    encoder: Arc<JsonForm>,
    line_bytes: NonZeroUsize,
    echo: Echo,
    stage: Stage,
    /// The client's token, until the reply to `hello` has sent it.
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

    fn command<'a>(&mut self, request: &mut Request<'a>) -> Result<Command<'a>, Refusal> {
        match (self.stage, &*request.cmd) {
            (_, "ping" | "quit") => requests::command(request),
            (Stage::New, "hello") => self.hello(request),
            (_, "hello") => Err(bad("hello was said already")),
            (Stage::New | Stage::Asked, cmd) if requests::is_known(cmd) => {
                Err(bad(r#"say hello first: {"cmd":"hello","v":1,"nick":"…"}"#))
            }
            _ => requests::command(request),
        }
    }

    fn hello<'a>(&mut self, request: &mut Request<'a>) -> Result<Command<'a>, Refusal> {
        let rooms = requests::hello_rooms(request)?;
        self.token = match request.token.take() {
            Some(token) => Some(token.into_string().into()),
            None => Token::make(),
        };
        self.echo = match request.echo {
            Some(true) => Echo::Include,
            _ => Echo::Exclude,
        };
        self.stage = Stage::Asked;
        Ok(Command::Hello {
            nick: request.nick.take().map(|Text(nick)| nick),
            token: self.token.as_ref().map(Token::digest),
            rooms,
        })
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
        write_line(&Refused::new(re, refusal), out);
    }

    fn welcome(&mut self, welcome: Welcome<'_>, out: &mut BytesMut) {
        self.stage = Stage::In;
        self.grant(welcome, out);
    }

    fn grant_published(&mut self, batch: &Batch, out: &mut BytesMut) {
        for message in batch.messages(0..batch.len()) {
            self.grant(replies::published(batch.room(), message.seq, false), out);
        }
    }

    /// Writes the reply to a successful request, with messages that are already written as a JSON array.
    fn grant_messages(&mut self, room: &RoomName, page: &Page, list: &[u8], out: &mut BytesMut) {
        if let Some(messages) = replies::Messages::new(room, page.gap, list) {
            self.grant(messages, out);
        }
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
        let mut request = match Request::parse(line) {
            Ok(request) => request,
            Err(refused) => return write_line(&refused, commands.out()),
        };
        let id = request.id.take();
        match self.command(&mut request) {
            Ok(command) => {
                self.unanswered.push_back(id);
                commands.push(command);
            }
            Err(refusal) => write_line(&Refused::new(id, &refusal), commands.out()),
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
                ..
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
                    rooms: replies::places(rooms),
                };
                self.welcome(welcome, out);
            }
            Reply::Joined { joined, .. } => self.grant(replies::place(joined), out),
            Reply::Published(batch) => self.grant_published(batch, out),
            Reply::Duplicate { room, seq } => {
                self.grant(replies::published(room, seq, true), out);
            }
            Reply::Unpublished(count, refusal) => {
                (0..count).for_each(|_| self.refuse(refusal, out));
            }
            Reply::Rejected(refusal) => write_line(&Refused::new(None, refusal), out),
            Reply::Renamed(nick) => {
                let nick = nick.as_str().into();
                self.grant(Named { nick }, out);
            }
            Reply::DirectSent { to, at, away, .. } => {
                let (to, ts) = (to.as_str().into(), at.0);
                let away = away.map(Text::from);
                self.grant(Sent { to, ts, away }, out);
            }
            Reply::Who(info) => self.grant(Present::from(info), out),
            Reply::Present(info) => write_line(&present_event(info), out),
            Reply::Removed {
                room,
                reason,
                by,
                is_closed,
            } => {
                let removed = Event::Removed {
                    room: room.as_str().into(),
                    reason: reason.into(),
                    closed: is_closed,
                    by: by.map(|by| by.as_str().into()),
                };
                write_line(&removed, out);
            }
            Reply::Rooms { rooms, has_more } => {
                self.grant(RoomsList::new(rooms, has_more), out);
            }
            Reply::Topic(info) => self.grant(Topic::from(info), out),
            Reply::Modes { room, modes, role } => {
                self.grant(replies::modes(room, modes, role), out);
            }
            Reply::Kicked { room, nick, .. } | Reply::Invited { room, nick } => {
                self.grant(replies::affected(room, nick), out);
            }
            Reply::Page { room, span, page } => {
                self.grant_messages(room, page, &replies::page(span, page), out);
            }
            Reply::Found { room, page } => {
                self.grant_messages(room, page, &replies::found(page), out);
            }
            Reply::Refused(refusal) => self.refuse(refusal, out),
            Reply::AwaySet { message } => self.grant(replies::awayness(message), out),
            Reply::ProfileSet(profile) => self.grant(Profile::from(profile), out),
            Reply::Whois(whois) => self.grant(Whois::from(whois), out),
            // This is the answer to `leave` and `ping`, and to commands that a later version of core adds.
            _ => self.grant(Empty {}, out),
        }
    }

    fn direct(&mut self, direct: &Direct, out: &mut BytesMut) {
        let told = direct_event(direct);
        if told != Event::Unknown {
            write_line(&told, out);
        }
    }

    fn ping(&mut self, out: &mut BytesMut) {
        write_line(&Event::Ping, out);
    }

    fn goodbye(&mut self, reason: &CloseReason, out: &mut BytesMut) {
        if let CloseReason::Quit(_) = reason {
            self.grant(Empty {}, out);
        }
        if let Some(bye) = Event::bye(reason) {
            write_line(&bye, out);
        }
    }
}
