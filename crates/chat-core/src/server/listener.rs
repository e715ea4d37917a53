//! Where connections come from: the interface between [`serve`](crate::serve()) and sockets.

use crate::peer::Peer;
use std::future::Future;
use std::io;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// Accepts connections for [`serve`](crate::serve()).
///
/// This crate implements the trait for [`TcpListener`] and, on Unix, for [`tokio::net::UnixListener`]. The
/// implementation for `TcpListener` sets `TCP_NODELAY` on each connection.
pub trait Listener: Send {
    /// The byte stream of one connection.
    type Io: AsyncRead + AsyncWrite + Send + 'static;

    /// Waits for the next connection. Returns its stream, and what is known about its peer.
    ///
    /// # Errors
    ///
    /// Returns why no connection can be accepted now. After an error, [`serve`](crate::serve()) pauses for 10 ms to 1 s
    /// and calls this method again.
    ///
    /// # Cancel safety
    ///
    /// Must be cancel safe: dropping the future must not lose an accepted connection.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Io, Peer)>> + Send;

    /// Passes the [`Peer`] of each connection through a function, which can add values with [`Peer::with`] for a
    /// [`Policy`](crate::Policy).
    ///
    /// # Examples
    ///
    /// ```
    /// use chat_core::listener::Listener;
    ///
    /// struct FromInside;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let inside = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// let inside = inside.map_peer(|_stream, peer| peer.with(FromInside));
    /// # Ok(())
    /// # }
    /// ```
    fn map_peer<F>(self, map: F) -> impl Listener<Io = Self::Io>
    where
        Self: Sized,
        F: FnMut(&Self::Io, Peer) -> Peer + Send,
    {
        MapPeer { inner: self, map }
    }
}

impl Listener for TcpListener {
    type Io = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, Peer)> {
        let (stream, address) = Self::accept(self).await?;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(peer.addr = %address, %error, "TCP_NODELAY can't be set");
        }
        Ok((stream, address.into()))
    }
}

#[cfg(unix)]
impl Listener for tokio::net::UnixListener {
    type Io = tokio::net::UnixStream;

    async fn accept(&mut self) -> io::Result<(tokio::net::UnixStream, Peer)> {
        let (stream, _) = Self::accept(self).await?;
        Ok((stream, Peer::default()))
    }
}

/// A listener that passes its peers through a function.
struct MapPeer<L, F> {
    inner: L,
    map: F,
}

impl<L, F> Listener for MapPeer<L, F>
where
    L: Listener,
    F: FnMut(&L::Io, Peer) -> Peer + Send,
{
    type Io = L::Io;

    async fn accept(&mut self) -> io::Result<(Self::Io, Peer)> {
        let (io, peer) = self.inner.accept().await?;
        let peer = (self.map)(&io, peer);
        Ok((io, peer))
    }
}
