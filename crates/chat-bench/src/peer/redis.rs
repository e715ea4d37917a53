//! Redis pub/sub.
//!
//! A connection that subscribed may not publish (RESP2), so publishers are connections of their own.

use std::io;
use std::path::PathBuf;

use crate::ledger::Echo;
use crate::peer::lines::{self, Line};
use crate::peer::{CommandLine, Frame, Peer, Place, Who};

/// Every member subscribes and every publisher is apart: members deliveries a message.
#[derive(Debug)]
pub(crate) struct Redis {
    pub(crate) program: PathBuf,
}

impl Peer for Redis {
    fn echo(&self) -> Echo {
        Echo::Apart
    }

    fn command(&self, place: &Place<'_>) -> io::Result<CommandLine> {
        let config = place.dir.join("redis.conf");
        let text = format!(
            "port {}\nbind 127.0.0.1\nsave \"\"\nappendonly no\ndaemonize no\nlogfile \"\"\n\
             maxclients {}\ntcp-backlog 4096\nclient-output-buffer-limit pubsub 0 0 0\ndir {}\n",
            place.port,
            place.connections,
            place.dir.display()
        );
        std::fs::write(&config, text)?;
        let config = config.to_string_lossy().into_owned();
        Ok(CommandLine::new(&self.program, &[&config]))
    }

    fn login(&self, who: Who, out: &mut Vec<u8>) {
        out.extend_from_slice(match who {
            Who::Member(_) | Who::Stuck(_) => b"*2\r\n$9\r\nSUBSCRIBE\r\n$5\r\nlobby\r\n",
            Who::Publisher(_) => b"*1\r\n$4\r\nPING\r\n",
        });
    }

    fn publish(&self, payload: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(b"*3\r\n$7\r\nPUBLISH\r\n$5\r\nlobby\r\n$");
        out.extend_from_slice(payload.len().to_string().as_bytes());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(payload);
        out.extend_from_slice(b"\r\n");
    }

    fn next<'a>(&self, bytes: &'a [u8]) -> Frame<'a> {
        let (line, used) = match lines::first_line(bytes) {
            Line::Incomplete => return Frame::Incomplete,
            Line::TooLong => return lines::too_long(),
            Line::Whole(line, used) => (line, used),
        };
        match line.first() {
            Some(b'+') => Frame::Welcome { used },
            // How many got what this publisher sent.
            Some(b':') => Frame::Notice { used },
            Some(b'*') if line == b"*3" => next_push(bytes, used),
            _ => lines::unexpected(line),
        }
    }
}

/// Reads `message lobby PAYLOAD` or `subscribe lobby 1`, whose `*3` ends at `at`.
fn next_push(bytes: &[u8], at: usize) -> Frame<'_> {
    let (kind, at) = match bulk(bytes, at) {
        Ok(read) => read,
        Err(frame) => return frame,
    };
    let (_channel, at) = match bulk(bytes, at) {
        Ok(read) => read,
        Err(frame) => return frame,
    };
    if kind == b"subscribe" {
        return match lines::first_line(&bytes[at..]) {
            Line::Whole(_, used) => Frame::Welcome { used: at + used },
            _ => Frame::Incomplete,
        };
    }
    if kind != b"message" {
        return lines::unexpected(kind);
    }
    match bulk(bytes, at) {
        Ok((payload, used)) => Frame::Message {
            payload,
            named: None,
            used,
        },
        Err(frame) => frame,
    }
}

/// Reads the bulk string that begins at `at`; gives it and where it ends.
fn bulk(bytes: &[u8], at: usize) -> Result<(&[u8], usize), Frame<'_>> {
    let Line::Whole(head, used) = lines::first_line(&bytes[at..]) else {
        return Err(Frame::Incomplete);
    };
    let length = head
        .strip_prefix(b"$")
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse::<u16>().ok());
    let Some(length) = length else {
        return Err(lines::unexpected(head));
    };
    let (start, end) = (at + used, at + used + usize::from(length));
    match bytes.get(end..end + 2) {
        None => Err(Frame::Incomplete),
        Some(b"\r\n") => Ok((&bytes[start..end], end + 2)),
        Some(_) => Err(lines::unexpected(&bytes[start..end])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::testing::{Seen, message, read_in_any_chunks};

    fn redis() -> Redis {
        Redis {
            program: PathBuf::new(),
        }
    }

    #[test]
    fn any_chunking_gives_the_same_messages() {
        let stream = b"*3\r\n$9\r\nsubscribe\r\n$5\r\nlobby\r\n:1\r\n*3\r\n$7\r\nmessage\r\n$5\r\nlobby\r\n$5\r\na\r\nbc\r\n:100\r\n+PONG\r\n*3\r\n$7\r\nmessage\r\n$5\r\nlobby\r\n$1\r\nx\r\n";
        let expected = [
            Seen::Welcome,
            message("a\r\nbc"),
            Seen::Notice,
            Seen::Welcome,
            message("x"),
        ];
        assert_eq!(read_in_any_chunks(&redis(), stream), expected);
    }

    #[test]
    fn an_error_is_wrong() {
        let frame = redis().next(b"-ERR max number of clients reached\r\n");
        assert!(matches!(frame, Frame::Wrong { text } if text.contains("max number")));
        let broken = b"*3\r\n$7\r\nmessage\r\n$5\r\nlobby\r\n$1\r\nxyz";
        assert!(matches!(redis().next(broken), Frame::Wrong { .. }));
    }
}
