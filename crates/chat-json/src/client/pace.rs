//! Measures how fast the caller takes its events, and decides whether the client waits for the caller.
//!
//! Invariant: if the caller is slow, the client continues to read the connection, because it must answer pings. If the
//! caller is fast, the client stops reading until the caller has caught up. So a fast caller receives all messages
//! live.

use super::builder::EVENTS_MAX;
use std::time::Duration;
use tokio::time::Instant;

/// A caller is fast if it takes [`EVENTS_MAX`] events within this time. At this pace, the caller takes all messages of
/// a full kernel receive buffer (6 MiB) before the client must answer a ping.
const BRISK: Duration = Duration::from_millis(100);

/// The pace at which the caller takes events.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// The time at which the counting of `taken` began; `None` if no events wait for the caller.
    since: Option<Instant>,
    /// How many events the caller has taken since the time in `since`.
    taken: usize,
    /// The time until which the caller counts as fast.
    brisk_until: Option<Instant>,
}

impl Pace {
    /// Records that the caller has taken `taken` events. `more_waits` says whether further events wait for the caller.
    pub(super) fn note(&mut self, taken: usize, more_waits: bool, now: Instant) {
        let since = *self.since.get_or_insert(now);
        self.taken += taken;
        if self.taken >= EVENTS_MAX {
            if now < since + BRISK {
                self.brisk_until = Some(now + BRISK);
            }
            (self.since, self.taken) = (Some(now), 0);
        }
        if !more_waits {
            (self.since, self.taken) = (None, 0);
        }
    }

    /// Returns the time until which the client waits for a fast caller. Returns `None` if the client does not wait.
    pub(super) fn brisk_until(&self, now: Instant) -> Option<Instant> {
        self.brisk_until.filter(|until| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_brisk_caller_is_waited_for_and_not_for_long() {
        let mut pace = Pace::default();
        let mut now = Instant::now();
        for _ in 0..10 {
            pace.note(EVENTS_MAX / 2, true, now);
            now += BRISK / 4;
        }
        assert!(pace.brisk_until(now).is_some());
        assert_eq!(pace.brisk_until(now + BRISK), None, "it has stopped");
        let mut pace = Pace::default();
        for _ in 0..1_000 {
            pace.note(1, true, now);
            now += BRISK / 20;
        }
        assert_eq!(pace.brisk_until(now), None, "it is slow");
    }
}
