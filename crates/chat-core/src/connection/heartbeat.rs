//! Whether a silent peer is still there.
//!
//! Invariant: only silence that the peer can end counts. While the connection itself does not read, because the peer
//! sends too fast or does not take what it is owed, other limits watch over it.

use crate::limits::Limits;
use tokio::time::Instant;

/// When a peer was last heard, and whether it was asked since.
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

    /// Notes that something came.
    pub(super) const fn hear(&mut self, now: Instant) {
        *self = Self::new(now);
    }

    /// Notes that the peer could not be heard until now.
    pub(super) const fn excuse(&mut self, now: Instant) {
        self.heard = now;
    }

    /// When the peer is to be asked, or given up.
    pub(super) fn deadline(self, limits: &Limits) -> Instant {
        let silence = if self.is_asked {
            limits.dead_after.max(limits.ping_after)
        } else {
            limits.ping_after
        };
        self.heard + silence
    }

    /// Returns whether the peer is asked whether it is there: only once.
    pub(super) const fn ask(&mut self) -> bool {
        !std::mem::replace(&mut self.is_asked, true)
    }
}
