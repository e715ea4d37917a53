//! A token bucket: how fast one connection may send.
//!
//! Invariant: pure arithmetic over the instants it is given. It never drops anything; it says when to read on.

use crate::limits::Rate;
use std::time::Duration;
use tokio::time::Instant;

/// Tokens are counted in the time that it takes to earn them, so a bucket is one instant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TokenBucket {
    per_token: Duration,
    burst: Duration,
    /// When the bucket would be full again.
    full_at: Instant,
}

impl TokenBucket {
    pub(crate) fn new(rate: Rate, now: Instant) -> Self {
        let per_token = Duration::from_secs(1) / rate.per_second.get();
        Self {
            per_token,
            burst: per_token * rate.burst.get(),
            full_at: now,
        }
    }

    /// Returns whether there is a token, or when there will be one.
    pub(crate) fn check(&self, now: Instant) -> Result<(), Instant> {
        let full_at = self.full_at.max(now) + self.per_token;
        if full_at > now + self.burst {
            Err(full_at - self.burst)
        } else {
            Ok(())
        }
    }

    /// Takes a token; one that is not there is owed.
    pub(crate) fn take(&mut self, now: Instant) {
        self.full_at = self.full_at.max(now) + self.per_token;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let rate = Rate {
            burst: NonZeroU32::new(3).unwrap(),
            per_second: NonZeroU32::new(5).unwrap(),
        };
        let start = Instant::now();
        let mut bucket = TokenBucket::new(rate, start);
        let mut take = |now| bucket.check(now).inspect(|()| bucket.take(now));
        assert!((0..3).all(|_| take(start).is_ok()));
        let wait = Duration::from_millis(200);
        assert_eq!(take(start), Err(start + wait));
        assert_eq!(take(start + wait), Ok(()));
        assert_eq!(take(start + wait), Err(start + 2 * wait));
        let later = start + Duration::from_secs(60);
        assert!(
            (0..3).all(|_| take(later).is_ok()),
            "a full bucket holds the burst again, no more"
        );
        assert!(take(later).is_err());
    }
}
