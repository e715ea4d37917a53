//! Limits how long a task works before it yields to other tasks.
//!
//! Invariant: work that one peer asks for delays the other tasks of the same worker thread by at most a few hundred
//! microseconds.

use std::time::{Duration, Instant};

/// The longest time that a task works without yielding. No person and no heartbeat notices this time. A yield takes
/// less than a hundredth of this time.
const SLICE: Duration = Duration::from_micros(250);

/// The time that a task has worked since it last yielded.
#[derive(Debug)]
pub(crate) struct TimeSlice {
    // The clock of `std`, because tests can pause Tokio's clock but the work takes real time.
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
