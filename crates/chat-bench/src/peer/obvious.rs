//! The obvious design: what most first chat servers on Tokio look like.

use std::io;
use std::path::PathBuf;

use crate::ledger::Echo;
use crate::peer::{CommandLine, Frame, Peer, Place, Who, lines};

/// A `broadcast::channel<String>` says nothing of the sender, so it gets its own message too: members deliveries a
/// message.
#[derive(Debug)]
pub(crate) struct Obvious {
    /// This program.
    pub(crate) program: PathBuf,
}

impl Peer for Obvious {
    fn echo(&self) -> Echo {
        Echo::Include
    }

    fn command(&self, place: &Place<'_>) -> io::Result<CommandLine> {
        let port = place.port.to_string();
        let arguments = ["reference", "obvious", "--port", &port];
        Ok(CommandLine::new(&self.program, &arguments))
    }

    fn login(&self, _who: Who, _out: &mut Vec<u8>) {}

    fn publish(&self, payload: &[u8], out: &mut Vec<u8>) {
        lines::publish_raw(payload, out);
    }

    fn next<'a>(&self, bytes: &'a [u8]) -> Frame<'a> {
        lines::next_raw(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::testing::{Seen, message, read_in_any_chunks};

    #[test]
    fn any_chunking_gives_the_same_messages() {
        let obvious = Obvious {
            program: PathBuf::new(),
        };
        let seen = read_in_any_chunks(&obvious, b"* in\nhello\nworld\n");
        assert_eq!(seen, [Seen::Welcome, message("hello"), message("world")]);
    }
}
