//! The writer's cache of the rooms whose logs are in use.
//!
//! Invariant: the cache holds committed state only. A transaction changes copies. They replace the cached rooms when it
//! commits, and are dropped when it fails.

use crate::state::Progress;
use crate::store::{self, Room};
use rusqlite::Connection;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

/// A room's key.
pub(crate) type Key = Arc<str>;

/// The cached state.
#[derive(Debug)]
pub(crate) struct Rooms {
    used: HashMap<Key, Used>,
    progress: Progress,
    /// The number of logs that have been opened.
    opened: u64,
}

#[derive(Debug)]
struct Used {
    room: Room,
    /// The number of logs of this room in use.
    logs: usize,
    /// The number of the log that last appended messages; 0 if there is none.
    writer: u64,
    /// The number of logs of all rooms that had been opened at that time.
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

    /// Returns the room with this key, as the transaction sees it. Creates it if it does not exist.
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

    /// Returns a room that the transaction has found, to change it.
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
                    // The caller that opens the log counts it.
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

    /// Counts a log of a room that is opened, and returns its number.
    pub(crate) fn opened(&mut self, key: &Key) -> u64 {
        self.opened += 1;
        if let Some(used) = self.used.get_mut(key) {
            used.logs += 1;
        }
        self.opened
    }

    /// Claims the right to append through the log with this number, and returns whether it was granted. It is not
    /// granted if another log has appended since this one was opened: this log's hub does not know those messages.
    ///
    /// A log that only reads does not take the right from other logs.
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

    /// Counts a log of a room that is closed. The room is forgotten with its last log.
    pub(crate) fn closed(&mut self, key: &Key) {
        if let Some(used) = self.used.get_mut(key) {
            used.logs = used.logs.saturating_sub(1);
            if used.logs == 0 {
                self.used.remove(key);
            }
        }
    }
}
