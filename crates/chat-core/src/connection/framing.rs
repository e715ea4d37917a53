//! The input of one connection: lines, or the items of its dialect's framing.
//!
//! Invariant: every item is bounded in length and in time, whether the input is lines or has another framing. This file
//! applies both bounds.

use crate::event::CloseReason;
use crate::limits::Limits;
use crate::line::{Inbound, Input, LineClock, Mode};
use crate::protocol::{self, Delimiter, Dialect};
use bytes::{Bytes, BytesMut};
use std::time::Duration;
use tokio::time::Instant;

/// Maximum bytes that a framing may keep in addition to one item of the maximum length: headers, and the bytes of one
/// read.
const SPARE_BYTES_MAX: usize = 64 * 1024;

/// The input of one connection, divided into items: lines, or frames of the dialect's own framing.
pub(super) enum Framing {
    /// The peer ends its messages with newlines or with silence.
    Lines(Input),
    /// The dialect's own framing divides the input. Boxed, so that a connection that sends lines keeps no memory for
    /// frames.
    Frames(Box<Frames>),
}

/// The input of a connection whose dialect has a framing of its own.
pub(super) struct Frames {
    framing: Box<dyn protocol::Framing>,
    item_bytes_max: usize,
    clock: LineClock,
    /// When the latest bytes were read.
    latest: Instant,
    /// Whether the framing kept too many bytes and was told to drop its unfinished frame.
    is_overfull: bool,
    /// Whether the framing kept too many bytes even after it was told to drop its unfinished frame.
    has_failed: bool,
    /// Whether the framing was already asked for the unterminated rest at the end of the stream.
    has_finished: bool,
}

impl Framing {
    /// Creates the input of a connection whose dialect is not known yet.
    pub(super) fn new(limits: &Limits, now: Instant) -> Self {
        Self::Lines(Input::new(limits, now))
    }

    /// Applies the framing of a dialect, and passes the input so far to that framing. Returns the bytes that the
    /// framing sends to the peer in return. If the dialect has no framing of its own, returns the answers to telnet
    /// commands that were withheld until now.
    pub(super) fn set_dialect(
        &mut self,
        dialect: &dyn Dialect,
        limits: &Limits,
        now: Instant,
    ) -> Bytes {
        let Self::Lines(input) = self else {
            return Bytes::new();
        };
        let options = dialect.options();
        let item_bytes_max = options.line_bytes.unwrap_or(limits.line_bytes).get();
        let Some(framing) = dialect.framing(item_bytes_max) else {
            if !options.silence_ends_text {
                input.set_lines_only();
            }
            if options.line_bytes.is_some() {
                input.set_line_bytes(item_bytes_max);
            }
            return input.take_answers().freeze();
        };
        let mut frames = Frames::new(framing, item_bytes_max, now);
        let answers = frames.push(&input.take_raw(), now);
        *self = Self::Frames(Box::new(frames));
        answers
    }

    /// Processes bytes that were read. Returns the bytes that the framing itself sends in return.
    pub(super) fn push(&mut self, bytes: &[u8], now: Instant) -> Bytes {
        match self {
            Self::Lines(input) => input.push(bytes, now),
            Self::Frames(frames) => frames.push(bytes, now),
        }
    }

    /// Takes the next line or frame, or the reason why it was rejected.
    pub(super) fn next(&mut self) -> Option<Inbound> {
        match self {
            Self::Lines(input) => input.next_line(),
            Self::Frames(frames) => frames.next(),
        }
    }

    /// Takes the unterminated rest of the input, at the end of the stream.
    pub(super) fn finish(&mut self) -> Option<Inbound> {
        match self {
            Self::Lines(input) => input.finish(),
            Self::Frames(frames) => frames.finish(),
        }
    }

    /// Returns whether the framing keeps more bytes than it may, so that the connection must end.
    pub(super) const fn has_failed(&self) -> bool {
        match self {
            Self::Lines(_) => false,
            Self::Frames(frames) => frames.has_failed,
        }
    }

    /// Returns whether the framing has found the end of the peer's input, such as a close frame, so that the connection
    /// must end.
    pub(super) fn has_ended(&self) -> bool {
        match self {
            Self::Lines(_) => false,
            Self::Frames(frames) => frames.framing.has_ended(),
        }
    }

    /// Returns whether there is input that [`next`](Self::next) has not returned yet.
    pub(super) fn has_pending(&self) -> bool {
        match self {
            Self::Lines(input) => !input.pending().is_empty(),
            Self::Frames(frames) => frames.framing.pending() > 0,
        }
    }

    /// Returns the input that [`next`](Self::next) has not returned yet, without telnet's commands and byte-order
    /// marks. Empty if the dialect has its own framing.
    pub(super) fn prefix(&self) -> &[u8] {
        match self {
            Self::Lines(input) => input.pending(),
            Self::Frames(_) => &[],
        }
    }

    /// Returns the first bytes as the peer sent them, if they differ from the [prefix](Self::prefix).
    pub(super) fn raw_prefix(&self) -> Option<&[u8]> {
        match self {
            Self::Lines(input) => input.raw(),
            Self::Frames(_) => None,
        }
    }

    /// Takes the withheld answers to telnet's commands.
    pub(super) fn take_answers(&mut self) -> Bytes {
        match self {
            Self::Lines(input) => input.take_answers().freeze(),
            Self::Frames(_) => Bytes::new(),
        }
    }

    /// Returns whether answers to telnet's commands are withheld.
    pub(super) fn has_answers(&self) -> bool {
        match self {
            Self::Lines(input) => input.has_answers(),
            Self::Frames(_) => false,
        }
    }

    /// Decides that the input consists of lines, whatever the dialect. Returns the answers to telnet commands, which
    /// were withheld until this decision.
    pub(super) fn decide_lines(&mut self) -> Bytes {
        match self {
            Self::Lines(input) => input.decide_lines().freeze(),
            Self::Frames(_) => Bytes::new(),
        }
    }

    /// Drops the input that [`next`](Self::next) has not returned yet.
    pub(super) fn discard(&mut self) {
        if let Self::Lines(input) = self {
            input.discard();
        }
    }

    /// Returns the maximum length of a line or frame in bytes.
    pub(super) const fn item_bytes_max(&self) -> usize {
        match self {
            Self::Lines(input) => input.line_bytes(),
            Self::Frames(frames) => frames.item_bytes_max,
        }
    }

    /// Returns whether the peer is known to send lines or frames. `false` if silence may end the peer's texts.
    pub(super) fn sends_items(&self) -> bool {
        match self {
            Self::Lines(input) => input.sends_lines(),
            Self::Frames(_) => true,
        }
    }

    /// Returns the time at which silence ends the unfinished message; `None` if silence does not end it. At that time,
    /// the caller must call [`next_silent`](Self::next_silent).
    pub(super) fn silence_deadline(&self, limits: &Limits) -> Option<Instant> {
        match self {
            Self::Lines(input) => input.deadline(limits),
            Self::Frames(_) => None,
        }
    }

    /// Takes a message that silence has ended. If this changes the delimiter of the peer's messages, also returns the
    /// new delimiter.
    pub(super) fn next_silent(&mut self) -> (Option<Inbound>, Option<Delimiter>) {
        let Self::Lines(input) = self else {
            return (None, None);
        };
        let before = input.mode();
        let inbound = input.next_silent();
        let delimiter = match input.mode() {
            mode if mode == before => None,
            Mode::Chunk => Some(Delimiter::Silence),
            Mode::Line | Mode::Undecided => Some(Delimiter::Newline),
        };
        (inbound, delimiter)
    }

    /// Returns the time at which the unfinished line or frame times out; `None` if its time is not limited, or while
    /// reading is paused.
    pub(super) fn item_deadline(&self, timeout: Option<Duration>) -> Option<Instant> {
        match self {
            Self::Lines(input) => input.timed_out_at(timeout?),
            Self::Frames(frames) => frames.clock.ends_at(timeout?),
        }
    }

    /// Drops the unfinished line or frame, and skips its remaining bytes.
    pub(super) fn give_up(&mut self) -> Inbound {
        match self {
            Self::Lines(input) => input.give_up(),
            Self::Frames(frames) => frames.give_up(),
        }
    }

    /// Returns whether the time of an unfinished line or frame is limited.
    pub(super) fn is_timed(&self) -> bool {
        match self {
            Self::Lines(input) => input.is_timed(),
            Self::Frames(frames) => frames.clock.is_running(),
        }
    }

    /// Stops the clock of an unfinished line or frame while the connection does not read.
    pub(super) fn set_paused(&mut self, is_paused: bool, now: Instant) {
        match self {
            Self::Lines(input) => input.set_paused(is_paused, now),
            Self::Frames(frames) => frames.clock.set_paused(is_paused, now),
        }
    }

    /// Appends the bytes with which this framing ends a connection, such as a close frame.
    pub(super) fn close(&mut self, reason: &CloseReason, out: &mut BytesMut) {
        if let Self::Frames(frames) = self {
            frames.framing.close(reason, out);
        }
    }
}

impl Frames {
    fn new(framing: Box<dyn protocol::Framing>, item_bytes_max: usize, now: Instant) -> Self {
        Self {
            framing,
            item_bytes_max,
            clock: LineClock::default(),
            latest: now,
            is_overfull: false,
            has_failed: false,
            has_finished: false,
        }
    }

    fn push(&mut self, bytes: &[u8], now: Instant) -> Bytes {
        let mut answers = BytesMut::new();
        self.latest = now;
        self.framing.push(bytes, &mut answers);
        answers.freeze()
    }

    fn next(&mut self) -> Option<Inbound> {
        let Some(inbound) = self.framing.next() else {
            return self.limit_unfinished();
        };
        // The following bytes belong to the next frame. The limits on time and length begin anew for that frame.
        self.clock = LineClock::default();
        self.is_overfull = false;
        Some(self.limited(inbound))
    }

    /// Limits the length and the time of a frame whose end has not arrived. The limits apply whether the framing keeps
    /// the bytes of the frame or skips them.
    fn limit_unfinished(&mut self) -> Option<Inbound> {
        if self.framing.pending() > self.item_bytes_max.saturating_add(SPARE_BYTES_MAX) {
            if self.is_overfull {
                self.has_failed = true;
                return None;
            }
            self.is_overfull = true;
            self.give_up();
            return Some(Inbound::Oversized);
        }
        self.is_overfull = false;
        if self.framing.is_unfinished() {
            self.clock.start(self.latest);
        } else {
            self.clock = LineClock::default();
        }
        None
    }

    fn finish(&mut self) -> Option<Inbound> {
        if std::mem::replace(&mut self.has_finished, true) {
            return None;
        }
        let inbound = self.framing.finish()?;
        Some(self.limited(inbound))
    }

    /// Replaces a frame that is longer than the limit with [`Inbound::Oversized`].
    fn limited(&self, inbound: Inbound) -> Inbound {
        match inbound {
            Inbound::Line(line) if line.byte_len() > self.item_bytes_max => Inbound::Oversized,
            inbound => inbound,
        }
    }

    fn give_up(&mut self) -> Inbound {
        self.framing.give_up();
        self.clock = LineClock::default();
        Inbound::Unfinished
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A framing that breaks the rules: it keeps all bytes, drops no unfinished frame, and never returns a complete
    /// one.
    struct Careless(usize);

    impl protocol::Framing for Careless {
        fn push(&mut self, bytes: &[u8], _: &mut BytesMut) {
            self.0 += bytes.len();
        }

        fn next(&mut self) -> Option<Inbound> {
            None
        }

        fn pending(&self) -> usize {
            self.0
        }

        fn is_unfinished(&self) -> bool {
            true
        }

        fn give_up(&mut self) {}

        fn finish(&mut self) -> Option<Inbound> {
            Some(Inbound::Line("x".repeat(self.0).as_str().into()))
        }

        fn frame(_: &[u8], _: &mut BytesMut) {}
    }

    const ITEM_BYTES_MAX: usize = 10;

    fn careless() -> Framing {
        Framing::Frames(Box::new(Frames::new(
            Box::new(Careless(0)),
            ITEM_BYTES_MAX,
            Instant::now(),
        )))
    }

    #[test]
    fn a_framing_is_asked_once_for_what_is_left_at_the_end() {
        for (length, left) in [
            (
                ITEM_BYTES_MAX,
                Inbound::Line("x".repeat(10).as_str().into()),
            ),
            (ITEM_BYTES_MAX + 1, Inbound::Oversized),
        ] {
            let mut framing = careless();
            framing.push(&vec![b'x'; length], Instant::now());
            assert_eq!(framing.next(), None);
            assert_eq!(framing.finish(), Some(left));
            assert_eq!(framing.finish(), None);
        }
    }

    #[test]
    fn a_framing_that_gives_nothing_up_fails() {
        let mut framing = careless();
        let most = vec![b'x'; ITEM_BYTES_MAX + SPARE_BYTES_MAX];
        framing.push(&most, Instant::now());
        assert_eq!(framing.next(), None);
        framing.push(b"x", Instant::now());
        assert_eq!(framing.next(), Some(Inbound::Oversized));
        assert!(!framing.has_failed());
        assert_eq!(framing.next(), None);
        assert!(framing.has_failed());
    }
}
