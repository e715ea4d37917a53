//! A member on a bare TCP connection, like `nc` or a small program.

use std::collections::VecDeque;
use std::fmt::Display;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Instant;

use super::{DEADLINE, Server};

/// A member on a TCP connection. All tests check that each line received is UTF-8 without control characters.
#[derive(Debug)]
pub(crate) struct Member {
    name: String,
    stream: TcpStream,
    /// The received part of an incomplete line.
    partial: Vec<u8>,
    unread: VecDeque<String>,
    transcript: VecDeque<String>,
    begun: Instant,
}

impl Member {
    /// Connects and sends nothing. `name` is used only in the transcript.
    pub(crate) fn connect(server: &Server, name: &str) -> Self {
        let stream = TcpStream::connect(server.address()).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Self {
            name: name.to_owned(),
            stream,
            partial: Vec::new(),
            unread: VecDeque::new(),
            transcript: VecDeque::new(),
            begun: Instant::now(),
        }
    }

    /// Connects and takes a nick.
    pub(crate) fn arrive(server: &Server, nick: &str) -> Self {
        let mut member = Self::connect(server, nick);
        member.says(&format!("/nick {nick}"));
        member.sees(&format!("* you are now {nick}"));
        member
    }

    /// Waits for the greeting of a new member that has sent nothing. Returns the guest's nick in the greeting.
    pub(crate) fn is_greeted(&mut self) -> String {
        let greeting = self.sees_part("* you are guest-");
        let nick = greeting.split_whitespace().nth(3);
        nick.expect("the greeting names the guest").to_owned()
    }

    /// Sends a line.
    pub(crate) fn says(&mut self, line: &str) {
        self.sends(format!("{line}\n"));
    }

    /// Sends bytes without adding a newline.
    pub(crate) fn sends(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        self.note(
            '>',
            String::from_utf8_lossy(&bytes[..bytes.len().min(NOTE_BYTES_MAX)]),
        );
        if let Err(error) = self.stream.write_all(bytes) {
            self.fail(format!("can't send: {error}"));
        }
    }

    /// Closes the sending half of the connection.
    pub(crate) fn half_closes(&mut self) {
        self.note('>', "(half-close)");
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Waits for exactly this line, with any time of day before it. Skips other lines.
    pub(crate) fn sees(&mut self, line: &str) {
        self.hears_until(line);
    }

    /// Waits for a line that contains `part`, and returns this line. Skips other lines.
    pub(crate) fn sees_part(&mut self, part: &str) -> String {
        let mut skipped = Vec::new();
        self.collect_until(&mut skipped, part, |line| line.contains(part))
    }

    /// Waits for exactly this line. Returns the earlier lines, without their times of day.
    pub(crate) fn hears_until(&mut self, last: &str) -> Vec<String> {
        let mut heard = Vec::new();
        self.collect_until(&mut heard, last, |line| untimed(line) == last);
        heard
    }

    /// Waits for a line that contains `part`. Returns the earlier lines, without their times of day.
    pub(crate) fn hears_until_part(&mut self, part: &str) -> Vec<String> {
        let mut heard = Vec::new();
        self.collect_until(&mut heard, part, |line| line.contains(part));
        heard
    }

    /// Returns the next line.
    pub(crate) fn next_line(&mut self) -> String {
        match self.receive(Instant::now() + DEADLINE) {
            Received::Line(line) => line,
            Received::Closed => self.fail("the server closed the connection"),
            Received::Nothing => self.fail("waited for any line"),
        }
    }

    /// Returns the next line without its time of day.
    pub(crate) fn next_line_untimed(&mut self) -> String {
        untimed(&self.next_line()).to_owned()
    }

    /// Waits until the server has closed the connection. Returns the lines received until then.
    pub(crate) fn hears_the_end(&mut self) -> Vec<String> {
        let mut heard = Vec::new();
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.receive(deadline) {
                Received::Line(line) => heard.push(untimed(&line).to_owned()),
                Received::Closed => return heard,
                Received::Nothing => self.fail("waited for the end of the connection"),
            }
        }
    }

    /// Returns another handle of the connection, for bytes that are not lines, or for another thread.
    pub(crate) fn raw(&self) -> TcpStream {
        self.stream.try_clone().unwrap()
    }

    /// Fails the test, and prints what this member sent and received.
    pub(crate) fn fail(&self, what: impl Display) -> ! {
        let mut transcript = String::new();
        for line in &self.transcript {
            transcript += line;
            transcript.push('\n');
        }
        panic!(
            "{}: {what}\n--- transcript of {}:\n{transcript}",
            self.name, self.name
        );
    }

    fn collect_until(
        &mut self,
        heard: &mut Vec<String>,
        what: &str,
        is_last: impl Fn(&str) -> bool,
    ) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.receive(deadline) {
                Received::Line(line) if is_last(&line) => return line,
                Received::Line(line) => heard.push(untimed(&line).to_owned()),
                Received::Closed => self.fail(format!("the server closed before {what:?}")),
                Received::Nothing => self.fail(format!("waited for {what:?}")),
            }
        }
    }

    fn receive(&mut self, deadline: Instant) -> Received {
        let mut buffer = vec![0; 64 * 1024];
        while self.unread.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Received::Nothing;
            }
            self.stream.set_read_timeout(Some(left)).unwrap();
            match self.stream.read(&mut buffer) {
                Ok(0) => return self.closed(),
                Ok(read) => self.split(&buffer[..read]),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => return Received::Nothing,
                    ErrorKind::Interrupted => {}
                    ErrorKind::ConnectionReset => return self.closed(),
                    _ => self.fail(error),
                },
            }
        }
        let line = self.unread.pop_front().expect("the loop ends with a line");
        self.note('<', &line);
        Received::Line(line)
    }

    fn split(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.partial.extend_from_slice(piece);
            if !piece.ends_with(b"\n") {
                return;
            }
            self.partial.pop();
            let line = std::mem::take(&mut self.partial);
            match String::from_utf8(line) {
                Ok(line) if !line.contains(is_forbidden) => self.unread.push_back(line),
                Ok(line) => self.fail(format!("received control characters: {line:?}")),
                Err(error) => self.fail(format!("received no UTF-8: {error}")),
            }
        }
    }

    fn closed(&mut self) -> Received {
        self.note('<', "(end)");
        if !self.partial.is_empty() {
            self.fail(format!("the last line has no end: {:?}", self.partial));
        }
        Received::Closed
    }

    fn note(&mut self, direction: char, what: impl Display) {
        if self.transcript.len() == TRANSCRIPT_MAX {
            self.transcript.pop_front();
        }
        let at = self.begun.elapsed().as_secs_f32();
        self.transcript
            .push_back(format!("{at:7.3} {direction} {what}"));
    }
}

enum Received {
    Line(String),
    Closed,
    Nothing,
}

/// Lets `speaker` say something. Returns the lines that `listener` receives before this message. A line that is not in
/// the result was not sent to `listener` before the message.
pub(crate) fn hears_from(listener: &mut Member, speaker: &mut Member) -> Vec<String> {
    let fence = format!("so much for that, {}", listener.name);
    speaker.says(&fence);
    listener.hears_until(&format!("{}: {fence}", speaker.name))
}

/// Lets `speaker` say twelve megabytes, which `listener` reads. For a member that does not read, the kernel buffers
/// less than twelve megabytes.
pub(crate) fn talk_a_lot(speaker: &mut Member, listener: &mut Member) {
    let text = "x".repeat(4_000);
    for _ in 0..30 {
        speaker.sends(format!("{text}\n").repeat(100));
        hears_from(listener, speaker);
    }
}

/// Reads bytes until the other side closes the connection. The bytes need not be lines.
pub(crate) fn read_to_the_end(mut stream: &TcpStream) -> Vec<u8> {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut received = Vec::new();
    match stream.read_to_end(&mut received) {
        Ok(_) => received,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => received,
        Err(error) => panic!("{error}; received {:?}", String::from_utf8_lossy(&received)),
    }
}

/// Removes the time of day at the start of a line. No other line can begin like a time, because no nick begins with a
/// digit.
pub(crate) fn untimed(line: &str) -> &str {
    match line.as_bytes() {
        [a, b, b':', c, d, b' ', ..] if [a, b, c, d].iter().all(|byte| byte.is_ascii_digit()) => {
            &line[6..]
        }
        _ => line,
    }
}

/// Returns whether a character is unsafe for a terminal: a control character other than tab, or a bidirectional
/// control.
fn is_forbidden(c: char) -> bool {
    c != '\t' && (c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
}

/// The most lines that a transcript keeps.
const TRANSCRIPT_MAX: usize = 100;

/// The most bytes of a sent text that a transcript shows.
const NOTE_BYTES_MAX: usize = 200;
