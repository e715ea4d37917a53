//! The rooms whose logs are in use, as the writer remembers them.
//!
//! Invariant: what is remembered is what is committed. A transaction works on copies, which take the place of what was
//! remembered when it is committed, and are dropped when it fails.

use crate::state::Progress;
use crate::store::{self, Room};
use rusqlite::Connection;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

/// A room's key.
pub(crate) type Key = Arc<str>;

/// Everything that is remembered.
#[derive(Debug)]
pub(crate) struct Rooms {
    used: HashMap<Key, Used>,
    progress: Progress,
    /// How many logs have been handed out.
    opened: u64,
}

#[derive(Debug)]
struct Used {
    room: Room,
    /// How many logs of it are in use.
    logs: usize,
    /// The log that messages were appended through last; 0 if there is none.
    writer: u64,
    /// How many logs of all rooms had been handed out then.
    opened_before: u64,
}

/// What a transaction makes of some of it.
#[derive(Debug)]
pub(crate) struct Changes {
    pub(crate) rooms: HashMap<Key, Room>,
    pub(crate) progress: Progress,
}

impl Rooms {
    pub(crate) fn new(progress: Progress) -> Self {
        Self {
            used: HashMap::new(),
            progress,
            opened: 0,
        }
    }

    pub(crate) const fn progress(&self) -> Progress {
        self.progress
    }

    #[cfg(test)]
    pub(crate) fn is_used(&self, key: &Key) -> bool {
        self.used.contains_key(key)
    }

    /// Nothing has changed yet.
    pub(crate) fn begin(&self) -> Changes {
        Changes {
            rooms: HashMap::new(),
            progress: self.progress,
        }
    }

    /// The room with this key, as it is within the transaction: made, if it is not there.
    pub(crate) fn find(
        &self,
        changes: &mut Changes,
        connection: &Connection,
        key: &Key,
        name: &str,
    ) -> rusqlite::Result<Room> {
        if let Some(room) = self.known(&mut changes.rooms, key) {
            return Ok(room.clone());
        }
        let room = match store::find(connection, key)? {
            Some(room) => room,
            None => store::new_room(connection, key, name)?,
        };
        changes.rooms.insert(Arc::clone(key), room.clone());
        Ok(room)
    }

    /// A room that has been found, to be changed within the transaction.
    pub(crate) fn known<'a>(
        &self,
        changed: &'a mut HashMap<Key, Room>,
        key: &Key,
    ) -> Option<&'a mut Room> {
        match changed.entry(Arc::clone(key)) {
            Entry::Occupied(known) => Some(known.into_mut()),
            Entry::Vacant(place) => Some(place.insert(self.used.get(key)?.room.clone())),
        }
    }

    /// The transaction is committed.
    pub(crate) fn commit(&mut self, changes: Changes) {
        self.progress = changes.progress;
        for (key, room) in changes.rooms {
            match self.used.entry(key) {
                Entry::Occupied(mut known) => known.get_mut().room = room,
                Entry::Vacant(place) => {
                    // Whoever opens it counts itself.
                    place.insert(Used {
                        room,
                        logs: 0,
                        writer: 0,
                        opened_before: 0,
                    });
                }
            }
        }
    }

    /// A log of a room is handed out; gives its number.
    pub(crate) fn opened(&mut self, key: &Key) -> u64 {
        self.opened += 1;
        if let Some(used) = self.used.get_mut(key) {
            used.logs += 1;
        }
        self.opened
    }

    /// Messages are appended through the log with this number. Returns whether they may be: not if another log has
    /// appended some since this one was handed out, as the hub that has this one does not know of those.
    ///
    /// A log that is only looked at takes nothing from the others.
    pub(crate) fn claim(&mut self, key: &Key, log: u64) -> bool {
        let Some(used) = self.used.get_mut(key) else {
            return false;
        };
        if used.writer != log {
            if log <= used.opened_before {
                return false;
            }
            used.writer = log;
        }
        used.opened_before = self.opened;
        true
    }

    /// A log of a room is not used any more; with the last one the room is forgotten.
    pub(crate) fn closed(&mut self, key: &Key) {
        if let Some(used) = self.used.get_mut(key) {
            used.logs = used.logs.saturating_sub(1);
            if used.logs == 0 {
                self.used.remove(key);
            }
        }
    }
}
