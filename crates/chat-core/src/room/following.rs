//! The state of a log that several hubs append to, and that the room follows.
//!
//! Invariant: the room is not settled before everything that this hub has appended is delivered.

use crate::log::{Batch, Seq};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The reason that an author receives when the log can no longer be followed.
pub(super) const LOST: &str = "it can't be followed any more";

/// The state of a log that several hubs append to.
#[derive(Debug)]
pub(super) struct Following {
    /// The last position that this hub has appended. The room is not settled until it is delivered.
    appended: AtomicU64,
    /// The stream has ended.
    is_lost: AtomicBool,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

impl Following {
    pub(super) fn new(tail: Seq) -> Self {
        let stop = CancellationToken::new();
        Self {
            appended: AtomicU64::new(tail.0),
            is_lost: AtomicBool::new(false),
            _stop_on_drop: stop.clone().drop_guard(),
            stop,
        }
    }

    /// Notes that this hub's messages are in the log. Called under the room's lock, like the methods below.
    pub(super) fn note_appended(&self, batch: &Batch) {
        self.appended.fetch_max(batch.last().0, Ordering::Relaxed);
    }

    /// Whether everything that this hub has appended is at or before this position, or can't be delivered.
    pub(super) fn has_passed(&self, seq: Seq) -> bool {
        self.is_lost() || self.appended.load(Ordering::Relaxed) <= seq.0
    }

    pub(super) fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Relaxed)
    }

    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Notes the end of a log that began a new epoch.
    pub(super) fn reset(&self, tail: Seq) {
        self.appended.store(tail.0, Ordering::Relaxed);
    }

    /// Notes that the stream has ended.
    pub(super) fn lose(&self) {
        self.is_lost.store(true, Ordering::Relaxed);
    }

    /// A token that is cancelled when the room is gone.
    pub(super) fn stopped(&self) -> CancellationToken {
        self.stop.clone()
    }
}
