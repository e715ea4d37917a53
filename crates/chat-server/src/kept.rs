//! Where the server keeps messages, and how this store is closed when the server ends.

#[cfg(feature = "sqlite")]
use chat_core::log::JournalError;
#[cfg(feature = "sqlite")]
use std::future::Future;
use std::time::Duration;

/// The minimum time for the journal to write its waiting batches, however short the drain timeout is.
#[cfg(feature = "sqlite")]
const CLOSE_TIMEOUT_MIN: Duration = Duration::from_secs(1);

/// Where messages are kept.
pub(crate) enum Kept {
    /// Messages are kept in memory only.
    InMemory,
    #[cfg(feature = "sqlite")]
    InFile(chat_sqlite::SqliteJournal),
}

impl Kept {
    /// Waits until the thread that writes messages to the file panics. Never returns if messages are kept in memory
    /// only.
    pub(crate) async fn failed(&self) {
        match self {
            Self::InMemory => std::future::pending().await,
            #[cfg(feature = "sqlite")]
            Self::InFile(journal) => journal.failed().await,
        }
    }

    /// Writes the batches that wait for the file. Returns whether all of them were written in time.
    #[cfg_attr(
        not(feature = "sqlite"),
        expect(clippy::unused_async, unused_variables, reason = "nothing to write")
    )]
    pub(crate) async fn close(&self, timeout: Duration) -> bool {
        match self {
            Self::InMemory => true,
            #[cfg(feature = "sqlite")]
            Self::InFile(journal) => {
                is_written(journal.close(), timeout.max(CLOSE_TIMEOUT_MIN)).await
            }
        }
    }
}

/// Waits until a journal is closed, up to a timeout. Returns whether everything was written, and logs an error if not.
#[cfg(feature = "sqlite")]
async fn is_written(
    close: impl Future<Output = Result<(), JournalError>>,
    timeout: Duration,
) -> bool {
    // On failure, messages are lost, but the server has not acknowledged these messages to their senders.
    match tokio::time::timeout(timeout, close).await {
        Ok(Ok(())) => return true,
        Ok(Err(error)) => {
            tracing::error!(%error, "what waited for the disk may not be written");
        }
        Err(_) => tracing::error!("the disk did not take what waited for it within {timeout:?}"),
    }
    false
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    #[tokio::test]
    async fn only_a_close_that_has_written_everything_counts() {
        let timeout = Duration::from_millis(1);
        assert!(is_written(ready(Ok(())), timeout).await);
        // `Gone`: the journal's thread has panicked.
        assert!(!is_written(ready(Err(JournalError::Gone)), timeout).await);
        assert!(!is_written(pending(), timeout).await);
    }
}
