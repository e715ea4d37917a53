//! A small pool of read-only connections, used on blocking threads.
//!
//! Invariant: reads and searches have separate permits, so reading history never waits for a search. A search whose
//! time is over or whose future was dropped reads at most a few more pages of the file.

use crate::error::{Failure, OpenError};
use crate::file::{self, Place};
use crate::held::Held;
use chat_core::log::JournalError;
use rusqlite::{Connection, ErrorCode};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The maximum number of concurrent reads.
const READS: usize = 4;

/// The maximum number of concurrent searches.
const SEARCHES: usize = 2;

/// The maximum number of waiting searches. A further search is rejected. The last waiting search waits at most 16 times
/// [`SEARCH_TIME_MAX`], which is 6.4 seconds.
const SEARCHES_WAITING_MAX: usize = 32;

/// The time limit of one search. In a file of 500,000 messages, a search for rare words takes a few milliseconds. A
/// search that reaches this limit has read some 100 MB of index.
pub(crate) const SEARCH_TIME_MAX: Duration = Duration::from_millis(400);

/// How long an idle connection stays open. Each connection takes two descriptors and some memory.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// The number of instructions of SQLite's virtual machine between two checks of a search's time. During this many
/// instructions, a search reads some ten pages of the index, or a few messages.
const STEPS_PER_LOOK: i32 = 32;

#[derive(Debug)]
pub(crate) struct Readers {
    path: PathBuf,
    /// The idle connections, each with the time at which it became idle. The connection that was used last is reused
    /// first.
    idle: Mutex<Vec<(Connection, Instant)>>,
    reads: Arc<Semaphore>,
    searches: Arc<Semaphore>,
    /// Permits for running and waiting searches together.
    searches_accepted: Arc<Semaphore>,
    search_time_max: Duration,
    /// The open and locked file, which must outlive all connections. `None` once the file is closed.
    held: Mutex<Option<Arc<Held>>>,
}

/// The time limit of one search, and whether the search was cancelled.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    begun: Instant,
    until: Instant,
    is_cancelled: Arc<AtomicBool>,
}

/// Cancels a search when the search's future drops this value.
struct CancelOnDrop(Arc<AtomicBool>);

impl Budget {
    /// Returns whether at least half of the search's time limit has passed.
    pub(crate) fn is_half_spent(&self) -> bool {
        self.begun.elapsed() * 2 >= self.until - self.begun
    }

    /// Returns whether the search must end now: its time is over, or it was cancelled.
    pub(crate) fn is_spent(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed) || Instant::now() >= self.until
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Readers {
    pub(crate) fn new(place: &Place, search_time_max: Duration) -> Self {
        Self {
            path: place.path().to_owned(),
            idle: Mutex::default(),
            reads: Arc::new(Semaphore::new(READS)),
            searches: Arc::new(Semaphore::new(SEARCHES)),
            searches_accepted: Arc::new(Semaphore::new(SEARCHES + SEARCHES_WAITING_MAX)),
            search_time_max,
            held: Mutex::new(Some(Arc::clone(place.held()))),
        }
    }

    /// Runs a read on a blocking thread. Must be called within a Tokio runtime. The future is cancel safe.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, JournalError> {
        let permit = acquire(&self.reads).await?;
        self.run(permit, move |readers| readers.read_now(read))
            .await
    }

    /// Runs a search on a blocking thread until its [`Budget`] is spent. Must be called within a Tokio runtime.
    /// Dropping the future ends the search.
    pub(crate) async fn search<T: Send + 'static>(
        self: &Arc<Self>,
        search: impl FnOnce(&mut Connection, &Budget) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, JournalError> {
        let accepted = Arc::clone(&self.searches_accepted).try_acquire_owned();
        let _accepted = accepted
            .map_err(|_| JournalError::Unavailable("too many searches at the same time".into()))?;
        let permit = acquire(&self.searches).await?;
        let cancel = CancelOnDrop(Arc::default());
        let is_cancelled = Arc::clone(&cancel.0);
        let found = self.run(permit, move |readers| {
            let begun = Instant::now();
            let budget = Budget {
                begun,
                until: begun + readers.search_time_max,
                is_cancelled,
            };
            readers.search_now(search, &budget)
        });
        let found = found.await;
        drop(cancel);
        found
    }

    /// Closes the file once the running reads have ended. Later reads are rejected.
    pub(crate) fn close(&self) {
        let held = lock(&self.held).take();
        drop(std::mem::take(&mut *lock(&self.idle)));
        drop(held);
    }

    /// Closes connections that have been idle for [`IDLE_MAX`].
    pub(crate) fn close_idle(&self) {
        let mut idle = lock(&self.idle);
        let is_old = |(_, since): &(Connection, Instant)| since.elapsed() >= IDLE_MAX;
        let old = idle.partition_point(is_old);
        let closed: Vec<_> = idle.drain(..old).collect();
        drop(idle);
        drop(closed);
    }

    async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        permit: OwnedSemaphorePermit,
        work: impl FnOnce(&Self) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let readers = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || {
            // The work holds the permit until it ends, even if the caller drops the future.
            let _permit = permit;
            work(&readers)
        });
        done.await.map_err(|_| JournalError::Gone)?
    }

    fn search_now<T>(
        &self,
        search: impl FnOnce(&mut Connection, &Budget) -> rusqlite::Result<T>,
        budget: &Budget,
    ) -> Result<T, JournalError> {
        if budget.is_cancelled.load(Ordering::Relaxed) {
            return Err(JournalError::Gone);
        }
        self.read_now(|connection| {
            let watched = budget.clone();
            connection.progress_handler(STEPS_PER_LOOK, Some(move || watched.is_spent()))?;
            let found = search(connection, budget);
            connection.progress_handler(0, None::<fn() -> bool>)?;
            found
        })
    }

    fn read_now<T>(
        &self,
        read: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, JournalError> {
        let held = lock(&self.held).clone();
        let held = held.ok_or(JournalError::Gone)?;
        let idle = lock(&self.idle).pop();
        let mut connection = match idle {
            Some((connection, _)) => connection,
            None => file::read_only(&self.path).map_err(failed)?,
        };
        let done = read(&mut connection);
        // A connection that has failed is not reused, unless it was only interrupted.
        let is_interrupted = done.as_ref().is_err_and(is_interrupted);
        let mut idle = lock(&self.idle);
        let is_open = lock(&self.held).is_some();
        if is_open && (done.is_ok() || is_interrupted) {
            idle.push((connection, Instant::now()));
        } else {
            drop(connection);
        }
        drop(idle);
        drop(held);
        if is_interrupted {
            return Err(JournalError::TooBroad);
        }
        done.map_err(|error| failed(error.into()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn acquire(permits: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, JournalError> {
    let permit = Arc::clone(permits).acquire_owned().await;
    permit.map_err(|_| JournalError::Gone)
}

fn is_interrupted(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted)
}

fn failed(error: OpenError) -> JournalError {
    // The hub logs the errors of peers at a limited rate, without details. So the details are logged here, at `debug`
    // only.
    tracing::debug!(%error, "the file can't be read");
    let reason = match error {
        OpenError::Sqlite(error) => return Failure::from(error).unavailable(),
        OpenError::ReadOnly => "its file can't be written",
        OpenError::InUse => "its file is in use",
        OpenError::Io { .. } => "its file is gone",
        _ => "its file is damaged",
    };
    JournalError::Unavailable(reason.into())
}
