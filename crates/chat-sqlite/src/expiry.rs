//! Records which rooms may have expired messages, and chooses the room to check next.

use crate::options::{Keep, Options};
use crate::rooms::Key;
use crate::store::Room;
use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;

/// The maximum number of messages by which a room may exceed its [`Keep::Count`] before the journal removes some.
/// Without this slack, the journal would have to remove a message for each new one.
const SLACK_MAX: u64 = 500;

#[derive(Debug)]
pub(crate) struct Expiry {
    /// How long rooms that are not in `rooms` keep messages.
    elsewhere: Keep,
    /// How long rooms with a setting of their own keep messages, by the rooms' keys.
    rooms: HashMap<String, Keep>,
    /// The keys of rooms that may have messages to remove.
    waiting: BTreeSet<Key>,
    /// The room that [`next`](Self::next) has returned last. The next room is the one with the next higher key.
    last: Option<Key>,
    /// The number of messages that were removed since this number was last logged.
    pub(crate) removed: u64,
}

impl Expiry {
    pub(crate) fn new(options: &Options) -> Self {
        let fold = |(room, keep): &(chat_core::RoomName, Keep)| {
            ((options.names.fold)(room.as_str()), *keep)
        };
        Self {
            elsewhere: options.keep,
            rooms: options.keep_in.iter().map(fold).collect(),
            waiting: BTreeSet::new(),
            last: None,
            removed: 0,
        }
    }

    /// Returns whether every room keeps all messages.
    pub(crate) fn is_idle(&self) -> bool {
        let mut keeps = self.rooms.values().chain([&self.elsewhere]);
        keeps.all(|keep| *keep == Keep::Everything)
    }

    /// Returns how long a room's messages are kept.
    pub(crate) fn keep(&self, key: &str) -> Keep {
        self.rooms.get(key).copied().unwrap_or(self.elsewhere)
    }

    /// Adds a room to `waiting` if the room now holds too many messages.
    pub(crate) fn note_growth(&mut self, key: &Key, room: &Room) {
        if let Keep::Count(count) = self.keep(key)
            && room.kept > count.saturating_add((count / 8).min(SLACK_MAX))
        {
            self.note(key.clone());
        }
    }

    /// Adds a room that may hold expired messages to the waiting rooms.
    pub(crate) fn note(&mut self, key: Key) {
        if self.keep(&key) != Keep::Everything {
            self.waiting.insert(key);
        }
    }

    /// Clears the waiting rooms, because nothing can be removed now. The writer's regular check of all rooms adds the
    /// rooms again.
    pub(crate) fn give_up(&mut self) {
        self.waiting.clear();
    }

    pub(crate) fn has_any(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Removes and returns the next waiting room, in round-robin order.
    pub(crate) fn next(&mut self) -> Option<Key> {
        let after = self.last.take().map_or(Bound::Unbounded, Bound::Excluded);
        let mut later = self.waiting.range((after, Bound::Unbounded));
        let next = later.next().or_else(|| self.waiting.first())?.clone();
        self.waiting.remove(&next);
        self.last = Some(next.clone());
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_room_waits_for_ever_behind_another() {
        let options = Options {
            keep: Keep::Count(10),
            ..Options::default()
        };
        let mut expiry = Expiry::new(&options);
        for key in ["a", "b", "c"] {
            expiry.note(key.into());
        }
        let mut looked_at = Vec::new();
        for _ in 0..4 {
            let key = expiry.next().expect("there are three");
            looked_at.push(key.to_string());
            expiry.note(key);
        }
        assert_eq!(looked_at, ["a", "b", "c", "a"]);
    }
}
