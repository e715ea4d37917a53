//! Limits the memory of all rooms' logs together, and chooses which log drops messages.
//!
//! Invariant: an append costs one addition to a number that all rooms share. The logs are scanned only when that number
//! exceeds the limit. A scan drops so many messages that the next scan is not needed soon.

use crate::log::batch::Batch;
use crate::log::memory::Ring;
use crate::log::position::Epoch;
use crate::sync::Mutex;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

/// A scan drops messages until at least one part in `SPARE` of the limit is free. A scan of 4,096 logs takes about 0.3
/// ms. By default there is one scan for each 4 MiB that are appended.
const SPARE: usize = 64;

/// The memory in bytes that a batch takes in addition to its texts and positions: the batch itself, its reference
/// counts, its slot in the log's ring, and the allocator's overhead for its three allocations.
const BATCH_BYTES: usize = size_of::<Batch>() + 9 * size_of::<usize>();

/// The most dropped logs whose epochs a journal remembers. Only logs that never had a message count. By default, a hub
/// keeps the same number of empty rooms.
const UNUSED_MAX: usize = 256;

/// The memory that all logs of a journal may hold together.
#[derive(Debug)]
pub(super) struct Budget {
    bytes_max: usize,
    held: AtomicUsize,
    /// Whether a task is dropping messages. Only one task at a time drops messages.
    is_evicting: AtomicBool,
    ids: AtomicU64,
    rings: Mutex<BTreeMap<u64, Weak<Mutex<Ring>>>>,
    /// The room keys and the epochs of dropped logs that never had a message, the oldest first.
    unused: Mutex<VecDeque<(Box<str>, Epoch)>>,
    /// Maps the key of each room with an open log to the number of the log that was opened last for this room.
    latest: Mutex<HashMap<Box<str>, u64>>,
}

/// Returns how many bytes of memory a batch takes, including allocated memory that is not used.
pub(super) const fn cost(batch: &Batch) -> usize {
    batch.heap_bytes() + BATCH_BYTES
}

impl Budget {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            held: AtomicUsize::new(0),
            is_evicting: AtomicBool::new(false),
            ids: AtomicU64::new(0),
            rings: Mutex::new(BTreeMap::new()),
            unused: Mutex::new(VecDeque::new()),
            latest: Mutex::default(),
        }
    }

    /// Returns the epoch of a log that is opened. If the room's previous log never had a message, the new log gets the
    /// epoch of the previous log, because a client that resumes has missed nothing.
    pub(super) fn epoch(&self, key: &str, id: u64) -> Epoch {
        self.latest.lock().insert(key.into(), id);
        let mut unused = self.unused.lock();
        let known = unused.iter().position(|(known, _)| **known == *key);
        let known = known.and_then(|at| unused.remove(at));
        known.map_or_else(Epoch::random, |(_, epoch)| epoch)
    }

    /// Notes that a log is dropped. If the log never had a message, remembers its epoch. Does nothing if another log of
    /// the room was opened later, because the later log may have had messages.
    pub(super) fn drop_log(&self, key: &str, id: u64, epoch: Epoch, is_unused: bool) {
        let mut latest = self.latest.lock();
        if latest.get(key) != Some(&id) {
            return;
        }
        latest.remove(key);
        drop(latest);
        if !is_unused {
            return;
        }
        let mut unused = self.unused.lock();
        if unused.len() == UNUSED_MAX {
            unused.pop_front();
        }
        unused.push_back((key.into(), epoch));
    }

    /// Registers a log and returns its number.
    pub(super) fn register(&self, ring: &Arc<Mutex<Ring>>) -> u64 {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        self.rings.lock().insert(id, Arc::downgrade(ring));
        id
    }

    /// Removes a log, and subtracts its bytes from the bytes of all logs.
    pub(super) fn forget(&self, id: u64, ring: &Mutex<Ring>) {
        self.rings.lock().remove(&id);
        let mut ring = ring.lock();
        let held = ring.held;
        *ring = Ring::default();
        self.change(held, 0);
    }

    /// Records that a log now holds `after` bytes instead of `before`. The caller must hold the lock of the log's ring.
    pub(super) fn change(&self, before: usize, after: usize) {
        if after > before {
            self.held.fetch_add(after - before, Ordering::Relaxed);
        } else if after < before {
            self.held.fetch_sub(before - after, Ordering::Relaxed);
        }
    }

    /// Makes logs drop messages if all logs together hold more than the limit. The caller must hold no ring's lock.
    pub(super) fn keep(&self) {
        if self.held.load(Ordering::Relaxed) > self.bytes_max
            && !self.is_evicting.swap(true, Ordering::Acquire)
        {
            self.evict();
            self.is_evicting.store(false, Ordering::Release);
        }
    }

    /// Drops the oldest messages of the rooms that have been silent longest, until one part in [`SPARE`] of the limit
    /// is free. A log that holds less than an equal share of the limit keeps all its messages, so that many big rooms
    /// don't erase the messages of a small room.
    fn evict(&self) {
        let bytes_max = self.bytes_max - self.bytes_max / SPARE;
        let rings: Vec<_> = {
            let rings = self.rings.lock();
            rings.values().filter_map(Weak::upgrade).collect()
        };
        let mut logs: Vec<_> = rings
            .iter()
            .filter_map(|ring| {
                let at = ring.lock().batches.back()?.at();
                Some((at, ring))
            })
            .collect();
        let share = bytes_max / logs.len().max(1);
        logs.sort_by_key(|(at, _)| *at);
        for (_, ring) in logs {
            let excess = self.held.load(Ordering::Relaxed).saturating_sub(bytes_max);
            if excess == 0 {
                break;
            }
            let mut ring = ring.lock();
            let before = ring.held;
            let keeps = share.max(before.saturating_sub(excess));
            while ring.held > keeps {
                ring.let_go(usize::MAX);
            }
            self.change(before, ring.held);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::log::drafts::Drafts;
    use crate::log::journal::Journal;
    use crate::log::journal::{Log, Span};
    use crate::log::kind::Kind;
    use crate::log::memory::{MemoryJournal, MemoryLog};
    use crate::log::position::{Seq, SessionId, Timestamp};
    use crate::name::{Nick, RoomName};
    use futures::FutureExt;
    use std::num::NonZeroUsize;

    const LIMIT: usize = 64 * 1024;

    fn journal() -> MemoryJournal {
        MemoryJournal::new(&Limits {
            journal_total_bytes: NonZeroUsize::new(LIMIT).unwrap(),
            ..Limits::default()
        })
    }

    fn open(journal: &MemoryJournal, room: usize) -> MemoryLog {
        let name = RoomName::parse(&format!("room-{room}")).unwrap();
        let log = journal.open(&name, name.as_str());
        log.now_or_never().unwrap().unwrap()
    }

    fn append(log: &MemoryLog, at: u64, bytes: usize) {
        let mut drafts = Drafts::new(SessionId(1), Nick::parse("a").unwrap(), Timestamp(at));
        drafts.push(Kind::Said, &"x".repeat(bytes));
        log.append(drafts).now_or_never().unwrap().unwrap();
    }

    /// Returns how many messages a log holds, and the last position of its gap; 0 if the log has no gap.
    fn read(log: &MemoryLog) -> (usize, u64) {
        let page = log.read(Span::After(Seq::START), 9999);
        let page = page.now_or_never().unwrap().unwrap();
        (page.len(), page.gap.map_or(0, |gap| gap.to.0))
    }

    fn held(journal: &MemoryJournal) -> usize {
        journal.budget.held.load(Ordering::Relaxed)
    }

    #[test]
    fn the_room_that_has_been_silent_longest_gives_way_first_and_says_so() {
        let journal = journal();
        let logs = [0, 1, 2].map(|room| open(&journal, room));
        for (at, log) in logs.iter().enumerate() {
            (0..15).for_each(|_| append(log, at as u64, 980));
        }
        let small = open(&journal, 3);
        append(&small, 0, 10);
        // The first room speaks again, so the second room is now the one that has been silent longest.
        (0..6).for_each(|_| append(&logs[0], 9, 980));
        assert!(held(&journal) <= LIMIT, "{}", held(&journal));
        assert_eq!(read(&logs[0]), (21, 0));
        let (left, gap) = read(&logs[1]);
        assert!(
            left < 15 && left as u64 + gap == 15,
            "{left} left, {gap} gone"
        );
        assert_eq!(read(&logs[2]), (15, 0));
        assert_eq!(read(&small), (1, 0));
    }

    #[test]
    fn however_many_rooms_are_filled_all_together_hold_no_more_than_the_limit() {
        let journal = journal();
        let mut logs = Vec::new();
        for room in 0..100 {
            let log = open(&journal, room);
            for at in 0..10 {
                append(&log, at, 500);
                assert!(held(&journal) <= LIMIT, "{}", held(&journal));
            }
            logs.push(log);
        }
        let really: usize = logs.iter().map(|log| log.ring.lock().held).sum();
        assert_eq!(held(&journal), really);
        assert!(really > LIMIT / 2, "it lets go of too much: {really}");
        logs.clear();
        assert_eq!(held(&journal), 0);
        assert!(journal.budget.rings.lock().is_empty());
    }

    #[test]
    fn many_big_rooms_do_not_erase_a_small_one_that_has_long_been_silent() {
        let journal = journal();
        let small = open(&journal, 0);
        append(&small, 0, 100);
        let big: Vec<_> = (1..20).map(|room| open(&journal, room)).collect();
        for at in 1..200 {
            big.iter().for_each(|log| append(log, at, 1000));
        }
        assert_eq!(read(&small), (1, 0));
    }

    #[test]
    fn rooms_that_are_filled_at_the_same_time_keep_to_the_limit() {
        let journal = journal();
        let logs: Vec<_> = (0..4).map(|thread| open(&journal, thread)).collect();
        std::thread::scope(|scope| {
            for log in &logs {
                scope.spawn(move || (0..2000).for_each(|at| append(log, at, 100)));
            }
        });
        // The last appends may have happened while another thread dropped messages. One more append enforces the limit.
        append(&logs[0], 2000, 100);
        let really: usize = logs.iter().map(|log| log.ring.lock().held).sum();
        assert_eq!(held(&journal), really);
        assert!(really <= LIMIT, "{really}");
    }
}
