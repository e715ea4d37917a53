//! Keeps what may fail for every message from filling the log.

use crate::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// How often one kind of failure is logged at most.
const INTERVAL: Duration = Duration::from_secs(1);

/// Lets one line of a kind through a second.
#[derive(Debug, Default)]
pub(crate) struct LogGate(Mutex<Option<Instant>>);

impl LogGate {
    /// Returns whether the failure may be logged now.
    pub(crate) fn opens(&self) -> bool {
        let mut last = self.0.lock();
        let opens = last.is_none_or(|last| last.elapsed() >= INTERVAL);
        if opens {
            *last = Some(Instant::now());
        }
        opens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_line_a_second_passes() {
        let gate = LogGate::default();
        assert_eq!([gate.opens(), gate.opens()], [true, false]);
        tokio::time::advance(INTERVAL).await;
        assert_eq!([gate.opens(), gate.opens()], [true, false]);
    }
}
