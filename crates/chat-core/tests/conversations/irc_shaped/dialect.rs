//! A dialect of IRC's shape, in as few lines as it takes: no program speaks it.

use bytes::{BufMut, BytesMut};
use chat_core::protocol::{
    Broadcast, Code, Command, Commands, Detected, Detection, Detector, Dialect, DialectOptions,
    Encoder, Greeting, JoinRequest, Moment, Reply,
};
use chat_core::{CloseReason, Direct, Echo, Kind, PresenceChange};
use std::sync::Arc;

/// Recognises what an IRC client begins with.
#[derive(Clone)]
pub(super) struct Irc(Arc<IrcLines>);

/// Writes what happens in rooms.
struct IrcLines;

/// One connection.
struct IrcPeer {
    encoder: Arc<IrcLines>,
    nick: Option<String>,
    has_user: bool,
    is_negotiating: bool,
    is_registered: bool,
}

impl Irc {
    pub(super) fn new() -> Self {
        Self(Arc::new(IrcLines))
    }

    /// Begins a connection.
    pub(super) fn dialect(&self) -> Box<dyn Dialect> {
        Box::new(IrcPeer {
            encoder: Arc::clone(&self.0),
            nick: None,
            has_user: false,
            is_negotiating: false,
            is_registered: false,
        })
    }
}

impl Detector for Irc {
    fn detect(&self, prefix: &[u8]) -> Detection {
        let openings = [&b"NICK "[..], b"USER ", b"CAP "];
        if openings.iter().any(|opening| prefix.starts_with(opening)) {
            Detection::Found(Detected::Dialect(self.dialect()))
        } else if openings.iter().any(|opening| opening.starts_with(prefix)) {
            Detection::NeedMore
        } else {
            Detection::NotFound
        }
    }
}

impl IrcPeer {
    /// Says hello once the peer has said all that it takes.
    fn register(&mut self, commands: &mut Commands<'_>) {
        if self.has_user
            && !self.is_negotiating
            && let Some(nick) = self.nick.take()
        {
            commands.push(Command::Hello {
                nick: Some(nick.into()),
                token: None,
                rooms: Vec::new(),
            });
        }
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
        Echo::Exclude
    }

    fn options(&self) -> DialectOptions {
        let mut options = DialectOptions::default();
        options.registers = true;
        options.has_changes_once = true;
        options
    }

    fn receive<'a>(&mut self, line: &'a str, commands: &mut Commands<'a>) {
        let (command, arguments) = line.split_once(' ').unwrap_or((line, ""));
        match command {
            "NICK" if self.is_registered => {
                commands.push(Command::Nick {
                    nick: arguments.into(),
                });
            }
            "QUIT" => {
                commands.push(Command::Quit {
                    reason: Some(arguments.trim_start_matches(':').into()),
                });
            }
            "NICK" => {
                self.nick = Some(arguments.to_owned());
                self.register(commands);
            }
            "USER" => {
                self.has_user = true;
                self.register(commands);
            }
            "CAP" => {
                self.is_negotiating = arguments != "END";
                self.register(commands);
            }
            "PING" => put(commands.out(), &format!("PONG {arguments}")),
            "JOIN" => {
                for room in arguments.split(',') {
                    match room.strip_prefix('#') {
                        Some(room) => {
                            commands.push(Command::Join(JoinRequest::new(room.into())));
                        }
                        None => put(commands.out(), &format!("403 {room}")),
                    }
                }
            }
            "PRIVMSG" => {
                let (rooms, text) = arguments.split_once(" :").unwrap_or((arguments, ""));
                for room in rooms.split(',') {
                    commands.push(Command::Say {
                        room: Some(room.trim_start_matches('#').into()),
                        text: text.into(),
                        key: None,
                    });
                }
            }
            unknown => put(commands.out(), &format!("421 {unknown}")),
        }
    }

    fn greet(&mut self, _: &Greeting<'_>, _: &mut BytesMut) {}

    fn reply(&mut self, reply: &Reply<'_>, out: &mut BytesMut) {
        match reply {
            Reply::Welcome { nick, .. } => {
                self.is_registered = true;
                put(out, &format!("001 {nick}"));
            }
            Reply::Renamed(nick) => put(out, &format!(":you NICK {nick}")),
            Reply::Joined { nick, joined } => {
                put(out, &format!(":{nick} JOIN #{}", joined.info.room));
            }
            Reply::Refused(refusal) if refusal.code == Code::NickTaken => put(out, "433"),
            Reply::Refused(refusal) => put(out, &format!("400 {refusal}")),
            _ => {}
        }
    }

    fn direct(&mut self, direct: &Direct, out: &mut BytesMut) {
        put(
            out,
            &format!(":{} PRIVMSG you :{}", direct.from, direct.text),
        );
    }

    fn goodbye(&mut self, reason: &CloseReason, out: &mut BytesMut) {
        put(out, &format!("ERROR :{reason}"));
    }
}

impl Encoder for IrcLines {
    fn encode(&self, item: &Broadcast<'_>, _: Moment, out: &mut BytesMut) {
        match item {
            Broadcast::Messages(batch, range) => {
                for message in batch.messages(range.clone()) {
                    let verb = if message.kind == Kind::Topic {
                        "TOPIC"
                    } else {
                        "PRIVMSG"
                    };
                    let (from, room) = (batch.from(), batch.room());
                    put(out, &format!(":{from} {verb} #{room} :{}", message.text));
                }
            }
            Broadcast::Presence(presence) => {
                let (nick, room) = (&presence.nick, &presence.room);
                match &presence.change {
                    PresenceChange::Joined => put(out, &format!(":{nick} JOIN #{room}")),
                    PresenceChange::Left { reason: None } => {
                        put(out, &format!(":{nick} PART #{room}"));
                    }
                    // Changes of the session: they name no room.
                    PresenceChange::Left {
                        reason: Some(reason),
                    } => {
                        put(out, &format!(":{nick} QUIT :{reason}"));
                    }
                    PresenceChange::Renamed { to } => put(out, &format!(":{nick} NICK {to}")),
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

fn put(out: &mut BytesMut, line: &str) {
    out.put_slice(line.as_bytes());
    out.put_u8(b'\n');
}
