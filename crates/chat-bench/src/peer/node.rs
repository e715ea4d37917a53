//! The two most used WebSocket servers of Node.js, `ws` and Socket.IO, with the programs in `crates/chat-bench/node`.
//!
//! Both programs do the least that a room needs: they send each text to all members, and nothing says who sent it.
//! They store nothing.

use std::io;
use std::path::{Path, PathBuf};

use crate::ledger::Echo;
use crate::peer::{CommandLine, Frame, Peer, Place, Who, find_on_path, frames, lines};

/// The directory of the programs, and of the packages that `npm` installs.
const DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/node");

/// What the programs need, for the message that they were not found.
pub(super) const NEEDED: &str = "it needs node on PATH, and the packages that \
    \"npm --prefix crates/chat-bench/node ci --ignore-scripts\" installs";

/// Node.js and one of the programs.
#[derive(Debug)]
struct Program {
    node: PathBuf,
    script: PathBuf,
}

/// `ws`: each text frame is sent to all clients, the sender included.
#[derive(Debug)]
pub(crate) struct Ws(Program);

/// Socket.IO: each event is sent to all members of a room, the sender included. Clients begin with WebSocket, without
/// the long polling before it.
#[derive(Debug)]
pub(crate) struct SocketIo(Program);

impl Program {
    /// Returns `None` if Node.js or the package is not installed.
    fn find(package: &str, script: &str) -> Option<Self> {
        let dir = Path::new(DIR);
        dir.join("node_modules")
            .join(package)
            .is_dir()
            .then_some(Self {
                node: find_on_path("node")?,
                script: dir.join(script),
            })
    }

    fn command(&self, place: &Place<'_>) -> CommandLine {
        let port = place.port.to_string();
        let mut command = CommandLine::new(&self.node, &[]);
        command.arguments.push(self.script.clone().into());
        command.arguments.push(port.into());
        command
    }
}

impl Ws {
    /// Returns `None` if Node.js or the package is not installed.
    pub(crate) fn find() -> Option<Self> {
        Program::find("ws", "ws.js").map(Self)
    }
}

impl Peer for Ws {
    fn echo(&self) -> Echo {
        Echo::Include
    }

    fn command(&self, place: &Place<'_>) -> io::Result<CommandLine> {
        Ok(self.0.command(place))
    }

    fn login(&self, _who: Who, out: &mut Vec<u8>) {
        frames::push_request("/", None, out);
    }

    fn publish(&self, payload: &[u8], out: &mut Vec<u8>) {
        frames::push_text(payload, out);
    }

    fn next<'a>(&self, bytes: &'a [u8]) -> Frame<'a> {
        match frames::next(bytes, |text, used| self.read(text, used, bytes)) {
            // A client is in the list of clients once the server has responded.
            Frame::Switched { used } => Frame::Welcome { used },
            frame => frame,
        }
    }

    fn read<'a>(&self, text: &'a [u8], used: usize, _bytes: &'a [u8]) -> Frame<'a> {
        Frame::Message {
            payload: text,
            named: None,
            used,
        }
    }
}

impl SocketIo {
    /// Returns `None` if Node.js or the package is not installed.
    pub(crate) fn find() -> Option<Self> {
        Program::find("socket.io", "socket-io.js").map(Self)
    }
}

impl Peer for SocketIo {
    fn echo(&self) -> Echo {
        Echo::Include
    }

    fn command(&self, place: &Place<'_>) -> io::Result<CommandLine> {
        Ok(self.0.command(place))
    }

    fn login(&self, _who: Who, out: &mut Vec<u8>) {
        frames::push_request("/socket.io/?EIO=4&transport=websocket", None, out);
    }

    /// Connects to the main namespace. The server joins the client to the room.
    fn continue_login(&self, _who: Who, out: &mut Vec<u8>) {
        frames::push_text(b"40", out);
    }

    fn publish(&self, payload: &[u8], out: &mut Vec<u8>) {
        frames::push_text(&[SAID, payload, SAID_END].concat(), out);
    }

    fn next<'a>(&self, bytes: &'a [u8]) -> Frame<'a> {
        frames::next(bytes, |text, used| self.read(text, used, bytes))
    }

    /// Reads a packet of Engine.IO (first digit), which holds a packet of Socket.IO (second digit).
    fn read<'a>(&self, text: &'a [u8], used: usize, _bytes: &'a [u8]) -> Frame<'a> {
        match text {
            [b'0', b'{', ..] => Frame::Notice { used },
            [b'4', b'0', ..] => Frame::Welcome { used },
            b"2" => {
                let mut bytes = Vec::new();
                frames::push_text(b"3", &mut bytes);
                Frame::Answer { bytes, used }
            }
            _ => match said(text) {
                Some(payload) => Frame::Message {
                    payload,
                    named: None,
                    used,
                },
                None => lines::unexpected(text),
            },
        }
    }
}

/// A message of Engine.IO that holds an event of Socket.IO: its name, and a text without characters that JSON escapes.
const SAID: &[u8] = br#"42["said",""#;
const SAID_END: &[u8] = br#""]"#;

fn said(packet: &[u8]) -> Option<&[u8]> {
    packet.strip_prefix(SAID)?.strip_suffix(SAID_END)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::frames::testing::{frame, masked};
    use crate::peer::frames::{PING, PONG, TEXT};
    use crate::peer::testing::{Seen, message, read_in_any_chunks};

    const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";

    fn program() -> Program {
        Program {
            node: PathBuf::new(),
            script: PathBuf::new(),
        }
    }

    #[test]
    fn any_chunking_gives_the_same_messages() {
        let stream = [
            RESPONSE,
            &frame(TEXT, b"one"),
            &frame(PING, b""),
            &frame(TEXT, b"two"),
        ];
        let pong = Seen::Answer(masked(PONG, b""));
        let expected = [Seen::Welcome, message("one"), pong, message("two")];
        assert_eq!(
            read_in_any_chunks(&Ws(program()), &stream.concat()),
            expected
        );

        let text = |packet: &str| frame(TEXT, packet.as_bytes());
        let stream = [
            RESPONSE.to_vec(),
            text(r#"0{"sid":"x","upgrades":[],"pingInterval":25000}"#),
            text(r#"40{"sid":"y"}"#),
            text(r#"42["said","one"]"#),
            text("2"),
            text(r#"42["said","two"]"#),
        ];
        let expected = [
            Seen::Switched,
            Seen::Notice,
            Seen::Welcome,
            message("one"),
            Seen::Answer(masked(TEXT, b"3")),
            message("two"),
        ];
        assert_eq!(
            read_in_any_chunks(&SocketIo(program()), &stream.concat()),
            expected
        );
    }

    #[test]
    fn a_packet_that_is_not_a_message_is_wrong() {
        for packet in [
            "44{\"message\":\"Invalid namespace\"}",
            "41",
            "1",
            "42[\"left\",\"x\"]",
            "",
        ] {
            let bytes = frame(TEXT, packet.as_bytes());
            let seen = SocketIo(program()).next(&bytes);
            assert!(matches!(seen, Frame::Wrong { .. }), "{packet}: {seen:?}");
        }
    }
}
