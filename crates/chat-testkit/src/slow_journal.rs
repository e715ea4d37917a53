//! A journal with delays, for what the in-memory journal does too fast to test.

use chat_core::log::{
    Appended, Drafts, Head, Journal, JournalError, Log, MemoryJournal, MemoryLog, Page, Span,
};
use chat_core::{Limits, RoomName};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// An in-memory journal whose appends take the configured delays. A read yields once.
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
    /// Creates a journal with these delays for its appends, taken from the end of the list. Without any left, an append
    /// takes no time.
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
        // The append takes its position in the log now; only the answer is delayed.
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
