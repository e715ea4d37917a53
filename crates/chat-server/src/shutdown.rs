//! Signals. The first SIGINT or SIGTERM drains the server, and a second signal ends the server at once. SIGUSR1 logs
//! the counters. SIGXFSZ does not end the server.

use anyhow::Context;
use chat_core::Hub;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A signal that follows the first signal within this time is ignored, because the program `timeout` sends each signal
/// twice: to the process and to its group.
const SAME_SIGNAL: Duration = Duration::from_millis(100);

/// Returns a token that the first SIGINT or SIGTERM cancels.
///
/// A separate thread waits for the signals. A second signal ends the process even if the runtime hangs. The process
/// then writes and frees nothing before it ends.
pub(crate) fn on_signal() -> anyhow::Result<CancellationToken> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("can't wait for signals")?;
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    let wait = move || {
        let mut first: Option<Instant> = None;
        for signal in &mut signals {
            match first {
                None => {
                    tracing::info!("shutting down; a second signal ends at once");
                    stopping.cancel();
                    first = Some(Instant::now());
                }
                Some(first) if first.elapsed() < SAME_SIGNAL => {}
                // The exit code that a shell reports for a process that this signal has ended.
                Some(_) => signal_hook::low_level::exit(128 + signal),
            }
        }
    };
    let thread = std::thread::Builder::new().name("chat-signals".into());
    thread.spawn(wait).context("can't wait for signals")?;
    Ok(stop)
}

/// Waits until all connections have ended. If the journal fails before that, drains the connections.
///
/// Does not report whether the journal has failed. The journal may also fail during or after a drain, so the result of
/// closing the journal decides.
pub(crate) async fn drained(
    served: impl Future<Output = ()>,
    failed: impl Future<Output = ()>,
    stop: &CancellationToken,
) {
    let mut served = pin!(served);
    tokio::select! {
        () = &mut served => return,
        () = failed => {}
    }
    tracing::error!("the thread that keeps messages has panicked: ending; start the server again");
    stop.cancel();
    served.await;
}

/// Runs a future to its end. Does not wait for blocking threads that still run (a search, a read, a name lookup).
pub(crate) fn block_on<T>(runtime: Runtime, future: impl Future<Output = T>) -> T {
    let done = runtime.block_on(future);
    runtime.shutdown_background();
    done
}

/// Logs the hub's counters at each SIGUSR1.
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

/// Makes a write beyond the file size limit (`ulimit -f`) fail, as on a full disk. By default the signal SIGXFSZ would
/// end the process.
#[cfg(feature = "sqlite")]
pub(crate) fn survive_file_size_limit() -> anyhow::Result<()> {
    /// The number of SIGXFSZ on x86-64 and AArch64, on Linux, macOS and the BSDs.
    const SIGXFSZ: i32 = 25;
    if cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        // The handler stays installed after the receiver is dropped.
        drop(signal(SignalKind::from_raw(SIGXFSZ)).context("can't handle SIGXFSZ")?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};
    use std::sync::mpsc::channel;

    fn runtime() -> Runtime {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        runtime.worker_threads(1).build().unwrap()
    }

    #[test]
    fn a_thread_that_hangs_is_not_waited_for() {
        let (_never, hangs) = channel::<()>();
        let (starts, started) = channel();
        let hang = move || {
            starts.send(()).unwrap();
            hangs.recv().ok();
        };
        let runtime = runtime();
        let hanging = runtime.spawn_blocking(hang);
        assert_eq!(block_on(runtime, async { started.recv() }), Ok(()));
        assert!(!hanging.is_finished());
    }

    #[test]
    fn a_journal_that_has_failed_drains_the_server() {
        let stop = CancellationToken::new();
        let served = stop.clone().cancelled_owned();
        block_on(runtime(), drained(served, ready(()), &stop));
        assert!(stop.is_cancelled());
        let stop = CancellationToken::new();
        block_on(runtime(), drained(ready(()), pending(), &stop));
        assert!(!stop.is_cancelled());
    }
}
