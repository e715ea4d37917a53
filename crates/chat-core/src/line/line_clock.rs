//! The time that an item may take from its beginning to its end.
//!
//! Invariant: only time in which the peer is read counts, because an item cannot end while nothing is read.

use std::time::Duration;
use tokio::time::Instant;

/// How long an unfinished item has been under way, the pauses not counted.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct LineClock {
    /// Since when the time of the item is limited.
    since: Option<Instant>,
    /// Since when nothing is read.
    paused: Option<Instant>,
}

impl LineClock {
    /// Limits the time of the item from `now` on, unless it is limited already.
    pub(crate) fn start(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// Whether the time of an item is limited.
    pub(crate) const fn is_running(&self) -> bool {
        self.since.is_some()
    }

    /// Stops the clock, or lets it run again: the time is put off by the length of the pause, however often this is
    /// called in between.
    pub(crate) fn set_paused(&mut self, is_paused: bool, now: Instant) {
        if is_paused {
            self.paused.get_or_insert(now);
        } else if let Some(paused) = self.paused.take() {
            self.since = self
                .since
                .map(|since| since + now.saturating_duration_since(paused.max(since)));
        }
    }

    /// When the item will have taken so long; `None` while nothing is read.
    pub(crate) fn ends_at(&self, timeout: Duration) -> Option<Instant> {
        if self.paused.is_some() {
            return None;
        }
        Some(self.since? + timeout)
    }
}
