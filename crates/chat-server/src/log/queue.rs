//! Lines of the log on their way out.
//!
//! Invariant: the caller that logs is never blocked and never fails. One thread writes; lines wait for it in bounded
//! memory, also while writing fails. A line that finds no room is lost and counted, and the count is written as soon as
//! writing works again.
//!
//! `tracing-appender` is no help here: it loses the lines whose writing fails without counting them, and bounds lines,
//! not bytes.

use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many bytes of lines may wait; as many again may be on their way.
const BYTES_MAX: usize = 1 << 20;

/// How long the thread waits before it tries again what has failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The same where the other end is only slow: a descriptor that does not block has no other way to say so.
const RETRY_SOON: Duration = Duration::from_millis(20);

/// Takes lines and never makes its caller wait for them. Clones share the queue.
#[derive(Debug, Clone)]
pub(crate) struct LogQueue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// There is something to write, or the end has come.
    has_changed: Condvar,
    /// The thread has ended.
    has_ended: Condvar,
    bytes_max: usize,
    retry_after: Duration,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Whole lines.
    bytes: Vec<u8>,
    /// How many lines found no room since the last ones were taken.
    lost: u64,
    /// Nothing is tried again.
    is_ending: bool,
    has_ended: bool,
}

impl LogQueue {
    /// Starts the thread that writes to `out`; `notice` makes the line that tells how many lines were lost.
    pub(super) fn start(
        out: impl Write + Send + 'static,
        notice: impl Fn(u64) -> String + Send + 'static,
    ) -> io::Result<Self> {
        Self::with(out, notice, BYTES_MAX, RETRY_AFTER)
    }

    fn with(
        out: impl Write + Send + 'static,
        notice: impl Fn(u64) -> String + Send + 'static,
        bytes_max: usize,
        retry_after: Duration,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            has_changed: Condvar::new(),
            has_ended: Condvar::new(),
            bytes_max,
            retry_after,
        });
        let queue = Self(Arc::clone(&shared));
        std::thread::Builder::new()
            .name("chat-log".into())
            .spawn(move || shared.run(out, notice))?;
        Ok(queue)
    }

    /// Takes a line, or counts it as lost if there is no room for it.
    pub(super) fn push(&self, line: &[u8]) {
        let mut waiting = self.0.lock();
        // What follows a lost line is lost, too, until the count is taken: it stands where the lines are missing.
        if waiting.lost > 0 || waiting.bytes.len() + line.len() > self.0.bytes_max {
            waiting.lost += 1;
        } else {
            waiting.bytes.extend_from_slice(line);
        }
        drop(waiting);
        self.0.has_changed.notify_one();
    }

    /// Has everything written that waits, for at most so long; nothing is written after it. Returns whether the thread
    /// has ended.
    pub(crate) fn end(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut waiting = self.0.lock();
        waiting.is_ending = true;
        self.0.has_changed.notify_one();
        while !waiting.has_ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.0.has_ended.wait_timeout(waiting, left);
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        waiting.has_ended
    }
}

/// One call is one line, as the formatting layer makes them. Never fails.
impl Write for &LogQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing in here panics between two changes that belong together.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes until the end.
    fn run(&self, mut out: impl Write, notice: impl Fn(u64) -> String) {
        let mut lines = Vec::new();
        while let Some(lost) = self.take(&mut lines) {
            if lost > 0 {
                lines.extend_from_slice(notice(lost).as_bytes());
            }
            if !self.write(&lines, &mut out) {
                break;
            }
            lines.clear();
        }
        self.lock().has_ended = true;
        self.has_ended.notify_all();
    }

    /// Waits for lines and takes them; returns how many were lost after these, or `None` at the end.
    fn take(&self, lines: &mut Vec<u8>) -> Option<u64> {
        let mut waiting = self.lock();
        while waiting.bytes.is_empty() && waiting.lost == 0 {
            if waiting.is_ending {
                return None;
            }
            let waited = self.has_changed.wait(waiting);
            waiting = waited.unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(lines, &mut waiting.bytes);
        Some(std::mem::take(&mut waiting.lost))
    }

    /// Writes all of it, however often it takes; returns whether that is done, which it may not be at the end.
    fn write(&self, mut lines: &[u8], out: &mut impl Write) -> bool {
        while !lines.is_empty() {
            let pause = match out.write(lines) {
                Ok(written) if written > 0 => {
                    lines = lines.get(written..).unwrap_or_default();
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                // Also at the end: whoever waits for that does not wait for ever.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    std::thread::sleep(RETRY_SOON);
                    continue;
                }
                Ok(_) | Err(_) => self.retry_after,
            };
            let waiting = self.lock();
            let wait = self
                .has_changed
                .wait_timeout_while(waiting, pause, |waiting| !waiting.is_ending);
            if wait.unwrap_or_else(PoisonError::into_inner).0.is_ending {
                return out.write_all(lines).is_ok();
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// Does with each write what the test says next, and gives back what was written.
    struct Out {
        orders: Receiver<Order>,
        written: Sender<String>,
    }

    enum Order {
        Take(usize),
        Fail(ErrorKind),
    }

    impl Write for Out {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.orders.recv() {
                Ok(Order::Fail(kind)) => Err(kind.into()),
                Ok(Order::Take(most)) => {
                    let taken = bytes.len().min(most);
                    let text = String::from_utf8(bytes[..taken].to_vec()).unwrap();
                    self.written.send(text).unwrap();
                    Ok(taken)
                }
                // The test has no more orders.
                Err(_) => Err(ErrorKind::BrokenPipe.into()),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn queue(bytes_max: usize) -> (LogQueue, Sender<Order>, Receiver<String>) {
        let (order, orders) = channel();
        let (written, read) = channel();
        let notice = |lost: u64| format!("{lost} lost\n");
        let out = Out { orders, written };
        let queue = LogQueue::with(out, notice, bytes_max, Duration::ZERO).unwrap();
        (queue, order, read)
    }

    const LONG: Duration = Duration::from_secs(60);
    const ALL: Order = Order::Take(usize::MAX);

    #[test]
    fn what_finds_no_room_is_counted_and_told_when_writing_works_again() {
        let (queue, order, read) = queue(10);
        queue.push(b"first\n");
        // From here on the thread is in the middle of this write, or before it.
        order.send(Order::Take(1)).unwrap();
        assert_eq!(read.recv().unwrap(), "f");
        for _ in 0..100 {
            queue.push(b"23456789\n");
        }
        // There is room for it, but not in its place.
        queue.push(b"\n");
        order.send(Order::Fail(ErrorKind::StorageFull)).unwrap();
        order.send(Order::Fail(ErrorKind::StorageFull)).unwrap();
        order.send(ALL).unwrap();
        assert_eq!(read.recv().unwrap(), "irst\n");
        order.send(ALL).unwrap();
        assert_eq!(read.recv().unwrap(), "23456789\n100 lost\n");
        queue.push(b"last\n");
        order.send(ALL).unwrap();
        assert_eq!(read.recv().unwrap(), "last\n");
    }

    #[test]
    fn what_fails_is_written_later_to_the_byte() {
        let (queue, order, read) = queue(1000);
        queue.push("one 한글\n".as_bytes());
        for kind in [
            ErrorKind::Interrupted,
            ErrorKind::StorageFull,
            ErrorKind::WouldBlock,
            ErrorKind::BrokenPipe,
        ] {
            order.send(Order::Fail(kind)).unwrap();
            order.send(Order::Take(1)).unwrap();
        }
        order.send(ALL).unwrap();
        let written: String = (0..5).map(|_| read.recv().unwrap()).collect();
        assert_eq!(written, "one 한글\n");
    }

    #[test]
    fn the_end_writes_what_waits() {
        let (queue, order, read) = queue(1000);
        queue.push(b"one\n");
        order.send(Order::Take(1)).unwrap();
        assert_eq!(read.recv().unwrap(), "o");
        // The thread is in the middle of this write when the end comes.
        queue.push(b"two\n");
        std::thread::scope(|scope| {
            let end = scope.spawn(|| queue.end(LONG));
            while !queue.0.lock().is_ending {
                std::thread::yield_now();
            }
            order.send(ALL).unwrap();
            order.send(ALL).unwrap();
            assert!(end.join().unwrap());
        });
        let written: String = read.try_iter().collect();
        assert_eq!(written, "ne\ntwo\n");
        // Nobody takes it any more, and nobody minds.
        queue.push(b"three\n");
        assert!(queue.end(LONG));
    }

    #[test]
    fn the_end_does_not_wait_for_a_log_that_cannot_be_written() {
        let (failing, order, _read) = queue(1000);
        failing.push(b"one\n");
        drop(order);
        assert!(failing.end(LONG));
        // In the middle of a write that does not return.
        let (stuck, _order, _read) = queue(1000);
        stuck.push(b"one\n");
        assert!(!stuck.end(Duration::from_millis(1)));
    }
}
