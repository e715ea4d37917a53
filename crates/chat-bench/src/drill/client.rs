//! A client that sends and reads lines.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, bail};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// How long one step of a drill may take at most, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// `PROBE` is an unknown command, and `PROBED` is the beginning of the server's answer. The server handles lines in
/// order. So once the answer arrives, the server has handled all lines that were sent before the command.
pub(crate) const PROBE: &str = "/answer\n";
pub(crate) const PROBED: &str = "! no such command: /answer ";

/// The most bytes of one read.
const READ_BYTES: usize = 64 * 1024;

/// A connection to the server, in the plain dialect unless a JSON hello is sent.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
}

/// The reading half of a connection. It splits the received bytes into lines.
#[derive(Debug)]
pub(crate) struct Reader {
    half: OwnedReadHalf,
    buffer: Vec<u8>,
    /// The part of `buffer` that is the current line.
    line: Range<usize>,
    /// The position after the end of the current line.
    next: usize,
    /// The position up to which `buffer` was searched for line ends.
    looked: usize,
    read_max: usize,
}

/// The writing half of a connection.
#[derive(Debug)]
pub(crate) struct Writer(OwnedWriteHalf);

impl Client {
    /// Connects to the server on `port`.
    pub(crate) async fn connect(port: u16) -> io::Result<Self> {
        Self::over(TcpStream::connect(address(port)).await?)
    }

    /// Connects with a receive buffer of about `bytes`. A small buffer soon fills if the client does not read.
    pub(crate) async fn connect_small(port: u16, bytes: u32) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(bytes)?;
        Self::over(socket.connect(address(port)).await?)
    }

    /// Connects from the loopback address `source`, so that the server sees clients with different addresses.
    pub(crate) async fn connect_from(port: u16, source: Ipv4Addr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        // Lets clients with different source addresses use the same port.
        SockRef::from(&socket).set_reuse_address(true)?;
        socket.bind((source, 0).into())?;
        Self::over(socket.connect(address(port)).await?)
    }

    fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        Ok(Self {
            reader: Reader {
                half: reader,
                buffer: Vec::new(),
                line: 0..0,
                next: 0,
                looked: 0,
                read_max: READ_BYTES,
            },
            writer: Writer(writer),
        })
    }

    /// Connects and takes a nick.
    pub(crate) async fn arrive(port: u16, nick: &str) -> anyhow::Result<Self> {
        let mut client = Self::connect(port).await?;
        client.take_nick(nick).await?;
        Ok(client)
    }

    /// Requests a nick and waits until the server grants it.
    pub(crate) async fn take_nick(&mut self, nick: &str) -> anyhow::Result<()> {
        let answer = format!("* you are now {nick}");
        self.ask(&format!("/nick {nick}\n"), &answer).await?;
        Ok(())
    }

    /// Joins a room and waits until the server confirms the join.
    pub(crate) async fn go_to(&mut self, room: &str) -> anyhow::Result<()> {
        self.writer
            .send(format!("/join {room}\n").as_bytes())
            .await?;
        let end = format!(" in {room}");
        self.reader
            .until(|line| line.starts_with("* you are ") && line.ends_with(&end))
            .await?;
        Ok(())
    }

    /// Sends a line, and reads until the line that begins with `answer`.
    pub(crate) async fn ask(&mut self, line: &str, answer: &str) -> anyhow::Result<String> {
        self.writer.send(line.as_bytes()).await?;
        self.reader
            .until(|line| line.starts_with(answer))
            .await
            .with_context(|| format!("after {line:?}"))
    }

    /// Sends lines and waits until the server has handled all of them.
    pub(crate) async fn does(&mut self, lines: &str) -> anyhow::Result<()> {
        self.ask(&format!("{lines}\n{PROBE}"), PROBED).await?;
        Ok(())
    }

    /// Like [`ask`](Self::ask), with two possible answers.
    pub(crate) async fn ask_either(
        &mut self,
        line: &str,
        answer: &str,
        other: &str,
    ) -> anyhow::Result<String> {
        self.writer.send(line.as_bytes()).await?;
        self.reader
            .until(|line| line.starts_with(answer) || line.starts_with(other))
            .await
            .with_context(|| format!("after {line:?}"))
    }

    /// Returns the number of a room's members, as the answer to `/who` reports it.
    pub(crate) async fn count(&mut self, room: &str) -> anyhow::Result<usize> {
        // The server may send a lagging member a list of members, which looks like the answer to `/who`. The probe is
        // answered after that list, so the list is skipped.
        self.ask(PROBE, PROBED).await?;
        let begins = format!("* {room}: ");
        let answer = self.ask(&format!("/who {room}\n"), &begins).await?;
        let count = answer[begins.len()..].split(' ').next();
        count
            .and_then(|count| count.parse().ok())
            .with_context(|| format!("no count in {answer:?}"))
    }

    /// Closes the connection with a reset, as a peer that crashes does.
    pub(crate) fn cut(self) -> io::Result<()> {
        SockRef::from(self.writer.0.as_ref()).set_linger(Some(Duration::ZERO))?;
        // Dropping the writing half would shut it down, and the server would see an orderly end before the reset.
        self.writer.0.forget();
        Ok(())
    }
}

impl Writer {
    /// Sends all of `bytes`.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        timeout(PATIENCE, self.0.write_all(bytes))
            .await
            .context("the server does not read")?
            .context("sending")
    }
}

impl Reader {
    /// Sets the size of the receive buffer. With a receive window of a few KiB, the sender mostly waits for TCP's
    /// persist timer, and sends only about 10 KiB a second.
    pub(crate) fn widen(&self, bytes: usize) -> io::Result<()> {
        SockRef::from(self.half.as_ref()).set_recv_buffer_size(bytes)
    }

    /// Sets the most bytes that one read returns.
    pub(crate) fn read_at_most(&mut self, bytes: usize) {
        self.read_max = bytes;
    }

    /// Reads the next line, which [`line`](Self::line) then returns. Returns `false` at the end of the stream. Cancel
    /// safe.
    pub(crate) async fn next(&mut self) -> io::Result<bool> {
        loop {
            if self.next_buffered() {
                return Ok(true);
            }
            if self.fill().await? == 0 {
                return Ok(false);
            }
        }
    }

    /// Moves to the next line. Returns `false` if the buffer holds no complete line.
    pub(crate) fn next_buffered(&mut self) -> bool {
        let Some(found) = memchr::memchr(b'\n', &self.buffer[self.looked..]) else {
            self.looked = self.buffer.len();
            return false;
        };
        let end = self.looked + found;
        self.line = self.next..end;
        (self.next, self.looked) = (end + 1, end + 1);
        true
    }

    /// Reads once. Returns the number of bytes, or 0 at the end of the stream. Cancel safe.
    pub(crate) async fn fill(&mut self) -> io::Result<usize> {
        self.buffer.drain(..self.next);
        self.looked -= self.next;
        (self.line, self.next) = (0..0, 0);
        self.buffer.reserve(self.read_max);
        let mut limited = (&mut self.half).take(self.read_max as u64);
        limited.read_buf(&mut self.buffer).await
    }

    /// The current line, without the line end.
    pub(crate) fn line(&self) -> &[u8] {
        &self.buffer[self.line.clone()]
    }

    /// Reads until a line for which the condition holds, and returns that line.
    pub(crate) async fn until(
        &mut self,
        is_wanted: impl Fn(&str) -> bool,
    ) -> anyhow::Result<String> {
        let mut last = String::new();
        let looking = async {
            while self.next().await? {
                let line = String::from_utf8_lossy(self.line());
                if is_wanted(&line) {
                    return Ok(line.into_owned());
                }
                last = line.into_owned();
            }
            bail!("the server closed the connection")
        };
        let found = timeout(PATIENCE, looking)
            .await
            .context("no answer")
            .flatten();
        found.with_context(|| format!("(the last line was {last:?})"))
    }

    /// Reads to the end of the stream, and discards what it reads.
    pub(crate) async fn read_out(&mut self) -> anyhow::Result<()> {
        let reading = async {
            while self.fill().await? > 0 {
                (self.next, self.looked) = (self.buffer.len(), self.buffer.len());
            }
            Ok(())
        };
        timeout(PATIENCE, reading)
            .await
            .context("the server does not close the connection")?
    }
}

/// Parses a line such as `14:02 NICK: text`. Returns the nick and the text, or `None` for other lines.
pub(crate) fn said(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = match line.split_at_checked(6) {
        Some((clock, rest)) if clock[0].is_ascii_digit() && clock[2] == b':' => rest,
        _ => return None,
    };
    let colon = memchr::memchr(b':', rest)?;
    Some((&rest[..colon], rest[colon..].strip_prefix(b": ")?))
}

/// Returns the number of missed messages in a line such as `* 12 messages missed`. `None` for other lines.
pub(crate) fn missed(line: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(line).ok()?.strip_prefix("* ")?;
    let (count, rest) = text.split_once(' ')?;
    matches!(rest, "message missed" | "messages missed")
        .then(|| count.parse().ok())
        .flatten()
}

fn address(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_gaps_are_recognised() {
        assert_eq!(said(b"14:02 kim: a: b"), Some((&b"kim"[..], &b"a: b"[..])));
        assert_eq!(said(b"14:02 * kim waves"), None);
        assert_eq!(said(b"* kim set the topic: x"), None);
        assert_eq!(missed(b"* 1 message missed"), Some(1));
        assert_eq!(missed(b"* 12 messages missed"), Some(12));
        assert_eq!(missed(b"* messages missed"), None);
    }
}
