//! A journal in memory that survives the drop of its hub.

use chat_core::log::{
    Appended, Drafts, Head, Journal, JournalError, Log, MemoryJournal, MemoryLog, Page, Span,
};
use chat_core::{Limits, RoomName, Seq};
use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Logs in memory, which remain when rooms and hubs are dropped.
#[derive(Clone)]
pub(crate) struct Kept {
    journal: MemoryJournal,
    logs: Arc<Mutex<HashMap<String, Arc<MemoryLog>>>>,
    /// The number of times that a log was opened, summed over all logs.
    openings: Arc<AtomicUsize>,
    /// If set, the next append succeeds, but the journal answers that the result is uncertain.
    is_uncertain: Arc<AtomicBool>,
}

pub(crate) struct KeptLog {
    is_uncertain: Arc<AtomicBool>,
    log: Arc<MemoryLog>,
    head: Head,
}

impl Kept {
    pub(crate) fn new() -> Self {
        Self {
            journal: MemoryJournal::new(&Limits::default()),
            logs: Arc::default(),
            openings: Arc::default(),
            is_uncertain: Arc::default(),
        }
    }

    pub(crate) fn make_uncertain(&self) {
        self.is_uncertain.store(true, Ordering::Relaxed);
    }

    pub(crate) fn openings(&self) -> usize {
        self.openings.load(Ordering::Relaxed)
    }
}

impl Journal for Kept {
    type Log = KeptLog;

    async fn open(&self, room: &RoomName, key: &str) -> Result<KeptLog, JournalError> {
        self.openings.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        let known = self.logs.lock().unwrap().get(key).cloned();
        let log = match known {
            Some(log) => log,
            None => Arc::new(self.journal.open(room, key).await?),
        };
        self.logs
            .lock()
            .unwrap()
            .insert(key.into(), Arc::clone(&log));
        let latest = log.read(Span::Before(Seq::END), 1).await?;
        let mut head = log.head();
        head.tail = latest.last().unwrap_or(Seq::START);
        let is_uncertain = Arc::clone(&self.is_uncertain);
        Ok(KeptLog {
            is_uncertain,
            log,
            head,
        })
    }
}

impl Log for KeptLog {
    fn head(&self) -> Head {
        self.head.clone()
    }

    fn append(
        &self,
        drafts: Drafts,
    ) -> impl Future<Output = Result<Appended, JournalError>> + Send + 'static {
        let is_uncertain = self.is_uncertain.swap(false, Ordering::Relaxed);
        let appended = self.log.append(drafts);
        async move {
            let batch = appended.await?;
            if is_uncertain {
                return Err(JournalError::Uncertain("the disk fails".into()));
            }
            Ok(batch)
        }
    }

    async fn read(&self, span: Span, limit: usize) -> Result<Page, JournalError> {
        self.log.read(span, limit).await
    }
}
