//! The protocol of the two reference servers, which pass lines on unchanged.

use std::io;
use std::path::PathBuf;

use crate::ledger::Echo;
use crate::peer::{CommandLine, Frame, Peer, Place, Who, lines};

/// One of the two reference servers.
#[derive(Debug)]
pub(crate) struct Raw {
    /// The path of this program.
    program: PathBuf,
    /// The subcommand of `chat-bench reference` that runs the server.
    design: &'static str,
    echo: Echo,
}

impl Raw {
    /// The server `floor`. It writes each chunk to all other sockets, so a message has one delivery fewer than there
    /// are members.
    pub(crate) const fn floor(program: PathBuf) -> Self {
        Self {
            program,
            design: "floor",
            echo: Echo::Exclude,
        }
    }

    /// The server `obvious`. A `broadcast::channel<String>` does not know the sender of a message, so the sender
    /// receives it too: a message has one delivery for each member.
    pub(crate) const fn obvious(program: PathBuf) -> Self {
        Self {
            program,
            design: "obvious",
            echo: Echo::Include,
        }
    }
}

impl Peer for Raw {
    fn echo(&self) -> Echo {
        self.echo
    }

    fn command(&self, place: &Place<'_>) -> io::Result<CommandLine> {
        let port = place.port.to_string();
        let arguments = ["reference", self.design, "--port", &port];
        Ok(CommandLine::new(&self.program, &arguments))
    }

    fn login(&self, _who: Who, _out: &mut Vec<u8>) {}

    fn publish(&self, payload: &[u8], out: &mut Vec<u8>) {
        lines::publish_raw(payload, out);
    }

    fn read<'a>(&self, line: &'a [u8], used: usize, bytes: &'a [u8]) -> Frame<'a> {
        if &bytes[..used] == lines::GREETING {
            return Frame::Welcome { used };
        }
        Frame::Message {
            payload: line,
            named: None,
            used,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::testing::{Seen, message, read_in_any_chunks};

    #[test]
    fn any_chunking_gives_the_same_messages() {
        let floor = Raw::floor(PathBuf::new());
        let seen = read_in_any_chunks(&floor, b"* in\nhello\n\nworld\n");
        let expected = [
            Seen::Welcome,
            message("hello"),
            message(""),
            message("world"),
        ];
        assert_eq!(seen, expected);
    }
}
