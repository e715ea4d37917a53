//! A few connections that only read, used on threads that may block.

use crate::error::{Failure, OpenError};
use crate::file;
use chat_core::log::JournalError;
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// How many reads are done at the same time.
const READS: usize = 4;

/// How many searches are: some take long, and whoever reads does not wait for them.
const SEARCHES: usize = 2;

#[derive(Debug)]
pub(crate) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    reads: Arc<Semaphore>,
    searches: Arc<Semaphore>,
}

/// What something is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Read,
    Search,
}

impl Readers {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            idle: Mutex::default(),
            reads: Arc::new(Semaphore::new(READS)),
            searches: Arc::new(Semaphore::new(SEARCHES)),
        }
    }

    /// Reads on a thread that may block. Must be called within a Tokio runtime. Cancel safe.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        purpose: Purpose,
        read: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, JournalError> {
        let permits = match purpose {
            Purpose::Read => &self.reads,
            Purpose::Search => &self.searches,
        };
        let permit = Arc::clone(permits).acquire_owned().await;
        let permit = permit.map_err(|_| JournalError::Gone)?;
        let readers = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || {
            // It lasts as long as the read, which goes on when nobody waits for it any more.
            let _permit = permit;
            readers.read_now(read)
        });
        done.await.map_err(|_| JournalError::Gone)?
    }

    fn read_now<T>(
        &self,
        read: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, JournalError> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => file::read_only(&self.path).map_err(failed)?,
        };
        let done = read(&mut connection).map_err(|error| failed(error.into()))?;
        // One that has failed is not used again.
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(connection);
        Ok(done)
    }
}

fn failed(error: OpenError) -> JournalError {
    // What peers are told is logged by the hub, as often as is bearable; the rest is for whoever looks for it.
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
