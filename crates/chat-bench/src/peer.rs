//! The servers that are measured: how each is started, and its protocol.
//!
//! A [`Peer`] is stateless and does no I/O. It makes the bytes of a login and of a message, and reads the first frame
//! of a received stream. Everything else is the same for all servers.

mod chat;
mod chat_json;
mod chat_web;
mod frames;
mod lines;
mod nats;
mod ngircd;
mod node;
mod raw;
mod redis;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::Serialize;

pub(crate) use chat::Chat;
pub(crate) use chat_json::ChatJson;
pub(crate) use chat_web::ChatWeb;
pub(crate) use lines::GREETING;
pub(crate) use nats::Nats;
pub(crate) use ngircd::Ngircd;
pub(crate) use node::{SocketIo, Ws};
pub(crate) use raw::Raw;
pub(crate) use redis::Redis;

use crate::ledger::Echo;

/// The protocol of one kind of server, and how to start it.
pub(crate) trait Peer: std::fmt::Debug {
    /// Which members receive a message.
    fn echo(&self) -> Echo;

    /// Returns the command that starts the server on port `place.port` of 127.0.0.1. May write a configuration file
    /// into `place.dir`.
    fn command(&self, place: &Place<'_>) -> io::Result<CommandLine>;

    /// Appends what a new connection sends to log in. Appends nothing if the server speaks first.
    fn login(&self, who: Who, out: &mut Vec<u8>);

    /// Appends what a connection sends after [`Frame::Switched`].
    fn continue_login(&self, _who: Who, _out: &mut Vec<u8>) {}

    /// Appends a message in the server's framing.
    fn publish(&self, payload: &[u8], out: &mut Vec<u8>);

    /// The most connections that may be pending at the same time: well below Tokio's listen backlog of 1,024.
    fn connecting_max(&self) -> usize {
        512
    }

    /// Reads the first frame in `bytes`.
    fn next<'a>(&self, bytes: &'a [u8]) -> Frame<'a> {
        match lines::first_line(bytes) {
            Ok((line, used)) => self.read(line, used, bytes),
            Err(frame) => frame,
        }
    }

    /// Reads the frame that begins with `line`, the first line in `bytes`. With its line end, the line takes `used`
    /// bytes.
    fn read<'a>(&self, line: &'a [u8], used: usize, bytes: &'a [u8]) -> Frame<'a>;
}

/// Where a server runs, and how many connections it must allow.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    pub(crate) port: u16,
    pub(crate) dir: &'a Path,
    pub(crate) connections: usize,
}

/// A program and its arguments.
#[derive(Debug)]
pub(crate) struct CommandLine {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
}

impl CommandLine {
    pub(crate) fn new(program: &Path, arguments: &[&str]) -> Self {
        Self {
            program: program.to_path_buf(),
            arguments: arguments.iter().map(OsString::from).collect(),
        }
    }

    /// Writes a configuration file into `place.dir`, and gives the program its path as the last argument.
    fn with_config(
        program: &Path,
        arguments: &[&str],
        place: &Place<'_>,
        text: &str,
    ) -> io::Result<Self> {
        let config = place.dir.join("config");
        std::fs::write(&config, text)?;
        let mut command = Self::new(program, arguments);
        command.arguments.push(config.into());
        Ok(command)
    }
}

/// The role of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// Member number n. It may publish too.
    Member(usize),
    /// A separate publisher, which is not a member ([`Echo::Apart`] only).
    Publisher(usize),
    /// A member that never reads.
    Stuck(usize),
}

impl Who {
    /// Returns a nick that no other connection has.
    fn nick(self) -> String {
        match self {
            Self::Member(n) => format!("m{n}"),
            Self::Publisher(n) => format!("p{n}"),
            Self::Stuck(n) => format!("s{n}"),
        }
    }
}

/// The first frame of a received stream. `used` is the number of bytes that the frame takes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// The frame is not complete.
    Incomplete,
    /// A delivered message. `named` is the publisher's number, if the line names the publisher.
    Message {
        payload: &'a [u8],
        named: Option<u32>,
        used: usize,
    },
    /// The server has accepted the connection, which now receives published messages.
    Welcome { used: usize },
    /// The server has switched to the protocol that the connection has asked for.
    Switched { used: usize },
    /// A line that is ignored.
    Notice { used: usize },
    /// A ping. `bytes` is the answer to send.
    Answer { bytes: Vec<u8>, used: usize },
    /// An error, or a line that is not part of the protocol.
    Wrong { text: String },
}

/// The servers by the names that the command line and the report use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PeerName {
    /// One thread and one epoll loop that writes each chunk to every socket: the kernel's own cost
    Floor,
    /// chat-server, plain dialect
    ChatServer,
    /// chat-server, JSON Lines
    ChatServerJson,
    /// chat-server, JSON in the frames of a WebSocket
    ChatServerWeb,
    /// broadcast::channel + Framed + LinesCodec + one select! per member
    Obvious,
    /// Redis pub/sub, if on PATH
    RedisServer,
    /// NATS, if on PATH
    NatsServer,
    /// The IRC server ngircd, if on PATH
    Ngircd,
    /// A room of the npm package ws, if installed
    Ws,
    /// A room of the npm package Socket.IO, if installed
    SocketIo,
}

/// A server that is measured.
#[derive(Debug)]
pub(crate) struct Contestant {
    pub(crate) name: PeerName,
    pub(crate) peer: Box<dyn Peer>,
}

impl PeerName {
    /// All peers, in the order of the report.
    pub(crate) const ALL: [Self; 10] = [
        Self::Floor,
        Self::ChatServer,
        Self::ChatServerJson,
        Self::ChatServerWeb,
        Self::Obvious,
        Self::RedisServer,
        Self::NatsServer,
        Self::Ngircd,
        Self::Ws,
        Self::SocketIo,
    ];

    /// What must be installed to measure the peer, if that is more than a program of its name on PATH.
    pub(crate) const fn needed(self) -> Option<&'static str> {
        match self {
            Self::Ws | Self::SocketIo => Some(node::NEEDED),
            _ => None,
        }
    }

    /// The peer's name as one word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::ChatServer => "chat-server",
            Self::ChatServerJson => "chat-server-json",
            Self::ChatServerWeb => "chat-server-web",
            Self::Obvious => "obvious",
            Self::RedisServer => "redis-server",
            Self::NatsServer => "nats-server",
            Self::Ngircd => "ngircd",
            Self::Ws => "ws",
            Self::SocketIo => "socket-io",
        }
    }
}

/// Finds a program on PATH.
pub(crate) fn find_on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod testing {
    //! One check for all peers: however a stream is split into chunks, the frames are the same.

    use super::{Frame, Peer};

    /// A frame that owns its bytes.
    #[derive(Debug, PartialEq, Eq, Clone)]
    pub(crate) enum Seen {
        Message(Vec<u8>, Option<u32>),
        Welcome,
        Switched,
        Notice,
        Answer(Vec<u8>),
        Wrong(String),
    }

    /// Reads all complete frames of `bytes`, and returns how many bytes these frames take.
    fn drain(peer: &dyn Peer, bytes: &[u8], seen: &mut Vec<Seen>) -> usize {
        let mut at = 0;
        loop {
            let (what, used) = match peer.next(&bytes[at..]) {
                Frame::Incomplete => return at,
                Frame::Message {
                    payload,
                    named,
                    used,
                } => (Seen::Message(payload.to_vec(), named), used),
                Frame::Welcome { used } => (Seen::Welcome, used),
                Frame::Switched { used } => (Seen::Switched, used),
                Frame::Notice { used } => (Seen::Notice, used),
                Frame::Answer { bytes, used } => (Seen::Answer(bytes), used),
                Frame::Wrong { text } => {
                    seen.push(Seen::Wrong(text));
                    return bytes.len();
                }
            };
            assert!(used > 0 && at + used <= bytes.len());
            seen.push(what);
            at += used;
        }
    }

    /// Reads `stream` whole, byte by byte, and split at every position. Returns the frames, which must be the same.
    pub(crate) fn read_in_any_chunks(peer: &dyn Peer, stream: &[u8]) -> Vec<Seen> {
        let read = |chunks: &[&[u8]]| {
            let mut held = Vec::new();
            let mut seen = Vec::new();
            for chunk in chunks {
                held.extend_from_slice(chunk);
                let used = drain(peer, &held, &mut seen);
                held.drain(..used);
            }
            assert!(held.is_empty(), "bytes left over");
            seen
        };
        let whole = read(&[stream]);
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(read(&bytes), whole);
        for cut in 0..=stream.len() {
            let (left, right) = stream.split_at(cut);
            assert_eq!(read(&[left, right]), whole, "cut at {cut}");
        }
        whole
    }

    /// A message without a named publisher.
    pub(crate) fn message(payload: &str) -> Seen {
        Seen::Message(payload.as_bytes().to_vec(), None)
    }
}
