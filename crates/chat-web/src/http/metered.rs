//! The stream of a connection. It notes when bytes arrive and when output stalls.
//!
//! It also keeps two things from hyper and from the peer. hyper drops an answer when the peer ends its side, so it
//! learns of that only when no answer is lost. hyper answers a request that it can't parse without a body and without
//! the headers of [`safety`](super::safety), so the peer never receives that answer: [`connection`](super::connection)
//! writes another one. hyper's answer is recognised because hyper reads a head only after the socket has taken all
//! earlier answers. The exception is a request whose body arrives after its answer; [`router`](super::router) therefore
//! closes the connection after such an answer.

use super::state::State;
use chat_core::protocol::Stream;
use http::StatusCode;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

pub(super) struct Metered {
    stream: Stream,
    state: Arc<State>,
}

impl Metered {
    pub(super) const fn new(stream: Stream, state: Arc<State>) -> Self {
        Self { stream, state }
    }

    pub(super) fn into_stream(self) -> Stream {
        self.stream
    }

    /// Takes hyper's own answer to a request that it can't parse. Returns the length of the answer; `None` if these
    /// bytes are another answer.
    fn intercept(&self, parts: &[io::IoSlice<'_>]) -> Option<usize> {
        if !self.state.is_unasked() {
            return None;
        }
        let status = parts.first().and_then(|first| first.get(9..12));
        let status = status.and_then(|status| StatusCode::from_bytes(status).ok());
        self.state.reject(status.unwrap_or(StatusCode::BAD_REQUEST));
        Some(parts.iter().map(|part| part.len()).sum())
    }

    fn note(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Ready(_) => self.state.on_written(),
            Poll::Pending => self.state.on_blocked(Instant::now()),
        }
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let count = buffer.filled().len() - before;
        if count > 0 {
            self.state.on_read(count, Instant::now());
        } else if matches!(read, Poll::Ready(Ok(()))) && self.state.on_end() {
            // The driver of the connection polls it again when the end may be known.
            return Poll::Pending;
        }
        read
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(length) = self.intercept(&[io::IoSlice::new(bytes)]) {
            return Poll::Ready(Ok(length));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(length) = self.intercept(parts) {
            return Poll::Ready(Ok(length));
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.note(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper calls this when it has written all its output.
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        match flushed {
            Poll::Ready(_) => self.state.on_flushed(Instant::now()),
            Poll::Pending => self.state.on_blocked(Instant::now()),
        }
        flushed
    }

    /// The stream is not shut down: it may continue as a WebSocket, or with a last answer. hyper calls this at the end
    /// of HTTP, after it has written the rest of its output.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}
