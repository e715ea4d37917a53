//! A journal that takes its time: what core must not mistake for the one in memory.

use chat_core::log::{
    Appended, Drafts, Head, Journal, JournalError, Log, MemoryJournal, MemoryLog, Page, Span,
};
use chat_core::{Limits, RoomName};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A journal in memory whose appends and reads are done only after the delays it was given.
#[derive(Debug, Clone)]
pub struct SlowJournal {
    inner: MemoryJournal,
    delays: Arc<Mutex<Vec<Duration>>>,
}

/// One room's slow log.
#[derive(Debug)]
pub struct SlowLog {
    inner: MemoryLog,
    delays: Arc<Mutex<Vec<Duration>>>,
}

impl SlowJournal {
    /// Creates a journal whose appends take these times, the last one first; when none is left, no time.
    #[must_use]
    pub fn new(delays: Vec<Duration>) -> Self {
        Self {
            inner: MemoryJournal::new(&Limits::default()),
            delays: Arc::new(Mutex::new(delays)),
        }
    }
}

impl Journal for SlowJournal {
    type Log = SlowLog;

    async fn open(&self, room: &RoomName, key: &str) -> Result<SlowLog, JournalError> {
        tokio::task::yield_now().await;
        Ok(SlowLog {
            inner: self.inner.open(room, key).await?,
            delays: Arc::clone(&self.delays),
        })
    }
}

impl Log for SlowLog {
    fn head(&self) -> Head {
        self.inner.head()
    }

    fn append(
        &self,
        drafts: Drafts,
    ) -> impl Future<Output = Result<Appended, JournalError>> + Send + 'static {
        let delay = self
            .delays
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        // Takes its place in the log now, and says so later.
        let appended = self.inner.append(drafts);
        async move {
            if let Some(delay) = delay {
                tokio::time::sleep(delay).await;
            }
            appended.await
        }
    }

    async fn read(&self, span: Span, limit: usize) -> Result<Page, JournalError> {
        tokio::task::yield_now().await;
        self.inner.read(span, limit).await
    }
}
