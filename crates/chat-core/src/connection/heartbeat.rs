//! Checks whether a silent peer is still there.
//!
//! Invariant: silence counts only while the connection reads, because only then can the peer end the silence. While the
//! connection does not read, because the peer sends too fast or does not read its output, other limits apply.

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

    /// Excludes the silence until `now`, because the connection did not read from the peer.
    pub(super) const fn excuse(&mut self, now: Instant) {
        self.heard = now;
    }

    /// Returns when the peer must be pinged, or, if it was pinged already, disconnected.
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
