//! `chat-server` in the plain dialect.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use crate::ledger::Echo;
use crate::peer::{CommandLine, Frame, Peer, Place, Who, lines};

/// `chat-server` in the plain dialect. A member does not receive its own messages, so a message has one delivery fewer
/// than there are members.
#[derive(Debug)]
pub(crate) struct Chat {
    pub(crate) program: PathBuf,
    pub(crate) extra: Vec<String>,
}

impl Peer for Chat {
    fn echo(&self) -> Echo {
        Echo::Exclude
    }

    fn command(&self, place: &Place<'_>) -> io::Result<CommandLine> {
        let listen = format!("127.0.0.1:{}", place.port);
        let connections = place.connections.to_string();
        // A benchmark would exceed these limits. All other limits have their defaults.
        let arguments = [
            "--listen",
            &listen,
            "--rate",
            "off",
            "--per-address",
            "off",
            "--connections",
            &connections,
            "--history",
            "0",
        ];
        let mut command = CommandLine::new(&self.program, &arguments);
        command
            .arguments
            .extend(self.extra.iter().map(OsString::from));
        Ok(command)
    }

    fn login(&self, who: Who, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("/nick {}\n", who.nick()).as_bytes());
    }

    fn publish(&self, payload: &[u8], out: &mut Vec<u8>) {
        lines::publish_raw(payload, out);
    }

    fn read<'a>(&self, line: &'a [u8], used: usize, _bytes: &'a [u8]) -> Frame<'a> {
        if line.starts_with(b"* ") {
            return if is_welcome(line) {
                Frame::Welcome { used }
            } else {
                Frame::Notice { used }
            };
        }
        match said(line) {
            Some((named, payload)) => Frame::Message {
                payload,
                named: Some(named),
                used,
            },
            // `! ..` is an error, and any other line is not part of this dialect.
            None => lines::unexpected(line),
        }
    }
}

/// Whether a line is the server's answer to `/nick`. The line with a member's first nick, a guest nick, is not.
fn is_welcome(line: &[u8]) -> bool {
    match line.strip_prefix(b"* you are now ") {
        Some([b'm' | b'p' | b's', digit, ..]) => digit.is_ascii_digit(),
        _ => false,
    }
}

/// Reads `14:02 m17: text`: the member's number and the text.
fn said(line: &[u8]) -> Option<(u32, &[u8])> {
    let (clock, rest) = line.split_at_checked(6)?;
    let is_clock = clock[0].is_ascii_digit()
        && clock[1].is_ascii_digit()
        && clock[2] == b':'
        && clock[3].is_ascii_digit()
        && clock[4].is_ascii_digit()
        && clock[5] == b' ';
    if !is_clock {
        return None;
    }
    let colon = rest.iter().position(|byte| *byte == b':')?;
    let text = rest[colon..].strip_prefix(b": ")?;
    Some((lines::member_number(&rest[..colon])?, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::testing::{Seen, read_in_any_chunks};

    fn chat() -> Chat {
        Chat {
            program: PathBuf::new(),
            extra: Vec::new(),
        }
    }

    #[test]
    fn any_chunking_gives_the_same_messages() {
        let stream = b"* you are now guest-7 in lobby\n* you are now m17\n14:02 m3: one: two\n* m4 left (gone: reset)\n23:59 m12: x\n";
        let expected = [
            Seen::Notice,
            Seen::Welcome,
            Seen::Message(b"one: two".to_vec(), Some(3)),
            Seen::Notice,
            Seen::Message(b"x".to_vec(), Some(12)),
        ];
        assert_eq!(read_in_any_chunks(&chat(), stream), expected);
    }

    #[test]
    fn an_error_and_an_unknown_line_are_wrong() {
        for line in [
            &b"! too fast\n"[..],
            b"14:02 guest-7: hi\n",
            b"14:02 m4 -> you: psst\n",
            b"1402 m4: hi\n",
            b"\n",
        ] {
            assert!(
                matches!(chat().next(line), Frame::Wrong { .. }),
                "{:?}",
                String::from_utf8_lossy(line)
            );
        }
    }
}
