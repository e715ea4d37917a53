//! A journal in memory that fails when a scenario requests a fault.

use chat_core::Limits;
use chat_core::log::{Appended, Drafts, JournalError, Log, MemoryJournal};
use chat_testkit::{Intercept, WrappedJournal};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// The possible faults of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The journal works.
    None,
    /// Logs can't be opened, read or appended to.
    Unavailable,
    /// Appends fail, and it is uncertain whether the messages were stored.
    Uncertain,
    /// Logs can't be read.
    Unreadable,
}

/// The current fault of a journal. A scenario sets it.
#[derive(Clone)]
pub(crate) struct JournalFaults(Arc<AtomicU8>);

/// Returns a journal in memory whose faults can be set, and the handle that sets them. At first the journal works.
pub(crate) fn unreliable(
    limits: &Limits,
) -> (WrappedJournal<MemoryJournal, JournalFaults>, JournalFaults) {
    let faults = JournalFaults(Arc::new(AtomicU8::new(Fault::None as u8)));
    let journal = WrappedJournal::new(MemoryJournal::new(limits), faults.clone());
    (journal, faults)
}

impl JournalFaults {
    pub(crate) fn set(&self, fault: Fault) {
        self.0.store(fault as u8, Ordering::Relaxed);
    }

    fn has(&self, fault: Fault) -> bool {
        self.0.load(Ordering::Relaxed) == fault as u8
    }

    fn check(&self) -> Result<(), JournalError> {
        if self.has(Fault::Unavailable) {
            return Err(JournalError::Unavailable("its file is gone".into()));
        }
        Ok(())
    }
}

impl Intercept for JournalFaults {
    async fn open(&self) -> Result<(), JournalError> {
        self.check()
    }

    fn append(
        &self,
        log: &impl Log,
        drafts: Drafts,
    ) -> impl Future<Output = Result<Appended, JournalError>> + Send + 'static {
        let failure = match self.check() {
            Ok(()) if self.has(Fault::Uncertain) => {
                Err(JournalError::Uncertain("the disk is odd".into()))
            }
            other => other,
        };
        let appended = failure.map(|()| log.append(drafts));
        async move { appended?.await }
    }

    async fn read(&self) -> Result<(), JournalError> {
        self.check()?;
        if self.has(Fault::Unreadable) {
            return Err(JournalError::Unavailable("its file is damaged".into()));
        }
        Ok(())
    }

    async fn search(&self) -> Result<(), JournalError> {
        self.check()?;
        if self.has(Fault::Unreadable) {
            return Err(JournalError::TooBroad);
        }
        Ok(())
    }
}
