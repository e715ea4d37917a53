//! Listeners: in memory, over Unix sockets, and with adapters around them.

use crate::rate;
use chat_core::listener::Listener;
use chat_core::policy::{Decision, Policy, Visitor};
use chat_core::{Hub, Limits, Peer, serve};
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// A listener for connections in memory. For a connection with the address `None`, `accept` returns an error.
struct Memory(mpsc::UnboundedReceiver<(DuplexStream, Option<SocketAddr>)>);

impl Listener for Memory {
    type Io = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, Peer)> {
        match self.0.recv().await {
            Some((stream, Some(address))) => Ok((stream, address.into())),
            Some((_, None)) => Err(io::Error::other("out of descriptors")),
            None => pending().await,
        }
    }
}

struct Network {
    tx: mpsc::UnboundedSender<(DuplexStream, Option<SocketAddr>)>,
    tasks: JoinSet<()>,
}

impl Network {
    /// Serves connections in memory through the listener that `around` returns.
    fn serve<L: Listener + 'static>(hub: Hub, around: impl FnOnce(Memory) -> L) -> Self {
        let (tx, rx) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(around(Memory(rx)), hub, pending()));
        Self { tx, tasks }
    }

    fn connect(&self, address: &str) -> BufReader<DuplexStream> {
        let (near, far) = tokio::io::duplex(4096);
        self.tx.send((far, address.parse().ok())).unwrap();
        BufReader::new(near)
    }
}

async fn line(stream: &mut BufReader<DuplexStream>) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    line
}

#[tokio::test(start_paused = true)]
async fn an_error_of_accept_is_survived() {
    let network = Network::serve(Hub::default(), |memory| memory);
    for _ in 0..20 {
        network.connect("no address");
    }
    let mut alice = network.connect("192.0.2.1:1000");
    assert!(line(&mut alice).await.starts_with("* you are guest-1"));
    drop(network.tasks);
}

#[tokio::test(start_paused = true)]
async fn a_connection_beyond_the_limits_is_told_so_and_closed() {
    let mut limits = Limits::default();
    limits.connections = NonZeroUsize::new(2).unwrap();
    limits.per_address = NonZeroUsize::new(1);
    let network = Network::serve(Hub::new(limits), |memory| memory);
    let mut alice = network.connect("192.0.2.1:1000");
    assert!(line(&mut alice).await.starts_with("* you are guest-1"));
    let mut twin = network.connect("192.0.2.1:1001");
    assert!(
        line(&mut twin)
            .await
            .starts_with("! too many connections from your address")
    );
    assert_eq!(line(&mut twin).await, "");
    let mut bob = network.connect("192.0.2.2:1000");
    assert!(line(&mut bob).await.starts_with("* you are guest-2"));
    let mut carol = network.connect("192.0.2.3:1000");
    assert!(line(&mut carol).await.starts_with("! the server is full"));
    assert_eq!(line(&mut carol).await, "");
}

#[tokio::test(start_paused = true)]
async fn what_a_listener_knows_of_a_peer_reaches_the_policy() {
    struct Inside;
    struct StaffOnly;
    impl Policy for StaffOnly {
        async fn connect(&self, who: &Visitor, _nick: Option<&str>) -> Decision {
            assert!(who.peer.address().is_some());
            match who.peer.get::<Inside>() {
                Some(Inside) => Decision::Allow,
                None => Decision::refuse("staff only"),
            }
        }
    }
    let hub = Hub::builder().policy(StaffOnly).build();
    let from_inside = |memory: Memory| memory.map_peer(|_stream, peer| peer.with(Inside));
    let inside = Network::serve(hub.clone(), from_inside);
    let outside = Network::serve(hub, |memory| memory);
    let mut staff = inside.connect("192.0.2.1:1000");
    assert!(line(&mut staff).await.starts_with("* you are guest-1"));
    let mut stranger = outside.connect("192.0.2.1:1000");
    assert_eq!(line(&mut stranger).await, "! staff only\n");
}

/// All listeners stop if one of them is stopped, because this drains the hub. They also stop if the program drains the
/// hub.
#[tokio::test(start_paused = true)]
async fn promise_8_all_listeners_of_a_hub_stop_accepting_when_it_drains() {
    for stops_one in [true, false] {
        let hub = Hub::default();
        let mut other = Network::serve(hub.clone(), |memory| memory);
        let (tx, rx) = mpsc::unbounded_channel();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        other.tasks.spawn(serve(Memory(rx), hub.clone(), async {
            drop(stopped.await);
        }));
        let mut alice = other.connect("192.0.2.1:1000");
        assert!(line(&mut alice).await.starts_with("* you are guest-1"));
        assert!(!tx.is_closed());
        if stops_one {
            stop.send(()).unwrap();
        } else {
            hub.drain();
        }
        let mut last = String::new();
        while alice.read_line(&mut last).await.unwrap() > 0 {}
        assert!(last.ends_with("the server is shutting down\n"), "{last}");
        // The listeners are closed, so the operating system refuses new peers.
        for _ in 0..2 {
            let ended = tokio::time::timeout(Duration::from_secs(60), other.tasks.join_next());
            ended.await.expect("both calls return").unwrap().unwrap();
        }
        assert!(tx.is_closed() && other.tx.is_closed());
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_is_served_like_any_other() {
    let path = std::env::temp_dir().join(format!("chat-core-{}.sock", std::process::id()));
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let hub = Hub::default();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut tasks = JoinSet::new();
    tasks.spawn(serve(listener, hub, async move {
        drop(stopped.await);
    }));
    let mut stream = BufReader::new(tokio::net::UnixStream::connect(&path).await.unwrap());
    stream.write_all(b"/who\n").await.unwrap();
    let mut seen = String::new();
    while !seen.contains("1 member: guest-1") {
        assert!(stream.read_line(&mut seen).await.unwrap() > 0, "{seen}");
    }
    stop.send(()).unwrap();
    let mut rest = String::new();
    while stream.read_line(&mut rest).await.unwrap() > 0 {}
    assert!(
        rest.contains("goodbye: the server is shutting down"),
        "{rest}"
    );
    drop(stream);
    tasks.join_next().await.unwrap().unwrap();
    std::fs::remove_file(path).unwrap();
}

#[tokio::test(start_paused = true)]
async fn connections_that_come_too_fast_are_told_when_to_come_back() {
    let mut limits = Limits::default();
    limits.connects_per_address = Some(rate(2, 1));
    let network = Network::serve(Hub::new(limits), |memory| memory);
    for guest in 1..=2 {
        let mut alice = network.connect("192.0.2.1:1000");
        let greeting = line(&mut alice).await;
        assert!(
            greeting.starts_with(&format!("* you are guest-{guest}")),
            "{greeting}"
        );
    }
    tokio::time::advance(Duration::from_millis(100)).await;
    let mut refused = network.connect("192.0.2.1:1000");
    assert_eq!(
        line(&mut refused).await,
        "! new connections come too fast from your address: try again in 1 s\n"
    );
    assert_eq!(line(&mut refused).await, "");
    tokio::time::advance(Duration::from_secs(1)).await;
    let mut alice = network.connect("192.0.2.1:1000");
    assert!(line(&mut alice).await.starts_with("* you are guest-3"));
}
