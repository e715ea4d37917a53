//! The input of one connection, divided into lines, or into chunks if the client sends no newline.
//!
//! Invariant: transitions are pure functions of (state, bytes, now). Silence ends a text only before the first newline
//! arrives. After the first newline, only a newline ends a line, however slowly the line arrives.
//!
//! ```text
//!                newline                        three chunks of one byte
//!   Undecided --------------> Line <-----------------------------------------+
//!       |                                                                     |
//!       +-- 200 ms of silence after complete UTF-8 --> Chunk (50 ms each) ----+
//! ```
//!
//! In the modes where silence ends a text, a read may bring bytes that can never become UTF-8. The text then ends with
//! that read, and the text of earlier reads becomes a separate item. A NUL ends a text but does not decide the mode.

use crate::limits::Limits;
use crate::line::codec::{Inbound, LineCodec, Nul};
use crate::line::line_clock::LineClock;
use crate::line::telnet::Telnet;
use crate::line::{charset, telnet};
use crate::text;
use bytes::{Buf, Bytes, BytesMut};
use std::borrow::Cow;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::codec::Decoder;

/// After this many consecutive chunks of one byte, the peer counts as a terminal that sends each key as it is pressed.
const SINGLE_BYTES_MAX: u8 = 3;

/// The bytes with which a telnet command or a byte-order mark can begin. Telnet commands and byte-order marks are
/// removed from the input.
const RAW_BYTES: [u8; 3] = [0xef, 0xfe, 0xff];

/// The byte-order mark, U+FEFF, in UTF-8. For example, .NET's `StreamWriter` sends the mark first.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The input of one connection.
#[derive(Debug)]
pub(crate) struct Input {
    codec: LineCodec,
    /// Removes telnet commands. `None` if the dialect is not for terminals, because telnet is then not interpreted.
    telnet: Option<Telnet>,
    buffer: BytesMut,
    mode: Mode,
    /// Whether bytes of a text have arrived whose end has not arrived yet.
    has_text: bool,
    /// The time at which the latest bytes of the text arrived.
    latest: Instant,
    /// The number of consecutive chunks of one byte so far.
    single_bytes: u8,
    /// Whether the next line is the first one. The terminator of the first line decides whether a NUL ends the later
    /// lines.
    is_first_line: bool,
    start: Start,
    /// The length in bytes above which the time of an unfinished line is limited.
    untimed_bytes: u32,
    /// The state of a text whose end has not arrived. Boxed, because an idle connection has no such text.
    unfinished: Option<Box<Unfinished>>,
    /// The input as the peer sent it, kept until the dialect is known. `None` if the input does not differ from
    /// `buffer`.
    raw: Option<Box<Raw>>,
    /// The most bytes that may arrive before the dialect is known. If more bytes arrive, the input counts as lines.
    prefix_max: u32,
    /// Whether the dialect is not known yet. Until it is known, the input may belong to a dialect without lines.
    is_undecided: bool,
}

/// The unmodified input of a connection whose dialect is not known yet.
#[derive(Debug)]
struct Raw {
    bytes: BytesMut,
    /// The answers to telnet commands in the input. They are not sent until the dialect is known, because the input may
    /// belong to a protocol other than telnet.
    answers: BytesMut,
}

/// How much of a possible byte-order mark has arrived at the start of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// Nothing has arrived, or only a part of UTF-8's byte-order mark.
    Open,
    /// The first byte of UTF-16's byte-order mark has arrived. It is held back, because it may begin a telnet command.
    HeldOne,
    /// Both bytes of UTF-16's byte-order mark have arrived and are held back.
    HeldTwo,
    /// The input can no longer begin with a byte-order mark.
    Over,
}

/// The state of a text whose end has not arrived. All numbers are offsets in the buffer.
#[derive(Debug, Default, Clone, Copy)]
struct Unfinished {
    /// The text before this offset is complete UTF-8.
    valid: u32,
    /// The offset at which the latest read begins.
    read: u32,
    /// The offset at which a chain of reads begins. The chain ends with the latest read. Each of its reads but the
    /// first begins within a character.
    text: u32,
    /// The end of a range of bytes that begins at `text`. The range contains an invalid byte, so no further input can
    /// make it valid UTF-8. 0 if the buffer has no such range.
    hopeless: u32,
    /// Measures how long the text has been unfinished. The clock starts once the text is longer than
    /// [`Input::untimed_bytes`].
    clock: LineClock,
}

/// What ends a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A newline or a silence, whichever comes first. The first newline or silence also decides the mode.
    Undecided,
    /// A newline.
    Line,
    /// A newline or a short silence.
    Chunk,
}

impl Input {
    pub(crate) fn new(limits: &Limits, now: Instant) -> Self {
        let mut codec = LineCodec::new(limits.line_bytes.get());
        codec.set_nul(Nul::EndsLine);
        Self {
            codec,
            telnet: Some(Telnet::default()),
            buffer: BytesMut::new(),
            mode: Mode::Undecided,
            has_text: false,
            latest: now,
            single_bytes: 0,
            is_first_line: false,
            start: Start::Open,
            // A person may type key by key. So the time of a line is limited only once the line is longer than the
            // longest message.
            untimed_bytes: place(limits.text_bytes.get()),
            unfinished: None,
            raw: None,
            prefix_max: place(limits.prefix_bytes.get()),
            is_undecided: true,
        }
    }

    /// Decides that the input consists of lines. Drops the copy of the input as the peer sent it. Returns the withheld
    /// answers to telnet commands.
    pub(crate) fn decide_lines(&mut self) -> BytesMut {
        self.is_undecided = false;
        self.raw
            .take()
            .map_or_else(BytesMut::new, |raw| raw.answers)
    }

    /// Takes the input as the peer sent it, because the dialect has its own framing.
    pub(crate) fn take_raw(&mut self) -> BytesMut {
        match self.raw.take() {
            Some(raw) => raw.bytes,
            None => std::mem::take(&mut self.buffer),
        }
    }

    /// Returns the input as the peer sent it. Returns `None` if the dialect is known, or if the
    /// [pending](Self::pending) input is already the input as the peer sent it.
    pub(crate) fn raw(&self) -> Option<&[u8]> {
        self.raw.as_ref().map(|raw| &raw.bytes[..])
    }

    /// Removes and returns the withheld answers to telnet commands. The caller must have ruled out that the input
    /// belongs to another protocol.
    pub(crate) fn take_answers(&mut self) -> BytesMut {
        let raw = self.raw.as_mut();
        raw.map_or_else(BytesMut::new, |raw| std::mem::take(&mut raw.answers))
    }

    /// Returns whether the input withholds answers to telnet commands.
    pub(crate) fn has_answers(&self) -> bool {
        self.raw.as_ref().is_some_and(|raw| !raw.answers.is_empty())
    }

    /// Keeps a copy of all input as the peer sent it. The copy is made once a byte arrives that may begin a telnet
    /// command or a byte-order mark. If the copy exceeds `prefix_max` bytes, drops the copy and returns the withheld
    /// answers to telnet's commands.
    fn keep_raw(&mut self, bytes: &[u8]) -> BytesMut {
        if self.raw.is_none() && bytes.iter().any(|byte| RAW_BYTES.contains(byte)) {
            self.raw = Some(Box::new(Raw {
                bytes: self.buffer.clone(),
                answers: BytesMut::new(),
            }));
        }
        match &mut self.raw {
            // The dialect is still unknown after `prefix_max` bytes, so the input counts as lines.
            Some(raw) if raw.bytes.len() > self.prefix_max as usize => return self.decide_lines(),
            Some(raw) => raw.bytes.extend_from_slice(bytes),
            None => {}
        }
        BytesMut::new()
    }

    /// Adds bytes that were read. Returns the answers to telnet's commands. While the input may belong to another
    /// protocol, the answers are withheld; see [`take_answers`](Self::take_answers).
    pub(crate) fn push(&mut self, bytes: &[u8], now: Instant) -> Bytes {
        let mut answers = match self.is_undecided {
            true => self.keep_raw(bytes),
            false => BytesMut::new(),
        };
        self.interpret(bytes, now, &mut answers);
        match &mut self.raw {
            Some(raw) => {
                raw.answers.unsplit(answers);
                Bytes::new()
            }
            None => answers.freeze(),
        }
    }

    /// Removes telnet's commands and byte-order marks from bytes that were read, and appends the remaining bytes to the
    /// buffer. Appends the answers to telnet's commands to `answers`.
    fn interpret(&mut self, bytes: &[u8], now: Instant, answers: &mut BytesMut) {
        let before = self.buffer.len();
        let bytes = match self.hold_mark(bytes) {
            Cow::Owned(held) if held.is_empty() => return,
            bytes => bytes,
        };
        match &mut self.telnet {
            Some(telnet) => telnet.strip(&bytes, &mut self.buffer, answers),
            None => self.buffer.extend_from_slice(&bytes),
        }
        if self.buffer.len() > before {
            self.latest = now;
            self.has_text = true;
            if self.ends_with_silence() {
                self.unfinished.get_or_insert_default().begin_read(before);
            }
        }
        if self.start != Start::Over {
            self.skip_mark();
        }
        self.judge();
    }

    /// Distinguishes UTF-16's byte-order mark from a telnet command, which may begin with the same bytes. Returns the
    /// bytes to interpret now; empty while more bytes are needed to decide. In UTF-16 input, telnet is not interpreted.
    fn hold_mark<'a>(&mut self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let held = match self.start {
            Start::Over => return Cow::Borrowed(bytes),
            Start::Open if !self.buffer.is_empty() => return Cow::Borrowed(bytes),
            Start::Open => 0,
            Start::HeldOne => 1,
            Start::HeldTwo => 2,
        };
        self.start = Start::Open;
        if !self.telnet.as_ref().is_some_and(Telnet::is_unused) {
            return Cow::Borrowed(bytes);
        }
        let bytes = match held {
            0 => Cow::Borrowed(bytes),
            _ => Cow::Owned([&charset::UTF16_LE_MARK[..held], bytes].concat()),
        };
        if charset::UTF16_LE_MARK.starts_with(&bytes) {
            self.start = match bytes.len() {
                0 => Start::Open,
                1 => Start::HeldOne,
                _ => Start::HeldTwo,
            };
            return Cow::Owned(Vec::new());
        }
        if charset::starts_with_mark(&bytes) && !telnet::is_refusal(&bytes) {
            self.telnet = None;
            self.start = Start::Over;
        }
        bytes
    }

    /// Checks whether the unfinished text can still become UTF-8. Does nothing in [`Mode::Line`], where silence does
    /// not end a text.
    fn judge(&mut self) {
        if self.ends_with_silence() && !self.buffer.is_empty() && !self.codec.is_skipping() {
            self.unfinished.get_or_insert_default().judge(&self.buffer);
        }
    }

    fn ends_with_silence(&self) -> bool {
        self.mode != Mode::Line && self.telnet.is_some()
    }

    /// Drops a byte-order mark from the start of the input, once the whole mark has arrived.
    fn skip_mark(&mut self) {
        if self.buffer.starts_with(BYTE_ORDER_MARK) {
            self.buffer.advance(BYTE_ORDER_MARK.len());
            self.unfinished = None;
            self.has_text = !self.buffer.is_empty();
            self.start = Start::Over;
        } else if !BYTE_ORDER_MARK.starts_with(&self.buffer) {
            self.start = Start::Over;
        }
    }

    pub(crate) const fn mode(&self) -> Mode {
        self.mode
    }

    /// Returns whether the peer is known to send lines: the peer has sent a newline, or its dialect has only lines.
    pub(crate) fn sends_lines(&self) -> bool {
        match self.mode {
            Mode::Line => true,
            Mode::Chunk => false,
            Mode::Undecided => self.buffer.contains(&b'\n'),
        }
    }

    /// Stops silence from ending texts, and stops interpreting telnet. Every dialect but plain needs this. After this
    /// call, a NUL ends lines only if it ends the next line.
    pub(crate) fn set_lines_only(&mut self) {
        self.mode = Mode::Line;
        self.telnet = None;
        self.is_first_line = true;
        self.untimed_bytes = 0;
    }

    /// Drops the input that has not been taken yet.
    pub(crate) fn discard(&mut self) {
        self.buffer = BytesMut::new();
        self.has_text = false;
    }

    /// Sets the most bytes that a line may have, for a dialect with its own limit.
    pub(crate) const fn set_line_bytes(&mut self, line_bytes_max: usize) {
        self.codec.set_line_bytes_max(line_bytes_max);
    }

    pub(crate) const fn line_bytes(&self) -> usize {
        self.codec.line_bytes_max()
    }

    /// Returns the input that has not been taken yet.
    pub(crate) fn pending(&self) -> &[u8] {
        &self.buffer
    }

    /// Takes the next line, or the reason why a line was rejected.
    pub(crate) fn next_line(&mut self) -> Option<Inbound> {
        let before = self.buffer.len();
        // Decoding can't fail: an invalid line is an item.
        let inbound = self.codec.decode(&mut self.buffer).ok().flatten();
        if self.buffer.is_empty() {
            // An empty buffer is freed, so that an idle connection holds no buffer.
            self.buffer = BytesMut::new();
        }
        if self.buffer.is_empty() && !self.codec.is_skipping() {
            self.has_text = false;
        }
        let has_newline = self.codec.take_newline() && !self.codec.is_skipping();
        if has_newline && self.mode == Mode::Undecided {
            self.mode = Mode::Line;
        }
        if self.is_first_line && inbound.is_some() {
            self.is_first_line = false;
            if has_newline {
                self.codec.set_nul(Nul::IsText);
            }
        }
        if self.buffer.len() < before {
            self.unfinished = None;
        }
        if inbound.is_none() {
            self.judge();
            if self.buffer.len() > self.untimed_bytes as usize {
                let unfinished = self.unfinished.get_or_insert_default();
                unfinished.clock.start(self.latest);
            }
        }
        inbound.map(|inbound| self.edited(inbound))
    }

    /// Returns the time at which the unfinished line will have taken longer than `timeout`. Returns `None` if the time
    /// of the line is not limited, or while reading is paused.
    pub(crate) fn timed_out_at(&self, timeout: Duration) -> Option<Instant> {
        self.unfinished.as_ref()?.clock.ends_at(timeout)
    }

    /// Returns whether the time of an unfinished line is limited.
    pub(crate) fn is_timed(&self) -> bool {
        let unfinished = self.unfinished.as_ref();
        unfinished.is_some_and(|unfinished| unfinished.clock.is_running())
    }

    /// Stops the clock of an unfinished line while the connection does not read.
    pub(crate) fn set_paused(&mut self, is_paused: bool, now: Instant) {
        if let Some(unfinished) = &mut self.unfinished {
            unfinished.clock.set_paused(is_paused, now);
        }
    }

    /// Drops the unfinished line. The rest of the line is skipped when it arrives.
    pub(crate) fn give_up(&mut self) -> Inbound {
        self.codec.skip_line(&mut self.buffer);
        self.unfinished = None;
        Inbound::Unfinished
    }

    /// Returns the time at which silence ends the current text; `None` if silence does not end it. At that time, the
    /// caller calls [`next_silent`](Self::next_silent).
    pub(crate) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        let silence = match self.mode {
            Mode::Line => return None,
            _ if !self.has_text => return None,
            _ if self.is_hopeless() => return Some(self.latest),
            _ if self.has_open_character() => limits.prefix_timeout,
            Mode::Undecided => limits.first_chunk_after,
            Mode::Chunk => limits.chunk_after,
        };
        Some(self.latest + silence)
    }

    /// Takes the text in the buffer once the peer's silence has ended the text. If the text can't become UTF-8, takes
    /// only its next part.
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
        let Some(unfinished) = self.unfinished.as_mut() else {
            return self.finish();
        };
        let end = match (unfinished.hopeless, unfinished.text) {
            (0, _) => return self.finish(),
            // The text before `begin` becomes an item of its own. The next call takes the bytes that can't be UTF-8.
            (_, begin @ 1..) => begin,
            (hopeless, 0) => hopeless,
        };
        let mut part = self.buffer.split_to(end as usize);
        unfinished.advance(end);
        self.judge();
        self.has_text = !self.buffer.is_empty();
        self.end(&mut part)
    }

    /// Takes the remaining text at the end of the stream.
    pub(crate) fn finish(&mut self) -> Option<Inbound> {
        self.has_text = false;
        self.unfinished = None;
        let mut text = std::mem::take(&mut self.buffer);
        self.end(&mut text)
    }

    /// Returns a text without a newline as a line. Removes a carriage return at the end of the text.
    fn end(&mut self, text: &mut BytesMut) -> Option<Inbound> {
        if text.last() == Some(&b'\r') {
            text.truncate(text.len() - 1);
        }
        let inbound = self.codec.take_unterminated(text)?;
        Some(self.edited(inbound))
    }

    /// Removes the characters that backspaces in the line delete, if the dialect is for terminals.
    fn edited(&self, inbound: Inbound) -> Inbound {
        match inbound {
            Inbound::Line(line) if self.telnet.is_some() => match text::apply_backspaces(&line) {
                Cow::Borrowed(_) => Inbound::Line(line),
                Cow::Owned(left) => Inbound::Line(left.as_str().into()),
            },
            inbound => inbound,
        }
    }

    fn is_hopeless(&self) -> bool {
        let hopeless = self.unfinished.as_ref().map(|text| text.hopeless);
        hopeless.is_some_and(|end| end > 0)
    }

    /// Returns whether the text ends within a character whose remaining bytes have not arrived yet.
    fn has_open_character(&self) -> bool {
        let tail = &self.buffer[self.buffer.len().saturating_sub(4)..];
        let start = tail
            .iter()
            .rposition(|byte| !matches!(byte, 0x80..=0xbf))
            .unwrap_or(0);
        std::str::from_utf8(&tail[start..]).is_err_and(|error| error.error_len().is_none())
    }
}

impl Unfinished {
    /// Records that the latest read begins at this offset.
    fn begin_read(&mut self, at: usize) {
        self.read = place(at);
        if self.valid == self.read {
            self.text = self.read;
        }
    }

    /// Records that this many bytes were taken from the beginning of the buffer.
    fn advance(&mut self, taken: u32) {
        *self = Self {
            valid: self.valid.saturating_sub(taken),
            read: self.read.saturating_sub(taken),
            text: self.text.saturating_sub(taken),
            hopeless: 0,
            clock: LineClock::default(),
        };
    }

    fn judge(&mut self, buffer: &[u8]) {
        let rest = buffer.get(self.valid as usize..).unwrap_or_default();
        match std::str::from_utf8(rest) {
            Ok(text) => self.valid += place(text.len()),
            Err(error) => {
                self.valid += place(error.valid_up_to());
                if error.error_len().is_some() {
                    // If the invalid character began in an earlier read, the text up to the latest read can't become
                    // UTF-8. Otherwise, all the text in the buffer can't become UTF-8.
                    let is_earlier = self.valid < self.read;
                    self.hopeless = if is_earlier {
                        self.read
                    } else {
                        place(buffer.len())
                    };
                }
            }
        }
    }
}

/// Converts an offset in a buffer to `u32`. A buffer holds at most one line and one read, so the offset always fits.
fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            .shows(&["안녕", "NotUtf8(None)"]);
    }

    /// Two Korean syllables in code page 949.
    const KOREAN: &[u8] = b"\xbe\xc8\xb3\xe7";

    #[test]
    fn what_can_not_become_utf8_is_told_at_once() {
        let cp949 = "NotUtf8(Some(Cp949))";
        let mut peer = Peer::new();
        peer.sends(KOREAN).waits(0).shows(&[cp949]);
        peer.sends(b"ok").waits(50).shows(&[cp949, "ok"]);
        peer.sends(KOREAN).waits(0).shows(&[cp949, "ok", cp949]);
    }

    #[test]
    fn the_neighbours_of_what_is_no_utf8_are_neither_lost_nor_fused() {
        let cp949 = "NotUtf8(Some(Cp949))";
        let mut peer = Peer::new();
        peer.sends(b"first")
            .sends(KOREAN)
            .waits(0)
            .shows(&["first", cp949]);
        peer.sends(b"second")
            .waits(50)
            .shows(&["first", cp949, "second"]);
        // The text ends with half a character, which the next text does not complete.
        let mut peer = Peer::new();
        peer.sends(b"first")
            .sends(b"bad \xed")
            .sends("다음".as_bytes())
            .waits(0);
        peer.shows(&["first", "NotUtf8(None)"]).waits(50);
        peer.shows(&["first", "NotUtf8(None)", "다음"]);
        // Half a character that the next read completes does not end the text.
        let (mut peer, text) = (Peer::new(), "한글".as_bytes());
        peer.sends(b"a ")
            .sends(&text[..4])
            .sends(&text[4..])
            .sends(KOREAN)
            .waits(0);
        peer.shows(&["a 한글", cp949]);
    }

    #[test]
    fn a_nul_ends_a_text_and_decides_nothing() {
        let mut peer = Peer::new();
        peer.sends(b"two\0three\0").shows(&["two", "three"]);
        assert_eq!(peer.input.mode(), Mode::Undecided);
        peer.sends(b"four")
            .waits(200)
            .shows(&["two", "three", "four"]);
        peer.sends(b"five\0six")
            .shows(&["two", "three", "four", "five"]);
        let mut peer = Peer::new();
        peer.sends(b"a\n")
            .sends(b"b\0c\0d\r\0")
            .shows(&["a", "b", "c", "d"]);
        peer.sends(b"hello\0\0\0")
            .shows(&["a", "b", "c", "d", "hello", "", ""]);
    }

    #[test]
    fn a_backspace_deletes_the_character_before_it() {
        let mut peer = Peer::new();
        peer.sends("안녀\x7f녕하\x08\n".as_bytes()).shows(&["안녕"]);
        peer.sends(b"\x7f\x7fa\n").shows(&["안녕", "a"]);
    }

    #[test]
    fn telnet_and_utf16_are_told_apart_by_what_follows() {
        // Korean and ASCII texts with a byte-order mark arrive whole or in two pieces.
        for text in ["\u{feff}안녕\n", "\u{feff}hi\n", "\u{feff}가나\n"] {
            let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            for first in [1, 2, bytes.len()] {
                let mut peer = Peer::new();
                let (first, rest) = bytes.split_at(first);
                for piece in [first, rest] {
                    let refusals = peer.input.push(piece, peer.now);
                    assert!(refusals.is_empty());
                }
                assert_eq!(peer.input.pending(), bytes, "{text:?}");
            }
        }
        for telnet in [
            &b"\xff\xfe\x01hi"[..],
            b"\xff\xfe\x01\xff\xfe\x03hi",
            b"\xff\xfd\x03hi",
        ] {
            for first in 1..telnet.len() {
                let mut peer = Peer::new();
                let (first, rest) = telnet.split_at(first);
                let _answers = [first, rest].map(|piece| peer.input.push(piece, peer.now));
                assert_eq!(peer.input.pending(), b"hi", "{telnet:?}");
            }
        }
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
        assert!(peer.input.push(b"\xff\xfb\x18", peer.now).is_empty());
        assert_eq!(peer.input.raw(), Some(&b"\xff\xfb\x18"[..]));
        assert_eq!(&peer.input.take_answers()[..], [255, 254, 24]);
        assert!(!peer.input.has_answers());
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
