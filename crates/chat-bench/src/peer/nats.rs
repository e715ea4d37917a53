//! NATS core publish/subscribe.

use std::io;
use std::path::PathBuf;

use crate::ledger::Echo;
use crate::peer::{CommandLine, Frame, Peer, Place, Who, lines};

/// The NATS server. Members connect with `echo: false`, so a message has one delivery fewer than there are members.
#[derive(Debug)]
pub(crate) struct Nats(pub(crate) PathBuf);

impl Peer for Nats {
    fn echo(&self) -> Echo {
        Echo::Exclude
    }

    fn command(&self, place: &Place<'_>) -> io::Result<CommandLine> {
        // The default buffer of 64 MiB for each slow subscriber is not changed. Pings are rare, so that they do not
        // disturb the measurement.
        let text = format!(
            "listen: \"127.0.0.1:{}\"\nmax_connections: {}\nping_interval: \"10m\"\n",
            place.port, place.connections
        );
        CommandLine::with_config(&self.0, &["-c"], place, &text)
    }

    fn login(&self, who: Who, out: &mut Vec<u8>) {
        let nick = who.nick();
        let connect = format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false,\"echo\":false,\"name\":\"{nick}\"}}\r\n\
             SUB lobby 1\r\nPING\r\n"
        );
        out.extend_from_slice(connect.as_bytes());
    }

    fn publish(&self, payload: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(b"PUB lobby ");
        lines::push_counted(payload, out);
    }

    fn read<'a>(&self, line: &'a [u8], used: usize, bytes: &'a [u8]) -> Frame<'a> {
        if line.starts_with(b"MSG ") {
            return next_message(bytes, line, used);
        }
        match line {
            b"PONG" => Frame::Welcome { used },
            b"+OK" => Frame::Notice { used },
            b"PING" => Frame::Answer {
                bytes: b"PONG\r\n".to_vec(),
                used,
            },
            _ if line.starts_with(b"INFO ") => Frame::Notice { used },
            _ => lines::unexpected(line),
        }
    }
}

/// Reads the payload after a line such as `MSG lobby 1 64`. The line ends at `at`.
fn next_message<'a>(bytes: &'a [u8], line: &'a [u8], at: usize) -> Frame<'a> {
    let length = line.rsplit(|byte| *byte == b' ').next();
    match lines::counted(bytes, at, length, line) {
        Ok((payload, used)) => Frame::Message {
            payload,
            named: None,
            used,
        },
        Err(frame) => frame,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::testing::{Seen, message, read_in_any_chunks};

    fn nats() -> Nats {
        Nats(PathBuf::new())
    }

    #[test]
    fn any_chunking_gives_the_same_messages() {
        let stream = b"INFO {\"server_id\":\"x\"}\r\nPONG\r\nMSG lobby 1 5\r\na\r\nbc\r\nPING\r\nMSG lobby 1 1\r\nx\r\n";
        let expected = [
            Seen::Notice,
            Seen::Welcome,
            message("a\r\nbc"),
            Seen::Answer(b"PONG\r\n".to_vec()),
            message("x"),
        ];
        assert_eq!(read_in_any_chunks(&nats(), stream), expected);
    }

    #[test]
    fn an_error_is_wrong() {
        let frame = nats().next(b"-ERR 'Slow Consumer'\r\n");
        assert!(matches!(frame, Frame::Wrong { text } if text.contains("Slow")));
    }
}
