//! Writes what rooms send, in a form for each set of capabilities that changes the bytes.
//!
//! Invariant: the bytes depend on the item and the form alone. All connections of a server with the same form share one
//! encoder, so a room encodes an item at most once for each form.

use crate::capability::Capabilities;
use crate::isupport::topic_bytes_max;
use crate::modes;
use crate::msgid::MsgId;
use crate::names;
use crate::reply::{BODY_BYTES_MAX, Form, Line, shortened, write_message};
use crate::time;
use bytes::{BufMut, BytesMut};
use chat_core::log::{Batch, MessageRef, Timestamp};
use chat_core::protocol::{Broadcast, Encoder, Missed, Moment};
use chat_core::rooms::ModeChanges;
use chat_core::{Kind, Nick, Presence, PresenceChange};
use std::ops::Range;
use std::sync::Arc;

/// The encoders of a server, one for each form.
pub(crate) struct Encoders([Arc<Lines>; FORMS]);

/// How many forms there are: the combinations of the capabilities in [`DECIDING`].
const FORMS: usize = 1 << DECIDING.len();

/// The capabilities that decide the form.
const DECIDING: [Capabilities; 4] = [
    Capabilities::SERVER_TIME,
    Capabilities::MESSAGE_TAGS,
    Capabilities::EXTENDED_JOIN,
    Capabilities::BATCH,
];

impl Encoders {
    pub(crate) fn new(server: &Arc<str>) -> Self {
        Self(std::array::from_fn(|number| {
            let has = |at: usize| number & (1 << at) != 0;
            Arc::new(Lines {
                server: Arc::clone(server),
                has_time: has(0),
                has_ids: has(1),
                has_extended_join: has(2),
                has_batches: has(3),
            })
        }))
    }

    pub(crate) fn get(&self, enabled: Capabilities) -> &Arc<Lines> {
        let bits = DECIDING.iter().enumerate();
        let number = bits.fold(0, |number, (at, one)| {
            number | usize::from(enabled.has(*one)) << at
        });
        &self.0[number]
    }
}

/// One form of a room's items.
pub(crate) struct Lines {
    server: Arc<str>,
    has_time: bool,
    has_ids: bool,
    has_extended_join: bool,
    has_batches: bool,
}

impl Encoder for Lines {
    fn encode(&self, item: &Broadcast<'_>, moment: Moment, out: &mut BytesMut) {
        match item {
            Broadcast::Messages(batch, range) if moment == Moment::Replay => {
                self.write_replay(batch, range.clone(), out);
            }
            Broadcast::Messages(batch, range) => {
                out.reserve(batch.bytes() + range.len() * 96);
                for message in batch.messages(range.clone()) {
                    self.write_message(batch, &message, "", out);
                }
            }
            Broadcast::Presence(presence) => self.write_presence(presence, out),
            Broadcast::Missed(room, missed) => {
                let lost = match missed {
                    Missed::OtherEpoch => {
                        "messages may be missing: the room's log began anew".into()
                    }
                    missed => match missed.gap() {
                        Some(gap) => format!("{} messages missed", gap.to.0 - gap.from.0 + 1),
                        None => "messages are missing: the room's log can't be read now".into(),
                    },
                };
                self.write_notice(room.as_str(), &lost, out);
            }
            // IRC has no line for the number of members.
            _ => {}
        }
    }
}

impl Lines {
    /// Writes a message. `more` are further tags, without the `@`.
    pub(crate) fn write_message(
        &self,
        batch: &Batch,
        message: &MessageRef<'_>,
        more: &str,
        out: &mut BytesMut,
    ) {
        let room = batch.room();
        let id = self
            .has_ids
            .then(|| MsgId::new(room, message.seq, batch.at()));
        let tags = self.tags(Some(batch.at()), id, more);
        let from = batch.from().as_str();
        let form = match message.kind {
            Kind::Said => Form::Privmsg,
            Kind::Acted => Form::Action,
            Kind::Notice => Form::Notice,
            Kind::Topic => {
                let mut line = Line::tagged(out, tags.as_bytes());
                line.text(":");
                names::write_source(&mut line, from);
                let target = line.text(" TOPIC #").text(room.as_str());
                let bytes_max = topic_bytes_max(&self.server);
                let topic = shortened(message.text, bytes_max);
                target.text(" :").text(&topic).end();
                return;
            }
            Kind::Mode => return self.write_modes(batch, message, id, more, out),
            // A later version's kind.
            _ => return,
        };
        // The id belongs to the message, so only its first line has it.
        let more_tags = match id {
            Some(_) => self.tags(Some(batch.at()), None, more),
            None => tags.clone(),
        };
        let tags = (tags.as_bytes(), more_tags.as_bytes());
        write_message(out, tags, from, form, ["#", room.as_str()], message.text);
    }

    /// Writes earlier messages. With the capability `batch`, each part is a batch of type `chathistory`, so that a client
    /// can tell earlier messages from new ones. Earlier topics and modes are left out, because a client would take them
    /// for the present ones.
    fn write_replay(&self, batch: &Batch, range: Range<usize>, out: &mut BytesMut) {
        let is_said = |message: &MessageRef<'_>| {
            matches!(message.kind, Kind::Said | Kind::Acted | Kind::Notice)
        };
        let mut messages = batch.messages(range).filter(is_said).peekable();
        let Some(first) = messages.peek().map(|message| message.seq) else {
            return;
        };
        let (server, room) = (&self.server, batch.room());
        let mut tag = String::new();
        if self.has_batches {
            // The numbers of other batches have no letter.
            tag = format!("batch=r{first}");
            let line = format!(":{server} BATCH +r{first} chathistory #{room}\r\n");
            out.put_slice(line.as_bytes());
        }
        for message in messages {
            self.write_message(batch, &message, &tag, out);
        }
        if self.has_batches {
            out.put_slice(format!(":{server} BATCH -r{first}\r\n").as_bytes());
        }
    }

    /// Writes changes of modes.
    fn write_modes(
        &self,
        batch: &Batch,
        message: &MessageRef<'_>,
        mut id: Option<MsgId>,
        more: &str,
        out: &mut BytesMut,
    ) {
        let mut head = BytesMut::new();
        let mut line = begin(batch.from(), &mut head);
        line.text(" MODE #").text(batch.room().as_str()).text(" ");
        let bytes_max = line.left();
        let head = String::from_utf8_lossy(&head);
        for changes in modes::lines(&ModeChanges::read(message.text), bytes_max) {
            // The id belongs to the message, so only its first line has it.
            let tags = self.tags(Some(batch.at()), id.take(), more);
            let mut line = Line::tagged(out, tags.as_bytes());
            line.text(&head).text(&changes).end();
        }
    }

    /// Writes that a session invites the session `to`.
    pub(crate) fn write_invite(
        &self,
        from: &Nick,
        at: Timestamp,
        to: &str,
        room: &str,
        out: &mut BytesMut,
    ) {
        let tags = self.tags(Some(at), None, "");
        let mut line = Line::tagged(out, tags.as_bytes());
        line.text(":");
        names::write_source(&mut line, from.as_str());
        line.text(" INVITE ").text(to).text(" #").text(room).end();
    }

    /// Writes a direct message to the session `to`. If the two nicks are so long that a line has no space for a text,
    /// it is a notice of the server, which names the sender in its text.
    pub(crate) fn write_direct(
        &self,
        from: &str,
        to: &str,
        at: Timestamp,
        form: Form,
        text: &str,
        out: &mut BytesMut,
    ) {
        /// More than the rest of a line: the source, the command, and some text.
        const REST_BYTES: usize = 64;
        let tags = self.tags(Some(at), None, "");
        if from.len() + to.len() + REST_BYTES > BODY_BYTES_MAX {
            let mut rest = text;
            while !rest.is_empty() {
                let mut line = Line::tagged(out, tags.as_bytes());
                line.text(":").text(&self.server).text(" NOTICE * :");
                line.text(from).text(" -> you: ");
                let (piece, others) = rest.split_at(rest.floor_char_boundary(line.left()));
                line.text(piece).end();
                rest = others;
            }
            return;
        }
        let tags = (tags.as_bytes(), tags.as_bytes());
        write_message(out, tags, from, form, ["", to], text);
    }

    /// Returns the tags of a line, with the `@` and the space; empty if the line has none.
    fn tags(&self, at: Option<Timestamp>, id: Option<MsgId>, more: &str) -> String {
        let mut tags = String::new();
        let mut add = |key: &str, value: std::fmt::Arguments<'_>| {
            let before = if tags.is_empty() { '@' } else { ';' };
            tags += &format!("{before}{key}{value}");
        };
        if !more.is_empty() {
            add(more, format_args!(""));
        }
        if let Some(at) = at.filter(|_| self.has_time) {
            let time = time::format(at);
            add("time=", format_args!("{}", String::from_utf8_lossy(&time)));
        }
        if let Some(id) = id {
            add("msgid=", format_args!("{id}"));
        }
        if !tags.is_empty() {
            tags.push(' ');
        }
        tags
    }

    fn write_presence(&self, presence: &Presence, out: &mut BytesMut) {
        let room = presence.room.as_str();
        match &presence.change {
            PresenceChange::Joined => self.write_join(&presence.nick, room, "", out),
            PresenceChange::Hushed { limit } => {
                self.write_join(&presence.nick, room, "", out);
                let text =
                    format!("more than {limit} are here: who comes and goes is not announced");
                self.write_notice(room, &text, out);
            }
            PresenceChange::Left { reason: None } => write_part(&presence.nick, room, out),
            PresenceChange::Unhushed => {
                write_part(&presence.nick, room, out);
                self.write_notice(room, "who comes and goes is announced again", out);
            }
            PresenceChange::Left { reason: Some(why) } => {
                let mut line = begin(&presence.nick, out);
                line.text(" QUIT :").text(&why.to_string()).end();
            }
            PresenceChange::Removed { reason, by } => {
                self.write_kick(by.as_ref(), room, presence.nick.as_str(), reason, out);
            }
            PresenceChange::Renamed { to } => {
                begin(&presence.nick, out)
                    .text(" NICK :")
                    .text(to.as_str())
                    .end();
            }
            _ => {}
        }
    }

    /// Writes that a session has joined a room. Without a real name, extended-join shows the nick.
    pub(crate) fn write_join(&self, nick: &Nick, room: &str, real_name: &str, out: &mut BytesMut) {
        let mut line = begin(nick, out);
        line.text(" JOIN #").text(room);
        if self.has_extended_join {
            let real_name = if real_name.is_empty() {
                nick.as_str()
            } else {
                real_name
            };
            line.text(" * :").text(real_name);
        }
        line.end();
    }

    /// Writes that an operator of a room, or the server, has removed a session from the room.
    pub(crate) fn write_kick(
        &self,
        by: Option<&Nick>,
        room: &str,
        nick: &str,
        reason: &str,
        out: &mut BytesMut,
    ) {
        let mut line = Line::new(out);
        line.text(":");
        match by {
            Some(by) => names::write_source(&mut line, by.as_str()),
            None => drop(line.text(&self.server)),
        }
        line.text(" KICK #").text(room).text(" ").text(nick);
        let reason = if reason.is_empty() { nick } else { reason };
        line.text(" :").text(reason).end();
    }

    /// Writes a notice of the server to a room.
    fn write_notice(&self, room: &str, text: &str, out: &mut BytesMut) {
        self.write_tagged_notice("", room, text, out);
    }

    /// Writes a notice of the server to a room, with this tag.
    pub(crate) fn write_tagged_notice(
        &self,
        tag: &str,
        room: &str,
        text: &str,
        out: &mut BytesMut,
    ) {
        let tags = self.tags(None, None, tag);
        let mut line = Line::tagged(out, tags.as_bytes());
        line.text(":")
            .text(&self.server)
            .text(" NOTICE #")
            .text(room);
        line.text(" :").text(text).end();
    }
}

/// Begins a line of a session.
pub(crate) fn begin<'o>(nick: &Nick, out: &'o mut BytesMut) -> Line<'o> {
    let mut line = Line::new(out);
    line.text(":");
    names::write_source(&mut line, nick.as_str());
    line
}

fn write_part(nick: &Nick, room: &str, out: &mut BytesMut) {
    begin(nick, out).text(" PART #").text(room).end();
}
