//! The socket of one client: its stage, its unsent output, and the received part of an incomplete frame.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::{Domain, SockRef, Socket, Type};

use crate::peer::Who;
use crate::readiness::{read_some, write_some};

/// The smallest receive buffer that the kernel allows, in bytes. Such a buffer soon fills if the member never reads.
const STUCK_RECEIVE_BYTES: usize = 2048;

/// The connection of one client.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    pub(super) who: Who,
    pub(super) stage: Stage,
    /// Bytes that [`Connection::flush`] still has to send.
    pub(super) output: Vec<u8>,
    /// The received part of an incomplete frame.
    held: Vec<u8>,
}

/// The stage of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The TCP handshake is in progress.
    Connecting,
    /// The TCP connection is open, but the server has not welcomed the client yet.
    LoggingIn,
    /// The client receives published messages.
    In,
    /// The client has joined, and never reads again.
    Stuck,
}

/// The result of a read.
#[derive(Debug)]
pub(super) enum Received {
    /// The socket holds no bytes.
    Nothing,
    /// The server closed the connection.
    Closed,
    /// The buffer holds `length` bytes, including the incomplete frame of the previous read. `is_all` is `true` if this
    /// read emptied the socket.
    Bytes { length: usize, is_all: bool },
}

impl Connection {
    /// Starts to connect to `address`.
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

    /// Moves to the next stage if the socket is connected. Returns whether the socket is connected.
    pub(super) fn finish_connecting(&mut self) -> io::Result<bool> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        match self.stream.peer_addr() {
            Ok(_) => {
                // Nagle's algorithm would delay small messages.
                self.stream.set_nodelay(true)?;
                self.stage = Stage::LoggingIn;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes as much output as the socket accepts. The remaining output waits until the socket is writable again.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let written = write_some(&mut self.stream, &self.output)?;
        self.output.drain(..written);
        Ok(())
    }

    /// Reads once from the socket. Puts the held part of an incomplete frame at the start of `buffer`, and the received
    /// bytes after it.
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

    /// Keeps the bytes of an incomplete frame for the next read.
    pub(super) fn hold(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// Stops reading from the socket, and leaves the socket open.
    pub(super) fn stop_reading(&mut self, registry: &Registry) -> io::Result<()> {
        self.stage = Stage::Stuck;
        registry.deregister(&mut self.stream)
    }

    /// Closes the connection with a reset.
    pub(super) fn reset(self) {
        // If setting the option fails, the socket is still closed, but its port stays in TIME_WAIT.
        drop(SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)));
    }
}

fn connect_with_small_buffer(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.set_recv_buffer_size(STUCK_RECEIVE_BYTES)?;
    // A non-blocking connect returns EINPROGRESS (115).
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(nix::errno::Errno::EINPROGRESS as i32) => {
            Err(error)
        }
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}
