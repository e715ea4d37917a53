//! One client's socket: connecting, what waits to be written, and the bytes of a message that came in part.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::{Domain, SockRef, Socket, Type};

use crate::peer::Who;
use crate::readiness::{read_some, write_some};

/// The smallest receive buffer that the kernel gives: a member that never reads is soon full.
const STUCK_RECEIVE_BYTES: usize = 2048;

/// A client.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    pub(super) who: Who,
    pub(super) stage: Stage,
    /// What is to be written, sent by [`Connection::flush`].
    pub(super) output: Vec<u8>,
    /// The beginning of something whose end has not come.
    held: Vec<u8>,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The kernel is at it.
    Connecting,
    /// Connected, not yet told that it is in.
    LoggingIn,
    /// Gets what is published.
    In,
    /// Is in, and will not be read any more.
    Stuck,
}

/// What a read brought.
#[derive(Debug)]
pub(super) enum Received {
    /// The socket is empty.
    Nothing,
    /// The server hung up.
    Closed,
    /// So many bytes of the buffer are to be read, those held back before among them; `is_all` if the socket has been
    /// emptied by this.
    Bytes { length: usize, is_all: bool },
}

impl Connection {
    /// Begins to connect.
    pub(super) fn start(
        address: SocketAddr,
        who: Who,
        index: usize,
        registry: &Registry,
    ) -> io::Result<Self> {
        let mut stream = match who {
            Who::Stuck(_) => connect_with_small_buffer(address)?,
            Who::Member(_) | Who::Publisher(_) => TcpStream::connect(address)?,
        };
        registry.register(
            &mut stream,
            Token(index),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        Ok(Self {
            stream,
            who,
            stage: Stage::Connecting,
            output: Vec::new(),
            held: Vec::new(),
        })
    }

    /// Notes that the socket is connected, if it is; true if so.
    pub(super) fn finish_connecting(&mut self) -> io::Result<bool> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        match self.stream.peer_addr() {
            Ok(_) => {
                // Every message is to leave at once, as a person's does.
                self.stream.set_nodelay(true)?;
                self.stage = Stage::LoggingIn;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes what waits, as far as the socket takes it; the rest goes when it is writable again.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let written = write_some(&mut self.stream, &self.output)?;
        self.output.drain(..written);
        Ok(())
    }

    /// Reads once into `buffer`, behind what was held back.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        let held = self.held.len();
        buffer[..held].copy_from_slice(&self.held);
        Ok(match read_some(&mut self.stream, &mut buffer[held..])? {
            None => Received::Nothing,
            Some(0) => Received::Closed,
            Some(count) => {
                self.held.clear();
                let length = held + count;
                let is_all = length < buffer.len();
                Received::Bytes { length, is_all }
            }
        })
    }

    /// Keeps the beginning of something for the next read.
    pub(super) fn hold(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// Never looks at this socket again, but leaves it open.
    pub(super) fn stop_reading(&mut self, registry: &Registry) -> io::Result<()> {
        self.stage = Stage::Stuck;
        registry.deregister(&mut self.stream)
    }

    /// Closes with a reset.
    pub(super) fn reset(self) {
        // Whether or not this succeeds, the socket is closed; at worst a port stays in TIME_WAIT.
        drop(SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)));
    }
}

fn connect_with_small_buffer(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.set_recv_buffer_size(STUCK_RECEIVE_BYTES)?;
    // EINPROGRESS (115): the kernel is at it, as with every connect that does not block.
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(nix::errno::Errno::EINPROGRESS as i32) => {
            Err(error)
        }
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}
