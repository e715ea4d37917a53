//! The dialect of one IRC connection: its state, and how core calls it.

use crate::capability::Capabilities;
use crate::commands::{self, Asking};
use crate::detector::Shared;
use crate::encoder::Lines;
use crate::message::Message;
use crate::names;
use crate::numeric as n;
use crate::pending::{Labelled, Pending, What};
use crate::register::{self, Registering};
use crate::replies::{self, Outcome};
use crate::reply::{BODY_BYTES_MAX, Form, Line, Replies, TAGS_BYTES_MAX};
use bytes::{BufMut, BytesMut};
use chat_core::log::Batch;
use chat_core::protocol::{
    Code, Command, Commands, Dialect, DialectOptions, Encoder, Refusal, Reply,
};
use chat_core::{CloseReason, Direct, DirectKind, Echo, Kind, Limits, Nick, RoomName};
use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// The state of one connection.
pub(crate) struct Peer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) enabled: Capabilities,
    /// What the peer has said before its session; `None` once the session has begun.
    pub(crate) registering: Option<Box<Registering>>,
    pub(crate) nick: Option<Nick>,
    pub(crate) real_name: Box<str>,
    /// The rooms that the session is in.
    pub(crate) rooms: Vec<RoomName>,
    pub(crate) pending: VecDeque<Pending>,
    /// The answers to lines with a label, in the order of the lines.
    pub(crate) labelled: VecDeque<Labelled>,
    /// The command that follows the answer to another one.
    pub(crate) following: Option<Box<(Command<'static>, Pending)>>,
    /// The number of the last batch.
    pub(crate) batches: u32,
}

/// The most bytes of a label. The specification sets no limit but this recommendation (IRCv3 labeled-response).
const LABEL_BYTES_MAX: usize = 64;

impl Peer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            enabled: Capabilities::default(),
            registering: Some(Box::default()),
            nick: None,
            real_name: Box::default(),
            rooms: Vec::new(),
            pending: VecDeque::new(),
            labelled: VecDeque::new(),
            following: None,
            batches: 0,
        }
    }

    pub(crate) fn has(&self, capability: Capabilities) -> bool {
        self.enabled.has(capability)
    }

    pub(crate) fn lines(&self) -> &Arc<Lines> {
        self.shared.encoders.get(self.enabled)
    }

    pub(crate) fn replies(&self) -> Replies<'_> {
        Replies {
            server: &self.shared.server,
            nick: self.nick.as_ref().map_or("*", Nick::as_str),
        }
    }

    /// Returns the hub's limits. Before the first session has begun, they are the defaults.
    pub(crate) fn limits(&self) -> Limits {
        let hub = self.shared.hub.get();
        hub.map(|(limits, _)| limits.clone()).unwrap_or_default()
    }

    /// Returns whether the session is in the room with this name. The comparison is weaker than core's, so only the choice
    /// between two numerics may depend on it.
    pub(crate) fn is_in(&self, room: &str) -> bool {
        self.rooms
            .iter()
            .any(|joined| names::is_same(joined.as_str(), room))
    }

    pub(crate) fn next_batch(&mut self) -> u32 {
        self.batches = self.batches.wrapping_add(1);
        self.batches
    }

    /// Removes the oldest pending command.
    fn answered(&mut self) -> Option<Pending> {
        let pending = self.pending.pop_front();
        if self.pending.is_empty() {
            // Frees the memory, so that an idle connection holds none.
            self.pending = VecDeque::new();
        }
        pending
    }

    /// Writes a part of the answer to the oldest command, or all of it if `is_done`.
    fn write_answer(&mut self, is_labelled: bool, is_done: bool, lines: &[u8], out: &mut BytesMut) {
        let Some(mut labelled) = is_labelled.then(|| self.labelled.pop_front()).flatten() else {
            return out.put_slice(lines);
        };
        labelled.left -= usize::from(is_done);
        let mut batches = self.batches;
        let has_more = labelled.left > usize::from(!is_done);
        labelled.write(lines, has_more, self.replies(), &mut batches, out);
        if labelled.left == 0 {
            labelled.finish(self.replies(), &mut batches, out);
        } else {
            self.labelled.push_front(labelled);
        }
        self.batches = batches;
        self.free();
    }

    /// Writes the dialect's own answer to the labelled line that is being processed.
    pub(crate) fn write_own(&mut self, lines: &[u8], out: &mut BytesMut) {
        if let Some(mut labelled) = self.labelled.pop_back() {
            let mut batches = self.batches;
            labelled.write(lines, false, self.replies(), &mut batches, out);
            self.labelled.push_back(labelled);
            self.batches = batches;
        }
    }

    /// Ends the answer to the labelled line that was just processed, if no command answers it.
    fn finish_own(&mut self, out: &mut BytesMut) {
        let is_complete = self.labelled.back().is_some_and(|newest| newest.left == 0);
        let newest = is_complete.then(|| self.labelled.pop_back()).flatten();
        if let Some(labelled) = newest {
            let mut batches = self.batches;
            labelled.finish(self.replies(), &mut batches, out);
            self.batches = batches;
            self.free();
        }
    }

    /// Frees the memory of an empty queue, so that an idle connection holds none.
    fn free(&mut self) {
        if self.labelled.is_empty() {
            self.labelled = VecDeque::new();
        }
    }

    /// Writes the answer to a pending command.
    fn answer(&mut self, reply: &Reply<'_>, out: &mut BytesMut) {
        let Some(Pending {
            mut what,
            is_labelled,
        }) = self.answered()
        else {
            return;
        };
        let mut lines = BytesMut::new();
        let outcome = replies::answer(self, &mut what, reply, &mut lines);
        let is_done = matches!(outcome, Outcome::Done);
        self.write_answer(is_labelled, is_done, &lines, out);
        let pending = Pending { what, is_labelled };
        match outcome {
            Outcome::Done => {}
            Outcome::More => self.pending.push_front(pending),
            Outcome::Follow(command) => self.following = Some(Box::new((command, pending))),
        }
    }

    /// Writes what answers the peer's own messages: nothing, or the messages where the peer wants to see them.
    fn published(&mut self, batch: &Batch, out: &mut BytesMut) {
        let is_shown = self.echo() == Echo::Reply;
        for message in batch.messages(0..batch.len()) {
            let Some(Pending { is_labelled, .. }) = self.answered() else {
                return;
            };
            let mut lines = BytesMut::new();
            let is_state = matches!(message.kind, Kind::Topic | Kind::Mode);
            if is_shown && (is_state || self.has(Capabilities::ECHO_MESSAGE)) {
                self.lines().write_message(batch, &message, "", &mut lines);
            }
            self.write_answer(is_labelled, true, &lines, out);
        }
    }

    fn rejected(&self, refusal: &Refusal, out: &mut BytesMut) {
        if refusal.code == Code::TooLong {
            return self.too_long(out);
        }
        if self.has(Capabilities::STANDARD_REPLIES) {
            // IRCv3 utf8-only.
            return self
                .replies()
                .line("FAIL", &["*", "INVALID_UTF8"], &refusal.message, out);
        }
        let nick = self.replies().nick;
        self.replies()
            .line("NOTICE", &[nick], &refusal.message, out);
    }

    fn too_long(&self, out: &mut BytesMut) {
        self.replies()
            .numeric(n::ERR_INPUTTOOLONG, &[], "Input line was too long", out);
    }

    /// Begins the answer to a line that has a label. Returns whether it has one.
    fn begin_labelled(&mut self, message: &Message<'_>) -> bool {
        // Labels depend on batches (IRCv3 labeled-response, "Dependencies").
        if !self.has(Capabilities::LABELED_RESPONSE) || !self.has(Capabilities::BATCH) {
            return false;
        }
        let Some(label) = message.tags().find("label") else {
            return false;
        };
        let label = chat_core::text::clean(&label).into_owned();
        if label.is_empty() || label.len() > LABEL_BYTES_MAX {
            return false;
        }
        let label = crate::message::escape(&label);
        self.labelled.push_back(Labelled::new(label.into()));
        true
    }
}

impl Dialect for Peer {
    fn name(&self) -> &'static str {
        "irc"
    }

    fn encoder(&self) -> Arc<dyn Encoder> {
        Arc::<Lines>::clone(self.lines())
    }

    fn echo(&self) -> Echo {
        let labels = self.has(Capabilities::LABELED_RESPONSE);
        match (labels, self.has(Capabilities::ECHO_MESSAGE)) {
            // A labelled message is answered in its place in the room.
            (true, _) => Echo::Reply,
            (false, true) => Echo::Include,
            (false, false) => Echo::Exclude,
        }
    }

    fn options(&self) -> DialectOptions {
        let mut options = DialectOptions::default();
        options.registers = true;
        options.has_heartbeat = true;
        options.has_changes_once = true;
        options.line_bytes = NonZeroUsize::new(TAGS_BYTES_MAX + BODY_BYTES_MAX);
        options
    }

    fn receive<'a>(&mut self, line: &'a str, commands: &mut Commands<'a>) {
        let Some(message) = Message::parse(line) else {
            return;
        };
        if message.body_bytes() > BODY_BYTES_MAX || message.tags().len() + 2 > TAGS_BYTES_MAX {
            return self.too_long(commands.out());
        }
        let is_labelled = self.begin_labelled(&message);
        let mut ask = Asking {
            peer: self,
            commands,
            is_labelled,
        };
        commands::dispatch(&mut ask, &message);
        register::complete(&mut ask);
        if is_labelled {
            self.finish_own(commands.out());
        }
    }

    fn follow_up(&mut self) -> Option<Command<'static>> {
        let (command, pending) = *self.following.take()?;
        self.pending.push_front(pending);
        Some(command)
    }

    fn reply(&mut self, reply: &Reply<'_>, out: &mut BytesMut) {
        match reply {
            Reply::Published(batch) => self.published(batch, out),
            Reply::Unpublished(count, refusal) => {
                let refused = Reply::Refused(refusal);
                (0..*count).for_each(|_| self.answer(&refused, out));
            }
            Reply::Rejected(refusal) => self.rejected(refusal, out),
            // The description of a big room has only some of the names.
            Reply::Present(info) if info.nicks.len() < info.count && self.following.is_none() => {
                let command = Command::members(info.room.to_string());
                let pending = Pending {
                    what: What::JoinNames(Box::new((*info).clone())),
                    is_labelled: false,
                };
                self.following = Some(Box::new((command, pending)));
            }
            Reply::Present(info) => {
                replies::write_known_names(self, info, out);
            }
            Reply::Removed {
                room, reason, by, ..
            } => {
                self.rooms.retain(|joined| joined != *room);
                let nick = self.replies().nick;
                self.lines()
                    .write_kick(*by, room.as_str(), nick, reason, out);
            }
            reply => self.answer(reply, out),
        }
    }

    fn ping(&mut self, out: &mut BytesMut) {
        let server = &self.shared.server;
        Line::new(out).text("PING :").text(server).end();
    }

    fn direct(&mut self, direct: &Direct, out: &mut BytesMut) {
        let form = match &direct.kind {
            DirectKind::Invitation(room) => {
                let nick = self.replies().nick;
                return self.lines().write_invite(
                    &direct.from,
                    direct.at,
                    nick,
                    room.as_str(),
                    out,
                );
            }
            DirectKind::Acted => Form::Action,
            DirectKind::Notice => Form::Notice,
            DirectKind::Request => Form::Request,
            DirectKind::Response => Form::Response,
            _ => Form::Privmsg,
        };
        let to = self.replies().nick;
        let (from, at) = (direct.from.as_str(), direct.at);
        self.lines()
            .write_direct(from, to, at, form, &direct.text, out);
    }

    fn goodbye(&mut self, reason: &CloseReason, out: &mut BytesMut) {
        let mut line = Line::new(out);
        line.text("ERROR :Closing link: ")
            .text(&reason.to_string())
            .end();
    }
}

impl Peer {
    /// Notes that the session has begun.
    pub(crate) fn begin(&mut self, nick: &Nick, limits: &Limits, motd: &[String]) {
        self.nick = Some(nick.clone());
        if let Some(registering) = self.registering.take() {
            self.real_name = registering.real_name;
        }
        self.shared
            .hub
            .get_or_init(|| (limits.clone(), motd.to_vec()));
    }

    /// Notes that the registration was refused: the peer may try another nick.
    pub(crate) fn not_begun(&mut self) {
        if let Some(registering) = &mut self.registering {
            registering.is_asked = false;
        }
    }
}
