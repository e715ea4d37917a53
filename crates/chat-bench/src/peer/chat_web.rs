//! `chat-server` over WebSocket.
//!
//! The text of a frame is a line of JSON Lines.

use std::io;

use crate::ledger::Echo;
use crate::peer::{ChatJson, CommandLine, Frame, Peer, Place, Who, frames};

/// `chat-server` with members that send and receive JSON in the frames of a WebSocket.
#[derive(Debug)]
pub(crate) struct ChatWeb(pub(crate) ChatJson);

impl Peer for ChatWeb {
    fn echo(&self) -> Echo {
        self.0.echo()
    }

    fn command(&self, place: &Place<'_>) -> io::Result<CommandLine> {
        self.0.command(place)
    }

    fn login(&self, _who: Who, out: &mut Vec<u8>) {
        frames::push_request("/ws", Some("chat.v1"), out);
    }

    fn continue_login(&self, who: Who, out: &mut Vec<u8>) {
        let mut hello = Vec::new();
        self.0.login(who, &mut hello);
        frames::push_text(&hello, out);
    }

    fn publish(&self, payload: &[u8], out: &mut Vec<u8>) {
        let mut said = Vec::with_capacity(payload.len() + 64);
        self.0.publish(payload, &mut said);
        frames::push_text(&said, out);
    }

    fn next<'a>(&self, bytes: &'a [u8]) -> Frame<'a> {
        frames::next(bytes, |text, used| self.read(text, used, bytes))
    }

    fn read<'a>(&self, line: &'a [u8], used: usize, bytes: &'a [u8]) -> Frame<'a> {
        self.0.read(line, used, bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::peer::Chat;
    use crate::peer::frames::testing::{frame, masked};
    use crate::peer::frames::{CLOSE, PING, PONG, TEXT};
    use crate::peer::testing::{Seen, message, read_in_any_chunks};

    fn web() -> ChatWeb {
        ChatWeb(ChatJson(Chat {
            program: PathBuf::new(),
            extra: Vec::new(),
        }))
    }

    #[test]
    fn any_chunking_gives_the_same_messages() {
        let text = "x".repeat(200);
        let said = |from: &str, text: &str| {
            format!(
                r#"{{"ev":"said","room":"bench","seq":12,"ts":1758000000123,"from":"{from}","text":"{text}"}}"#
            )
        };
        let stream = [
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n".to_vec(),
            frame(TEXT, br#"{"re":1,"ok":{"rooms":[{"room":"bench"}]}}"#),
            frame(TEXT, said("m3", &text).as_bytes()),
            frame(PING, b"?"),
            frame(TEXT, br#"{"ev":"joined","room":"bench","nick":"m18"}"#),
            frame(TEXT, said("m4", "y").as_bytes()),
        ];
        let pong = masked(PONG, b"?");
        let named = |seen, number| match seen {
            Seen::Message(payload, _) => Seen::Message(payload, Some(number)),
            seen => seen,
        };
        let expected = [
            Seen::Switched,
            Seen::Welcome,
            named(message(&text), 3),
            Seen::Answer(pong),
            Seen::Notice,
            named(message("y"), 4),
        ];
        assert_eq!(read_in_any_chunks(&web(), &stream.concat()), expected);
    }

    #[test]
    fn a_refusal_a_close_and_an_unknown_frame_are_wrong() {
        for bytes in [
            b"HTTP/1.1 403 Forbidden\r\n\r\n".to_vec(),
            frame(CLOSE, b"\x03\xe9going away"),
            frame(CLOSE, b""),
            frame(0x82, b"binary"),
            frame(TEXT, b"not JSON"),
        ] {
            assert!(
                matches!(web().next(&bytes), Frame::Wrong { .. }),
                "{}",
                bytes.escape_ascii()
            );
        }
    }
}
