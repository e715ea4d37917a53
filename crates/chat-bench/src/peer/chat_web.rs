//! `chat-server` over WebSocket.
//!
//! The text of a frame is a line of JSON Lines, so this file reads only the frames. All clients use the same mask: the
//! server removes any mask at the same cost.

use std::io;

use crate::ledger::Echo;
use crate::peer::{ChatJson, CommandLine, Frame, Peer, Place, Who, lines};

/// `chat-server` with members that send and receive JSON in the frames of a WebSocket.
#[derive(Debug)]
pub(crate) struct ChatWeb(pub(crate) ChatJson);

/// The first bytes of frames: a complete text, a close, a ping and a pong (RFC 6455, section 5.2).
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// The bit of the second byte that marks a masked frame.
const MASKED: u8 = 0x80;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The key of the example in RFC 6455, section 1.3. The server accepts the same key on each connection.
const REQUEST: &[u8] = b"GET /ws HTTP/1.1\r\n\
    Host: 127.0.0.1\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Protocol: chat.v1\r\n\r\n";

impl Peer for ChatWeb {
    fn echo(&self) -> Echo {
        self.0.echo()
    }

    fn command(&self, place: &Place<'_>) -> io::Result<CommandLine> {
        self.0.command(place)
    }

    fn login(&self, _who: Who, out: &mut Vec<u8>) {
        out.extend_from_slice(REQUEST);
    }

    fn continue_login(&self, who: Who, out: &mut Vec<u8>) {
        let mut hello = Vec::new();
        self.0.login(who, &mut hello);
        push_frame(TEXT, &hello, out);
    }

    fn publish(&self, payload: &[u8], out: &mut Vec<u8>) {
        let mut said = Vec::with_capacity(payload.len() + 64);
        self.0.publish(payload, &mut said);
        push_frame(TEXT, &said, out);
    }

    fn next<'a>(&self, bytes: &'a [u8]) -> Frame<'a> {
        match bytes.first() {
            None => return Frame::Incomplete,
            Some(b'H') => return response(bytes),
            Some(_) => {}
        }
        let Some((payload, used)) = payload(bytes) else {
            return Frame::Incomplete;
        };
        match bytes[0] {
            TEXT => self.read(payload, used, bytes),
            PING => {
                let mut pong = Vec::new();
                push_frame(PONG, payload, &mut pong);
                Frame::Answer { bytes: pong, used }
            }
            CLOSE => lines::unexpected(payload.get(2..).unwrap_or(b"a close frame")),
            _ => lines::unexpected(&bytes[..used]),
        }
    }

    fn read<'a>(&self, line: &'a [u8], used: usize, bytes: &'a [u8]) -> Frame<'a> {
        self.0.read(line, used, bytes)
    }
}

/// Reads the head of the response to the request.
fn response(bytes: &[u8]) -> Frame<'_> {
    const END: &[u8] = b"\r\n\r\n";
    match memchr::memmem::find(bytes, END) {
        None => Frame::Incomplete,
        Some(end) if bytes.starts_with(b"HTTP/1.1 101 ") => Frame::Switched {
            used: end + END.len(),
        },
        Some(end) => lines::unexpected(&bytes[..end]),
    }
}

/// Returns the payload of the frame at the start of `bytes`, and the length of the frame; `None` if it is incomplete.
fn payload(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let (start, length): (usize, usize) = match bytes.get(1)? {
        126 => {
            let length = bytes[2..].first_chunk()?;
            (4, usize::from(u16::from_be_bytes(*length)))
        }
        127 => {
            let length = bytes[2..].first_chunk()?;
            (10, usize::try_from(u64::from_be_bytes(*length)).ok()?)
        }
        length => (2, usize::from(*length)),
    };
    let end = start.checked_add(length)?;
    Some((bytes.get(start..end)?, end))
}

/// Appends a masked frame.
fn push_frame(first: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(first);
    match payload.len() {
        length @ 0..=125 => out.push(MASKED | length as u8),
        length @ 126..=0xffff => {
            out.push(MASKED | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(MASKED | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    let masked = payload.iter().zip(MASK.iter().cycle());
    out.extend(masked.map(|(byte, mask)| byte ^ mask));
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::peer::Chat;
    use crate::peer::testing::{Seen, message, read_in_any_chunks};

    fn web() -> ChatWeb {
        ChatWeb(ChatJson(Chat {
            program: PathBuf::new(),
            extra: Vec::new(),
        }))
    }

    /// Returns a frame of the server.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        if payload.len() < 126 {
            bytes.push(payload.len() as u8);
        } else {
            bytes.push(126);
            bytes.extend_from_slice(&(payload.len() as u16).to_be_bytes());
        }
        bytes.extend_from_slice(payload);
        bytes
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
        let mut pong = Vec::new();
        push_frame(PONG, b"?", &mut pong);
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
