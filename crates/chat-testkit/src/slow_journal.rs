//! A journal whose appends take time, for tests of what happens while an append has not completed.

use crate::{Intercept, WrappedJournal, WrappedLog};
use chat_core::log::{Appended, Drafts, Journal, JournalError, Log, MemoryJournal, MemoryLog};
use chat_core::{Limits, RoomName};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// An in-memory journal. Its appends take the delays that were passed to [`new`](Self::new), and each read yields to
/// other tasks once.
#[derive(Debug, Clone)]
pub struct SlowJournal(WrappedJournal<MemoryJournal, Delays>);

/// The delays of a [`SlowJournal`].
#[derive(Debug, Clone)]
pub struct Delays(Arc<Mutex<Vec<Duration>>>);

impl SlowJournal {
    /// Creates a journal. Each append takes one of these delays, beginning with the last one of the list. Once the list
    /// is empty, appends take no time.
    #[must_use]
    pub fn new(delays: Vec<Duration>) -> Self {
        let inner = MemoryJournal::new(&Limits::default());
        let delays = Delays(Arc::new(Mutex::new(delays)));
        Self(WrappedJournal::new(inner, delays))
    }
}

impl Journal for SlowJournal {
    type Log = WrappedLog<MemoryLog, Delays>;

    fn open(
        &self,
        room: &RoomName,
        key: &str,
    ) -> impl Future<Output = Result<Self::Log, JournalError>> + Send {
        self.0.open(room, key)
    }
}

impl Intercept for Delays {
    async fn open(&self) -> Result<(), JournalError> {
        tokio::task::yield_now().await;
        Ok(())
    }

    fn append(
        &self,
        log: &impl Log,
        drafts: Drafts,
    ) -> impl Future<Output = Result<Appended, JournalError>> + Send + 'static {
        let delay = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        // The append takes its position in the log now; only the answer is delayed.
        let appended = log.append(drafts);
        async move {
            if let Some(delay) = delay {
                tokio::time::sleep(delay).await;
            }
            appended.await
        }
    }

    async fn read(&self) -> Result<(), JournalError> {
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn search(&self) -> Result<(), JournalError> {
        self.read().await
    }
}
