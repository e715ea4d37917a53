//! What one connection has sent and what has become of it: lines, or chunks of a client that sends no newline.
//!
//! Invariant: pure transitions of (state, bytes, now). Silence ends a text only until the first newline has come;
//! from then on a line is a line, however slowly it arrives.
//!
//! ```text
//!                newline                        three chunks of one byte
//!   Undecided --------------> Line <-----------------------------------------+
//!       |                                                                     |
//!       +-- 200 ms of silence after complete UTF-8 --> Chunk (50 ms each) ----+
//! ```

use crate::limits::Limits;
use crate::line::{Inbound, LineCodec};
use crate::telnet::Telnet;
use bytes::{Buf, Bytes, BytesMut};
use tokio::time::Instant;
use tokio_util::codec::Decoder;

/// How many single bytes in a row show that a terminal sends each key as it is pressed.
const SINGLE_BYTES_MAX: u8 = 3;

/// U+FEFF in UTF-8: .NET's `StreamWriter`, for one, begins with it.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The input of one connection.
#[derive(Debug)]
pub(crate) struct Input {
    codec: LineCodec,
    /// `None`: the dialect is not for terminals, and bytes are what they are.
    telnet: Option<Telnet>,
    buffer: BytesMut,
    mode: Mode,
    /// A text has begun and not ended.
    has_text: bool,
    /// When its latest bytes came.
    latest: Instant,
    single_bytes: u8,
    /// Nothing but a part of a byte-order mark has come yet.
    is_at_start: bool,
}

/// What ends a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A newline, or silence: then that decides.
    Undecided,
    /// A newline.
    Line,
    /// A newline, or a short silence.
    Chunk,
}

impl Input {
    pub(crate) fn new(limits: &Limits, now: Instant) -> Self {
        Self {
            codec: LineCodec::new(limits.line_bytes.get()),
            telnet: Some(Telnet::default()),
            buffer: BytesMut::new(),
            mode: Mode::Undecided,
            has_text: false,
            latest: now,
            single_bytes: 0,
            is_at_start: true,
        }
    }

    /// Takes bytes that came; returns what telnet wants answered.
    pub(crate) fn push(&mut self, bytes: &[u8], now: Instant) -> Bytes {
        let mut refusals = BytesMut::new();
        let before = self.buffer.len();
        match &mut self.telnet {
            Some(telnet) => telnet.strip(bytes, &mut self.buffer, &mut refusals),
            None => self.buffer.extend_from_slice(bytes),
        }
        if self.buffer.len() > before {
            self.latest = now;
            self.has_text = true;
        }
        if self.is_at_start {
            self.skip_mark();
        }
        refusals.freeze()
    }

    /// Drops a byte-order mark from the beginning of the input, once all of it has come.
    fn skip_mark(&mut self) {
        if self.buffer.starts_with(BYTE_ORDER_MARK) {
            self.buffer.advance(BYTE_ORDER_MARK.len());
            self.has_text = !self.buffer.is_empty();
            self.is_at_start = false;
        } else {
            self.is_at_start = BYTE_ORDER_MARK.starts_with(&self.buffer);
        }
    }

    pub(crate) const fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether the peer is known to work by lines: it has sent one, or its dialect has nothing else.
    pub(crate) fn sends_lines(&self) -> bool {
        match self.mode {
            Mode::Line => true,
            Mode::Chunk => false,
            Mode::Undecided => self.buffer.contains(&b'\n'),
        }
    }

    /// Lets only newlines end a text from now on and knows no telnet, as every dialect but plain has it.
    pub(crate) fn set_lines_only(&mut self) {
        self.mode = Mode::Line;
        self.telnet = None;
    }

    /// Drops what has come and not been taken yet.
    pub(crate) fn discard(&mut self) {
        self.buffer = BytesMut::new();
        self.has_text = false;
    }

    /// Sets the longest line in bytes, for a dialect that has a limit of its own.
    pub(crate) const fn set_line_bytes(&mut self, line_bytes_max: usize) {
        self.codec.set_line_bytes_max(line_bytes_max);
    }

    /// The longest line in bytes.
    pub(crate) const fn line_bytes(&self) -> usize {
        self.codec.line_bytes_max()
    }

    /// What has come and not been taken yet.
    pub(crate) fn pending(&self) -> &[u8] {
        &self.buffer
    }

    /// Takes the next line.
    pub(crate) fn next_line(&mut self) -> Option<Inbound> {
        let was_skipping = self.codec.is_skipping();
        // Decoding a line cannot fail: what is wrong with one is an item.
        let inbound = self.codec.decode(&mut self.buffer).ok().flatten();
        if self.buffer.is_empty() {
            // An idle connection holds no buffer.
            self.buffer = BytesMut::new();
        }
        if self.buffer.is_empty() && !self.codec.is_skipping() {
            self.has_text = false;
        }
        let saw_newline = inbound.is_some() || was_skipping;
        if saw_newline && !self.codec.is_skipping() && self.mode == Mode::Undecided {
            self.mode = Mode::Line;
        }
        inbound
    }

    /// When silence will have ended the text that is there; call [`next_silent`](Self::next_silent) then.
    pub(crate) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        let silence = match self.mode {
            Mode::Line => return None,
            _ if !self.has_text => return None,
            _ if self.has_open_character() => limits.prefix_timeout,
            Mode::Undecided => limits.first_chunk_after,
            Mode::Chunk => limits.chunk_after,
        };
        Some(self.latest + silence)
    }

    /// Takes the text that silence has ended.
    pub(crate) fn next_silent(&mut self) -> Option<Inbound> {
        if self.buffer.is_empty() && !self.codec.is_skipping() {
            self.has_text = false;
            return None;
        }
        if self.buffer.len() == 1 {
            self.single_bytes += 1;
            if self.single_bytes >= SINGLE_BYTES_MAX {
                self.mode = Mode::Line;
                return None;
            }
        } else {
            self.single_bytes = 0;
        }
        self.mode = Mode::Chunk;
        self.finish()
    }

    /// Takes what is left: the end of the stream has come.
    pub(crate) fn finish(&mut self) -> Option<Inbound> {
        self.has_text = false;
        if self.buffer.last() == Some(&b'\r') {
            self.buffer.truncate(self.buffer.len() - 1);
        }
        self.codec.take_unterminated(&mut self.buffer)
    }

    /// The text ends within a character whose rest must still be on its way.
    fn has_open_character(&self) -> bool {
        let tail = &self.buffer[self.buffer.len().saturating_sub(4)..];
        let start = tail
            .iter()
            .rposition(|byte| !matches!(byte, 0x80..=0xbf))
            .unwrap_or(0);
        std::str::from_utf8(&tail[start..]).is_err_and(|error| error.error_len().is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    struct Peer {
        input: Input,
        limits: Limits,
        now: Instant,
        found: Vec<String>,
    }

    impl Peer {
        fn new() -> Self {
            let (limits, now) = (Limits::default(), Instant::now());
            Self {
                input: Input::new(&limits, now),
                limits,
                now,
                found: Vec::new(),
            }
        }

        fn sends(&mut self, bytes: &[u8]) -> &mut Self {
            let refusals = self.input.push(bytes, self.now);
            assert!(refusals.is_empty());
            while let Some(inbound) = self.input.next_line() {
                self.note(inbound);
            }
            self
        }

        fn waits(&mut self, millis: u64) -> &mut Self {
            self.now += Duration::from_millis(millis);
            while self
                .input
                .deadline(&self.limits)
                .is_some_and(|deadline| deadline <= self.now)
            {
                if let Some(inbound) = self.input.next_silent() {
                    self.note(inbound);
                }
            }
            self
        }

        fn note(&mut self, inbound: Inbound) {
            self.found.push(match inbound {
                Inbound::Line(line) => line.to_string(),
                rejected => format!("{rejected:?}"),
            });
        }

        fn shows(&mut self, expected: &[&str]) -> &mut Self {
            assert_eq!(self.found, expected);
            self
        }
    }

    #[test]
    fn a_newline_makes_lines_and_silence_never_cuts_one_again() {
        Peer::new()
            .sends(b"hello\n")
            .sends(b"one ")
            .waits(60_000)
            .shows(&["hello"])
            .sends(b"line\n")
            .shows(&["hello", "one line"]);
    }

    #[test]
    fn silence_after_complete_text_makes_chunks() {
        let mut peer = Peer::new();
        peer.sends("안녕".as_bytes())
            .waits(199)
            .shows(&[])
            .waits(1)
            .shows(&["안녕"]);
        peer.sends(b"a b")
            .waits(49)
            .shows(&["안녕"])
            .waits(1)
            .shows(&["안녕", "a b"]);
        peer.sends(b"c\nd")
            .shows(&["안녕", "a b", "c"])
            .waits(50)
            .shows(&["안녕", "a b", "c", "d"]);
    }

    #[test]
    fn half_a_character_waits_for_its_rest() {
        let (text, mut peer) = ("안녕".as_bytes(), Peer::new());
        peer.sends(&text[..4])
            .waits(1000)
            .shows(&[])
            .sends(&text[4..])
            .waits(200)
            .shows(&["안녕"]);
        peer.sends(&text[..1])
            .waits(5000)
            .shows(&["안녕", "NotUtf8"]);
    }

    #[test]
    fn half_a_character_at_the_end_of_a_long_text_waits_too() {
        let mut peer = Peer::new();
        peer.sends(b"first").waits(200);
        for _ in 0..150 {
            peer.sends(b"x").waits(40);
        }
        let (head, tail) = "안".as_bytes().split_at(1);
        peer.sends(head).waits(60).sends(tail).waits(50);
        peer.shows(&["first", &format!("{}안", "x".repeat(150))]);
    }

    #[test]
    fn a_negotiation_is_no_text() {
        let mut peer = Peer::new();
        let refusals = peer.input.push(b"\xff\xfb\x18", peer.now);
        assert_eq!(&refusals[..], [255, 254, 24]);
        peer.waits(1000)
            .sends(b"hel")
            .waits(100)
            .sends(b"lo\r\n")
            .shows(&["hello"]);
        assert_eq!(peer.input.mode(), Mode::Line);
    }

    #[test]
    fn a_terminal_that_sends_each_key_is_read_by_lines() {
        let mut peer = Peer::new();
        for key in [b"h", b"e", b"l", b"l", b"o"] {
            peer.sends(key).waits(300);
        }
        peer.shows(&["h", "e"])
            .sends(b"\r\0")
            .shows(&["h", "e", "llo"]);
    }

    #[test]
    fn an_endless_chunk_is_rejected_once_and_ends_with_silence() {
        let mut peer = Peer::new();
        peer.sends(&[b'x'; 9000])
            .sends(&[b'x'; 9000])
            .waits(200)
            .sends(b"ok")
            .waits(200)
            .shows(&["Oversized", "ok"]);
    }

    #[test]
    fn the_newline_of_an_endless_line_makes_lines_too() {
        let mut peer = Peer::new();
        peer.sends(&[b'x'; 9000])
            .sends(b"\nhalf ")
            .waits(1000)
            .sends(b"a line\n");
        peer.shows(&["Oversized", "half a line"]);
    }

    #[test]
    fn an_idle_input_holds_no_buffer() {
        let mut peer = Peer::new();
        peer.sends(&[b'x'; 4096]).sends(b"\n");
        assert_eq!(peer.input.buffer.capacity(), 0);
    }
}
