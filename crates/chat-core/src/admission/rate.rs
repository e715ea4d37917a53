//! A token bucket: how fast one connection may send.
//!
//! Invariant: the functions compute with the instants that the caller passes, and read no clock. They drop no input:
//! they return when the caller may read again.

use crate::limits::Rate;
use std::time::Duration;
use tokio::time::Instant;

const NANOS_PER_SECOND: u32 = 1_000_000_000;

/// The longest time that a connection has to wait to earn the cost of answers that it has already received.
const DEBT_MAX: Duration = Duration::from_secs(30);

/// A token bucket. It counts tokens as the time that it takes to earn them, so its only changing state is one instant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TokenBucket {
    /// The time to earn one token, in nanoseconds. A `u32`, because every connection has a bucket.
    per_token: u32,
    /// The number of tokens in a full bucket.
    burst: u32,
    /// When the bucket will be full again.
    full_at: Instant,
}

impl TokenBucket {
    pub(crate) fn new(rate: Rate, now: Instant) -> Self {
        Self {
            per_token: NANOS_PER_SECOND / rate.per_second.get(),
            burst: rate.burst.get(),
            full_at: now,
        }
    }

    const fn per_token(&self) -> Duration {
        Duration::from_nanos(self.per_token as u64)
    }

    fn burst(&self) -> Duration {
        self.per_token() * self.burst
    }

    /// Checks that the bucket holds a token. Otherwise returns when the bucket will hold one, as the error.
    pub(crate) fn check(&self, now: Instant) -> Result<(), Instant> {
        let full_at = self.full_at.max(now) + self.per_token();
        if full_at > now + self.burst() {
            Err(full_at - self.burst())
        } else {
            Ok(())
        }
    }

    /// Takes a token. An empty bucket then owes the token.
    pub(crate) fn take(&mut self, now: Instant) {
        self.full_at = self.full_at.max(now) + self.per_token();
    }

    /// Takes the cost of an answer. The bucket owes tokens that it does not hold, at most as many as it earns in 30 s.
    pub(crate) fn charge(&mut self, cost: Cost, now: Instant) {
        let price = u128::from(cost.0) * u128::from(self.per_token) / u128::from(Cost::TOKEN);
        let price = Duration::from_nanos(u64::try_from(price).unwrap_or(u64::MAX));
        let debt_max = self.full_at.max(now + self.burst() + DEBT_MAX);
        self.full_at = (self.full_at.max(now) + price.min(DEBT_MAX + self.burst())).min(debt_max);
    }
}

/// The cost of an answer, of input or of work, in millionths of a token. It does not include the token that each line
/// costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cost(u64);

impl Cost {
    /// One token, which is the cost of a line.
    const TOKEN: u64 = 1_000_000;

    /// The number of bytes of answers that one token pays for. A page of history that fills a screen costs less than
    /// one token. A connection at the default rate receives about 40 KiB a second.
    const BYTES_PER_TOKEN: u64 = 8 * 1024;

    /// The number of bytes of input that one token pays for. Skipping 1 MiB of input takes about 5 ms.
    const INPUT_PER_TOKEN: u64 = 1024 * 1024;

    /// The time of work that one token pays for. A connection at the default rate, 5 tokens a second, uses at most a
    /// fortieth of one processor.
    const WORK_PER_TOKEN: Duration = Duration::from_millis(5);

    /// Returns the cost in thousandths of a token.
    pub(crate) const fn thousandths(self) -> u64 {
        self.0 / (Self::TOKEN / 1000)
    }

    /// Returns the cost of this many lines.
    pub(crate) const fn lines(count: usize) -> Self {
        Self((count as u64).saturating_mul(Self::TOKEN))
    }

    /// Returns the cost of this many bytes of answers.
    pub(crate) const fn bytes(count: usize) -> Self {
        Self((count as u64).saturating_mul(Self::TOKEN) / Self::BYTES_PER_TOKEN)
    }

    /// Returns the cost of this many bytes of input, besides the lines that they form.
    pub(crate) const fn input(count: usize) -> Self {
        Self((count as u64).saturating_mul(Self::TOKEN) / Self::INPUT_PER_TOKEN)
    }

    /// Returns the cost of work that took this long.
    pub(crate) const fn work(took: Duration) -> Self {
        let micros = took.as_micros() as u64;
        Self(micros.saturating_mul(Self::TOKEN) / Self::WORK_PER_TOKEN.as_micros() as u64)
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

    #[test]
    fn what_an_answer_costs_is_waited_for_but_not_for_ever() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(Rate::default(), start);
        let tokens = |bucket: &TokenBucket, at| {
            let mut bucket = *bucket;
            let mut take = || bucket.check(at).map(|()| bucket.take(at)).is_ok();
            (0..100).take_while(|_| take()).count()
        };
        assert_eq!(tokens(&bucket, start), 20);
        bucket.charge(Cost::bytes(5 * 8 * 1024), start);
        assert_eq!(tokens(&bucket, start), 15);
        bucket.charge(Cost::work(Duration::from_millis(50)), start);
        assert_eq!(tokens(&bucket, start), 5);
        bucket.charge(Cost::lines(5), start);
        assert_eq!(tokens(&bucket, start), 0);
        bucket.charge(Cost::bytes(usize::MAX), start);
        bucket.charge(Cost::work(Duration::MAX), start);
        assert_eq!(
            bucket.check(start),
            Err(start + DEBT_MAX + Duration::from_millis(200))
        );
        assert_eq!(tokens(&bucket, start + 2 * DEBT_MAX), 20);
    }
}
