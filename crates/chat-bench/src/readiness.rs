//! How long to go on reading after the poll said that a socket is readable.

use mio::event::Event;

/// When a socket that was readable has been read enough.
///
/// The poll reports a change only once (it is edge-triggered), so a socket has to be emptied; a read that brings less
/// than there was room for has emptied it, and saves the read that would say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// The first read that was not full.
    Short,
    /// The end of the stream: the peer has hung up, and no further event will say so.
    End,
}

impl Until {
    /// What this event asks for.
    pub(crate) fn of(event: &Event) -> Self {
        if event.is_read_closed() || event.is_error() {
            Self::End
        } else {
            Self::Short
        }
    }
}
