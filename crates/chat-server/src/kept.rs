//! Where what is said is kept, as the end of the server needs to know it.

#[cfg(feature = "sqlite")]
use chat_core::log::JournalError;
#[cfg(feature = "sqlite")]
use std::future::Future;
use std::time::Duration;

/// The least time that the journal gets to write what waits, however short the drain is.
#[cfg(feature = "sqlite")]
const CLOSE_TIMEOUT_MIN: Duration = Duration::from_secs(1);

/// Where what is said is kept.
pub(crate) enum Kept {
    InMemory,
    #[cfg(feature = "sqlite")]
    InFile(chat_sqlite::SqliteJournal),
}

impl Kept {
    /// Waits until nothing can be kept any more; never ready otherwise.
    pub(crate) async fn failed(&self) {
        match self {
            Self::InMemory => std::future::pending().await,
            #[cfg(feature = "sqlite")]
            Self::InFile(journal) => journal.failed().await,
        }
    }

    /// Writes what waits; returns whether that was done, and in time.
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

/// Waits for a journal's close, no longer than this; returns whether everything is written, and logs it if not.
#[cfg(feature = "sqlite")]
async fn is_written(
    close: impl Future<Output = Result<(), JournalError>>,
    timeout: Duration,
) -> bool {
    // Nobody was told that it is kept.
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
        // The thread has panicked.
        assert!(!is_written(ready(Err(JournalError::Gone)), timeout).await);
        assert!(!is_written(pending(), timeout).await);
    }
}
