//! How fast one connection may send requests.
//!
//! Invariant: the functions compute with the instants that the caller passes, and read no clock. No request is dropped:
//! the caller learns when it may be answered.

use chat_core::Rate;
use std::time::Duration;
use tokio::time::Instant;

/// What a request costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cost {
    /// One token, as a line costs.
    Request,
    /// An eighth of a token. A file of the page is in memory, its answer needs no room, and a page has more files than
    /// the burst has tokens.
    File,
}

/// A token bucket of the hub's [`Limits::rate`](chat_core::Limits::rate).
#[derive(Debug)]
pub(super) struct Pace {
    /// The time to earn one token, and to earn all tokens; `None` if there is no limit.
    times: Option<(Duration, Duration)>,
    /// When the bucket will be full again.
    full_at: Instant,
}

impl Pace {
    pub(super) fn new(rate: Option<Rate>, now: Instant) -> Self {
        let times = rate.map(|rate| {
            let token = Duration::from_secs(1) / rate.per_second.get();
            (token, token * rate.burst.get())
        });
        Self {
            times,
            full_at: now,
        }
    }

    /// Takes the cost of a request. Returns when the bucket has earned it, which is now or later.
    pub(super) fn take(&mut self, cost: Cost, now: Instant) -> Instant {
        let Some((token, burst)) = self.times else {
            return now;
        };
        let price = match cost {
            Cost::Request => token,
            Cost::File => token / 8,
        };
        self.full_at = self.full_at.max(now) + price;
        self.full_at
            .checked_sub(burst)
            .map_or(now, |at| at.max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_answered_at_once_and_the_rest_at_the_rate() {
        let now = Instant::now();
        let mut pace = Pace::new(Some(Rate::default()), now);
        assert!((0..20).all(|_| pace.take(Cost::Request, now) == now));
        let wait = Duration::from_millis(200);
        assert_eq!(pace.take(Cost::Request, now), now + wait);
        assert_eq!(pace.take(Cost::Request, now), now + 2 * wait);
        let later = now + Duration::from_secs(60);
        assert_eq!(pace.take(Cost::Request, later), later);
    }

    #[test]
    fn a_page_of_many_files_is_answered_at_once() {
        let now = Instant::now();
        let mut pace = Pace::new(Some(Rate::default()), now);
        assert!((0..160).all(|_| pace.take(Cost::File, now) == now));
        assert_eq!(pace.take(Cost::File, now), now + Duration::from_millis(25));
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        let now = Instant::now();
        let mut pace = Pace::new(None, now);
        assert!((0..1000).all(|_| pace.take(Cost::Request, now) == now));
    }
}
