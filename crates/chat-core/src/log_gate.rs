//! Limits how often a failure is logged, so that a failure that repeats with every message does not flood the log.

use crate::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// The shortest time between two log lines about the same kind of failure.
const INTERVAL: Duration = Duration::from_secs(1);

/// Allows at most one log line a second about one kind of failure. Holds the time of the latest line.
#[derive(Debug, Default)]
pub(crate) struct LogGate(Mutex<Option<Instant>>);

impl LogGate {
    /// Returns whether the caller may log a failure now. After a call that returns `true`, returns `false` for one
    /// second.
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
