//! Sockets that a poll says are ready: one read or write, and how long to go on reading.

use std::io::{self, ErrorKind, Read, Write};

use mio::event::Event;
use mio::net::TcpStream;

/// Reads once. Returns `None` if the socket is empty, and 0 at the end of the stream.
pub(crate) fn read_some(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        match stream.read(buffer) {
            Ok(count) => return Ok(Some(count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Writes as much of `bytes` as the socket takes, and returns how much that was.
pub(crate) fn write_some(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while written < bytes.len() {
        match stream.write(&bytes[written..]) {
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}

/// When to stop reading a socket that was readable.
///
/// The poll is edge-triggered, so a socket must be emptied. A read that returns less than the buffer holds has emptied
/// it; this saves the read that returns `WouldBlock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// After the first read that does not fill the buffer.
    Short,
    /// At the end of the stream: the peer has closed it, and no further event follows.
    End,
}

impl Until {
    /// When to stop after this event.
    pub(crate) fn of(event: &Event) -> Self {
        if event.is_read_closed() || event.is_error() {
            Self::End
        } else {
            Self::Short
        }
    }
}
