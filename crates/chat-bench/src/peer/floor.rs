//! The floor: our own reference server that has no protocol at all.

use std::io;
use std::path::PathBuf;

use crate::ledger::Echo;
use crate::peer::{CommandLine, Frame, Peer, Place, Who, lines};

/// Each chunk goes to every socket but the one it came from, so a message makes members - 1 deliveries, as with ours.
#[derive(Debug)]
pub(crate) struct Floor {
    /// This program.
    pub(crate) program: PathBuf,
}

impl Peer for Floor {
    fn echo(&self) -> Echo {
        Echo::Exclude
    }

    fn command(&self, place: &Place<'_>) -> io::Result<CommandLine> {
        let port = place.port.to_string();
        let arguments = ["reference", "floor", "--port", &port];
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
        let floor = Floor {
            program: PathBuf::new(),
        };
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
