//! What happens in all rooms of a hub, for those who follow it without being members.
//!
//! Invariant: nothing is sent, and no ring exists, before somebody has followed; and what is sent here is what the
//! rooms' members are told, in the same order, and who comes and goes where that is not announced.

use std::fmt;
use std::sync::OnceLock;
use tokio::sync::broadcast;

/// The one broadcast of a hub.
pub(crate) struct Feed<T> {
    ring: usize,
    tx: OnceLock<broadcast::Sender<T>>,
}

impl<T: Clone> Feed<T> {
    /// Creates a feed whose ring holds so many items.
    pub(crate) const fn new(ring: usize) -> Self {
        Self {
            ring,
            tx: OnceLock::new(),
        }
    }

    /// Follows from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<T> {
        let tx = self.tx.get_or_init(|| broadcast::channel(self.ring).0);
        tx.subscribe()
    }

    /// Passes on what happened, if there is a follower; must happen under the room's lock.
    pub(crate) fn send(&self, item: impl FnOnce() -> T) {
        if let Some(tx) = self.tx.get()
            && tx.receiver_count() > 0
        {
            // Fails when the last follower has just gone.
            drop(tx.send(item()));
        }
    }
}

impl<T> fmt::Debug for Feed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").finish_non_exhaustive()
    }
}
