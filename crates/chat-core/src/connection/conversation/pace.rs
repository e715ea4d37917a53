//! Limits how fast a connection reads from its peer: tokens for the peer's lines, and pauses in reading.
//!
//! Invariant: no input is dropped. Input of a peer that sends too fast is read later.

use crate::admission::{Cost, TokenBucket};
use crate::limits::Limits;
use tokio::time::Instant;

/// The pace of one connection.
pub(in crate::connection) struct Pace {
    bucket: Option<TokenBucket>,
    paused_until: Option<Instant>,
}

impl Pace {
    pub(super) fn new(limits: &Limits, now: Instant) -> Self {
        Self {
            bucket: limits.rate.map(|rate| TokenBucket::new(rate, now)),
            paused_until: None,
        }
    }

    /// Whether the rate of the connection is limited.
    pub(in crate::connection) const fn is_limited(&self) -> bool {
        self.bucket.is_some()
    }

    /// When a pause in reading ends; `None` if the peer is read.
    pub(in crate::connection) const fn paused_until(&self) -> Option<Instant> {
        self.paused_until
    }

    /// Stops reading from the peer at least until this time.
    pub(in crate::connection) fn pause_until(&mut self, until: Instant) {
        self.paused_until = self.paused_until.max(Some(until));
    }

    /// Charges for bytes that were read. Returns until when the peer must wait, if it must.
    pub(in crate::connection) fn charge_input(
        &mut self,
        bytes: usize,
        now: Instant,
    ) -> Option<Instant> {
        self.charge(Cost::input(bytes), now);
        self.bucket.as_ref()?.check(now).err()
    }

    /// Charges for an answer, in addition to the line that asked for it.
    pub(in crate::connection) fn charge(&mut self, cost: Cost, now: Instant) {
        if let Some(bucket) = &mut self.bucket {
            bucket.charge(cost, now);
        }
    }

    /// Charges for a line.
    pub(super) fn take_token(&mut self, now: Instant) {
        if let Some(bucket) = &mut self.bucket {
            bucket.take(now);
        }
    }

    /// Whether the peer must wait for a token. If so, it is not read until there is one.
    pub(super) fn must_wait(&mut self, now: Instant) -> bool {
        if let Some(Err(until)) = self.bucket.as_ref().map(|bucket| bucket.check(now)) {
            self.paused_until = Some(until);
        }
        self.paused_until.is_some()
    }

    /// Ends a pause whose time has passed. Returns whether there was one.
    pub(super) fn resume(&mut self, now: Instant) -> bool {
        let is_over = self.paused_until.is_some_and(|until| until <= now);
        if is_over {
            self.paused_until = None;
        }
        is_over
    }
}
