//! Checks whether a silent peer is still there.
//!
//! Invariant: silence counts only while the connection reads, because only then can the peer end it. While the
//! connection does not read, because the peer sends too fast or does not read its output, other limits apply.

use crate::limits::Limits;
use tokio::time::Instant;

/// When a peer was last heard, and whether it was asked since then.
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

    /// Notes that the peer could not be heard until now.
    pub(super) const fn excuse(&mut self, now: Instant) {
        self.heard = now;
    }

    /// When the peer must be asked, or disconnected.
    pub(super) fn deadline(self, limits: &Limits) -> Instant {
        let silence = if self.is_asked {
            limits.dead_after.max(limits.ping_after)
        } else {
            limits.ping_after
        };
        self.heard + silence
    }

    /// Returns whether to ask the peer if it is there. The peer is asked only once.
    pub(super) const fn ask(&mut self) -> bool {
        !std::mem::replace(&mut self.is_asked, true)
    }
}
