//! How many searches run at once.
//!
//! Invariant: however many peers search, at most a few searches run and a bounded number waits, so searches never take
//! more than a small share of the workers.

use crate::log::{JournalError, Page};
use std::future::Future;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// How many searches run at the same time: each takes turns of a quarter of a millisecond.
const RUNNING_MAX: usize = 2;

/// How many more searches wait for their turn. One more is refused.
const WAITING_MAX: usize = 64;

/// How much of a search's time is paid for at most: on a busy machine most of it was that of other tasks.
const BILLED_MAX: Duration = Duration::from_millis(100);

/// The searches of one hub.
#[derive(Debug)]
pub(crate) struct SearchQueue {
    places: Semaphore,
    running: Semaphore,
}

/// What a search came to.
#[derive(Debug)]
pub(crate) struct Searched {
    pub(crate) page: Result<Page, JournalError>,
    /// How long it ran, as far as it is paid for; the time that it waited for its turn is not counted.
    pub(crate) took: Duration,
}

impl SearchQueue {
    pub(crate) const fn new() -> Self {
        Self {
            places: Semaphore::const_new(RUNNING_MAX + WAITING_MAX),
            running: Semaphore::const_new(RUNNING_MAX),
        }
    }

    /// Runs a search when it is its turn. Cancel safe: dropping the future gives up the search.
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
