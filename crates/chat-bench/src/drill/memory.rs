//! Measures the peak growth of a server's memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::proc;

/// The interval at which the memory is read.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Watches the resident memory of a process until this watch is dropped.
#[derive(Debug)]
pub(crate) struct MemoryWatch {
    before: u64,
    highest: Arc<AtomicU64>,
    /// The task that reads the memory. It is aborted on drop.
    _looking: JoinSet<()>,
}

impl MemoryWatch {
    /// Starts to watch the process. Growth is counted from the memory that the process has now.
    pub(crate) fn begin(pid: u32) -> std::io::Result<Self> {
        let before = proc::resident_kib(pid)?;
        let highest = Arc::new(AtomicU64::new(before));
        let mut looking = JoinSet::new();
        let seen = Arc::clone(&highest);
        looking.spawn(async move {
            while let Ok(now) = proc::resident_kib(pid) {
                seen.fetch_max(now, Ordering::Relaxed);
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
        Ok(Self {
            before,
            highest,
            _looking: looking,
        })
    }

    /// The highest growth so far, in KiB.
    pub(crate) fn growth_kib(&self) -> f64 {
        (self.highest.load(Ordering::Relaxed) - self.before) as f64
    }
}
