//! Signals: the first SIGINT or SIGTERM drains, a second one ends at once; SIGUSR1 logs the counters; SIGXFSZ does not
//! end the server.

use anyhow::Context;
use chat_core::Hub;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Returns a token that the first SIGINT or SIGTERM cancels.
#[expect(
    clippy::disallowed_methods,
    reason = "lives as long as the process, which it ends"
)]
pub(crate) fn on_signal() -> anyhow::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt()).context("can't wait for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("can't wait for SIGTERM")?;
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        for is_first in [true, false] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if is_first {
                tracing::info!("shutting down; a second signal ends at once");
                stopping.cancel();
            } else {
                std::process::exit(0);
            }
        }
    });
    Ok(stop)
}

/// Writes the hub's counters to the log whenever SIGUSR1 comes.
#[expect(clippy::disallowed_methods, reason = "lives as long as the process")]
pub(crate) fn log_stats_on_signal(hub: Hub) -> anyhow::Result<()> {
    let mut asked = signal(SignalKind::user_defined1()).context("can't wait for SIGUSR1")?;
    tokio::spawn(async move {
        while asked.recv().await.is_some() {
            tracing::info!(stats = ?hub.stats(), "asked");
        }
    });
    Ok(())
}

/// Has a write beyond the process's file size limit (`ulimit -f`) fail, as on a disk that is full, where the system would
/// end the process.
#[cfg(feature = "sqlite")]
pub(crate) fn survive_file_size_limit() -> anyhow::Result<()> {
    /// The same for these processors on Linux, macOS and the BSDs.
    const SIGXFSZ: i32 = 25;
    if cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        // It stays handled, though nobody listens.
        drop(signal(SignalKind::from_raw(SIGXFSZ)).context("can't handle SIGXFSZ")?);
    }
    Ok(())
}
