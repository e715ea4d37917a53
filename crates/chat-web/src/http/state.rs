//! What a connection is waiting for, and until when.
//!
//! Invariant: the functions compute with the instants that the caller passes, and read no clock.
//!
//! ```text
//!            first byte            complete head
//!  Waiting ------------->  Head  ----------------> Answering
//!     ^                                                |
//!     +------------------------------------------------+
//!                      the answer has ended
//! ```

use super::pace::{Cost, Pace};
use crate::limits::WebLimits;
use chat_core::Limits;
use chat_core::protocol::Dialect;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The state of one connection. Its stream, its service and its driver share it, all in one task.
pub(super) struct State(Mutex<Inner>);

struct Inner {
    phase: Phase,
    /// Since when the peer's socket has accepted no output, although output waits.
    blocked: Option<Instant>,
    pace: Pace,
    /// How many more requests the connection may send.
    requests_left: u32,
    /// The dialect that continues on the stream, once the peer has opened a WebSocket.
    dialect: Option<Box<dyn Dialect>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waiting { since: Instant },
    Head { since: Instant },
    Answering,
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
    pub(super) fn new(limits: &WebLimits, hub: &Limits, now: Instant) -> Self {
        Self(Mutex::new(Inner {
            phase: Phase::Head { since: now },
            blocked: None,
            pace: Pace::new(hub.rate, now),
            requests_left: limits.requests.get(),
            dialect: None,
        }))
    }

    /// Notes that bytes have arrived.
    pub(super) fn on_read(&self, now: Instant) {
        let mut inner = self.lock();
        if let Phase::Waiting { .. } = inner.phase {
            inner.phase = Phase::Head { since: now };
        }
    }

    /// Notes that the socket has accepted output.
    pub(super) fn on_written(&self) {
        self.lock().blocked = None;
    }

    /// Notes that the socket accepts no output at the moment.
    pub(super) fn on_blocked(&self, now: Instant) {
        self.lock().blocked.get_or_insert(now);
    }

    /// Begins a request, whose head is complete.
    pub(super) fn begin(&self, cost: Cost, now: Instant) -> Turn {
        let mut inner = self.lock();
        inner.phase = Phase::Answering;
        inner.requests_left = inner.requests_left.saturating_sub(1);
        Turn {
            at: inner.pace.take(cost, now),
            is_last: inner.requests_left == 0,
        }
    }

    /// Notes that the answer to the request has ended.
    pub(super) fn end(&self, now: Instant) {
        self.lock().phase = Phase::Waiting { since: now };
    }

    /// Returns whether the connection waits for a request, and nothing of one has arrived.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.lock().phase, Phase::Waiting { .. })
    }

    /// Returns until when the current wait may last, and what it is for. `None` if the connection waits for nothing
    /// that the peer must do.
    pub(super) fn deadline(
        &self,
        limits: &WebLimits,
        stall: Duration,
    ) -> Option<(Instant, TimedOut)> {
        let inner = self.lock();
        let phase = match inner.phase {
            Phase::Waiting { since } => Some((since + limits.idle_timeout, TimedOut::Idle)),
            Phase::Head { since } => Some((since + limits.header_timeout, TimedOut::Head)),
            Phase::Answering => None,
        };
        let stalled = inner
            .blocked
            .map(|since| (since + stall, TimedOut::Stalled));
        phase.into_iter().chain(stalled).min_by_key(|&(at, _)| at)
    }

    /// Sets the dialect that continues on the stream when the current answer is sent.
    pub(super) fn continue_with(&self, dialect: Box<dyn Dialect>) {
        self.lock().dialect = Some(dialect);
    }

    pub(super) fn take_dialect(&self) -> Option<Box<dyn Dialect>> {
        self.lock().dialect.take()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
