//! A hub for tests, with a fixed clock and in-memory connections.

use crate::faults::{Faults, FaultyStream};
use crate::wire::Wire;
use chat_core::log::Timestamp;
use chat_core::protocol::Detector;
use chat_core::{CloseReason, Hub, HubBuilder, Limits, Peer, Server};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

/// The time at which the clock of a [`TestHub`] stands still: 14:02 UTC on 1970-01-01.
pub const NOW: Timestamp = Timestamp((14 * 60 + 2) * 60_000);

/// The default capacity of a stream in bytes: more than any test sends.
const STREAM_BYTES: usize = 1024 * 1024;

/// A hub, and the tasks of the connections that a test has made to it. Dropping the `TestHub` ends these tasks.
#[derive(Debug)]
pub struct TestHub {
    /// The hub itself.
    pub hub: Hub,
    server: Server,
    connections: JoinSet<CloseReason>,
}

impl TestHub {
    /// Creates a hub with these limits. Its clock stands still at [`NOW`].
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self::build(Hub::builder().limits(limits))
    }

    /// Creates a hub from a builder. Its clock stands still at [`NOW`].
    #[must_use]
    pub fn build(builder: HubBuilder) -> Self {
        Self::over(builder.clock(|| NOW).build())
    }

    /// Wraps an existing hub. The hub keeps its own clock.
    #[must_use]
    pub fn over(hub: Hub) -> Self {
        Self {
            server: Server::new(hub.clone()),
            hub,
            connections: JoinSet::new(),
        }
    }

    /// Adds a protocol that connections may use besides plain.
    #[must_use]
    pub fn protocol(mut self, detector: impl Detector) -> Self {
        self.server = self.server.protocol(detector);
        self
    }

    /// Changes the [`Server`] for all connections that the test makes from now on.
    #[must_use]
    pub fn configured(mut self, configure: impl FnOnce(Server) -> Server) -> Self {
        self.server = configure(self.server);
        self
    }

    /// Connects a peer that sends nothing until the test says so. The name identifies the peer in the transcript of a
    /// failed test.
    pub fn connect(&mut self, name: &str) -> Wire {
        self.connect_with(name, STREAM_BYTES)
    }

    /// Connects a peer over a stream that holds at most this many unread bytes in each direction, for tests of peers
    /// that do not read.
    pub fn connect_with(&mut self, name: &str, stream_bytes: usize) -> Wire {
        let (near, far) = tokio::io::duplex(stream_bytes);
        self.serve(far, Peer::default());
        Wire::new(name, near)
    }

    /// Connects a peer. `peer` is the information about the peer for the hub's policy.
    pub fn connect_as(&mut self, name: &str, peer: Peer) -> Wire {
        let (near, far) = tokio::io::duplex(STREAM_BYTES);
        self.serve(far, peer);
        Wire::new(name, near)
    }

    /// Connects a peer and sends these lines, which may be of any dialect.
    ///
    /// # Panics
    ///
    /// Panics if the connection is closed before all lines are sent.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the stream.
    ///
    /// # Examples
    ///
    /// ```
    /// use chat_testkit::TestHub;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
    /// let mut hub = TestHub::default();
    /// let mut carol = hub.connect_saying("carol", ["/nick carol", "/join ops"]).await;
    /// carol.sees_in_time("* you are now carol").await;
    /// # })
    /// ```
    pub async fn connect_saying<L: AsRef<str>>(
        &mut self,
        name: &str,
        lines: impl IntoIterator<Item = L>,
    ) -> Wire {
        let mut wire = self.connect(name);
        for line in lines {
            wire.sends(line.as_ref()).await;
        }
        wire
    }

    /// Connects a peer over a stream with faults that the test controls. The faults affect the hub's side of the
    /// stream: the wire may send bytes that the hub never receives.
    pub fn connect_faulty(&mut self, name: &str) -> (Wire, Faults) {
        let (near, far) = tokio::io::duplex(STREAM_BYTES);
        let (far, faults) = FaultyStream::new(far);
        self.serve(far, Peer::default());
        (Wire::new(name, near), faults)
    }

    /// Connects a member in the plain dialect, and waits until the member is in the lobby under this nick.
    ///
    /// # Panics
    ///
    /// Panics if the member does not get the nick.
    pub async fn member(&mut self, nick: &str) -> Wire {
        let mut wire = self.connect(nick);
        wire.sends(&format!("/nick {nick}")).await;
        wire.sees_in_time(&format!("* you are now {nick}")).await;
        wire
    }

    /// Waits until a connection ends, and returns the reason of the end. Each call returns the reason of another
    /// connection, in the order in which the connections end.
    ///
    /// # Panics
    ///
    /// Panics if a connection's task panicked.
    pub async fn ended(&mut self) -> CloseReason {
        self.try_ended()
            .await
            .expect("a connection's task doesn't panic")
    }

    /// Like [`ended`](Self::ended), but returns a panic as an error.
    pub(crate) async fn try_ended(&mut self) -> Result<CloseReason, String> {
        let ended = self
            .connections
            .join_next()
            .await
            .expect("there is a connection");
        ended.map_err(|error| error.to_string())
    }

    /// Aborts the tasks of all connections, as a crash of the program would. Operations that the tasks have not begun
    /// are not performed.
    pub async fn cuts_all(&mut self) {
        self.connections.shutdown().await;
    }

    /// Serves a stream that the test has created, with this information about its peer. `stream` is the hub's side.
    pub fn serve(&mut self, stream: impl AsyncRead + AsyncWrite + Send + 'static, peer: Peer) {
        let server = self.server.clone();
        self.connections
            .spawn(async move { server.serve_connection(stream, peer).await });
    }
}

impl Default for TestHub {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}
