//! How long to wait before the next attempt to connect.

use std::ops::RangeInclusive;
use std::time::Duration;

/// The first wait, before it is spread.
const FIRST: Duration = Duration::from_millis(200);

/// The longest wait, before it is spread.
const LONGEST: Duration = Duration::from_secs(30);

/// What part of a wait is really waited, in percent: clients that were cut together don't come back together.
const SPREAD: RangeInclusive<u32> = 50..=100;

/// Waits that double with each failure.
#[derive(Debug, Clone, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The time to wait now.
    pub(super) fn next(&mut self) -> Duration {
        let wait = FIRST
            .saturating_mul(1 << self.failures.min(16))
            .min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        wait * fastrand::u32(SPREAD) / 100
    }

    /// A connection succeeded.
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
