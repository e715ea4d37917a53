//! The queue of log lines that wait to be written.
//!
//! Invariant: logging never blocks and never fails. One thread writes the lines. Lines wait for this thread in bounded
//! memory, even while writing fails. A line that does not fit is dropped and counted, and the count is written as soon
//! as writing works again.
//!
//! `tracing-appender` does not meet this invariant: it drops lines whose write fails without counting them, and it
//! limits the number of lines, not of bytes.

use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The maximum number of bytes of the lines that wait in the queue. The writing thread may hold as many bytes again.
const BYTES_MAX: usize = 1 << 20;

/// The pause before a failed write is repeated.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The pause before a write is repeated if the reader is only slow. A descriptor in non-blocking mode reports a slow
/// reader as an error.
const RETRY_SOON: Duration = Duration::from_millis(20);

/// A queue of lines that never blocks its caller. Clones share the queue.
#[derive(Debug, Clone)]
pub(crate) struct LogQueue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Notified when there are lines to write, and when the log ends.
    has_changed: Condvar,
    /// Notified when the writing thread has ended.
    has_ended: Condvar,
    bytes_max: usize,
    retry_after: Duration,
}

#[derive(Debug, Default)]
struct Waiting {
    /// The waiting lines. Each line is complete.
    bytes: Vec<u8>,
    /// The number of lines that were dropped since the writing thread last took lines.
    lost: u64,
    /// Whether the log is ending. A failed write is then repeated once, without a pause.
    is_ending: bool,
    has_ended: bool,
}

impl LogQueue {
    /// Starts the writing thread, which writes to `out`. `notice` formats the line that reports the number of dropped
    /// lines.
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

    /// Adds a line, or counts it as dropped if it does not fit.
    pub(super) fn push(&self, line: &[u8]) {
        let mut waiting = self.0.lock();
        // Once a line is dropped, all further lines are dropped too, until the writing thread takes the count. So the
        // notice of the dropped lines is written where the lines are missing.
        if waiting.lost > 0 || waiting.bytes.len() + line.len() > self.0.bytes_max {
            waiting.lost += 1;
        } else {
            waiting.bytes.extend_from_slice(line);
        }
        drop(waiting);
        self.0.has_changed.notify_one();
    }

    /// Ends the log: waits at most `timeout` until all waiting lines are written. Returns whether the writing thread
    /// has ended. Later lines are not written.
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

/// Each write adds one line to the queue, because the formatting layer writes whole lines. A write never fails.
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
        // The data is consistent even after a panic: no code under this lock panics between two changes that belong
        // together.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes lines until the log ends. Runs on the writing thread.
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

    /// Waits for lines and takes them. Returns how many lines were dropped after the taken lines, or `None` when the
    /// log ends.
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

    /// Writes all bytes, and retries failed writes until the log ends. Returns whether all bytes were written. The
    /// result can be `false` only when the log ends.
    fn write(&self, mut lines: &[u8], out: &mut impl Write) -> bool {
        while !lines.is_empty() {
            let pause = match out.write(lines) {
                Ok(written) if written > 0 => {
                    lines = lines.get(written..).unwrap_or_default();
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                // The write is repeated even while the log ends: the caller of `end` waits for a limited time only.
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

    /// Performs each write as the test orders, and reports what was written.
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
                // The test has dropped its sender, so no further orders follow.
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
        // The writing thread is now in the write of `first`, or about to begin it.
        order.send(Order::Take(1)).unwrap();
        assert_eq!(read.recv().unwrap(), "f");
        for _ in 0..100 {
            queue.push(b"23456789\n");
        }
        // This line fits, but it would be written before the notice of the dropped lines. So it is dropped too.
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
        // The writing thread has yet to write the rest of `one`. So `two` still waits in the queue when the log ends.
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
        // A line after the end is dropped without an error.
        queue.push(b"three\n");
        assert!(queue.end(LONG));
    }

    #[test]
    fn the_end_does_not_wait_for_a_log_that_cannot_be_written() {
        let (failing, order, _read) = queue(1000);
        failing.push(b"one\n");
        drop(order);
        assert!(failing.end(LONG));
        // The writing thread is in a write that does not return.
        let (stuck, _order, _read) = queue(1000);
        stuck.push(b"one\n");
        assert!(!stuck.end(Duration::from_millis(1)));
    }
}
