//! Which rooms have messages that are no longer kept, and what is still to be looked at.

use crate::options::{Keep, Options};
use crate::rooms::Key;
use crate::store::Room;
use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;

/// How many messages more than its count a room may hold before some are removed, so that this is not done with each.
const SLACK_MAX: u64 = 500;

#[derive(Debug)]
pub(crate) struct Expiry {
    elsewhere: Keep,
    rooms: HashMap<String, Keep>,
    /// Rooms in which there may be something to remove.
    waiting: BTreeSet<Key>,
    /// The room that was looked at last: the next one is another.
    last: Option<Key>,
    /// How many messages have been removed since that was logged.
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

    /// Whether nothing is ever removed.
    pub(crate) fn is_idle(&self) -> bool {
        let mut keeps = self.rooms.values().chain([&self.elsewhere]);
        keeps.all(|keep| *keep == Keep::Everything)
    }

    /// How long a room's messages are kept.
    pub(crate) fn keep(&self, key: &str) -> Keep {
        self.rooms.get(key).copied().unwrap_or(self.elsewhere)
    }

    /// Notes a room in which something was said, if that made it hold too much.
    pub(crate) fn note_growth(&mut self, key: &Key, room: &Room) {
        if let Keep::Count(count) = self.keep(key)
            && room.kept > count.saturating_add((count / 8).min(SLACK_MAX))
        {
            self.note(key.clone());
        }
    }

    /// Notes a room that may hold too much.
    pub(crate) fn note(&mut self, key: Key) {
        if self.keep(&key) != Keep::Everything {
            self.waiting.insert(key);
        }
    }

    /// Nothing can be removed now: all is looked at again when time has passed.
    pub(crate) fn give_up(&mut self) {
        self.waiting.clear();
    }

    pub(crate) fn has_any(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The next room to look at, each in its turn.
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
