//! The state of a log that several hubs append to. The room follows such a log: it delivers the messages that the log's
//! stream yields.
//!
//! Invariant: the room counts as settled only when it has delivered all messages that this hub has appended.

use crate::log::{Batch, Seq};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The reason that an author receives if it publishes while the room can't follow its log.
pub(super) const LOST: &str = "it can't be followed now";

/// The value of [`Following::lost_at`] while the room follows the log. No item of a room has this number.
const NOT_LOST: u64 = u64::MAX;

/// The state of a room whose log several hubs append to: which messages the room has yet to deliver, and whether the
/// log is lost. A log is lost while its stream has ended, because the room then can't follow the log.
#[derive(Debug)]
pub(super) struct Following {
    /// The position of the last message that this hub has appended. The room counts as settled once it has delivered
    /// the messages up to this position.
    appended: AtomicU64,
    /// The number of the item that tells the members that the stream of the log has ended. [`NOT_LOST`] while the room
    /// follows the log.
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

    /// Notes that this hub has appended the batch to the log. Callers of this method and of the methods below hold the
    /// room's lock.
    pub(super) fn note_appended(&self, batch: &Batch) {
        self.appended.fetch_max(batch.last().0, Ordering::Relaxed);
    }

    pub(super) fn appended(&self) -> Seq {
        Seq(self.appended.load(Ordering::Relaxed))
    }

    /// Returns whether all messages that this hub has appended are at or before the position `seq`. Also returns `true`
    /// while the log is lost, because the room can't deliver messages then.
    pub(super) fn has_passed(&self, seq: Seq) -> bool {
        self.is_lost() || self.appended.load(Ordering::Relaxed) <= seq.0
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost_at() != NOT_LOST
    }

    /// Returns whether the log is lost and a member has yet to receive the report of the loss. `next` is the number of
    /// the item that the member needs next.
    pub(super) fn has_lost_after(&self, next: u64) -> bool {
        self.is_lost() && next <= self.lost_at()
    }

    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Notes that the log has begun a new epoch, and that the log now ends at `tail`.
    pub(super) fn reset(&self, tail: Seq) {
        self.appended.store(tail.0, Ordering::Relaxed);
    }

    /// Records that the log's stream has ended. `number` is the number of the item that tells the members so.
    pub(super) fn lose(&self, number: u64) {
        self.lost_at.store(number, Ordering::Relaxed);
    }

    /// Notes that the room follows the log again.
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
