//! Checks whether a silent peer is still there.
//!
//! Invariant: silence counts only while the connection reads, because a peer that is not read can't end the silence.
//! The connection does not read while the peer sends too fast, or while it does not read its output. Other limits apply
//! to such a peer.

use crate::limits::Limits;
use tokio::time::Instant;

/// When a peer last sent something, and whether it was pinged since then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heartbeat {
    heard: Instant,
    is_asked: bool,
}

impl Heartbeat {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            heard: now,
            is_asked: false,
        }
    }

    /// Notes that the peer sent something.
    pub(super) const fn hear(&mut self, now: Instant) {
        *self = Self::new(now);
    }

    /// Ignores the peer's silence up to `now`, because the connection did not read from the peer during this time.
    pub(super) const fn excuse(&mut self, now: Instant) {
        self.heard = now;
    }

    /// Returns the time at which to ping the peer. If the peer was already pinged, returns the time at which to
    /// disconnect it.
    pub(super) fn deadline(self, limits: &Limits) -> Instant {
        let silence = if self.is_asked {
            limits.dead_after.max(limits.ping_after)
        } else {
            limits.ping_after
        };
        self.heard + silence
    }

    /// Returns whether the peer must be pinged now: `true` only for the first call since the peer last sent something.
    pub(super) const fn ask(&mut self) -> bool {
        !std::mem::replace(&mut self.is_asked, true)
    }
}
