//! The events of all rooms of a hub, for followers that are not members.
//!
//! Invariant: nothing is sent, and no buffer is allocated, before the first follower. Followers receive what the rooms'
//! members receive, in the same order. They also receive the changes of presence that a big room does not announce.

use crate::sync::Mutex;
use std::collections::VecDeque;
use std::fmt;
use std::sync::OnceLock;
use tokio::sync::broadcast;

/// The most closed rooms that a feed remembers for followers that lag.
const CLOSED_MAX: usize = 256;

/// The broadcast of a hub to its followers.
pub(crate) struct Feed<T, C> {
    ring: usize,
    tx: OnceLock<broadcast::Sender<T>>,
    closed: Mutex<ClosedRooms<C>>,
}

/// The rooms that were closed last.
struct ClosedRooms<C> {
    /// How many rooms were closed so far. The rooms are numbered in this order.
    count: u64,
    /// The last ones that a follower may miss, oldest first.
    latest: VecDeque<C>,
}

impl<T: Clone, C: Clone> Feed<T, C> {
    /// Creates a feed whose buffer holds `ring` items.
    pub(crate) const fn new(ring: usize) -> Self {
        Self {
            ring,
            tx: OnceLock::new(),
            closed: Mutex::new(ClosedRooms {
                count: 0,
                latest: VecDeque::new(),
            }),
        }
    }

    /// Subscribes to the items that are sent after this call.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<T> {
        let tx = self.tx.get_or_init(|| broadcast::channel(self.ring).0);
        tx.subscribe()
    }

    /// Closes a room: remembers it for followers that lag, and calls `send` with the number of the closed room. `send`
    /// sends the item that reports the end of the room. Followers receive these items in the order of the numbers.
    pub(crate) fn close(&self, room: impl FnOnce() -> C, send: impl FnOnce(u64)) {
        let mut closed = self.closed.lock();
        if self.tx.get().is_some_and(|tx| tx.receiver_count() > 0) {
            if closed.latest.len() == CLOSED_MAX {
                closed.latest.pop_front();
            }
            closed.latest.push_back(room());
        } else {
            closed.latest = VecDeque::new();
        }
        closed.count += 1;
        // The lock is held, so that no item of a later closed room is sent before this one.
        send(closed.count - 1);
    }

    /// Returns the number of the next room that is closed.
    pub(crate) fn closed_count(&self) -> u64 {
        self.closed.lock().count
    }

    /// Returns the closed rooms from this number on, as far as they are remembered, oldest first. Also returns the
    /// number of the next room that is closed.
    pub(crate) fn closed_from(&self, number: u64) -> (Vec<C>, u64) {
        let closed = self.closed.lock();
        let missed = usize::try_from(closed.count - number).unwrap_or(usize::MAX);
        let known = closed.latest.len().saturating_sub(missed);
        (
            closed.latest.iter().skip(known).cloned().collect(),
            closed.count,
        )
    }

    /// Sends an item if there is a follower. Must be called under the lock of the room that the item is about.
    pub(crate) fn send(&self, item: impl FnOnce() -> T) {
        if let Some(tx) = self.tx.get()
            && tx.receiver_count() > 0
        {
            // Sending fails if the last follower has just been dropped, which is not an error.
            drop(tx.send(item()));
        }
    }
}

impl<T, C> fmt::Debug for Feed<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").finish_non_exhaustive()
    }
}
