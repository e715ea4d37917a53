//! Reads and writes sockets that a poll reported as ready, and tells when to stop reading.

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

/// Writes as much of `bytes` as the socket accepts, and returns the number of bytes written.
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

/// When to stop reading from a socket that the poll reported as readable.
///
/// The poll is edge-triggered, so a socket must be emptied. A read that returns fewer bytes than the buffer has space
/// for has emptied the socket, which saves a further read that would return `WouldBlock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// Stop after the first read that does not fill the buffer.
    Short,
    /// Read to the end of the stream: the peer has closed the stream, and no further event follows.
    End,
}

impl Until {
    /// Returns the point at which reading must stop after this event.
    pub(crate) fn of(event: &Event) -> Self {
        if event.is_read_closed() || event.is_error() {
            Self::End
        } else {
            Self::Short
        }
    }
}
