//! The accept loop: runs each connection of a listener in a task of its own, until `stop` is ready.
//!
//! Invariant: the loop binds no socket, continues after every error of `accept`, and holds no more connections than the
//! limits allow, in total and from one address.

use crate::connection::{Dialects, has_timers};
use crate::event::CloseReason;
use crate::hub::Hub;
use crate::log::Timestamp;
use crate::peer::Peer;
use crate::plain::WallTime;
use crate::protocol::{Detector, Dialect, downcast};
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

/// The pause after the first error of `accept`. Each further error doubles the pause.
const BACK_OFF_MIN: Duration = Duration::from_millis(10);
/// The longest pause after an error of `accept`. While the process has no free file descriptor, every call fails.
const BACK_OFF_MAX: Duration = Duration::from_secs(1);

/// Maximum time that the tasks of connections may take to end once `Limits::drain` has passed. The sockets of these
/// connections are closed by then.
const DRAIN_GRACE: Duration = Duration::from_millis(500);

/// Maximum number of refused connections that are told the reason at the same time. Further connections are only
/// closed.
const REFUSED_MAX: usize = 64;
/// Maximum time to tell one refused connection the reason.
const REFUSED_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves connections as members of a hub, in the plain dialect and in the protocols that were added with
/// [`protocol`](Self::protocol).
///
/// A server is a handle that is cheap to clone. To serve several listeners, use one clone for each. Members that
/// receive the same bytes then share one encoder, even if their listeners differ.
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
    /// Creates a server that speaks only the plain dialect.
    #[must_use]
    pub fn new(hub: Hub) -> Self {
        Self {
            hub,
            dialects: Arc::default(),
        }
    }

    /// Adds the detector of a protocol. For each connection, detectors are called in the order in which they were
    /// added.
    #[must_use]
    pub fn protocol(mut self, detector: impl Detector) -> Self {
        Arc::make_mut(&mut self.dialects).add(detector);
        self
    }

    /// Sets the function that turns a timestamp into the day and time that the plain dialect shows. The default is UTC,
    /// because this crate knows no time zones.
    #[must_use]
    pub fn wall_time(mut self, wall_time: fn(Timestamp) -> WallTime) -> Self {
        Arc::make_mut(&mut self.dialects).set_wall_time(wall_time);
        self
    }

    /// Sets the dialect of a peer whose first bytes no detector recognises, and of a peer that sends nothing. The
    /// default is the plain dialect.
    ///
    /// With another dialect, a peer that sends nothing is not greeted in the plain dialect. Such a peer joins the lobby
    /// only if the other dialect has [`arrives_in_lobby`](crate::protocol::DialectOptions::arrives_in_lobby).
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

    /// Serves a listener's connections until `stop` is ready or the hub drains, then drains the hub; see [`serve()`].
    ///
    /// # Cancel safety
    ///
    /// As [`serve()`].
    pub async fn serve(self, mut listener: impl Listener, stop: impl Future<Output = ()>) {
        let (connections, refused) = (TaskTracker::new(), TaskTracker::new());
        let mut stop = pin!(stop);
        // The loop also ends if the hub drains. The hub drains if another listener of the hub was stopped, or if the
        // program drains the hub.
        let mut draining = pin!(self.hub.draining());
        let mut accepting = Accepting {
            back_off: BACK_OFF_MIN,
            resumes: None,
            logged: None,
        };
        loop {
            tokio::select! {
                () = &mut stop => break,
                () = &mut draining => break,
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

    /// Serves one stream until it ends, and returns the reason; see [`serve_connection`].
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

    /// Drives a stream to its end. A TCP stream keeps its type, because it can be split into halves without a lock.
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
        // An async block in place of `map` would hold the connection's future twice in memory.
        connections.spawn(connection.map(move |reason| {
            // `Debug` quotes the reason that the peer gave.
            tracing::debug!(peer.addr = ?address, ?reason, "connection ended");
        }));
    }
}

/// Serves a listener's connections as members of the hub until `stop` is ready or the hub drains, then drains the hub.
///
/// Draining closes the listener and stops all publishing. The server sends every peer the messages that were published
/// before the hub drains, and a goodbye. A peer that has not received this output within
/// [`Limits::drain`](crate::Limits::drain) is disconnected. Several listeners may be served with one hub; they drain
/// together.
///
/// # Overload
///
/// The server sends a connection beyond the limits the reason in one line, and closes it. If the process has no file
/// descriptors left, the server accepts no connections for 10 ms to 1 s, and then continues.
///
/// # Cancel safety
///
/// Dropping the future closes the listener. The open connections continue in their own tasks until they end.
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

/// Serves one stream as a member of the hub until it ends, and returns the reason.
///
/// The stream can be anything that is `AsyncRead + AsyncWrite`: TCP, Unix sockets, TLS, a `tokio::io::duplex`. `peer`
/// holds what the program knows about the other end, for the [`Policy`](crate::Policy). If the peer has an address, the
/// limits for addresses in [`Limits`](crate::Limits) apply to it. [`Limits::connections`](crate::Limits::connections)
/// does not apply, because only [`serve`](crate::serve()) counts connections. All other limits apply.
///
/// The function needs a Tokio runtime with timers (`enable_time` or `enable_all`), because each time limit uses a
/// timer. Without timers, it closes the stream at once, logs an error and returns [`CloseReason::NoTimers`].
///
/// # Overload
///
/// At most [`Limits::queue_bytes`](crate::Limits::queue_bytes) of output wait for a peer that does not read. A peer
/// that reads nothing for [`Limits::stall_timeout`](crate::Limits::stall_timeout) is disconnected. A peer that sends
/// too fast is read more slowly.
///
/// # Cancel safety
///
/// Dropping the future ends the session, and the session's rooms announce its end. Output that waits for the peer is
/// not sent.
pub async fn serve_connection<S>(stream: S, peer: Peer, hub: Hub) -> CloseReason
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    Server::new(hub).serve_connection(stream, peer).await
}

/// Refuses a connection. A separate task sends the reason to the peer, and then closes the connection. If `REFUSED_MAX`
/// such tasks are running already, the connection is closed without a reason.
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
    /// The length of the next pause.
    back_off: Duration,
    /// When the current pause ends; `None` if there is no pause.
    resumes: Option<Instant>,
    /// The time at which an error was last logged; `None` if no error was logged.
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

    /// Pauses accepting after an error, unless the error concerns only one connection. Each pause is twice as long as
    /// the one before, up to 1 s. Logs at most one error a second.
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
