//! The accept loop: runs each connection of a listener in a task of its own, until `stop` is ready.
//!
//! Invariant: it binds no socket, survives every error of `accept`, and holds no more connections than the limits
//! allow, in total and from one address.

use crate::connection::Dialects;
use crate::connection::{downcast, has_timers};
use crate::event::CloseReason;
use crate::hub::Hub;
use crate::log::Timestamp;
use crate::peer::Peer;
use crate::plain::WallTime;
use crate::protocol::{Detector, Dialect};
use crate::server::drive::{Admission, drive};
use crate::server::listener::Listener;
use futures::FutureExt;
use futures::future::Either;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

/// How long accepting pauses after an error, at first and at most. Without file descriptors, `accept` fails each time.
const BACK_OFF_MIN: Duration = Duration::from_millis(10);
const BACK_OFF_MAX: Duration = Duration::from_secs(1);

/// How much longer than `drain` a connection may take to end: its socket is closed, but its task still runs.
const DRAIN_GRACE: Duration = Duration::from_millis(500);

/// How many refused connections are told the reason at the same time, and for how long at most.
const REFUSED_MAX: usize = 64;
const REFUSED_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves connections as members of a hub, in plain and in the protocols that were added.
///
/// A cheap handle to clone. Clones of one server may serve several listeners; their members then share their encodings.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use chat_core::{Hub, Server};
///
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let stop = async { /* a signal */ };
/// Server::new(Hub::default()).serve(listener, stop).await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Server {
    hub: Hub,
    dialects: Arc<Dialects>,
}

impl Server {
    /// Creates a server that speaks only plain.
    #[must_use]
    pub fn new(hub: Hub) -> Self {
        Self {
            hub,
            dialects: Arc::default(),
        }
    }

    /// Adds a protocol. Detectors are asked in the order in which they were added.
    #[must_use]
    pub fn protocol(mut self, detector: impl Detector) -> Self {
        Arc::make_mut(&mut self.dialects).add(detector);
        self
    }

    /// Sets how a timestamp is shown to plain members as a time of day. The default is UTC, because core knows no time
    /// zones.
    #[must_use]
    pub fn wall_time(mut self, wall_time: fn(Timestamp) -> WallTime) -> Self {
        Arc::make_mut(&mut self.dialects).set_wall_time(wall_time);
        self
    }

    /// Sets the dialect of peers that open with no protocol of this server, or send nothing. The default is plain.
    ///
    /// With another dialect, a silent peer is not greeted as a person, and arrives in the lobby only if the dialect
    /// says so.
    #[must_use]
    pub fn default_dialect(
        mut self,
        make: impl Fn() -> Box<dyn Dialect> + Send + Sync + 'static,
    ) -> Self {
        Arc::make_mut(&mut self.dialects).set_fallback(make);
        self
    }

    /// Returns the hub that the connections are members of.
    #[must_use]
    pub const fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Serves a listener's connections until `stop` is ready, then drains the hub; see [`serve()`].
    ///
    /// # Cancel safety
    ///
    /// As [`serve()`].
    pub async fn serve(self, mut listener: impl Listener, stop: impl Future<Output = ()>) {
        let (connections, refused) = (TaskTracker::new(), TaskTracker::new());
        let mut stop = pin!(stop);
        let mut accepting = Accepting {
            back_off: BACK_OFF_MIN,
            resumes: None,
            logged: None,
        };
        loop {
            tokio::select! {
                () = &mut stop => break,
                accepted = accepting.next(&mut listener) => match accepted {
                    Ok((stream, peer)) => {
                        accepting.back_off = BACK_OFF_MIN;
                        self.admit(stream, peer, &connections, &refused);
                    }
                    Err(error) => {
                        self.hub.counters().accept_errors.add(1);
                        accepting.pause(&error);
                    }
                },
            }
        }
        drop(listener);
        self.hub.drain();
        connections.close();
        let patience = self.hub.limits().drain + DRAIN_GRACE;
        if tokio::time::timeout(patience, connections.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                connections = connections.len(),
                "not all connections ended within the drain time"
            );
        }
    }

    /// Serves one stream until it ends, and returns why it ended; see [`serve_connection`].
    ///
    /// # Cancel safety
    ///
    /// As [`serve_connection`].
    pub async fn serve_connection<S>(&self, stream: S, peer: Peer) -> CloseReason
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        if !has_timers() {
            tracing::error!(
                "connection refused: the Tokio runtime has no timers, enable_time has them"
            );
            return CloseReason::NoTimers;
        }
        let admission = Admission::by_program(&self.hub, &peer);
        self.drive(stream, peer, admission).await
    }

    /// Drives a stream to its end. A TCP stream keeps its type, because its halves need no lock between them.
    fn drive<S>(
        &self,
        stream: S,
        peer: Peer,
        admission: Admission,
    ) -> impl Future<Output = CloseReason> + Send + use<S>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (hub, dialects) = (self.hub.clone(), Arc::clone(&self.dialects));
        match downcast::<S, TcpStream>(stream) {
            Ok(tcp) => Either::Left(drive(tcp, peer, admission, hub, dialects)),
            Err(stream) => {
                let stream = Box::pin(stream);
                Either::Right(drive(stream, peer, admission, hub, dialects))
            }
        }
    }

    /// Starts a connection's task, or refuses the connection.
    fn admit<S>(&self, stream: S, peer: Peer, connections: &TaskTracker, refused: &TaskTracker)
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let address = peer.address();
        let ip = address.map(|address| address.ip());
        let permit = match self
            .hub
            .limiter()
            .admit(ip, self.hub.counters(), Instant::now())
        {
            Ok(permit) => permit,
            Err(refusal) => {
                tracing::debug!(peer.addr = ?address, refusal, "connection refused");
                turn_away(stream, refusal, refused);
                return;
            }
        };
        let admission = Admission::permitted(permit, &peer);
        let connection = self.drive(stream, peer, admission);
        // No async block: it would keep the future twice, in each idle connection.
        connections.spawn(connection.map(move |reason| {
            // `Debug` quotes the reason that the peer gave.
            tracing::debug!(peer.addr = ?address, ?reason, "connection ended");
        }));
    }
}

/// Serves a listener's connections as members of the hub until `stop` is ready, then drains.
///
/// Draining closes the listener and stops all publishing. Every connection is sent what was published before and a
/// goodbye, and has [`Limits::drain`](crate::Limits) to take it (promise 8). Several listeners may be served with one
/// hub; they drain together.
///
/// # Overload
///
/// A connection beyond the limits is told so in one line and closed. When the process has no file descriptors left, the
/// loop pauses for 10 ms to 1 s and continues.
///
/// # Cancel safety
///
/// Dropping the future closes the listener. Connections continue in their tasks until their peers end them.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let stop = async { /* a signal */ };
/// chat_core::serve(listener, chat_core::Hub::default(), stop).await;
/// # Ok(())
/// # }
/// ```
pub async fn serve(listener: impl Listener, hub: Hub, stop: impl Future<Output = ()>) {
    Server::new(hub).serve(listener, stop).await;
}

/// Serves one stream as a member of the hub until it ends, and returns why it ended.
///
/// Takes anything that is `AsyncRead + AsyncWrite`: TCP, Unix sockets, TLS, a `tokio::io::duplex`. `peer` holds what
/// the program knows about the other end, for the [`Policy`](crate::Policy). [`Limits`](crate::Limits) counts by its
/// address, if it has one. Only [`serve`](crate::serve()) limits the number of connections; all other limits apply
/// here.
///
/// Needs a Tokio runtime with timers (`enable_time` or `enable_all`), because every time limit uses one. Without
/// timers, the stream is closed at once, an error is logged and [`CloseReason::NoTimers`] is returned.
///
/// # Overload
///
/// At most [`Limits::queue_bytes`](crate::Limits) wait for a peer that does not read, and the peer is disconnected
/// after [`Limits::stall_timeout`](crate::Limits). A peer that sends too fast is read later.
///
/// # Cancel safety
///
/// Dropping the future ends the session, which is announced as usual. Output that waits for the peer is not sent.
pub async fn serve_connection<S>(stream: S, peer: Peer, hub: Hub) -> CloseReason
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    Server::new(hub).serve_connection(stream, peer).await
}

/// Tells a peer why it is refused, in a separate task. If too many are being told, the connection is only closed.
fn turn_away<S>(stream: S, refusal: String, refused: &TaskTracker)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    if refused.len() >= REFUSED_MAX {
        return;
    }
    refused.spawn(async move {
        let mut stream = pin!(stream);
        let told = async {
            stream.write_all(refusal.as_bytes()).await?;
            stream.shutdown().await
        };
        // The result is irrelevant: the connection is closed in any case.
        drop(tokio::time::timeout(REFUSED_TIMEOUT, told).await);
    });
}

struct Accepting {
    back_off: Duration,
    /// When the pause ends.
    resumes: Option<Instant>,
    logged: Option<Instant>,
}

impl Accepting {
    /// Waits for the end of a pause, then for the next connection. Cancel safe.
    async fn next<L: Listener>(&mut self, listener: &mut L) -> io::Result<(L::Io, Peer)> {
        if let Some(resumes) = self.resumes {
            tokio::time::sleep_until(resumes).await;
            self.resumes = None;
        }
        listener.accept().await
    }

    /// Pauses a little longer after each failure that does not concern one connection alone. Logs at most once a
    /// second.
    fn pause(&mut self, error: &io::Error) {
        if matches!(
            error.kind(),
            ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted
        ) {
            return;
        }
        let is_news = self.logged.is_none_or(|at| at.elapsed() >= BACK_OFF_MAX);
        if is_news {
            self.logged = Some(Instant::now());
            tracing::warn!(%error, "can't accept a connection; going on");
        }
        self.resumes = Some(Instant::now() + self.back_off);
        self.back_off = (self.back_off * 2).min(BACK_OFF_MAX);
    }
}
