//! A connection's stream: reading, the output queue, stalls, and a close that loses nothing.
//!
//! Invariant: an idle connection holds neither a read nor a write buffer, and all output that waits for the peer is
//! bounded in time.

use crate::limits::Limits;
use crate::room::{Outbound, Progress};
use bytes::Bytes;
use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Maximum bytes of one read; also the size of the buffer that all connections of a thread share.
const READ_BYTES_MAX: usize = 64 * 1024;

/// Maximum bytes of one read if the connection's rate is limited. The limit keeps little input in memory while the
/// connection waits for tokens.
const READ_BYTES_LIMITED: usize = 8 * 1024;

thread_local! {
    /// The read buffer of all connections of this thread. It is borrowed only during one poll, so an idle connection
    /// holds no buffer.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES_MAX]);
}

/// The stream of one connection.
pub(super) struct Transport<R> {
    reader: R,
    outbound: Arc<Outbound>,
    /// Number of bytes that the stream had accepted at the last call of `poll_flush`.
    written: u64,
    /// The time since which output waits and the stream has accepted nothing; `None` if no output waits.
    waiting_since: Option<Instant>,
    /// Whether the peer has ended its half of the stream.
    has_ended: bool,
}

/// The result of one read.
pub(super) enum Read {
    /// Bytes were read.
    Bytes,
    /// The peer has ended its half of the stream.
    End,
    /// The stream failed.
    Broken,
}

/// The maximum number of bytes of one read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadSize {
    /// The size of the buffer: `READ_BYTES_MAX`.
    Full,
    /// `READ_BYTES_LIMITED`, because the connection's rate is limited.
    Limited,
}

impl<R: AsyncRead + Unpin> Transport<R> {
    pub(super) fn new(reader: R, writer: impl AsyncWrite + Send + 'static) -> Self {
        Self {
            reader,
            outbound: Arc::new(Outbound::new(writer)),
            written: 0,
            waiting_since: None,
            has_ended: false,
        }
    }

    /// Reads into a buffer that all connections of the thread share, and gives the bytes to `take`. Must not be called
    /// after the peer has ended its half of the stream.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        size: ReadSize,
        take: impl FnOnce(&[u8]),
    ) -> Poll<Read> {
        let size = match size {
            ReadSize::Full => READ_BYTES_MAX,
            ReadSize::Limited => READ_BYTES_LIMITED,
        };
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(&mut scratch[..size]);
            let read = Pin::new(&mut self.reader).poll_read(cx, &mut buffer);
            read.map(|read| match (read, buffer.filled()) {
                (Err(_), _) => Read::Broken,
                (Ok(()), []) => {
                    self.has_ended = true;
                    Read::End
                }
                (Ok(()), bytes) => {
                    take(bytes);
                    Read::Bytes
                }
            })
        })
    }

    /// Writes waiting output, and notes since when the stream has accepted nothing.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Progress {
        let progress = self.outbound.poll_flush(cx);
        if progress.waiting == 0 {
            self.waiting_since = None;
        } else if self.waiting_since.is_none() || progress.written != self.written {
            self.waiting_since = Some(Instant::now());
        }
        self.written = progress.written;
        progress
    }

    pub(super) const fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Returns the time at which the stream will have accepted nothing for `Limits::stall_timeout`. Returns `None` if
    /// no output waits.
    pub(super) fn stalls_at(&self, limits: &Limits) -> Option<Instant> {
        self.waiting_since.map(|since| since + limits.stall_timeout)
    }

    /// Returns the output queue. The rooms that deliver to this connection write to the same queue.
    pub(super) const fn outbound(&self) -> &Arc<Outbound> {
        &self.outbound
    }

    /// Queues output for this peer alone, ahead of the events that are held back.
    pub(super) fn send(&self, bytes: &Bytes) {
        self.outbound.send(bytes);
    }

    /// Holds back the events that rooms deliver, until [`uncork`](Self::uncork).
    pub(super) fn cork(&self) {
        self.outbound.cork();
    }

    /// Releases the events that were held back.
    pub(super) fn uncork(&self) {
        self.outbound.uncork();
    }

    /// Returns whether the stream has accepted all output that precedes the held-back events.
    pub(super) fn is_flushed(&self) -> bool {
        self.outbound.progress().waiting_ahead == 0
    }

    /// Waits until the stream has accepted all output that precedes the held-back events. Treats a stream that accepts
    /// nothing for `patience` as failed.
    pub(super) async fn flushed(&mut self, patience: Duration) {
        loop {
            let before = self.outbound.progress();
            if before.waiting_ahead == 0 || before.broken {
                return;
            }
            let moved = poll_fn(|cx| {
                let now = self.outbound.poll_flush(cx);
                let has_moved =
                    now.written != before.written || now.waiting_ahead == 0 || now.broken;
                if has_moved {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            });
            if tokio::time::timeout(patience, moved).await.is_err() {
                self.outbound.fail();
            }
        }
    }

    /// Ends the writing half, after the stream has accepted all queued output. Returns whether that succeeded.
    pub(super) async fn end_writing(&mut self) -> bool {
        poll_fn(|cx| self.outbound.poll_shutdown(cx)).await.is_ok()
    }

    /// Reads and discards input until the peer ends its half of the stream.
    pub(super) async fn read_to_end(&mut self) {
        while !self.has_ended {
            let read = poll_fn(|cx| self.poll_read(cx, ReadSize::Full, |_| {})).await;
            if matches!(read, Read::Broken) {
                return;
            }
        }
    }

    /// Drops waiting output, and writes nothing more.
    pub(super) fn close(&self) {
        self.outbound.close();
    }
}

/// Returns how many bytes of output may wait for a peer before the connection stops reading the peer's input.
pub(super) fn waiting_max(limits: &Limits) -> usize {
    (limits.queue_bytes.get() / 4).max(1)
}
