//! A few connections that only read, used on threads that may block.

use crate::error::OpenError;
use crate::file;
use chat_core::log::JournalError;
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// How many reads are done at the same time.
const READERS: usize = 4;

#[derive(Debug)]
pub(crate) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Semaphore,
}

impl Readers {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            idle: Mutex::default(),
            permits: Semaphore::new(READERS),
        }
    }

    /// Reads on a thread that may block. Must be called within a Tokio runtime. Cancel safe.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, JournalError> {
        let permit = self.permits.acquire().await;
        let _permit = permit.map_err(|_| JournalError::Gone)?;
        let readers = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || readers.read_now(read));
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
    match &error {
        OpenError::Sqlite(error) => crate::error::unavailable(error),
        OpenError::Damaged(_) | OpenError::Foreign => {
            tracing::error!(%error, "the file can't be read");
            JournalError::Unavailable("its file is damaged".into())
        }
        _ => JournalError::Failed(Box::new(error)),
    }
}
