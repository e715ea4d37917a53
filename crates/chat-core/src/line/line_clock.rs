//! The time that an unfinished item has taken since it began.
//!
//! Invariant: time counts only while the peer is read, because an item can't end while nothing is read.

use std::time::Duration;
use tokio::time::Instant;

/// Measures how long an item has been unfinished, not counting the time in which reading was paused.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct LineClock {
    /// When the clock started, moved forward by the length of each pause. `None` if the item's time is not limited.
    since: Option<Instant>,
    /// When the current pause in reading began; `None` if there is no pause.
    paused: Option<Instant>,
}

impl LineClock {
    /// Starts to limit the time of the item at `now`, unless it is limited already.
    pub(crate) fn start(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// Returns whether the time of an item is limited.
    pub(crate) const fn is_running(&self) -> bool {
        self.since.is_some()
    }

    /// Pauses the clock or resumes it. Resuming moves the deadline by the length of the pause. Repeated calls with the
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

    /// Returns when the item exceeds `timeout`; `None` if its time is not limited, or while reading is paused.
    pub(crate) fn ends_at(&self, timeout: Duration) -> Option<Instant> {
        if self.paused.is_some() {
            return None;
        }
        Some(self.since? + timeout)
    }
}
