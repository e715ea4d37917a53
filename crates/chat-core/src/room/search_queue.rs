//! Limits how many searches of a hub run at the same time.
//!
//! Invariant: however many peers search, only a few searches run and a bounded number waits, so searches never take
//! more than a small share of the workers.

use crate::log::{JournalError, Page};
use std::future::Future;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// The most searches that run at the same time. A running search yields to other tasks about every quarter of a
/// millisecond.
const RUNNING_MAX: usize = 2;

/// The most searches that wait for their turn. If this many wait, the next search is refused.
const WAITING_MAX: usize = 64;

/// The most running time that a peer is charged for one search. On a busy machine a search takes longer, because other
/// tasks run in between.
const BILLED_MAX: Duration = Duration::from_millis(100);

/// Limits how many searches of one hub run and wait.
#[derive(Debug)]
pub(crate) struct SearchQueue {
    places: Semaphore,
    running: Semaphore,
}

/// The result of a search.
#[derive(Debug)]
pub(crate) struct Searched {
    pub(crate) page: Result<Page, JournalError>,
    /// How long the search ran, at most [`BILLED_MAX`]. The time in which the search waited for its turn does not
    /// count.
    pub(crate) took: Duration,
}

impl SearchQueue {
    pub(crate) const fn new() -> Self {
        Self {
            places: Semaphore::const_new(RUNNING_MAX + WAITING_MAX),
            running: Semaphore::const_new(RUNNING_MAX),
        }
    }

    /// Waits until fewer than [`RUNNING_MAX`] searches run, then runs this search. If [`WAITING_MAX`] searches already
    /// wait, refuses the search at once. Cancel safe: dropping the future abandons the search.
    pub(crate) async fn run(
        &self,
        search: impl Future<Output = Result<Page, JournalError>>,
    ) -> Searched {
        let busy = || JournalError::Unavailable("too many searches at once".into());
        let refused = |page| Searched {
            page: Err(page),
            took: Duration::ZERO,
        };
        let Ok(_place) = self.places.try_acquire() else {
            return refused(busy());
        };
        let Ok(_turn) = self.running.acquire().await else {
            return refused(busy());
        };
        let started = Instant::now();
        let page = search.await;
        Searched {
            page,
            took: started.elapsed().min(BILLED_MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use std::future::{pending, ready};

    #[test]
    fn few_searches_run_and_a_bounded_number_waits() {
        let queue = SearchQueue::new();
        let mut searches: Vec<_> = (0..RUNNING_MAX + WAITING_MAX)
            .map(|_| Box::pin(queue.run(pending())))
            .collect();
        for search in &mut searches {
            assert!(search.now_or_never().is_none());
        }
        let refused = queue.run(ready(Ok(Page::default()))).now_or_never();
        assert!(matches!(
            refused.unwrap().page,
            Err(JournalError::Unavailable(_))
        ));
        searches.pop();
        let mut waiting = Box::pin(queue.run(ready(Ok(Page::default()))));
        assert!((&mut waiting).now_or_never().is_none());
        searches.clear();
        assert!(waiting.now_or_never().unwrap().page.is_ok());
    }
}
