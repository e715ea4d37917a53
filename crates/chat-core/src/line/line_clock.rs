//! Measures the time that an unfinished line or frame takes.
//!
//! Invariant: time counts only while the connection reads, because no line can end while the connection does not read.

use std::time::Duration;
use tokio::time::Instant;

/// The time since the clock was started, less the time in which reading was paused.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct LineClock {
    /// The time at which the clock started, moved forward by the length of each pause. `None` if the clock has not
    /// started.
    since: Option<Instant>,
    /// The time at which the current pause in reading began; `None` if there is no pause.
    paused: Option<Instant>,
}

impl LineClock {
    /// Starts the clock at `now`, unless it runs already.
    pub(crate) fn start(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// Returns whether the clock has started.
    pub(crate) const fn is_running(&self) -> bool {
        self.since.is_some()
    }

    /// Pauses or resumes the clock. Resuming moves the deadline by the length of the pause. Repeated calls with the
    /// same value have no effect.
    pub(crate) fn set_paused(&mut self, is_paused: bool, now: Instant) {
        if is_paused {
            self.paused.get_or_insert(now);
        } else if let Some(paused) = self.paused.take() {
            self.since = self
                .since
                .map(|since| since + now.saturating_duration_since(paused.max(since)));
        }
    }

    /// Returns the time at which the line or frame exceeds `timeout`; `None` if the clock has not started or is paused.
    pub(crate) fn ends_at(&self, timeout: Duration) -> Option<Instant> {
        if self.paused.is_some() {
            return None;
        }
        Some(self.since? + timeout)
    }
}
