//! A journal in memory that fails when a scenario says so.

use chat_core::log::{
    Appended, Drafts, Head, Journal, JournalError, Log, MemoryJournal, MemoryLog, Page, Span,
};
use chat_core::{Limits, RoomName, Seq};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// What the journal does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It works.
    None,
    /// Nothing can be opened, appended or read.
    Unavailable,
    /// What is appended may have been kept.
    Uncertain,
    /// Nothing can be read.
    Unreadable,
}

#[derive(Clone)]
pub(crate) struct Unreliable {
    inner: MemoryJournal,
    fault: Arc<AtomicU8>,
}

pub(crate) struct UnreliableLog {
    inner: MemoryLog,
    fault: Arc<AtomicU8>,
}

impl Unreliable {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            inner: MemoryJournal::new(limits),
            fault: Arc::new(AtomicU8::new(Fault::None as u8)),
        }
    }

    pub(crate) fn set(&self, fault: Fault) {
        self.fault.store(fault as u8, Ordering::Relaxed);
    }
}

fn has(fault: &AtomicU8, what: Fault) -> bool {
    fault.load(Ordering::Relaxed) == what as u8
}

fn fails(fault: &AtomicU8) -> Result<(), JournalError> {
    if has(fault, Fault::Unavailable) {
        return Err(JournalError::Unavailable("its file is gone".into()));
    }
    Ok(())
}

impl Journal for Unreliable {
    type Log = UnreliableLog;

    async fn open(&self, room: &RoomName, key: &str) -> Result<UnreliableLog, JournalError> {
        fails(&self.fault)?;
        Ok(UnreliableLog {
            inner: self.inner.open(room, key).await?,
            fault: Arc::clone(&self.fault),
        })
    }
}

impl Log for UnreliableLog {
    fn head(&self) -> Head {
        self.inner.head()
    }

    fn append(
        &self,
        drafts: Drafts,
    ) -> impl Future<Output = Result<Appended, JournalError>> + Send + 'static {
        let failure = match fails(&self.fault) {
            Ok(()) if has(&self.fault, Fault::Uncertain) => {
                Err(JournalError::Uncertain("the disk is odd".into()))
            }
            other => other,
        };
        let appended = failure.map(|()| self.inner.append(drafts));
        async move { appended?.await }
    }

    async fn read(&self, span: Span, limit: usize) -> Result<Page, JournalError> {
        fails(&self.fault)?;
        if has(&self.fault, Fault::Unreadable) {
            return Err(JournalError::Unavailable("its file is damaged".into()));
        }
        self.inner.read(span, limit).await
    }

    async fn search(&self, text: &str, before: Seq, limit: usize) -> Result<Page, JournalError> {
        fails(&self.fault)?;
        if has(&self.fault, Fault::Unreadable) {
            return Err(JournalError::TooBroad);
        }
        self.inner.search(text, before, limit).await
    }
}
