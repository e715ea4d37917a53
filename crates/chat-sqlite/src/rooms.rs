//! The writer's cache of the rooms whose logs are in use.
//!
//! Invariant: the cache holds committed state only. A transaction changes copies of the cached rooms. When the
//! transaction commits, the copies replace the rooms. When the transaction fails, the copies are dropped.

use crate::state::Progress;
use crate::store::{self, Room};
use rusqlite::Connection;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

/// A room's key: the folded name of the room. All spellings of a name have the same key.
pub(crate) type Key = Arc<str>;

/// The rooms in use and the counters of the file, as they were last committed.
#[derive(Debug)]
pub(crate) struct Rooms {
    used: HashMap<Key, Used>,
    progress: Progress,
    /// The number of logs that have been opened, of all rooms together.
    opened: u64,
}

#[derive(Debug)]
struct Used {
    room: Room,
    /// How many logs of this room are in use.
    logs: usize,
    /// The number of the log through which messages were last appended to this room. 0 if no messages were appended.
    writer: u64,
    /// The number of logs that had been opened at the time of the last append to this room, counted over all rooms.
    opened_before: u64,
}

/// The changes of one transaction.
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

    /// Starts an empty set of changes.
    pub(crate) fn begin(&self) -> Changes {
        Changes {
            rooms: HashMap::new(),
            progress: self.progress,
        }
    }

    /// Returns the state of the room with this key, including the changes that the transaction has made so far. Creates
    /// the room if it does not exist.
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

    /// Returns the state of a room, which the transaction may change. Returns `None` if the room is not in use, and
    /// [`find`](Self::find) has not found it in this transaction.
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

    /// Applies the changes of a committed transaction.
    pub(crate) fn commit(&mut self, changes: Changes) {
        self.progress = changes.progress;
        for (key, room) in changes.rooms {
            match self.used.entry(key) {
                Entry::Occupied(mut known) => known.get_mut().room = room,
                Entry::Vacant(place) => {
                    // The count begins at 0, because [`Rooms::opened`] counts the room's logs.
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

    /// Counts one more open log of this room, and returns the number of the new log.
    pub(crate) fn opened(&mut self, key: &Key) -> u64 {
        self.opened += 1;
        if let Some(used) = self.used.get_mut(key) {
            used.logs += 1;
        }
        self.opened
    }

    /// Returns whether messages may be appended through the log with this number. They may not if another log has
    /// appended messages since this log was opened, because the hub of this log does not know these messages.
    ///
    /// A log that only reads does not prevent other logs from appending.
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

    /// Counts a log of this room as closed. Removes the room from the cache if the room has no other open log.
    pub(crate) fn closed(&mut self, key: &Key) {
        if let Some(used) = self.used.get_mut(key) {
            used.logs = used.logs.saturating_sub(1);
            if used.logs == 0 {
                self.used.remove(key);
            }
        }
    }
}
