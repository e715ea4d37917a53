//! The server `floor`: one thread, one epoll loop, no protocol. It shows what a delivery costs the kernel alone.
//!
//! Each chunk that the server reads is written to every other socket, with one write for each socket. A chunk always
//! ends with a complete line: an incomplete line waits for its end, because otherwise the lines of two publishers would
//! mix.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

use super::BACKLOG;
use crate::peer::GREETING;
use crate::readiness::{Until, read_some, write_some};

const LISTENER: Token = Token(usize::MAX);

/// The most bytes of one read.
const READ_BYTES: usize = 256 * 1024;

/// A socket whose unsent bytes exceed this is closed, so that a client that never reads costs bounded memory.
const BACKLOG_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Serves until the process is killed.
pub(crate) fn serve(port: u16) -> io::Result<()> {
    let mut floor = Floor::bind(port)?;
    let mut events = Events::with_capacity(1024);
    loop {
        match floor.poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            if event.token() == LISTENER {
                floor.accept()?;
                continue;
            }
            if event.is_writable() {
                floor.flush(event.token().0);
            }
            if event.is_readable() || event.is_read_closed() {
                floor.receive(event.token().0, Until::of(event));
            }
        }
    }
}

#[derive(Debug)]
struct Floor {
    poll: Poll,
    listener: TcpListener,
    members: Vec<Option<Member>>,
    free: Vec<usize>,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Member {
    stream: TcpStream,
    /// Bytes that the socket has not accepted yet.
    backlog: Vec<u8>,
    /// The received part of an incomplete line.
    cut: Vec<u8>,
}

impl Floor {
    fn bind(port: u16) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
        socket.listen(BACKLOG)?;
        let mut listener = TcpListener::from_std(socket.into());
        let poll = Poll::new()?;
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            listener,
            members: Vec::new(),
            free: Vec::new(),
            buffer: vec![0; READ_BYTES],
        })
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => self.admit(stream)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn admit(&mut self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let index = self.free.pop().unwrap_or(self.members.len());
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(&mut stream, Token(index), interest)?;
        let mut member = Member {
            stream,
            backlog: Vec::new(),
            cut: Vec::new(),
        };
        let is_open = member.send(GREETING);
        if index == self.members.len() {
            self.members.push(None);
        }
        if is_open {
            self.members[index] = Some(member);
        } else {
            self.free.push(index);
        }
        Ok(())
    }

    fn receive(&mut self, index: usize, until: Until) {
        loop {
            let Some(member) = self.members.get_mut(index).and_then(Option::as_mut) else {
                return;
            };
            let held = member.cut.len();
            self.buffer[..held].copy_from_slice(&member.cut);
            let length = match read_some(&mut member.stream, &mut self.buffer[held..]) {
                Ok(None) => return,
                Ok(Some(0)) | Err(_) => return self.close(index),
                Ok(Some(count)) => held + count,
            };
            member.cut.clear();
            // The last line end is nearly always the last byte. A line that fills the buffer is passed on incomplete.
            let whole = match memchr::memrchr(b'\n', &self.buffer[..length]) {
                Some(end) => end + 1,
                None if length == self.buffer.len() => length,
                None => 0,
            };
            member.cut.extend_from_slice(&self.buffer[whole..length]);
            self.fan_out(index, whole);
            if length < self.buffer.len() && until == Until::Short {
                return;
            }
        }
    }

    fn fan_out(&mut self, sender: usize, length: usize) {
        for index in 0..self.members.len() {
            if index == sender || length == 0 {
                continue;
            }
            let Some(member) = self.members[index].as_mut() else {
                continue;
            };
            if !member.send(&self.buffer[..length]) {
                self.close(index);
            }
        }
    }

    fn flush(&mut self, index: usize) {
        let Some(member) = self.members.get_mut(index).and_then(Option::as_mut) else {
            return;
        };
        if member.backlog.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut member.backlog);
        if !member.send(&waiting) {
            self.close(index);
        }
    }

    fn close(&mut self, index: usize) {
        if self.members[index].take().is_some() {
            self.free.push(index);
        }
    }
}

impl Member {
    /// Writes `bytes`, and keeps what the socket does not accept. Returns `false` if the socket must be closed.
    fn send(&mut self, bytes: &[u8]) -> bool {
        let sent = if self.backlog.is_empty() {
            match write_some(&mut self.stream, bytes) {
                Ok(sent) => sent,
                Err(_) => return false,
            }
        } else {
            0
        };
        if sent < bytes.len() {
            self.backlog.extend_from_slice(&bytes[sent..]);
        }
        self.backlog.len() <= BACKLOG_BYTES_MAX
    }
}
