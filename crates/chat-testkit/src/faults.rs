//! A stream with faults that a test controls: cuts, resets, stalls, and single bytes.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream with faults that a test sets through its [`Faults`]. Without faults, the stream behaves as the wrapped
/// stream.
///
/// To a server, such a stream looks like a connection over a bad network.
///
/// # Examples
///
/// ```
/// use chat_core::{CloseReason, Hub, Peer, serve_connection};
/// use chat_testkit::FaultyStream;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// let (_near, far) = tokio::io::duplex(1024);
/// let (stream, faults) = FaultyStream::new(far);
/// faults.reset();
/// let reason = serve_connection(stream, Peer::default(), Hub::default()).await;
/// assert_eq!(reason, CloseReason::Broken);
/// # })
/// ```
#[derive(Debug)]
pub struct FaultyStream<S> {
    inner: S,
    faults: Faults,
}

/// Controls the faults of a [`FaultyStream`]. Clones control the same stream.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// The number of bytes that may still pass, in both directions together. `None` if there is no limit.
    left: Option<usize>,
    is_reset: bool,
    is_stalled: bool,
    reads_bytewise: bool,
    writes_bytewise: bool,
    /// The number of bytes that have passed, in both directions together.
    passed: usize,
    /// The task to wake when a read may continue.
    reader: Option<Waker>,
    /// The task to wake when a write may continue.
    writer: Option<Waker>,
}

impl<S> FaultyStream<S> {
    /// Wraps a stream. Returns the wrapped stream, which has no faults at first, and the handle that sets them.
    pub fn new(inner: S) -> (Self, Faults) {
        let faults = Faults::default();
        let stream = Self {
            inner,
            faults: faults.clone(),
        };
        (stream, faults)
    }
}

impl Faults {
    /// Cuts the stream. From now on a read returns the end of the stream, and a write fails with a broken pipe.
    pub fn cut(&self) {
        self.cut_after(0);
    }

    /// Cuts the stream as [`cut`](Self::cut) does once `bytes` more bytes have passed in both directions together.
    pub fn cut_after(&self, bytes: usize) {
        self.change(|state| state.left = Some(bytes));
    }

    /// Resets the stream. From now on reads and writes fail.
    pub fn reset(&self) {
        self.change(|state| {
            state.left = Some(0);
            state.is_reset = true;
        });
    }

    /// Stalls the stream: no byte passes in either direction until [`release`](Self::release) is called.
    pub fn stall(&self) {
        self.change(|state| state.is_stalled = true);
    }

    /// Ends a [`stall`](Self::stall).
    pub fn release(&self) {
        self.change(|state| state.is_stalled = false);
    }

    /// Limits each read to one byte.
    pub fn read_bytewise(&self) {
        self.change(|state| state.reads_bytewise = true);
    }

    /// Limits each write to one byte.
    pub fn write_bytewise(&self) {
        self.change(|state| state.writes_bytewise = true);
    }

    /// Returns the number of bytes that have passed, in both directions together.
    #[must_use]
    pub fn passed(&self) -> usize {
        self.lock().passed
    }

    /// Returns whether the stream has been cut or reset.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.lock().left == Some(0)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let wakers = {
            let mut state = self.lock();
            change(&mut state);
            state.wakers()
        };
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    const fn wakers(&mut self) -> [Option<Waker>; 2] {
        [self.reader.take(), self.writer.take()]
    }

    /// Returns how many of `bytes` bytes may pass now; 0 if the stream is cut.
    fn allows(&self, bytes: usize, is_bytewise: bool) -> usize {
        let most = if is_bytewise { 1 } else { bytes };
        bytes.min(most).min(self.left.unwrap_or(usize::MAX))
    }

    /// Counts bytes that have passed. Returns the tasks to wake if these bytes were the last before a cut.
    fn pass(&mut self, bytes: usize) -> [Option<Waker>; 2] {
        self.passed += bytes;
        if let Some(left) = &mut self.left
            && bytes > 0
        {
            *left -= bytes;
            if *left == 0 {
                return self.wakers();
            }
        }
        [None, None]
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FaultyStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { inner, faults } = self.get_mut();
        // The lock is held during the read, so that the bytes read are counted before a write checks the limit.
        let mut state = faults.lock();
        state.reader = Some(context.waker().clone());
        if state.is_reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if state.left == Some(0) {
            return Poll::Ready(Ok(()));
        }
        if state.is_stalled {
            return Poll::Pending;
        }
        let allowed = state.allows(buffer.remaining(), state.reads_bytewise);
        let mut part = buffer.take(allowed);
        let polled = Pin::new(inner).poll_read(context, &mut part);
        let bytes = part.filled().len();
        // The read has filled `part`, which is memory of `buffer`. But `buffer` does not count these bytes as filled
        // yet. Without `unsafe`, only a copy of the bytes changes that.
        let read = part.filled().to_vec();
        buffer.put_slice(&read);
        let wakers = state.pass(bytes);
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FaultyStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { inner, faults } = self.get_mut();
        let mut state = faults.lock();
        state.writer = Some(context.waker().clone());
        if state.is_reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if state.left == Some(0) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if state.is_stalled {
            return Poll::Pending;
        }
        let allowed = state.allows(bytes.len(), state.writes_bytewise);
        let polled = Pin::new(inner).poll_write(context, &bytes[..allowed]);
        let wakers = match polled {
            Poll::Ready(Ok(written)) => state.pass(written),
            _ => [None, None],
        };
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
        polled
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(context)
    }
}
