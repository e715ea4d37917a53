//! The accept loop: a listener's connections, each in a task of its own, until it is told to stop.
//!
//! Invariant: it binds nothing that it was not handed, survives every error of `accept`, and holds no more
//! connections than the limits allow, in all and from one address.

use crate::connection::drive_stream;
use crate::hub::Hub;
use crate::listener::Listener;
use crate::peer::Peer;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

/// How long `accept` pauses after an error, at first and at most. Out of descriptors, it would fail for ever.
const BACK_OFF_MIN: Duration = Duration::from_millis(10);
const BACK_OFF_MAX: Duration = Duration::from_secs(1);

/// How much longer than `drain` a connection may take to be gone: its socket is closed, its task is not yet over.
const DRAIN_GRACE: Duration = Duration::from_millis(500);

/// How many refused connections are told why at the same time, and for how long at most.
const REFUSED_MAX: usize = 64;
const REFUSED_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves a listener's connections as members of the hub until `stop` is ready, then drains.
///
/// Draining means: the listener is closed, nothing more is said in any room, every connection is given what was said
/// before and a goodbye, and gets [`Limits::drain`](crate::Limits) to take it (promise 8). Several listeners may be
/// served with one hub; they drain together.
///
/// # Overload
///
/// A connection beyond the limits is told so in one line and closed. When the process is out of descriptors, the
/// loop pauses for 10 ms to 1 s and goes on.
///
/// # Cancel safety
///
/// Dropping the future closes the listener; connections go on in their tasks until their peers end them.
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
pub async fn serve(mut listener: impl Listener, hub: Hub, stop: impl Future<Output = ()>) {
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
                    admit(stream, peer, &hub, &connections, &refused);
                }
                Err(error) => {
                    hub.counters().accept_errors.add(1);
                    accepting.pause(&error);
                }
            },
        }
    }
    drop(listener);
    hub.drain();
    connections.close();
    let patience = hub.limits().drain + DRAIN_GRACE;
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

/// Starts a connection's task, or refuses it.
fn admit<S>(stream: S, peer: Peer, hub: &Hub, connections: &TaskTracker, refused: &TaskTracker)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let address = peer.address();
    let ip = address.map(|address| address.ip());
    let permit = match hub.limiter().admit(ip, hub.counters(), Instant::now()) {
        Ok(permit) => permit,
        Err(refusal) => {
            tracing::debug!(peer.addr = ?address, refusal, "connection refused");
            turn_away(stream, refusal, refused);
            return;
        }
    };
    let account = permit.account().cloned();
    let connection = drive_stream(stream, peer, account, hub.clone());
    connections.spawn(async move {
        let reason = connection.await;
        // With `Debug`, what the peer gave as its reason is quoted.
        tracing::debug!(peer.addr = ?address, ?reason, "connection ended");
        drop(permit);
    });
}

/// Tells a peer why it is refused; nobody waits for it, and while too many are being told, it is only closed.
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
        // Whether it takes the line is its own affair.
        drop(tokio::time::timeout(REFUSED_TIMEOUT, told).await);
    });
}

struct Accepting {
    back_off: Duration,
    /// Until when it pauses.
    resumes: Option<Instant>,
    logged: Option<Instant>,
}

impl Accepting {
    /// Waits for the next connection, or first for the end of a pause. Cancel safe.
    async fn next<L: Listener>(&mut self, listener: &mut L) -> io::Result<(L::Io, Peer)> {
        if let Some(resumes) = self.resumes {
            tokio::time::sleep_until(resumes).await;
            self.resumes = None;
        }
        listener.accept().await
    }

    /// Pauses a little longer after each failure that is not one connection's own; logs at most once a second.
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
