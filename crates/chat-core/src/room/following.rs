//! The state of a log that several hubs append to, and that the room follows.
//!
//! Invariant: the room counts as settled only when all messages that this hub has appended are delivered.

use crate::log::{Batch, Page, Seq, SessionId, Timestamp};
use crate::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
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
    /// The messages that this hub has appended last.
    latest: Mutex<Option<Placed>>,
    /// How many searches for appended messages are running; see [`begin_search`](Self::begin_search).
    searches: AtomicUsize,
    /// Whether messages of this hub are in an epoch that the stream has yet to report.
    awaits_reset: AtomicBool,
    /// The number of the item that reports to the members that the stream has ended; [`NOT_LOST`] while the log is
    /// followed.
    lost_at: AtomicU64,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

/// Identifies the messages of one append by their place in the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed {
    pub(super) first: Seq,
    last: Seq,
    author: SessionId,
    at: Timestamp,
}

impl Placed {
    pub(super) fn new(batch: &Batch) -> Self {
        Self {
            first: batch.first(),
            last: batch.last(),
            author: batch.author(),
            at: batch.at(),
        }
    }

    /// Returns whether a page, which was read from this place on, begins with these messages.
    pub(super) fn is_in(&self, page: &Page) -> bool {
        let first = page.messages().next();
        first.is_some_and(|first| {
            first.seq() == self.first && first.author() == self.author && first.at() == self.at
        })
    }
}

impl Following {
    pub(super) fn new(tail: Seq) -> Self {
        let stop = CancellationToken::new();
        Self {
            appended: AtomicU64::new(tail.0),
            latest: Mutex::default(),
            searches: AtomicUsize::new(0),
            awaits_reset: AtomicBool::new(false),
            lost_at: AtomicU64::new(NOT_LOST),
            _stop_on_drop: stop.clone().drop_guard(),
            stop,
        }
    }

    /// Notes that this hub's messages are in the log. Called under the room's lock, like the methods below.
    pub(super) fn note_appended(&self, placed: Placed) {
        *self.latest.lock() = Some(placed);
        self.appended.fetch_max(placed.last.0, Ordering::Relaxed);
    }

    /// Begins to search the log for messages of this hub whose epoch is unknown. The room is not settled until the
    /// search has ended.
    pub(super) fn begin_search(&self) {
        self.searches.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end_search(&self) {
        self.searches.fetch_sub(1, Ordering::Relaxed);
    }

    /// Notes that messages of this hub are in an epoch that the stream has yet to report.
    pub(super) fn await_reset(&self, placed: Placed) {
        *self.latest.lock() = Some(placed);
        self.awaits_reset.store(true, Ordering::Relaxed);
    }

    pub(super) fn appended(&self) -> Seq {
        Seq(self.appended.load(Ordering::Relaxed))
    }

    /// Returns whether all messages that this hub has appended are at or before this position. Also returns `true`
    /// while the log is lost, because nothing can be delivered then.
    pub(super) fn has_passed(&self, seq: Seq) -> bool {
        self.is_lost()
            || self.appended.load(Ordering::Relaxed) <= seq.0
                && self.searches.load(Ordering::Relaxed) == 0
                && !self.awaits_reset.load(Ordering::Relaxed)
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

    /// Notes the end of a log that began a new epoch. Returns the messages that this hub has appended last: the new
    /// epoch may hold them.
    pub(super) fn reset(&self, tail: Seq) -> Option<Placed> {
        self.appended.store(tail.0, Ordering::Relaxed);
        self.awaits_reset.store(false, Ordering::Relaxed);
        self.latest.lock().take()
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
