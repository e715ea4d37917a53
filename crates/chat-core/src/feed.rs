//! What happens in all rooms of a hub, for those who follow it without being members.
//!
//! Invariant: nothing is sent, and no ring exists, before somebody has followed; and what is sent here is what the
//! rooms' members are told, in the same order, and who comes and goes where that is not announced.

use crate::delivery::Item;
use crate::event::Presence;
use crate::limits::Limits;
use crate::room::Room;
use std::fmt;
use std::sync::{Arc, OnceLock};
use tokio::sync::broadcast;

/// The one broadcast of a hub.
pub(crate) struct Feed {
    ring: usize,
    tx: OnceLock<broadcast::Sender<Told>>,
}

/// Something that happened in a room.
#[derive(Clone)]
pub(crate) struct Told {
    pub(crate) room: Arc<Room>,
    pub(crate) what: What,
}

#[derive(Clone)]
pub(crate) enum What {
    /// Members were told it, too.
    Item(Arc<Item>),
    /// They weren't: the room has too many to announce who comes and goes.
    Whisper(Arc<Presence>),
}

impl Feed {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            ring: crate::room::ring(limits),
            tx: OnceLock::new(),
        }
    }

    /// Follows from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Told> {
        let tx = self.tx.get_or_init(|| broadcast::channel(self.ring).0);
        tx.subscribe()
    }

    /// Passes on what the members of a room are told; must happen under the room's lock.
    pub(crate) fn send(&self, room: &Arc<Room>, item: &Arc<Item>) {
        self.pass_on(room, || What::Item(Arc::clone(item)));
    }

    /// Passes on what the members of a room are not told.
    pub(crate) fn whisper(&self, room: &Arc<Room>, presence: impl FnOnce() -> Arc<Presence>) {
        self.pass_on(room, || What::Whisper(presence()));
    }

    fn pass_on(&self, room: &Arc<Room>, what: impl FnOnce() -> What) {
        let Some(tx) = self.tx.get() else { return };
        if tx.receiver_count() > 0 {
            let room = Arc::clone(room);
            // Fails when the last one has just stopped to follow.
            drop(tx.send(Told { room, what: what() }));
        }
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").finish_non_exhaustive()
    }
}
