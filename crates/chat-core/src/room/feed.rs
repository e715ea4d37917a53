//! The events of all rooms of a hub, for followers that are not members.
//!
//! Invariant: nothing is sent, and no buffer is allocated, before the first follower. Followers receive what the rooms'
//! members receive, in the same order. They also receive the changes of presence that a big room does not announce.

use std::fmt;
use std::sync::OnceLock;
use tokio::sync::broadcast;

/// The broadcast of a hub to its followers.
pub(crate) struct Feed<T> {
    ring: usize,
    tx: OnceLock<broadcast::Sender<T>>,
}

impl<T: Clone> Feed<T> {
    /// Creates a feed whose buffer holds `ring` items.
    pub(crate) const fn new(ring: usize) -> Self {
        Self {
            ring,
            tx: OnceLock::new(),
        }
    }

    /// Subscribes to the items that are sent after this call.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<T> {
        let tx = self.tx.get_or_init(|| broadcast::channel(self.ring).0);
        tx.subscribe()
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

impl<T> fmt::Debug for Feed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").finish_non_exhaustive()
    }
}
