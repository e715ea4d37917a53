//! The state of a log that several hubs append to, and that the room follows.
//!
//! Invariant: the room counts as settled only when all messages that this hub has appended are delivered.

use crate::log::{Batch, Seq};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The reason that an author receives if it publishes while the log can't be followed.
pub(super) const LOST: &str = "it can't be followed now";

/// The value of [`Following::lost_at`] while the log is followed. No room has an item with this number.
const NOT_LOST: u64 = u64::MAX;

/// The state of a log that several hubs append to.
#[derive(Debug)]
pub(super) struct Following {
    /// The last position that this hub has appended. The room counts as settled once it has delivered the messages up
    /// to this position.
    appended: AtomicU64,
    /// The number of the item that reports to the members that the stream has ended; [`NOT_LOST`] while the log is
    /// followed.
    lost_at: AtomicU64,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

impl Following {
    pub(super) fn new(tail: Seq) -> Self {
        let stop = CancellationToken::new();
        Self {
            appended: AtomicU64::new(tail.0),
            lost_at: AtomicU64::new(NOT_LOST),
            _stop_on_drop: stop.clone().drop_guard(),
            stop,
        }
    }

    /// Notes that this hub's messages are in the log. Called under the room's lock, as are the methods below.
    pub(super) fn note_appended(&self, batch: &Batch) {
        self.appended.fetch_max(batch.last().0, Ordering::Relaxed);
    }

    pub(super) fn appended(&self) -> Seq {
        Seq(self.appended.load(Ordering::Relaxed))
    }

    /// Returns whether all messages that this hub has appended are at or before this position. Also returns `true`
    /// while the log is lost, because nothing can be delivered then.
    pub(super) fn has_passed(&self, seq: Seq) -> bool {
        self.is_lost() || self.appended.load(Ordering::Relaxed) <= seq.0
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost_at() != NOT_LOST
    }

    /// Returns whether the log is lost and a member has yet to receive the report of it. `next` is the number of the
    /// item that the member needs next.
    pub(super) fn has_lost_after(&self, next: u64) -> bool {
        self.is_lost() && next <= self.lost_at()
    }

    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Notes that the log has begun a new epoch, and that its end is now this position.
    pub(super) fn reset(&self, tail: Seq) {
        self.appended.store(tail.0, Ordering::Relaxed);
    }

    /// Notes that the stream has ended. `number` is the number of the item that reports this to the members.
    pub(super) fn lose(&self, number: u64) {
        self.lost_at.store(number, Ordering::Relaxed);
    }

    /// Notes that the log is followed again.
    pub(super) fn find(&self) {
        self.lost_at.store(NOT_LOST, Ordering::Relaxed);
    }

    /// Returns a token that is cancelled when the room is gone.
    pub(super) fn stopped(&self) -> CancellationToken {
        self.stop.clone()
    }

    pub(super) fn lost_at(&self) -> u64 {
        self.lost_at.load(Ordering::Relaxed)
    }
}
