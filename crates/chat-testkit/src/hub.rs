//! A hub for tests, with a fixed clock and in-memory connections.

use crate::faults::{Faults, FaultyStream};
use crate::wire::Wire;
use chat_core::log::Timestamp;
use chat_core::protocol::Detector;
use chat_core::{CloseReason, Hub, HubBuilder, Limits, Peer, Server};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

/// The fixed time of all tests: 14:02 UTC.
pub const NOW: Timestamp = Timestamp((14 * 60 + 2) * 60_000);

/// The default capacity of a stream in bytes: more than the conversation of any test.
const STREAM_BYTES: usize = 1024 * 1024;

/// A hub and the tasks of its connections. The tasks end when this is dropped.
#[derive(Debug)]
pub struct TestHub {
    /// The hub itself.
    pub hub: Hub,
    server: Server,
    connections: JoinSet<CloseReason>,
}

impl TestHub {
    /// Creates a hub with these limits. Its clock is fixed at [`NOW`].
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self::build(Hub::builder().limits(limits))
    }

    /// Creates a hub from a builder. Its clock is fixed at [`NOW`].
    #[must_use]
    pub fn build(builder: HubBuilder) -> Self {
        Self::over(builder.clock(|| NOW).build())
    }

    /// Wraps an existing hub, including its clock.
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

    /// Configures how connections are served.
    #[must_use]
    pub fn configured(mut self, configure: impl FnOnce(Server) -> Server) -> Self {
        self.server = configure(self.server);
        self
    }

    /// Connects a stream and sends nothing.
    pub fn connect(&mut self, name: &str) -> Wire {
        self.connect_with(name, STREAM_BYTES)
    }

    /// Connects a stream with this capacity in bytes for each direction.
    pub fn connect_with(&mut self, name: &str, stream_bytes: usize) -> Wire {
        let (near, far) = tokio::io::duplex(stream_bytes);
        self.serve(far, Peer::default());
        Wire::new(name, near)
    }

    /// Connects a stream with information about its peer, for the hub's policy.
    pub fn connect_as(&mut self, name: &str, peer: Peer) -> Wire {
        let (near, far) = tokio::io::duplex(STREAM_BYTES);
        self.serve(far, peer);
        Wire::new(name, near)
    }

    /// Connects a stream and sends these lines in any dialect.
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

    /// Connects a stream with faults that the test controls. The faults affect the hub's side of the stream: the wire
    /// may send bytes that the hub never receives.
    pub fn connect_faulty(&mut self, name: &str) -> (Wire, Faults) {
        let (near, far) = tokio::io::duplex(STREAM_BYTES);
        let (far, faults) = FaultyStream::new(far);
        self.serve(far, Peer::default());
        (Wire::new(name, near), faults)
    }

    /// Connects a member to the lobby and waits until it has this nick.
    ///
    /// # Panics
    ///
    /// Panics if it does not get the nick.
    pub async fn member(&mut self, nick: &str) -> Wire {
        let mut wire = self.connect(nick);
        wire.sends(&format!("/nick {nick}")).await;
        wire.sees_in_time(&format!("* you are now {nick}")).await;
        wire
    }

    /// Waits for the next connection to end, in the order in which they end, and returns the reason.
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

    /// Aborts the tasks of all connections. Operations that they have not begun are not performed.
    pub async fn cuts_all(&mut self) {
        self.connections.shutdown().await;
    }

    /// Serves the hub's side of a stream that the test has created, with this information about its peer.
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
