//! Limits how long a task works before it yields to other tasks.
//!
//! Invariant: work that one peer asks for delays the other tasks of the same worker thread by a few hundred
//! microseconds at most.

use std::time::{Duration, Instant};

/// The longest time that a task works without yielding. No person and no heartbeat notices this time. It is some
/// hundred times as long as a yield takes.
const SLICE: Duration = Duration::from_micros(250);

/// The time that a task has worked since it last yielded.
#[derive(Debug)]
pub(crate) struct TimeSlice {
    // The clock of `std`: tests can pause Tokio's clock, but the work takes real time.
    began: Instant,
}

impl TimeSlice {
    pub(crate) fn begin() -> Self {
        Self {
            began: Instant::now(),
        }
    }

    /// Yields to other tasks if this task has worked for at least [`SLICE`] since it last yielded. Cancel safe.
    pub(crate) async fn yield_if_over(&mut self) {
        if self.began.elapsed() >= SLICE {
            tokio::task::yield_now().await;
            *self = Self::begin();
        }
    }
}
