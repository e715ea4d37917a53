//! What waits for the thread that writes: so much and no more.

use crate::rooms::Key;
use crate::store::{Indexed, Room};
use chat_core::RoomName;
use chat_core::log::{Batch, Drafts, JournalError};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

/// How many tasks may wait.
pub(crate) const TASKS_MAX: usize = 4096;

/// How many bytes of messages may wait.
const BYTES_MAX: usize = 64 << 20;

/// What the thread is asked.
#[derive(Debug)]
pub(crate) enum Task {
    Open(Open),
    Append(Append),
    /// A log is not used any more.
    Close(Key),
    /// Some of a log is to be indexed.
    Index(Index),
    /// Time has passed: there may be more that is no longer kept.
    Expire,
    /// Nothing more is taken.
    End,
}

/// A room's log is wanted.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) key: Key,
    pub(crate) name: String,
    pub(crate) done: oneshot::Sender<Result<(Room, Lease), JournalError>>,
}

/// Messages are to be kept.
#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) room: Key,
    /// The log that it is appended through.
    pub(crate) log: u64,
    pub(crate) name: RoomName,
    pub(crate) drafts: Drafts,
    pub(crate) done: oneshot::Sender<Result<Arc<Batch>, JournalError>>,
    pub(crate) weight: Weight,
}

/// A step of indexing is due.
#[derive(Debug)]
pub(crate) struct Index {
    /// The room's id.
    pub(crate) room: i64,
    /// Told what was done; nothing if that failed.
    pub(crate) done: oneshot::Sender<Option<Indexed>>,
}

/// Bytes that wait, until this is dropped.
#[derive(Debug)]
pub(crate) struct Weight {
    bytes: usize,
    waiting: Arc<AtomicUsize>,
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The end at which tasks come in.
#[derive(Debug)]
pub(crate) struct Queue {
    tasks: mpsc::Sender<Task>,
    waiting: Arc<AtomicUsize>,
}

/// Makes leases; lies with the thread, which it does not keep from ending.
#[derive(Debug, Clone)]
pub(crate) struct Leases {
    tasks: mpsc::WeakSender<Task>,
    /// Closed while the queue was full.
    late: Arc<Mutex<Vec<Key>>>,
}

/// That a log of a room is in use, until this is dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    key: Key,
    number: u64,
    leases: Leases,
}

/// Makes a queue: the end at which tasks come in, the one at which they come out, and the leases.
pub(crate) fn queue() -> (Queue, mpsc::Receiver<Task>, Leases) {
    let (tasks, waiting) = mpsc::channel(TASKS_MAX);
    let leases = Leases {
        tasks: tasks.downgrade(),
        late: Arc::default(),
    };
    let queue = Queue {
        tasks,
        waiting: Arc::default(),
    };
    (queue, waiting, leases)
}

impl Queue {
    pub(crate) fn send(&self, task: Task) -> Result<(), JournalError> {
        self.tasks.try_send(task).map_err(|error| match error {
            TrySendError::Full(_) => too_slow(),
            TrySendError::Closed(_) => JournalError::Gone,
        })
    }

    /// Has the thread end after what waits. Cancel safe.
    pub(crate) async fn end(&self) {
        // If it takes nothing any more, it has ended or does so.
        drop(self.tasks.send(Task::End).await);
    }

    /// Has so many bytes wait, if there is room for them.
    pub(crate) fn weigh(&self, drafts: &Drafts) -> Result<Weight, JournalError> {
        let weight = Weight {
            bytes: drafts.bytes(),
            waiting: Arc::clone(&self.waiting),
        };
        let before = self.waiting.fetch_add(weight.bytes, Ordering::Relaxed);
        if before > BYTES_MAX {
            return Err(too_slow());
        }
        Ok(weight)
    }

    /// A way in that does not keep the thread from ending.
    pub(crate) fn downgrade(&self) -> mpsc::WeakSender<Task> {
        self.tasks.downgrade()
    }
}

fn too_slow() -> JournalError {
    JournalError::Unavailable("the disk is too slow".into())
}

impl Leases {
    pub(crate) fn lease(&self, key: &Key, number: u64) -> Lease {
        Lease {
            key: Arc::clone(key),
            number,
            leases: self.clone(),
        }
    }

    /// What was closed while the queue was full.
    pub(crate) fn late(&self) -> Vec<Key> {
        std::mem::take(&mut *self.late.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Lease {
    /// Which of the logs that were handed out it is.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // After all that was handed over by it, or when nothing waits any more.
        let task = Task::Close(Arc::clone(&self.key));
        if let Some(tasks) = self.leases.tasks.upgrade()
            && let Err(TrySendError::Full(_)) = tasks.try_send(task)
        {
            let late = &self.leases.late;
            let mut late = late.lock().unwrap_or_else(PoisonError::into_inner);
            late.push(Arc::clone(&self.key));
        }
    }
}
