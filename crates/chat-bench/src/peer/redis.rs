//! Redis pub/sub.
//!
//! A subscribed connection can't publish (RESP2), so publishers are separate connections.

use std::io;
use std::path::PathBuf;

use crate::ledger::Echo;
use crate::peer::{CommandLine, Frame, Peer, Place, Who, lines};

/// The Redis server. Publishers are not members, so a message has one delivery for each member.
#[derive(Debug)]
pub(crate) struct Redis(pub(crate) PathBuf);

impl Peer for Redis {
    fn echo(&self) -> Echo {
        Echo::Apart
    }

    fn command(&self, place: &Place<'_>) -> io::Result<CommandLine> {
        let text = format!(
            "port {}\nbind 127.0.0.1\nsave \"\"\nappendonly no\ndaemonize no\nlogfile \"\"\n\
             maxclients {}\ntcp-backlog 4096\nclient-output-buffer-limit pubsub 0 0 0\ndir {}\n",
            place.port,
            place.connections,
            place.dir.display()
        );
        CommandLine::with_config(&self.0, &[], place, &text)
    }

    fn login(&self, who: Who, out: &mut Vec<u8>) {
        out.extend_from_slice(match who {
            Who::Member(_) | Who::Stuck(_) => b"*2\r\n$9\r\nSUBSCRIBE\r\n$5\r\nlobby\r\n",
            Who::Publisher(_) => b"*1\r\n$4\r\nPING\r\n",
        });
    }

    fn publish(&self, payload: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(b"*3\r\n$7\r\nPUBLISH\r\n$5\r\nlobby\r\n$");
        lines::push_counted(payload, out);
    }

    fn read<'a>(&self, line: &'a [u8], used: usize, bytes: &'a [u8]) -> Frame<'a> {
        match line.first() {
            Some(b'+') => Frame::Welcome { used },
            // The reply to a publish: the number of receivers.
            Some(b':') => Frame::Notice { used },
            Some(b'*') if line == b"*3" => next_push(bytes, used).unwrap_or_else(|frame| frame),
            _ => lines::unexpected(line),
        }
    }
}

/// Reads `message lobby PAYLOAD` or `subscribe lobby 1`. The frame's first line, `*3`, ends at `at`.
fn next_push(bytes: &[u8], at: usize) -> Result<Frame<'_>, Frame<'_>> {
    let (kind, at) = bulk(bytes, at)?;
    let (_channel, at) = bulk(bytes, at)?;
    match kind {
        b"subscribe" => {
            let (_, used) = lines::first_line(&bytes[at..])?;
            Ok(Frame::Welcome { used: at + used })
        }
        b"message" => {
            let (payload, used) = bulk(bytes, at)?;
            Ok(Frame::Message {
                payload,
                named: None,
                used,
            })
        }
        _ => Err(lines::unexpected(kind)),
    }
}

/// Reads the bulk string that begins at `at`. Returns the string, and the position after it.
fn bulk(bytes: &[u8], at: usize) -> Result<(&[u8], usize), Frame<'_>> {
    let (head, used) = lines::first_line(&bytes[at..])?;
    lines::counted(bytes, at + used, head.strip_prefix(b"$"), head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::testing::{Seen, message, read_in_any_chunks};

    fn redis() -> Redis {
        Redis(PathBuf::new())
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
