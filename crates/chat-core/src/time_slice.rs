//! Limits how long a task works before it yields to other tasks.
//!
//! Invariant: work that one peer asks for delays the other tasks of the same worker thread by a few hundred
//! microseconds at most.

use std::time::{Duration, Instant};

/// Maximum time that a task works without yielding. This is shorter than a person or a heartbeat can notice, and some
/// hundred times as long as a yield takes.
const SLICE: Duration = Duration::from_micros(250);

/// The time that a task has worked since it last yielded.
#[derive(Debug)]
pub(crate) struct TimeSlice {
    // The clock of `std` and not Tokio's, which tests can pause, because real work is measured.
    began: Instant,
}

impl TimeSlice {
    pub(crate) fn begin() -> Self {
        Self {
            began: Instant::now(),
        }
    }

    /// Yields to other tasks if the slice is used up. Cancel safe.
    pub(crate) async fn yield_if_over(&mut self) {
        if self.began.elapsed() >= SLICE {
            tokio::task::yield_now().await;
            *self = Self::begin();
        }
    }
}
