//! The IRC server ngircd.

use std::io;
use std::path::PathBuf;

use crate::ledger::Echo;
use crate::peer::{CommandLine, Frame, Peer, Place, Who, lines};

/// The ngircd server. IRC has no echo, so a message has one delivery fewer than there are members.
#[derive(Debug)]
pub(crate) struct Ngircd(pub(crate) PathBuf);

impl Peer for Ngircd {
    fn echo(&self) -> Echo {
        Echo::Exclude
    }

    fn command(&self, place: &Place<'_>) -> io::Result<CommandLine> {
        // Lifts the limits that slow down or disconnect a fast member.
        let text = format!(
            "[Global]\nName = bench.local\nInfo = bench\nListen = 127.0.0.1\nPorts = {}\n\
             MotdPhrase = \"bench\"\nServerUID = nobody\nServerGID = nogroup\n\
             [Limits]\nMaxConnections = 0\nMaxConnectionsIP = 0\nMaxJoins = 0\nMaxPenaltyTime = 0\n\
             PingTimeout = 3600\nPongTimeout = 3600\n\
             [Options]\nDNS = no\nIdent = no\nPAM = no\n",
            place.port
        );
        CommandLine::with_config(&self.0, &["--nodaemon", "--config"], place, &text)
    }

    fn login(&self, who: Who, out: &mut Vec<u8>) {
        let nick = who.nick();
        let lines = format!("NICK {nick}\r\nUSER {nick} 0 * :{nick}\r\nJOIN #lobby\r\n");
        out.extend_from_slice(lines.as_bytes());
    }

    fn publish(&self, payload: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(b"PRIVMSG #lobby :");
        out.extend_from_slice(payload);
        out.extend_from_slice(b"\r\n");
    }

    /// The server's listen backlog is 10. Connections beyond that wait for seconds.
    fn connecting_max(&self) -> usize {
        8
    }

    fn read<'a>(&self, line: &'a [u8], used: usize, _bytes: &'a [u8]) -> Frame<'a> {
        if let Some(token) = line.strip_prefix(b"PING ") {
            let bytes = [b"PONG ", token, b"\r\n"].concat();
            return Frame::Answer { bytes, used };
        }
        let Some((source, rest)) = line.strip_prefix(b":").and_then(split_word) else {
            return lines::unexpected(line);
        };
        let (command, rest) = split_word(rest).unwrap_or((rest, b""));
        match command {
            b"PRIVMSG" => match (speaker(source), split_word(rest)) {
                (Some(named), Some((b"#lobby", text))) => Frame::Message {
                    payload: text.strip_prefix(b":").unwrap_or(text),
                    named: Some(named),
                    used,
                },
                _ => lines::unexpected(line),
            },
            // The end of the member list is the last line that a join sends.
            b"366" => Frame::Welcome { used },
            b"422" | b"JOIN" | b"MODE" | b"QUIT" | b"NOTICE" | b"PONG" | b"PART" => {
                Frame::Notice { used }
            }
            // 4xx and 5xx are errors.
            [b'0'..=b'3', _, _] => Frame::Notice { used },
            _ => lines::unexpected(line),
        }
    }
}

fn split_word(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = memchr::memchr(b' ', bytes)?;
    Some((&bytes[..space], &bytes[space + 1..]))
}

/// Returns the member's number in a source such as `m17!~m17@localhost`.
fn speaker(source: &[u8]) -> Option<u32> {
    let end = memchr::memchr(b'!', source)?;
    lines::member_number(&source[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::testing::{Seen, read_in_any_chunks};

    fn ngircd() -> Ngircd {
        Ngircd(PathBuf::new())
    }

    #[test]
    fn any_chunking_gives_the_same_messages() {
        let stream = b":bench.local 001 m1 :Welcome\r\n:bench.local 422 m1 :MOTD missing\r\n:m1!~m1@localhost JOIN :#lobby\r\n:bench.local 366 m1 #lobby :End of NAMES list\r\nPING :bench.local\r\n:m3!~m3@localhost PRIVMSG #lobby :hello: you\r\n";
        let expected = [
            Seen::Notice,
            Seen::Notice,
            Seen::Notice,
            Seen::Welcome,
            Seen::Answer(b"PONG :bench.local\r\n".to_vec()),
            Seen::Message(b"hello: you".to_vec(), Some(3)),
        ];
        assert_eq!(read_in_any_chunks(&ngircd(), stream), expected);
    }

    #[test]
    fn an_error_is_wrong() {
        for line in [
            &b"ERROR :Too many connections\r\n"[..],
            b":bench.local 433 * m1 :Nickname already in use\r\n",
        ] {
            assert!(matches!(ngircd().next(line), Frame::Wrong { .. }));
        }
    }
}
