//! The bounded queue of the writer thread.

use crate::rooms::Key;
use crate::store::{Indexed, Room};
use chat_core::RoomName;
use chat_core::log::{Batch, Drafts, JournalError};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

/// The maximum number of tasks that wait in the queue. A further task is rejected.
pub(crate) const TASKS_MAX: usize = 4096;

/// While more than this number of message bytes wait in the queue, further appends are rejected.
const BYTES_MAX: usize = 64 << 20;

/// A task for the writer thread.
#[derive(Debug)]
pub(crate) enum Task {
    /// A request to open a room's log.
    Open(Open),
    /// A request to append messages.
    Append(Append),
    /// A report that one of the open logs of the room with this key is no longer in use.
    Close(Key),
    /// A request for one step of indexing.
    Index(Index),
    /// A request to look for expired messages.
    Expire,
    /// The last task. The writer thread accepts no later tasks.
    End,
}

/// A request to open a room's log.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) key: Key,
    pub(crate) name: String,
    pub(crate) done: oneshot::Sender<Result<(Room, Lease), JournalError>>,
}

/// A request to append messages.
#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) room: Key,
    /// The number of the log through which the messages are appended; see [`Lease::number`].
    pub(crate) log: u64,
    pub(crate) name: RoomName,
    pub(crate) drafts: Drafts,
    pub(crate) done: oneshot::Sender<Result<Arc<Batch>, JournalError>>,
    /// Counts the bytes of the drafts as waiting until the append is done.
    pub(crate) weight: Weight,
}

/// A request for one step of indexing.
#[derive(Debug)]
pub(crate) struct Index {
    /// The room's id.
    pub(crate) room: i64,
    /// Receives the result, or `None` if the step failed.
    pub(crate) done: oneshot::Sender<Option<Indexed>>,
}

/// Counts the bytes of a batch as waiting until this value is dropped.
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

/// The sending half of the writer's queue.
#[derive(Debug)]
pub(crate) struct Queue {
    tasks: mpsc::Sender<Task>,
    /// The total bytes of the batches that wait for the writer.
    waiting: Arc<AtomicUsize>,
}

/// Creates a [`Lease`] for each opened log. The sender is weak, because the writer thread owns this value, and ends
/// when all strong senders are dropped.
#[derive(Debug, Clone)]
pub(crate) struct Leases {
    tasks: mpsc::WeakSender<Task>,
    /// The keys of rooms whose logs were closed while the queue was full.
    late: Arc<Mutex<Vec<Key>>>,
}

/// Marks a log of a room as in use until the lease is dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    key: Key,
    number: u64,
    leases: Leases,
}

/// Creates a queue: the sending half, the receiving half, and the value that creates leases.
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

    /// Ends the writer thread after all waiting tasks. The future is cancel safe.
    pub(crate) async fn end(&self) {
        // The send fails if the writer thread has ended or is about to end.
        drop(self.tasks.send(Task::End).await);
    }

    /// Adds the bytes of these drafts to the bytes that wait, until the returned value is dropped. Fails if more than
    /// [`BYTES_MAX`] bytes already wait.
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

    /// Returns a sender that does not keep the writer thread alive.
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

    /// Takes the keys of rooms whose logs were closed while the queue was full.
    pub(crate) fn late(&self) -> Vec<Key> {
        std::mem::take(&mut *self.late.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Lease {
    /// Returns the number of the log. Logs are numbered in the order in which they were opened.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // The writer performs this task after all batches that were appended through this log. If the queue is full,
        // the key is added to the list of logs that the writer closes later.
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
