//! Spare connections: silent connections of programs that open more of them than they need, as browsers do.

use chat_core::listener::Listener;
use chat_core::protocol::{Detected, Detection, Detector, Stream, TakeOver, TakenOver};
use chat_core::{CloseReason, Hub, Limits, Peer, Server};
use chat_testkit::{TestHub, Wire};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

const HOME: &str = "192.0.2.1:1000";

/// A toy protocol that a program opens with `ASK\n`, and that is answered with `OK\n`.
pub(crate) struct Ask;

impl Detector for Ask {
    fn detect(&self, prefix: &[u8]) -> Detection {
        match prefix {
            b"ASK\n" => Detection::Found(Detected::TakeOver(Box::new(Self))),
            _ if b"ASK\n".starts_with(prefix) => Detection::NeedMore,
            _ => Detection::NotFound,
        }
    }

    fn may_take_over(&self) -> bool {
        true
    }
}

impl TakeOver for Ask {
    fn take_over(self: Box<Self>, mut stream: Stream, _: Peer) -> BoxFuture<'static, TakenOver> {
        async move {
            let mut asked = [0; 4];
            stream.read_exact(&mut asked).await.unwrap();
            stream.write_all(b"OK\n").await.unwrap();
            TakenOver::Ended
        }
        .boxed()
    }
}

fn hub() -> TestHub {
    hub_with(|_| {})
}

fn hub_with(change: impl FnOnce(&mut Limits)) -> TestHub {
    let mut limits = Limits::default();
    change(&mut limits);
    TestHub::new(limits).protocol(Ask)
}

fn peer(address: &str) -> Peer {
    Peer::from(address.parse::<SocketAddr>().unwrap())
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Waits until the peer is greeted, and returns how long that took.
async fn greeted(wire: &mut Wire) -> Duration {
    let begun = Instant::now();
    wire.sees_containing("* you are guest-").await;
    begun.elapsed()
}

/// Waits until the peer is greeted, for an hour at most, and returns how long that took.
async fn silent_until_greeted(wire: &mut Wire) -> Duration {
    let begun = Instant::now();
    let hour = Duration::from_secs(3600);
    let greeting = tokio::time::timeout(hour, wire.next_bytes()).await.unwrap();
    assert!(greeting.starts_with(b"* you are guest-"), "{greeting:?}");
    begun.elapsed()
}

/// Waits until a connection ends, for an hour at most.
async fn ended(hub: &mut TestHub) -> CloseReason {
    let hour = Duration::from_secs(3600);
    tokio::time::timeout(hour, hub.ended()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_page_load_greets_no_spare_connection_and_its_first_bytes_still_decide() {
    let mut hub = hub();
    let mut alice = hub.member("alice").await;
    // A browser opens its spare connections before its first request, or while the page loads.
    let mut before = hub.connect_as("before", peer(HOME));
    sleep(millis(290)).await;
    hub.hub.expect_spare_connections(&peer(HOME));
    sleep(millis(1990)).await;
    let mut after = hub.connect_as("after", peer("192.0.2.1:2000"));
    sleep(Duration::from_secs(60)).await;
    alice.sees_nothing().await;
    before.sees_nothing().await;
    before.sends("ASK").await;
    before.sees("OK").await;
    after.sends("").await;
    assert_eq!(greeted(&mut after).await, Duration::ZERO);
    alice.sees("* guest-2 joined").await;
}

#[tokio::test(start_paused = true)]
async fn the_first_bytes_of_a_spare_connection_have_as_much_time_as_those_of_any_other() {
    let mut hub = hub();
    hub.hub.expect_spare_connections(&peer(HOME));
    let mut slow = hub.connect_as("slow", peer(HOME));
    sleep(Duration::from_secs(60)).await;
    slow.sends_bytes(b"AS").await;
    sleep(millis(4900)).await;
    slow.sends_bytes(b"K\n").await;
    slow.sees("OK").await;
    let mut slower = hub.connect_as("slower", peer(HOME));
    sleep(Duration::from_secs(60)).await;
    slower.sends_bytes(b"AS").await;
    sleep(millis(5100)).await;
    slower.sees_containing("* you are guest-").await;
}

/// Chromium has given up an unused connection by then, so the peer is probably a person who waits for a greeting.
#[tokio::test(start_paused = true)]
async fn a_spare_connection_that_stays_open_and_silent_is_greeted_after_75_seconds() {
    let mut hub = hub();
    hub.hub.expect_spare_connections(&peer(HOME));
    let mut person = hub.connect_as("person", peer(HOME));
    assert_eq!(silent_until_greeted(&mut person).await, millis(75_000));
    person.sends("/quit").await;
    assert_eq!(ended(&mut hub).await, CloseReason::Quit(None));
}

/// The notes of later page loads do not show what the connection was opened for.
#[tokio::test(start_paused = true)]
async fn a_page_that_is_loaded_again_and_again_does_not_keep_a_silent_peer_waiting() {
    let mut hub = hub();
    hub.hub.expect_spare_connections(&peer(HOME));
    let mut person = hub.connect_as("person", peer(HOME));
    let browsing = async {
        loop {
            sleep(millis(1500)).await;
            hub.hub.expect_spare_connections(&peer(HOME));
        }
    };
    tokio::select! {
        () = browsing => {}
        patience = silent_until_greeted(&mut person) => assert_eq!(patience, millis(75_000)),
    }
}

#[tokio::test(start_paused = true)]
async fn the_greeting_of_spare_connections_has_a_limit_of_its_own() {
    for (limit, patience) in [(Some(millis(5000)), 5000), (None, 300)] {
        let mut hub = hub_with(|limits| limits.spare_greet_after = limit);
        hub.hub.expect_spare_connections(&peer(HOME));
        let mut spare = hub.connect_as("spare", peer(HOME));
        assert_eq!(silent_until_greeted(&mut spare).await, millis(patience));
    }
    let mut hub = hub_with(|limits| limits.spare_greet_after = None);
    hub.hub.expect_spare_connections(&peer(HOME));
    sleep(millis(5000)).await;
    let mut later = hub.connect_as("later", peer(HOME));
    assert_eq!(silent_until_greeted(&mut later).await, millis(300));
}

/// Only what is requested in the 2 s before or after the opening makes a spare connection, even if the server waits
/// longer than that before it greets other peers.
#[tokio::test(start_paused = true)]
async fn a_request_long_after_the_opening_makes_no_spare_connection() {
    // When the page is requested, in milliseconds after the opening, and how long a silent peer then waits.
    for (requests, patience) in [
        (&[1900][..], 75_000),
        (&[2100], 10_000),
        (&[9900], 10_000),
        // The later request does not hide the earlier one.
        (&[1900, 9900], 75_000),
    ] {
        let mut hub = hub_with(|limits| limits.greet_after = millis(10_000));
        let opened = Instant::now();
        let mut silent = hub.connect_as("silent", peer(HOME));
        for request in requests {
            tokio::time::sleep_until(opened + millis(*request)).await;
            hub.hub.expect_spare_connections(&peer(HOME));
        }
        silent_until_greeted(&mut silent).await;
        assert_eq!(opened.elapsed(), millis(patience), "{requests:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_spare_connection_that_its_program_closes_is_not_announced() {
    let mut hub = hub();
    let mut alice = hub.member("alice").await;
    hub.hub.expect_spare_connections(&peer(HOME));
    let spare = hub.connect_as("spare", peer(HOME));
    sleep(Duration::from_secs(60)).await;
    drop(spare);
    assert_eq!(ended(&mut hub).await, CloseReason::Disconnected);
    alice.sees_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_spare_connection_ends_when_the_hub_drains() {
    let mut hub = hub();
    hub.hub.expect_spare_connections(&peer(HOME));
    let mut spare = hub.connect_as("spare", peer(HOME));
    sleep(Duration::from_secs(1)).await;
    hub.hub.drain();
    assert_eq!(ended(&mut hub).await, CloseReason::Draining);
    assert_eq!(spare.sees_the_end().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn for_an_hour_other_silent_peers_of_the_address_are_greeted_after_two_seconds() {
    let mut hub = hub();
    hub.hub.expect_spare_connections(&peer(HOME));
    let mut seconds = 0;
    for (until, patience) in [(3, 2000), (3590, 2000), (3601, 300)] {
        sleep(Duration::from_secs(until - seconds)).await;
        seconds = until + 2;
        let begun = Instant::now();
        let mut silent = hub.connect_as("silent", peer(HOME));
        assert_eq!(greeted(&mut silent).await, millis(patience), "{until} s");
        tokio::time::sleep_until(begun + Duration::from_secs(2)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_waits_for_its_late_greeting_may_turn_out_to_be_a_spare_one() {
    let mut hub = hub();
    let mut alice = hub.member("alice").await;
    hub.hub.expect_spare_connections(&peer(HOME));
    sleep(Duration::from_secs(60)).await;
    let _hovered = hub.connect_as("hovered", peer(HOME));
    sleep(millis(1900)).await;
    hub.hub.expect_spare_connections(&peer(HOME));
    sleep(Duration::from_secs(60)).await;
    alice.sees_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn silent_peers_of_other_addresses_are_greeted_as_ever() {
    let mut hub = hub();
    let noted = [HOME, "[2001:db8:0:1::1]:1", "127.0.0.1:1"];
    for noted in noted {
        hub.hub.expect_spare_connections(&peer(noted));
    }
    hub.hub.expect_spare_connections(&Peer::default());
    for other in ["192.0.2.2:1000", "[2001:db8:0:2::1]:1000", "[::1]:1000"] {
        let mut silent = hub.connect_as(other, peer(other));
        assert_eq!(greeted(&mut silent).await, millis(300), "{other}");
    }
    let mut silent = hub.connect("without an address");
    assert_eq!(greeted(&mut silent).await, millis(300));
    // The hub treats each of these addresses as its counterpart in `noted`.
    let same = ["[::ffff:192.0.2.1]:2", "[2001:db8:0:1::2]:2", "127.0.0.1:2"];
    for (noted, same) in noted.into_iter().zip(same) {
        hub.hub.expect_spare_connections(&peer(noted));
        let mut spare = hub.connect_as(same, peer(same));
        sleep(Duration::from_secs(60)).await;
        spare.sees_nothing().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_without_protocols_that_take_over_greets_at_once() {
    let mut hub = hub();
    hub.hub.expect_spare_connections(&peer(HOME));
    let server = Server::new(hub.hub.clone());
    hub = hub.configured(|_| server);
    let mut silent = hub.connect_as("silent", peer(HOME));
    assert_eq!(greeted(&mut silent).await, millis(300));
}

/// A listener for connections in memory, all from `HOME`.
struct Home(mpsc::UnboundedReceiver<DuplexStream>);

impl Listener for Home {
    type Io = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, Peer)> {
        match self.0.recv().await {
            Some(stream) => Ok((stream, peer(HOME))),
            None => pending().await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_spare_connection_counts_for_the_limits_like_any_other() {
    let mut limits = Limits::default();
    limits.per_address = NonZeroUsize::new(1);
    let hub = Hub::new(limits);
    hub.expect_spare_connections(&peer(HOME));
    let (tx, rx) = mpsc::unbounded_channel();
    let server = Server::new(hub.clone()).protocol(Ask);
    let serving = server.serve(Home(rx), pending());
    let connecting = async {
        let connect = || {
            let (near, far) = tokio::io::duplex(4096);
            tx.send(far).unwrap();
            near
        };
        let spare = connect();
        sleep(Duration::from_secs(60)).await;
        assert_eq!(hub.stats().connections, 1);
        let mut refused = String::new();
        connect().read_to_string(&mut refused).await.unwrap();
        assert!(refused.starts_with("! too many connections"), "{refused}");
        drop(spare);
        sleep(Duration::from_secs(2)).await;
        assert_eq!(hub.stats().connections, 0);
    };
    tokio::select! {
        () = serving => panic!("nothing stops the server"),
        () = connecting => {}
        () = sleep(Duration::from_secs(3600)) => panic!("the refused connection is not closed"),
    }
}
