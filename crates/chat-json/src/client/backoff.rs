//! The delay before the next attempt to connect.

use std::ops::RangeInclusive;
use std::time::Duration;

/// The delay after the first failed attempt, before jitter.
const FIRST: Duration = Duration::from_millis(200);

/// The longest delay, before jitter.
const LONGEST: Duration = Duration::from_secs(30);

/// Each delay is multiplied by a random percentage in this range. So clients that were disconnected at the same time do
/// not reconnect at the same time.
const SPREAD: RangeInclusive<u32> = 50..=100;

/// Computes the delay before each attempt to connect. The delay doubles with each failed attempt.
#[derive(Debug, Clone, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Returns the delay before the next attempt, and counts one more failure.
    pub(super) fn next(&mut self) -> Duration {
        let wait = FIRST
            .saturating_mul(1 << self.failures.min(16))
            .min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        wait * fastrand::u32(SPREAD) / 100
    }

    /// Starts again with the first delay, because the server has accepted a connection.
    pub(super) const fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew() {
        let mut backoff = Backoff::default();
        for expected_ms in [
            200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000,
        ] {
            let (wait, expected) = (backoff.next(), Duration::from_millis(expected_ms));
            assert!(expected / 2 <= wait && wait <= expected, "{wait:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}
