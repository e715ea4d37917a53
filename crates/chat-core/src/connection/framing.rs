//! The input of one connection: lines, or the items of its dialect's framing.
//!
//! Invariant: every item is bounded in length and in time, whatever the framing. The rules for both are here.

use crate::limits::Limits;
use crate::line::{Inbound, Input, LineClock, Mode};
use crate::protocol::{self, Delimiter, Dialect};
use bytes::{Bytes, BytesMut};
use std::time::Duration;
use tokio::time::Instant;

/// How much more than the longest item a framing may keep: headers, and the bytes of one read.
const SPARE_BYTES_MAX: usize = 64 * 1024;

/// The input of one connection, divided into items.
pub(super) enum Framing {
    Lines(Input),
    /// Boxed, so that a connection that sends lines keeps no memory for it.
    Frames(Box<Frames>),
}

/// The input of a connection whose dialect has a framing of its own.
pub(super) struct Frames {
    framing: Box<dyn protocol::Framing>,
    item_bytes_max: usize,
    clock: LineClock,
    latest: Instant,
}

impl Framing {
    /// Creates the input of a connection whose dialect is not known yet.
    pub(super) fn new(limits: &Limits, now: Instant) -> Self {
        Self::Lines(Input::new(limits, now))
    }

    /// Applies the framing of a dialect, and gives it the input so far. Returns what the framing answers.
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
            return Bytes::new();
        };
        let mut frames = Frames {
            framing,
            item_bytes_max,
            clock: LineClock::default(),
            latest: now,
        };
        let answers = frames.push(&input.take_raw(), now);
        *self = Self::Frames(Box::new(frames));
        answers
    }

    /// Processes bytes that were read. Returns what the framing itself answers.
    pub(super) fn push(&mut self, bytes: &[u8], now: Instant) -> Bytes {
        match self {
            Self::Lines(input) => input.push(bytes, now),
            Self::Frames(frames) => frames.push(bytes, now),
        }
    }

    /// Takes the next item, complete or rejected.
    pub(super) fn next(&mut self) -> Option<Inbound> {
        match self {
            Self::Lines(input) => input.next_line(),
            Self::Frames(frames) => frames.next(),
        }
    }

    /// Takes what is left at the end of the stream.
    pub(super) fn finish(&mut self) -> Option<Inbound> {
        match self {
            Self::Lines(input) => input.finish(),
            Self::Frames(frames) => frames.framing.finish(),
        }
    }

    /// Whether there is input that was not taken yet.
    pub(super) fn has_pending(&self) -> bool {
        match self {
            Self::Lines(input) => !input.pending().is_empty(),
            Self::Frames(frames) => frames.framing.pending() > 0,
        }
    }

    /// The first bytes, which the detectors examine.
    pub(super) fn prefix(&self) -> &[u8] {
        match self {
            Self::Lines(input) => input.pending(),
            Self::Frames(_) => &[],
        }
    }

    /// Decides that the input is lines, whatever the dialect.
    pub(super) fn decide_lines(&mut self) {
        if let Self::Lines(input) = self {
            input.decide_lines();
        }
    }

    /// Drops the input that was not taken yet.
    pub(super) fn discard(&mut self) {
        if let Self::Lines(input) = self {
            input.discard();
        }
    }

    /// The longest item in bytes.
    pub(super) const fn item_bytes_max(&self) -> usize {
        match self {
            Self::Lines(input) => input.line_bytes(),
            Self::Frames(frames) => frames.item_bytes_max,
        }
    }

    /// Whether the peer is known to divide its input into items.
    pub(super) fn sends_items(&self) -> bool {
        match self {
            Self::Lines(input) => input.sends_lines(),
            Self::Frames(_) => true,
        }
    }

    /// When silence will end the message so far. Call [`next_silent`](Self::next_silent) then.
    pub(super) fn silence_deadline(&self, limits: &Limits) -> Option<Instant> {
        match self {
            Self::Lines(input) => input.deadline(limits),
            Self::Frames(_) => None,
        }
    }

    /// Takes the message that silence has ended, and how the peer's messages are delimited, if that has changed.
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

    /// When the unfinished item times out; `None` while nothing is read.
    pub(super) fn item_deadline(&self, timeout: Option<Duration>) -> Option<Instant> {
        match self {
            Self::Lines(input) => input.timed_out_at(timeout?),
            Self::Frames(frames) => frames.clock.ends_at(timeout?),
        }
    }

    /// Drops the unfinished item, and skips its remaining bytes.
    pub(super) fn give_up(&mut self) -> Inbound {
        match self {
            Self::Lines(input) => input.give_up(),
            Self::Frames(frames) => frames.give_up(),
        }
    }

    /// Whether the time of an unfinished item is limited.
    pub(super) fn is_timed(&self) -> bool {
        match self {
            Self::Lines(input) => input.is_timed(),
            Self::Frames(frames) => frames.clock.is_running(),
        }
    }

    /// Stops the clock of an unfinished item while nothing is read.
    pub(super) fn set_paused(&mut self, is_paused: bool, now: Instant) {
        match self {
            Self::Lines(input) => input.set_paused(is_paused, now),
            Self::Frames(frames) => frames.clock.set_paused(is_paused, now),
        }
    }

    /// Appends what ends the conversation in this framing.
    pub(super) fn close(&mut self, out: &mut BytesMut) {
        if let Self::Frames(frames) = self {
            frames.framing.close(out);
        }
    }
}

impl Frames {
    fn push(&mut self, bytes: &[u8], now: Instant) -> Bytes {
        let mut answers = BytesMut::new();
        self.latest = now;
        self.framing.push(bytes, &mut answers);
        answers.freeze()
    }

    fn next(&mut self) -> Option<Inbound> {
        let inbound = self.framing.next();
        match &inbound {
            None if self.framing.pending() > self.item_bytes_max + SPARE_BYTES_MAX => {
                self.give_up();
                return Some(Inbound::Oversized);
            }
            None if self.framing.pending() > 0 => self.clock.start(self.latest),
            Some(Inbound::Line(line)) if line.len() > self.item_bytes_max => {
                self.clock = LineClock::default();
                return Some(Inbound::Oversized);
            }
            // What follows is another item.
            _ => self.clock = LineClock::default(),
        }
        inbound
    }

    fn give_up(&mut self) -> Inbound {
        self.framing.give_up();
        self.clock = LineClock::default();
        Inbound::Unfinished
    }
}
