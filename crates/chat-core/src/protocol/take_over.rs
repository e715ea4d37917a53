//! The trait of protocols that take over the byte stream of a connection: TLS, a PROXY header, HTTP.
//!
//! Invariant: a protocol that takes over a stream receives the peer's bytes unchanged, from the first byte. The bytes
//! do not become chat unless the protocol hands a stream back.

use crate::peer::Peer;
use crate::protocol::dialect::Dialect;
use bytes::{Buf, Bytes};
use futures::future::BoxFuture;
use std::any::Any;
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A protocol that takes over the byte stream of a connection. A [`Detector`](crate::protocol::Detector) that has
/// recognised the protocol returns it in [`Detected::TakeOver`](crate::protocol::Detected::TakeOver).
///
/// # Deadlines
///
/// A handshake runs in the task of its connection and must end within
/// [`Limits::handshake_timeout`](crate::Limits::handshake_timeout). A handshake that takes longer is dropped together
/// with its stream. A protocol that keeps the stream, as HTTP does, returns `false` from
/// [`is_handshake`](Self::is_handshake). Such a protocol must end by itself when the hub drains; see
/// [`Hub::drained`](crate::Hub::drained).
///
/// # Spare connections
///
/// Silence on a new connection makes the server greet the peer in plain, and then no protocol takes over the stream. A
/// protocol whose clients open connections and leave them silent, as browsers do, therefore calls
/// [`Hub::expect_spare_connections`](crate::Hub::expect_spare_connections) when it recognises such a client.
///
/// # Cancel safety
///
/// The future of [`take_over`](Self::take_over) is dropped when its deadline passes, or together with the connection's
/// task.
pub trait TakeOver: Send {
    /// Speaks the protocol over `stream`. `peer` is what the program knows about the other end.
    ///
    /// The stream returns all bytes of the connection, beginning with those that the detector has examined. The
    /// connection counts toward [`Limits::connections`](crate::Limits::connections) until it has ended, also after this
    /// future has handed a stream back.
    fn take_over(self: Box<Self>, stream: Stream, peer: Peer) -> BoxFuture<'static, TakenOver>;

    /// Returns whether the protocol is only a handshake at the start of the connection, so that its future has a
    /// deadline. The default is `true`.
    fn is_handshake(&self) -> bool {
        true
    }
}

/// The result of [`TakeOver::take_over`].
pub enum TakenOver {
    /// The connection has ended, and the stream is closed.
    Ended,
    /// The protocol hands back an inner stream, which it carries inside the stream that it took over.
    HandedBack {
        /// The inner stream, such as one of decrypted bytes.
        stream: Stream,
        /// The peer, with what the handshake revealed about it. If the handshake changed the peer's address, the
        /// connection is counted for the new address from now on.
        peer: Peer,
        /// How the connection continues on the inner stream.
        next: Next,
    },
}

/// How a connection continues on the stream that a [`TakeOver`] has handed back.
pub enum Next {
    /// The detectors examine the first bytes of the stream, as for a new connection.
    Detect,
    /// The peer speaks this dialect, whatever the first bytes of the stream are.
    Dialect(Box<dyn Dialect>),
    /// This protocol takes over the stream, whatever its first bytes are.
    TakeOver(Box<dyn TakeOver>),
}

/// A byte stream of any type.
///
/// Reads first return the bytes that [`rewound`](Self::rewound) was given, then those of the wrapped stream.
///
/// A protocol that only reads from the stream and writes to it, as a WebSocket handshake does, hands the same `Stream`
/// back. If that `Stream` wraps a `TcpStream` and no byte was read ahead, the connection then continues on the
/// `TcpStream` itself. This saves the allocation and the dynamic dispatch of a boxed stream.
pub struct Stream {
    ahead: Bytes,
    io: Wrapped,
}

/// The stream that a [`Stream`] wraps.
enum Wrapped {
    /// A TCP stream. It is not boxed, so that the connection can take it out again.
    Tcp(TcpStream),
    /// A stream of any other type.
    Boxed(Pin<Box<dyn Io>>),
}

/// A stream that can be read and written.
trait Io: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Io for T {}

impl Stream {
    /// Wraps a stream from which nothing was read.
    #[must_use]
    pub fn new(io: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        Self::rewound(Bytes::new(), io)
    }

    /// Wraps a stream from which the bytes `ahead` were already read. The result yields these bytes before it reads
    /// from `io`. If `io` is already a `Stream`, that stream gets the bytes and is not wrapped again.
    #[must_use]
    pub fn rewound(ahead: Bytes, io: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        let io = match downcast::<_, Self>(io) {
            Ok(stream) if ahead.is_empty() => return stream,
            Ok(stream) => {
                let ahead = Bytes::from([ahead, stream.ahead].concat());
                return Self { ahead, ..stream };
            }
            Err(io) => io,
        };
        let io = match downcast::<_, TcpStream>(io) {
            Ok(tcp) => Wrapped::Tcp(tcp),
            Err(io) => Wrapped::Boxed(Box::pin(io)),
        };
        Self { ahead, io }
    }

    /// Returns the TCP stream. Returns `self` as the error if the stream is of another type, or if bytes were read
    /// ahead.
    pub(crate) fn into_tcp(self) -> Result<TcpStream, Self> {
        match self.io {
            Wrapped::Tcp(tcp) if self.ahead.is_empty() => Ok(tcp),
            io => Err(Self { io, ..self }),
        }
    }

    fn io(&mut self) -> Pin<&mut (dyn Io + 'static)> {
        match &mut self.io {
            Wrapped::Tcp(tcp) => Pin::<&mut TcpStream>::new(tcp),
            Wrapped::Boxed(io) => io.as_mut(),
        }
    }
}

/// Returns the value as a `U`, or unchanged if it is not a `U`.
pub(crate) fn downcast<T: 'static, U: 'static>(value: T) -> Result<U, T> {
    let mut value = Some(value);
    let any: &mut dyn Any = &mut value;
    if let Some(found) = any.downcast_mut::<Option<U>>()
        && let Some(found) = found.take()
    {
        return Ok(found);
    }
    Err(value.expect("only a U is taken"))
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return self.io().poll_read(cx, buffer);
        }
        let length = self.ahead.len().min(buffer.remaining());
        buffer.put_slice(&self.ahead[..length]);
        self.ahead.advance(length);
        if self.ahead.is_empty() {
            self.ahead = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.io().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.io().poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Wrapped::Tcp(tcp) => tcp.is_write_vectored(),
            Wrapped::Boxed(io) => io.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io().poll_shutdown(cx)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("ahead", &self.ahead.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TakenOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => f.write_str("Ended"),
            Self::HandedBack { peer, next, .. } => f
                .debug_struct("HandedBack")
                .field("peer", peer)
                .field("next", next)
                .finish_non_exhaustive(),
        }
    }
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Detect => "Detect",
            Self::Dialect(_) => "Dialect",
            Self::TakeOver(_) => "TakeOver",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    async fn tcp() -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_tcp_stream_is_taken_out_again_unless_bytes_were_read_ahead() {
        let wrapped = Stream::new(Stream::rewound(Bytes::new(), tcp().await));
        assert!(wrapped.into_tcp().is_ok());
        let ahead = Bytes::from_static(b"ahead");
        assert!(Stream::rewound(ahead, tcp().await).into_tcp().is_err());
        assert!(Stream::new(Box::pin(tcp().await)).into_tcp().is_err());
    }

    #[tokio::test]
    async fn a_stream_that_is_wrapped_again_returns_the_bytes_in_order() {
        let (near, far) = tokio::io::duplex(1);
        drop(far);
        let inner = Stream::rewound(Bytes::from_static(b"world"), near);
        let mut outer = Stream::rewound(Bytes::from_static(b"hello "), inner);
        let mut read = String::new();
        outer.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "hello world");
    }
}
