//! Where what is said is kept, as the end of the server needs to know it.

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

    /// Writes what waits; returns whether that was done in time.
    #[cfg_attr(
        not(feature = "sqlite"),
        expect(clippy::unused_async, unused_variables, reason = "nothing to write")
    )]
    pub(crate) async fn close(&self, timeout: Duration) -> bool {
        match self {
            Self::InMemory => true,
            #[cfg(feature = "sqlite")]
            Self::InFile(journal) => {
                let timeout = timeout.max(CLOSE_TIMEOUT_MIN);
                let closed = tokio::time::timeout(timeout, journal.close()).await;
                if closed.is_err() {
                    // Nobody was told that it is kept.
                    tracing::error!("the disk did not take what waited for it within {timeout:?}");
                }
                closed.is_ok()
            }
        }
    }
}
