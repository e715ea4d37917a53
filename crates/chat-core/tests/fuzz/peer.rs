//! Peers that the test drives step by step. A peer reads and writes only as much as it can without waiting.

use chat_core::{CloseReason, Hub, HubBuilder, serve_connection};
use chat_testkit::NOW;
use futures::FutureExt;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinSet;

/// The longest time that a connection may take to end. The server processes the remaining lines at 5 a second, and may
/// have to cut the connection.
const END_MAX: Duration = Duration::from_secs(3600);

/// A hub, and the tasks of the hub's connections.
pub(crate) struct Stage {
    pub(crate) hub: Hub,
    connections: JoinSet<CloseReason>,
}

/// A peer on an in-memory stream.
pub(crate) struct Peer {
    stream: Option<DuplexStream>,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
    is_ending: bool,
    has_ended: bool,
}

impl Stage {
    pub(crate) fn new(builder: HubBuilder) -> Self {
        Self {
            hub: builder.clock(|| NOW).build(),
            connections: JoinSet::new(),
        }
    }

    pub(crate) fn connect(&mut self, stream_bytes: usize) -> Peer {
        let (near, far) = tokio::io::duplex(stream_bytes);
        self.connections.spawn(serve_connection(
            far,
            chat_core::Peer::default(),
            self.hub.clone(),
        ));
        Peer {
            stream: Some(near),
            outgoing: Vec::new(),
            incoming: Vec::new(),
            is_ending: false,
            has_ended: false,
        }
    }

    /// Returns the number of connections. Fails if the task of a connection has panicked.
    pub(crate) fn connections(&mut self) -> usize {
        while let Some(ended) = self.connections.try_join_next() {
            ended.unwrap();
        }
        self.connections.len()
    }

    /// Lets all peers read and write until none of them can send or receive more bytes.
    pub(crate) async fn settle(&mut self, peers: &mut [&mut Peer]) {
        let mut quiet = 0;
        while quiet < 3 {
            quiet += 1;
            while pump(peers).await {
                quiet = 0;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Lets all peers read and write until all connections have ended.
    pub(crate) async fn wait_for_the_end(&mut self, peers: &mut [&mut Peer]) {
        let began = tokio::time::Instant::now();
        while self.connections() > 0 {
            assert!(began.elapsed() < END_MAX, "a connection does not end");
            while pump(peers).await {}
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        while pump(peers).await {}
    }
}

/// Lets each peer write and read once, and then lets the server run. Returns whether a peer sent or received bytes.
pub(crate) async fn pump(peers: &mut [&mut Peer]) -> bool {
    let mut moved = false;
    for peer in peers {
        moved |= peer.pump(usize::MAX);
    }
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
    moved
}

impl Peer {
    /// Queues bytes. They are sent as soon as the stream accepts them.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.outgoing.extend_from_slice(bytes);
    }

    /// Closes the sending half once all queued bytes are sent.
    pub(crate) fn ends(&mut self) {
        self.is_ending = true;
    }

    /// Drops the connection in both directions, with the bytes that are not sent yet.
    pub(crate) fn vanishes(&mut self) {
        self.stream = None;
        self.outgoing.clear();
    }

    /// Sends what the stream accepts, and reads at most `read_max` bytes. Returns whether bytes were sent or received.
    pub(crate) fn pump(&mut self, read_max: usize) -> bool {
        let Some(stream) = &mut self.stream else {
            return false;
        };
        let mut moved = false;
        while !self.outgoing.is_empty()
            && let Some(written) = stream.write(&self.outgoing).now_or_never()
        {
            // A stream whose other end is closed accepts no bytes, so the queued bytes are dropped.
            let count = written.unwrap_or(self.outgoing.len());
            self.outgoing.drain(..count);
            moved = true;
        }
        if self.is_ending && self.outgoing.is_empty() {
            self.is_ending = stream.shutdown().now_or_never().is_none();
        }
        let mut left = read_max;
        let mut chunk = [0; 4096];
        while left > 0 && !self.has_ended {
            let most = left.min(chunk.len());
            match stream.read(&mut chunk[..most]).now_or_never() {
                Some(Ok(count)) if count > 0 => {
                    self.incoming.extend_from_slice(&chunk[..count]);
                    left -= count;
                }
                Some(_) => self.has_ended = true,
                None => break,
            }
            moved = true;
        }
        moved
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.incoming
    }

    /// Returns the complete received lines, without telnet's commands.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut text = without_telnet(&self.incoming);
        // The last line does not count if it is incomplete.
        let end = text.iter().rposition(|&byte| byte == b'\n');
        text.truncate(end.map_or(0, |end| end + 1));
        let text = String::from_utf8(text).expect("what is written is UTF-8");
        text.split_terminator('\n').map(str::to_owned).collect()
    }
}

/// Removes the server's answers to telnet options. Each answer has three bytes.
fn without_telnet(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len());
    let mut bytes = bytes.iter();
    while let Some(&byte) = bytes.next() {
        if byte == 0xff {
            bytes.nth(1);
        } else {
            text.push(byte);
        }
    }
    text
}
