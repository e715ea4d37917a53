//! The events of all rooms of a hub, for followers: programs that receive events without being members.
//!
//! Invariant: nothing is sent, and no buffer is allocated, before the first follower subscribes. Followers receive what
//! the rooms' members receive, in the same order. Followers also receive the changes of presence that a big room does
//! not announce to its members.

use crate::sync::Mutex;
use std::collections::VecDeque;
use std::fmt;
use std::sync::OnceLock;
use tokio::sync::broadcast;

/// The most closed rooms that a feed remembers for lagging followers.
const CLOSED_MAX: usize = 256;

/// The channel on which a hub broadcasts to its followers. `T` is the type of a broadcast item, and `C` is the type
/// that describes a closed room.
pub(crate) struct Feed<T, C> {
    ring: usize,
    tx: OnceLock<broadcast::Sender<T>>,
    closed: Mutex<ClosedRooms<C>>,
}

/// The rooms that were closed most recently.
struct ClosedRooms<C> {
    /// How many rooms were closed so far. The number of a closed room is how many rooms were closed before it.
    count: u64,
    /// The rooms that were closed last, oldest first: at most [`CLOSED_MAX`]. A lagging follower may have missed the
    /// item that reported that a room was closed.
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

    /// Remembers a closed room for lagging followers. Then calls `send` with the number of the closed room. `send` must
    /// send the item that reports that the room is closed. Followers receive these items in the order of the rooms'
    /// numbers.
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
        // `closed` is still locked, so that items about closed rooms are sent in the order of the rooms' numbers.
        send(closed.count - 1);
    }

    /// Returns the number that the next closed room gets.
    pub(crate) fn closed_count(&self) -> u64 {
        self.closed.lock().count
    }

    /// Returns the closed rooms from `number` on, oldest first, as far as the feed remembers them. Also returns the
    /// number that the next closed room gets.
    pub(crate) fn closed_from(&self, number: u64) -> (Vec<C>, u64) {
        let closed = self.closed.lock();
        let missed = usize::try_from(closed.count - number).unwrap_or(usize::MAX);
        let known = closed.latest.len().saturating_sub(missed);
        (
            closed.latest.iter().skip(known).cloned().collect(),
            closed.count,
        )
    }

    /// Sends an item if there is a follower. The caller must hold the lock of the room that the item is about.
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
