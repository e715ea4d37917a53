//! A minimal dialect like IRC, for tests only.

use bytes::{BufMut, BytesMut};
use chat_core::protocol::{
    Broadcast, Code, Command, Commands, Detected, Detection, Detector, Dialect, DialectOptions,
    Encoder, Moment, Reply,
};
use chat_core::{CloseReason, Direct, Echo, Kind, PresenceChange};
use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::Arc;

/// Writes one formatted line to a buffer.
macro_rules! put {
    ($out:expr, $($line:tt)*) => {
        writeln!($out, $($line)*).expect("a buffer takes everything")
    };
}

/// Recognises connections by the first command of an IRC client.
#[derive(Clone, Default)]
pub(crate) struct Irc(Arc<IrcLines>);

/// Encodes the events of rooms.
#[derive(Default)]
struct IrcLines;

/// The state of one connection.
#[derive(Default)]
struct IrcPeer {
    encoder: Arc<IrcLines>,
    nick: Option<String>,
    has_user: bool,
    is_negotiating: bool,
    is_registered: bool,
    /// The labels of the commands that have not been answered yet.
    labels: VecDeque<Option<String>>,
    /// The last room of a list that is not complete.
    listed: Option<String>,
}

impl Irc {
    /// Creates the dialect for a new connection.
    pub(crate) fn dialect(&self) -> Box<dyn Dialect> {
        let encoder = Arc::clone(&self.0);
        Box::new(IrcPeer {
            encoder,
            ..IrcPeer::default()
        })
    }
}

impl Detector for Irc {
    fn detect(&self, prefix: &[u8]) -> Detection {
        let found = || Detected::Dialect(self.dialect());
        Detection::by_opening(prefix, &["NICK ", "USER ", "CAP "], found)
    }
}

impl Dialect for IrcPeer {
    fn name(&self) -> &'static str {
        "irc"
    }

    fn encoder(&self) -> Arc<dyn Encoder> {
        Arc::<IrcLines>::clone(&self.encoder)
    }

    fn echo(&self) -> Echo {
        Echo::Reply
    }

    fn options(&self) -> DialectOptions {
        let mut options = DialectOptions::default();
        options.registers = true;
        options.has_changes_once = true;
        options
    }

    fn receive<'a>(&mut self, line: &'a str, commands: &mut Commands<'a>) {
        let label = line.strip_prefix("@label=");
        let (label, line) = match label.and_then(|line| line.split_once(' ')) {
            Some((label, line)) => (Some(label), line),
            None => (None, line),
        };
        let (command, arguments) = line.split_once(' ').unwrap_or((line, ""));
        let (target, text) = arguments.split_once(" :").unwrap_or((arguments, ""));
        match command {
            "NICK" if self.is_registered => _ = commands.push(Command::nick(target)),
            "NICK" => self.nick = Some(target.to_owned()),
            "USER" => self.has_user = true,
            "CAP" => self.is_negotiating = target != "END",
            "PING" => put!(commands.out(), "PONG {target}"),
            "QUIT" => _ = commands.push(Command::quit(arguments.trim_start_matches(':'))),
            "JOIN" | "NAMES" | "PRIVMSG" | "TOPIC" => {
                for room in target.split(',') {
                    let command = match (room.strip_prefix('#').ok_or(room), command) {
                        (Ok(room), "JOIN") => Command::join(room),
                        (Ok(room), "NAMES") => Command::members(room),
                        (Ok(room), "TOPIC") if text.is_empty() => Command::topic(room),
                        (Ok(room), "TOPIC") => Command::set_topic(room, text),
                        (Ok(room), _) => Command::say(room, text),
                        (Err(nick), "PRIVMSG") => Command::tell(nick, text),
                        (Err(room), _) => {
                            put!(commands.out(), "403 {room}");
                            continue;
                        }
                    };
                    commands.push(command);
                }
            }
            "LIST" => {
                let (after, limit) = (None, Some(2));
                commands.push(Command::Rooms { after, limit });
            }
            unknown => put!(commands.out(), "421 {unknown}"),
        }
        // The session begins once the peer has sent everything that registration requires.
        if self.has_user
            && !self.is_negotiating
            && let Some(nick) = self.nick.take()
        {
            commands.push(Command::hello(nick));
        }
        let labels = (0..commands.count()).map(|_| label.map(str::to_owned));
        self.labels.extend(labels);
    }

    fn follow_up(&mut self) -> Option<Command<'static>> {
        let (after, limit) = (Some(self.listed.take()?.into()), Some(2));
        self.labels.push_front(None);
        Some(Command::Rooms { after, limit })
    }

    fn reply(&mut self, reply: &Reply<'_>, out: &mut BytesMut) {
        if reply.completes_command()
            && let Some(label) = self.labels.pop_front().flatten()
        {
            out.put_slice(format!("@label={label} ").as_bytes());
        }
        match reply {
            Reply::Welcome { nick, .. } => {
                self.is_registered = true;
                put!(out, "001 {nick}");
            }
            Reply::Renamed(nick) => put!(out, ":you NICK {nick}"),
            Reply::Joined { nick, joined } => put!(out, ":{nick} JOIN #{}", joined.info.room),
            Reply::Published(batch) => {
                let messages = Broadcast::Messages(batch, 0..batch.len());
                self.encoder.encode(&messages, Moment::Live, out);
            }
            Reply::Topic(info) => {
                put!(out, "332 #{} :{}", info.room, info.topic);
                if let Some(set) = &info.topic_set {
                    put!(out, "333 #{} {} {}", info.room, set.by, set.at.0);
                }
            }
            Reply::Members {
                room,
                members,
                has_more,
                ..
            } => {
                let nicks: Vec<_> = members.iter().map(|member| member.nick.as_str()).collect();
                put!(out, "353 #{room} :{}", nicks.join(" "));
                if !has_more {
                    put!(out, "366 #{room}");
                }
            }
            Reply::Rooms { rooms, has_more } => {
                rooms
                    .iter()
                    .for_each(|room| put!(out, "322 #{}", room.room));
                match rooms.last().filter(|_| *has_more) {
                    Some(last) => self.listed = Some(last.room.to_string()),
                    None => put!(out, "323"),
                }
            }
            Reply::Refused(refusal) if refusal.code == Code::NickTaken => put!(out, "433"),
            Reply::Refused(refusal) => put!(out, "400 {refusal}"),
            _ => {}
        }
    }

    fn direct(&mut self, direct: &Direct, out: &mut BytesMut) {
        put!(out, ":{} PRIVMSG you :{}", direct.from, direct.text);
    }

    fn goodbye(&mut self, reason: &CloseReason, out: &mut BytesMut) {
        put!(out, "ERROR :{reason}");
    }
}

impl Encoder for IrcLines {
    fn encode(&self, item: &Broadcast<'_>, _: Moment, out: &mut BytesMut) {
        match item {
            Broadcast::Messages(batch, range) => {
                for message in batch.messages(range.clone()) {
                    let verb = match message.kind {
                        Kind::Topic => "TOPIC",
                        Kind::Mode => "MODE",
                        _ => "PRIVMSG",
                    };
                    let (from, room) = (batch.from(), batch.room());
                    put!(out, ":{from} {verb} #{room} :{}", message.text);
                }
            }
            Broadcast::Presence(presence) => {
                let (nick, room) = (&presence.nick, &presence.room);
                let line = match &presence.change {
                    PresenceChange::Joined => format!("JOIN #{room}"),
                    PresenceChange::Left { reason: None } => format!("PART #{room}"),
                    // These changes concern the session in all its rooms, so the lines name no room.
                    PresenceChange::Left { reason: Some(why) } => format!("QUIT :{why}"),
                    PresenceChange::Renamed { to } => format!("NICK {to}"),
                    _ => return,
                };
                put!(out, ":{nick} {line}");
            }
            _ => {}
        }
    }
}
