//! What a connection is waiting for, and until when.
//!
//! Invariant: the functions compute with the instants that the caller passes, and read no clock. While hyper may hold a
//! part of an answer that the socket has not taken, the connection waits for the socket only: neither a drain nor the
//! time without a request cuts the answer, and no other bytes are written into it.
//!
//! ```text
//!            first byte            complete head
//!  Waiting ------------->  Head  ----------------> Answering  <--->  Body
//!     ^                                                |               (a body is read)
//!     |                                                +----->  Streaming
//!     +------------------------------------------------+            |  (an endless answer)
//!     |                the answer has ended                         |
//!     +-------------------------------------------------------------+
//! ```
//!
//! Some facts do not depend on the phase:
//!
//! | flag | set by | cleared by |
//! | --- | --- | --- |
//! | `is_owed` | the head of a request (`begin`) | a flush after the end of its answer (`on_flushed`) |
//! | `blocked` | a write or a flush that waits (`on_blocked`) | one that succeeds (`on_written`, `on_flushed`) |
//! | `is_ahead` | input while a request is answered (`on_read`) | the head of the next request (`begin`) |
//! | `end_is_hidden` | the peer's end (`on_end`) | the moment when no answer is lost (`reveals_end`) |
//! | `paid_at` | input of an address in debt (`on_read`) | nothing; it is an instant, which passes |
//!
//! Known gap: of a request whose first bytes arrive in one read with the request before it, or with that request's
//! body, the state learns nothing until further bytes arrive. Until then the idle deadline holds for it, and not the
//! deadline for heads.

use super::pace::{Cost, Pace};
use crate::limits::WebLimits;
use chat_core::protocol::Dialect;
use chat_core::{AddressMeter, Limits};
use http::StatusCode;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The state of one connection. Its stream, its service and its driver share it, all in one task.
pub(super) struct State {
    /// Charges the peer's address for all that is read.
    meter: AddressMeter,
    inner: Mutex<Inner>,
}

struct Inner {
    phase: Phase,
    /// Whether hyper may hold output that the socket has not taken: from the beginning of a request until a flush
    /// after the end of its answer.
    is_owed: bool,
    /// Since when the peer's socket has accepted no output, although output waits.
    blocked: Option<Instant>,
    /// Whether bytes have arrived behind the request that is being answered.
    is_ahead: bool,
    /// Whether the peer has ended its side, and hyper was not told.
    end_is_hidden: bool,
    /// When the peer's address has paid for its input; `None` if it was never in debt.
    paid_at: Option<Instant>,
    /// hyper's own answer to a request that it can't parse.
    rejected: Option<StatusCode>,
    pace: Pace,
    /// How many more requests the connection may send.
    requests_left: u32,
    /// The dialect that continues on the stream, once the peer has opened a WebSocket.
    dialect: Option<Box<dyn Dialect>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// For a request. Nothing of one has arrived.
    Waiting { since: Instant },
    /// For the end of the head of a request.
    Head { since: Instant },
    /// A request is answered, or the answer waits for its turn.
    Answering,
    /// The body of the request is read.
    Body,
    /// The answer is endless.
    Streaming,
}

/// How a request begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    /// When the request may be answered.
    pub(super) at: Instant,
    /// Whether the connection accepts no further request.
    pub(super) is_last: bool,
}

/// What a connection has waited for in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimedOut {
    /// A request.
    Idle,
    /// The end of the head of a request.
    Head,
    /// The peer to take output.
    Stalled,
}

impl State {
    /// Creates the state of a connection whose first request has begun.
    pub(super) fn new(meter: AddressMeter, limits: &WebLimits, hub: &Limits, now: Instant) -> Self {
        let inner = Inner {
            phase: Phase::Head { since: now },
            is_owed: false,
            blocked: None,
            is_ahead: false,
            end_is_hidden: false,
            paid_at: None,
            rejected: None,
            pace: Pace::new(hub.rate, now),
            requests_left: limits.requests.get(),
            dialect: None,
        };
        Self {
            meter,
            inner: Mutex::new(inner),
        }
    }

    pub(super) const fn meter(&self) -> &AddressMeter {
        &self.meter
    }

    /// Notes that `count` bytes have arrived, and charges the peer's address for them.
    pub(super) fn on_read(&self, count: usize, now: Instant) {
        let debt = self.meter.charge_input(count);
        let mut inner = self.lock();
        inner.paid_at = debt.map(|debt| now + debt).max(inner.paid_at);
        match inner.phase {
            Phase::Waiting { .. } => inner.phase = Phase::Head { since: now },
            Phase::Answering | Phase::Streaming => inner.is_ahead = true,
            Phase::Head { .. } | Phase::Body => {}
        }
    }

    /// Notes that the peer has ended its side. Returns whether hyper must not learn this yet, because it would drop the
    /// answer: a peer that has sent its last request still receives the answer. A peer that ends its side during an
    /// endless answer, or inside the head of a request, is gone. One that ends it inside a body is answered; the reader
    /// of the body asks [`end_is_hidden`](Self::end_is_hidden).
    pub(super) fn on_end(&self) -> bool {
        let mut inner = self.lock();
        inner.end_is_hidden = inner.hides_end();
        inner.end_is_hidden
    }

    /// Returns whether the peer has ended its side, and hyper was not told.
    pub(super) fn end_is_hidden(&self) -> bool {
        self.lock().end_is_hidden
    }

    /// Returns whether hyper must look at its input again, because it may now learn that the peer has ended its side.
    pub(super) fn reveals_end(&self) -> bool {
        let mut inner = self.lock();
        let reveals = inner.end_is_hidden && !inner.hides_end();
        inner.end_is_hidden &= !reveals;
        reveals
    }

    /// Notes that the socket has accepted output.
    pub(super) fn on_written(&self) {
        self.lock().blocked = None;
    }

    /// Notes that the socket accepts no output at the moment.
    pub(super) fn on_blocked(&self, now: Instant) {
        self.lock().blocked.get_or_insert(now);
    }

    /// Notes that the socket has accepted all output that hyper had.
    pub(super) fn on_flushed(&self, now: Instant) {
        let mut inner = self.lock();
        inner.blocked = None;
        if inner.is_owed && matches!(inner.phase, Phase::Waiting { .. } | Phase::Head { .. }) {
            inner.is_owed = false;
            // The peer could not be expected to send its next request before.
            inner.phase = match inner.phase {
                Phase::Waiting { .. } if !inner.is_ahead => Phase::Waiting { since: now },
                _ => Phase::Head { since: now },
            };
        }
    }

    /// Returns whether hyper writes on its own: it answers a request that it can't parse.
    pub(super) fn is_unasked(&self) -> bool {
        let inner = self.lock();
        !inner.is_owed && matches!(inner.phase, Phase::Waiting { .. } | Phase::Head { .. })
    }

    /// Notes hyper's own answer to a request.
    pub(super) fn reject(&self, status: StatusCode) {
        self.lock().rejected = Some(status);
    }

    /// Returns the status of the answer to a request that hyper can't parse.
    pub(super) fn rejected(&self) -> Option<StatusCode> {
        self.lock().rejected
    }

    /// Begins a request, whose head is complete.
    pub(super) fn begin(&self, cost: Cost, now: Instant) -> Turn {
        let mut inner = self.lock();
        inner.phase = Phase::Answering;
        inner.is_owed = true;
        inner.is_ahead = false;
        inner.requests_left = inner.requests_left.saturating_sub(1);
        Turn {
            at: inner.pace.take(cost, now).max(inner.paid_at.unwrap_or(now)),
            is_last: inner.requests_left == 0,
        }
    }

    /// Notes that the body of the request is read from now on.
    pub(super) fn begin_body(&self) {
        self.lock().phase = Phase::Body;
    }

    /// Notes that the body of the request is read. Returns when the peer's address has paid for it.
    pub(super) fn end_body(&self) -> Option<Instant> {
        let mut inner = self.lock();
        inner.phase = Phase::Answering;
        inner.paid_at
    }

    /// Notes that the answer to the request is endless.
    pub(super) fn begin_stream(&self) {
        self.lock().phase = Phase::Streaming;
    }

    /// Notes that the answer to the request has ended. hyper may still hold a part of it.
    pub(super) fn end(&self, now: Instant) {
        self.lock().phase = Phase::Waiting { since: now };
    }

    /// Returns whether the connection waits for a request, nothing of one has arrived, and the socket has taken all
    /// earlier answers.
    pub(super) fn is_waiting(&self) -> bool {
        let inner = self.lock();
        matches!(inner.phase, Phase::Waiting { .. }) && !inner.is_owed
    }

    /// Returns until when the current wait may last, and what it is for. `None` if the connection waits for nothing
    /// that the peer must do.
    pub(super) fn deadline(
        &self,
        limits: &WebLimits,
        stall: Duration,
    ) -> Option<(Instant, TimedOut)> {
        let inner = self.lock();
        if let Some(since) = inner.blocked {
            return Some((since + stall, TimedOut::Stalled));
        }
        match inner.phase {
            _ if inner.is_owed => None,
            Phase::Waiting { since } => Some((since + limits.idle_timeout, TimedOut::Idle)),
            Phase::Head { since } => Some((since + limits.header_timeout, TimedOut::Head)),
            Phase::Answering | Phase::Body | Phase::Streaming => None,
        }
    }

    /// Sets the dialect that continues on the stream when the current answer is sent.
    pub(super) fn continue_with(&self, dialect: Box<dyn Dialect>) {
        self.lock().dialect = Some(dialect);
    }

    pub(super) fn take_dialect(&self) -> Option<Box<dyn Dialect>> {
        self.lock().dialect.take()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn hides_end(&self) -> bool {
        match self.phase {
            Phase::Streaming => false,
            // A body that is complete is answered, and so is one that is not.
            Phase::Answering | Phase::Body => true,
            Phase::Waiting { .. } | Phase::Head { .. } => self.is_owed,
        }
    }
}
