//! The thread that schedules background work. It makes the writer thread index messages and remove expired messages,
//! and it closes idle readers.
//!
//! Invariant: at most one step of indexing waits in the queue of the writer thread at a time. Pauses between the steps
//! limit the bytes that are indexed a second. The writer thread indexes only committed messages. Each room's row
//! records how far the room's log is indexed.

use crate::queue::{Index, Task};
use crate::readers::Readers;
use crate::store::Indexed;
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// The number of message bytes after which a step of indexing ends. A step takes about ten milliseconds if all words
/// are different, which is the slowest case. Members may have to wait until a step ends.
pub(crate) const INDEXED_AT_ONCE: usize = 32 << 10;

/// The maximum number of message bytes that are indexed a second. This is more than 5,000 messages of one line. If all
/// words are different, indexing at this rate takes less than half of one core.
pub(crate) const INDEXED_PER_SECOND: usize = 512 << 10;

/// The pause after a failed step of indexing.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How often the keeper asks the writer thread to look for expired messages, even if no messages arrive.
const EXPIRE_EVERY: Duration = Duration::from_secs(60);

/// How often the keeper closes idle connections of the readers and checks whether the writer thread has ended.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The ids of the rooms whose logs are not fully indexed.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    rooms: BTreeSet<i64>,
    /// The room that [`Backlog::next`] has returned last. The next room is the one with the next higher id.
    last: Option<i64>,
    has_ended: bool,
}

/// The state of the thread that schedules background work.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) backlog: Arc<Backlog>,
    /// The queue of the writer thread. The writer runs until all strong senders are dropped, so this sender is weak.
    pub(crate) tasks: mpsc::WeakSender<Task>,
    pub(crate) readers: Weak<Readers>,
    /// Whether some messages expire with time.
    pub(crate) expires: bool,
    pub(crate) indexed_per_second: usize,
}

impl Backlog {
    /// Adds the room with this id to the backlog, because messages were appended to the room's log.
    pub(crate) fn note(&self, room: i64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.rooms.insert(room) {
            self.changed.notify_one();
        }
    }

    /// Tells the thread that runs [`Keeper::run`] to end.
    pub(crate) fn end(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.has_ended = true;
        self.changed.notify_one();
    }

    /// Waits for this time, or until the thread must end. Returns whether the thread must end.
    fn pause(&self, time: Duration) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .changed
            .wait_timeout_while(state, time, |state| !state.has_ended);
        waited.unwrap_or_else(PoisonError::into_inner).0.has_ended
    }

    /// Removes and returns the next room. If there is none, waits at most [`LOOK_EVERY`] for a room.
    fn next(&self) -> Option<i64> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(state, LOOK_EVERY, |state| {
            !state.has_ended && state.rooms.is_empty()
        });
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        let after = state.last.map_or(Bound::Unbounded, Bound::Excluded);
        let mut later = state.rooms.range((after, Bound::Unbounded));
        let next = *later.next().or_else(|| state.rooms.first())?;
        state.rooms.remove(&next);
        state.last = Some(next);
        Some(next)
    }
}

impl Keeper {
    /// Runs until the writer thread ends.
    pub(crate) fn run(self) {
        let (mut looked, mut expired) = (Instant::now(), Instant::now());
        loop {
            let room = self.backlog.next().filter(|_| self.indexed_per_second > 0);
            let pause = match room.map(|room| self.index(room)) {
                Some(Ok(pause)) => pause,
                Some(Err(())) => return,
                None => Duration::ZERO,
            };
            if looked.elapsed() >= LOOK_EVERY {
                looked = Instant::now();
                if let Some(readers) = self.readers.upgrade() {
                    readers.close_idle();
                }
            }
            let Some(tasks) = self.tasks.upgrade().filter(|tasks| !tasks.is_closed()) else {
                return;
            };
            if self.expires && expired.elapsed() >= EXPIRE_EVERY {
                expired = Instant::now();
                // If the queue is full, this request is dropped. The next request follows after [`EXPIRE_EVERY`].
                drop(tasks.try_send(Task::Expire));
            }
            drop(tasks);
            if self.backlog.pause(pause) {
                return;
            }
        }
    }

    /// Makes the writer thread index a part of a room's log. Returns how long to pause before the next step. Fails if
    /// the writer thread has ended.
    fn index(&self, room: i64) -> Result<Duration, ()> {
        let (done, indexed) = oneshot::channel();
        let tasks = self.tasks.upgrade().ok_or(())?;
        let indexed = match tasks.try_send(Task::Index(Index { room, done })) {
            Ok(()) => {
                drop(tasks);
                indexed.blocking_recv().map_err(|_| ())?
            }
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(()),
            // The queue is full. The keeper tries the step again after [`RETRY_AFTER`].
            Err(mpsc::error::TrySendError::Full(_)) => None,
        };
        let Some(Indexed { bytes, has_more }) = indexed else {
            self.backlog.note(room);
            return Ok(RETRY_AFTER);
        };
        if has_more {
            self.backlog.note(room);
        }
        let seconds = bytes as f64 / self.indexed_per_second as f64;
        Ok(Duration::from_secs_f64(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_room_has_its_turn() {
        let backlog = Backlog::default();
        for room in [1, 2, 3] {
            backlog.note(room);
        }
        let taken: Vec<_> = (0..5)
            .map(|_| {
                let room = backlog.next().expect("there are three");
                backlog.note(room);
                room
            })
            .collect();
        assert_eq!(taken, [1, 2, 3, 1, 2]);
        backlog.end();
        assert!(backlog.pause(Duration::from_secs(3600)));
    }
}
