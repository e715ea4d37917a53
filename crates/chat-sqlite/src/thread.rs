//! Starts the writer thread, and reports whether it runs, has ended or has panicked.

use std::io;
use std::thread::JoinHandle;
use tokio::sync::watch;

/// Whether the writer thread is running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Runs,
    Ended,
    Panicked,
}

/// Starts the writer thread. The returned receiver reports the end of the thread after the thread has dropped
/// everything that it owns.
pub(crate) fn start(
    work: impl FnOnce() + Send + 'static,
) -> io::Result<(JoinHandle<()>, watch::Receiver<State>)> {
    let (tx, state) = watch::channel(State::Runs);
    let end = End(tx);
    let thread = std::thread::Builder::new()
        .name("chat-sqlite".into())
        .spawn(move || {
            let _end = end;
            work();
        })?;
    Ok((thread, state))
}

/// When dropped, reports how the thread ended.
struct End(watch::Sender<State>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.send_replace(if std::thread::panicking() {
            State::Panicked
        } else {
            State::Ended
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_told_from_an_end() {
        for (panics, end) in [(false, State::Ended), (true, State::Panicked)] {
            let work = move || assert!(!panics, "as this test has it");
            let (thread, mut state) = start(work).unwrap();
            let ended = state.wait_for(|state| *state != State::Runs).await;
            assert_eq!(*ended.unwrap(), end);
            assert_eq!(thread.join().is_err(), panics);
        }
    }
}
