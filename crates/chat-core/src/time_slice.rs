//! How long a task works before it lets others run.
//!
//! Invariant: work that one peer asks for holds up the other tasks of its worker for a few hundred microseconds at most.

use std::time::{Duration, Instant};

/// How long a task works without a pause. Shorter than what a person or a heartbeat can notice, longer than what a
/// yield costs by a factor of some hundred.
const SLICE: Duration = Duration::from_micros(250);

/// The time that a task has worked since it last let others run.
#[derive(Debug)]
pub(crate) struct TimeSlice {
    // The machine's clock, also where a test pauses Tokio's: what counts is the work that was done.
    began: Instant,
}

impl TimeSlice {
    pub(crate) fn begin() -> Self {
        Self {
            began: Instant::now(),
        }
    }

    /// Lets other tasks run if the slice is used up. Cancel safe.
    pub(crate) async fn yield_if_over(&mut self) {
        if self.began.elapsed() >= SLICE {
            tokio::task::yield_now().await;
            *self = Self::begin();
        }
    }
}
