//! A hub for tests: its clock stands still, and its connections are in-memory streams.

use crate::faults::{Faults, FaultyStream};
use crate::wire::Wire;
use chat_core::log::Timestamp;
use chat_core::protocol::Detector;
use chat_core::{CloseReason, Hub, HubBuilder, Limits, Peer, Server};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

/// When every test takes place: 14:02 UTC.
pub const NOW: Timestamp = Timestamp((14 * 60 + 2) * 60_000);

/// How many bytes a stream holds: more than any test's conversation, unless it says otherwise.
const STREAM_BYTES: usize = 1024 * 1024;

/// A hub and the tasks of its connections, which end with it.
#[derive(Debug)]
pub struct TestHub {
    /// The hub itself.
    pub hub: Hub,
    server: Server,
    connections: JoinSet<CloseReason>,
}

impl TestHub {
    /// Creates a hub with these limits; its clock stands at [`NOW`].
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self::build(Hub::builder().limits(limits))
    }

    /// Creates a hub of which the test chooses more; its clock stands at [`NOW`].
    #[must_use]
    pub fn build(builder: HubBuilder) -> Self {
        Self::over(builder.clock(|| NOW).build())
    }

    /// Takes a hub as it is, its clock included.
    #[must_use]
    pub fn over(hub: Hub) -> Self {
        Self {
            server: Server::new(hub.clone()),
            hub,
            connections: JoinSet::new(),
        }
    }

    /// Adds a protocol that connections may speak besides plain.
    #[must_use]
    pub fn protocol(mut self, detector: impl Detector) -> Self {
        self.server = self.server.protocol(detector);
        self
    }

    /// Has the test choose more of how connections are served.
    #[must_use]
    pub fn configured(mut self, configure: impl FnOnce(Server) -> Server) -> Self {
        self.server = configure(self.server);
        self
    }

    /// Connects a stream and says nothing on it.
    pub fn connect(&mut self, name: &str) -> Wire {
        self.connect_with(name, STREAM_BYTES)
    }

    /// Connects a stream that holds so many bytes in each direction.
    pub fn connect_with(&mut self, name: &str, stream_bytes: usize) -> Wire {
        let (near, far) = tokio::io::duplex(stream_bytes);
        self.serve(far, Peer::default());
        Wire::new(name, near)
    }

    /// Connects a stream of which the program knows something, for its policy.
    pub fn connect_as(&mut self, name: &str, peer: Peer) -> Wire {
        let (near, far) = tokio::io::duplex(STREAM_BYTES);
        self.serve(far, peer);
        Wire::new(name, near)
    }

    /// Connects a stream and says these lines on it, in whichever dialect that is.
    ///
    /// # Panics
    ///
    /// Panics if the connection is closed meanwhile.
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

    /// Connects a stream whose faults the test decides. They are on the hub's side of it: what the wire sends is
    /// sent, and what the hub makes of it is another matter.
    pub fn connect_faulty(&mut self, name: &str) -> (Wire, Faults) {
        let (near, far) = tokio::io::duplex(STREAM_BYTES);
        let (far, faults) = FaultyStream::new(far);
        self.serve(far, Peer::default());
        (Wire::new(name, near), faults)
    }

    /// Connects a member with this nick, which is told of its arrival in the lobby.
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

    /// Waits for the connections that have ended, in the order in which they did, and says why.
    ///
    /// # Panics
    ///
    /// Panics if a connection's task panicked.
    pub async fn ended(&mut self) -> CloseReason {
        self.try_ended()
            .await
            .expect("a connection's task doesn't panic")
    }

    /// As [`ended`](Self::ended), but a panic is an error.
    pub(crate) async fn try_ended(&mut self) -> Result<CloseReason, String> {
        let ended = self
            .connections
            .join_next()
            .await
            .expect("there is a connection");
        ended.map_err(|error| error.to_string())
    }

    /// Cuts every connection, whatever it is waiting for: what it was about to do is not done.
    pub async fn cuts_all(&mut self) {
        self.connections.shutdown().await;
    }

    /// Serves the hub's side of a stream that the test has made, of whose other end the program knows this.
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
