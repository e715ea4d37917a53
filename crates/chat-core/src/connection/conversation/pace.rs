//! Limits how fast a connection reads from its peer: tokens for the peer's lines, and pauses in reading.
//!
//! Invariant: no input is dropped. Input of a peer that sends too fast is read later.

use crate::admission::{Cost, TokenBucket};
use crate::limits::Limits;
use tokio::time::Instant;

/// The rate limit of one connection, and its current pause in reading.
pub(in crate::connection) struct Pace {
    /// `None` if the rate of the connection is not limited.
    bucket: Option<TokenBucket>,
    /// The time at which the current pause in reading ends; `None` if there is no pause.
    paused_until: Option<Instant>,
}

impl Pace {
    pub(super) fn new(limits: &Limits, now: Instant) -> Self {
        Self {
            bucket: limits.rate.map(|rate| TokenBucket::new(rate, now)),
            paused_until: None,
        }
    }

    pub(in crate::connection) const fn is_limited(&self) -> bool {
        self.bucket.is_some()
    }

    /// Returns the time at which the current pause in reading ends; `None` if there is no pause.
    pub(in crate::connection) const fn paused_until(&self) -> Option<Instant> {
        self.paused_until
    }

    /// Stops reading from the peer at least until `until`.
    pub(in crate::connection) fn pause_until(&mut self, until: Instant) {
        self.paused_until = self.paused_until.max(Some(until));
    }

    /// Charges the connection for bytes that it has read. Returns the time until which it must not read; `None` if it
    /// may continue at once.
    pub(in crate::connection) fn charge_input(
        &mut self,
        bytes: usize,
        now: Instant,
    ) -> Option<Instant> {
        self.charge(Cost::input(bytes), now);
        self.bucket.as_ref()?.check(now).err()
    }

    /// Charges the connection for an answer, in addition to the line that asked for it.
    pub(in crate::connection) fn charge(&mut self, cost: Cost, now: Instant) {
        if let Some(bucket) = &mut self.bucket {
            bucket.charge(cost, now);
        }
    }

    /// Takes the token that one line costs.
    pub(super) fn take_token(&mut self, now: Instant) {
        if let Some(bucket) = &mut self.bucket {
            bucket.take(now);
        }
    }

    /// Returns whether reading is paused. If the bucket has no token, begins a pause that ends when the bucket has a
    /// token again.
    pub(super) fn must_wait(&mut self, now: Instant) -> bool {
        if let Some(Err(until)) = self.bucket.as_ref().map(|bucket| bucket.check(now)) {
            self.paused_until = Some(until);
        }
        self.paused_until.is_some()
    }

    /// Ends a pause whose time has passed. Returns whether a pause has ended.
    pub(super) fn resume(&mut self, now: Instant) -> bool {
        let is_over = self.paused_until.is_some_and(|until| until <= now);
        if is_over {
            self.paused_until = None;
        }
        is_over
    }
}
