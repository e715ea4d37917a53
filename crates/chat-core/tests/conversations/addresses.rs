//! The limits that all connections from one address share.

use crate::rate;
use chat_core::error::JoinError;
use chat_core::{Hub, Limits, Loopback, Peer, Seq};
use chat_testkit::{SlowJournal, TestHub, Wire};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;
use tokio::time::{Instant, timeout};

fn hub(change: impl FnOnce(&mut Limits)) -> TestHub {
    let mut limits = Limits::default();
    limits.rate = None;
    change(&mut limits);
    TestHub::new(limits)
}

/// Connects a member from this address.
async fn member(hub: &mut TestHub, nick: &str, address: &str) -> Wire {
    let address: SocketAddr = address.parse().unwrap();
    let mut wire = hub.connect_as(nick, Peer::from(address));
    wire.sends(&format!("/nick {nick}")).await;
    wire.sees_in_time(&format!("* you are now {nick}")).await;
    wire
}

#[tokio::test(start_paused = true)]
async fn joins_beyond_what_an_address_may_wait_and_none_is_lost() {
    let mut hub = hub(|limits| limits.joins_per_address = Some(rate(2, 1)));
    let mut alice = member(&mut hub, "alice", "192.0.2.1:1000").await;
    let start = Instant::now();
    for room in ["a", "b", "c", "d"] {
        alice.sends(&format!("/join {room}")).await;
    }
    alice.sends("hello").await;
    alice.sees_in_time("* you are alice in b").await;
    assert!(start.elapsed() < Duration::from_millis(100));
    alice.sees_in_time("* you are alice in c").await;
    assert!(start.elapsed() >= Duration::from_secs(1));
    drop(alice);
    let mut twin = member(&mut hub, "twin", "192.0.2.1:1001").await;
    let mut bob = member(&mut hub, "bob", "192.0.2.2:1000").await;
    let back = Instant::now();
    twin.sends("/join d").await;
    bob.sends("/join d").await;
    bob.sees_in_time("* you are bob in d").await;
    assert!(
        back.elapsed() < Duration::from_millis(100),
        "another address waited"
    );
    twin.sees_in_time("* you are twin in d").await;
    assert!(
        back.elapsed() > Duration::from_millis(500),
        "coming back paid for nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn a_member_that_waits_to_join_goes_on_hearing_its_room() {
    let mut hub = hub(|limits| limits.joins_per_address = Some(rate(1, 1)));
    let mut alice = member(&mut hub, "alice", "192.0.2.1:1000").await;
    let mut bob = member(&mut hub, "bob", "192.0.2.2:1000").await;
    alice.sees_until_quiet().await;
    alice.sends("/join a").await;
    alice.sees_in_time("* you are alice in a").await;
    alice.sends("/join lobby").await;
    bob.sends("/join a").await;
    bob.sees_in_time("* you are bob in a").await;
    bob.sends("hello").await;
    let start = Instant::now();
    alice.sees_in_time("14:02 bob: hello").await;
    assert!(start.elapsed() < Duration::from_millis(500));
    alice.sees_in_time("* you are alice in lobby").await;
}

#[tokio::test(start_paused = true)]
async fn an_address_that_sends_too_much_is_read_more_slowly_and_nothing_is_lost() {
    let mut hub = hub(|limits| limits.bytes_per_minute = NonZeroUsize::new(60_000));
    let mut watch = hub.member("watch").await;
    let mut talkers = Vec::new();
    for n in 0..4 {
        let (nick, address) = (format!("t{n}"), format!("192.0.2.1:{n}"));
        talkers.push(member(&mut hub, &nick, &address).await);
    }
    watch.sees_until_quiet().await;
    let start = Instant::now();
    let text = "x".repeat(3_999);
    for _ in 0..5 {
        for talker in &mut talkers {
            talker.sends(&text).await;
        }
    }
    let mut heard = 0;
    while heard < 20 {
        heard += usize::from(watch.next_line().await.unwrap().ends_with(&text));
    }
    // Of 80,000 bytes, the first 60,000 are accepted at once, and the other 20,000 at 1,000 a second.
    let took = start.elapsed().as_secs();
    assert!((19..=21).contains(&took), "{took} s");
    assert!(hub.hub.stats().rate_pauses > 0);
}

#[tokio::test(start_paused = true)]
async fn loopback_is_exempt_unless_it_is_counted() {
    for (loopback, waits) in [(Loopback::Exempt, false), (Loopback::Counted, true)] {
        let mut hub = hub(|limits| {
            limits.joins_per_address = Some(rate(1, 1));
            limits.loopback = loopback;
        });
        let mut alice = member(&mut hub, "alice", "127.0.0.1:1000").await;
        let start = Instant::now();
        alice.sends("/join a").await;
        alice.sends("/join b").await;
        alice.sees_in_time("* you are alice in b").await;
        assert_eq!(start.elapsed() >= Duration::from_secs(1), waits);
    }
}

#[tokio::test(start_paused = true)]
async fn answers_to_all_connections_of_an_address_are_paid_for_together() {
    let mut hub = hub(|limits| limits.answers_per_address = Some(rate(100, 1)));
    let talker = hub.hub.session(Some("talker")).await.unwrap();
    let room = talker.join("lobby").await.unwrap();
    for _ in 0..200 {
        room.say(&"x".repeat(4000)).await.unwrap();
    }
    let mut alice = member(&mut hub, "alice", "192.0.2.1:1000").await;
    let mut twin = member(&mut hub, "twin", "192.0.2.1:1001").await;
    let mut bob = member(&mut hub, "bob", "192.0.2.2:1000").await;
    // Each answer has 800 KB, which costs about 98 units of the limit. After the second answer the address must wait
    // for a minute.
    for _ in 0..2 {
        alice.sends("/history 200").await;
        alice.sees_until_quiet().await;
    }
    twin.sees_until_quiet().await;
    let start = Instant::now();
    twin.sends("/history 20").await;
    twin.sees_containing("! your address asks for too much: try again in ")
        .await;
    twin.sends("what is said costs nobody an answer").await;
    bob.sees_in_time("14:02 twin: what is said costs nobody an answer")
        .await;
    bob.sends("/history 20").await;
    bob.sends("/nick bob2").await;
    bob.sees_in_time("* you are now bob2").await;
    assert!(start.elapsed() < Duration::from_secs(1));
    tokio::time::sleep(Duration::from_secs(60)).await;
    twin.sees_until_quiet().await;
    twin.sends("/history 1").await;
    twin.sees_containing("twin: what is said costs nobody an answer")
        .await;
}

#[tokio::test(start_paused = true)]
async fn the_lobby_is_always_there() {
    let mut hub = hub(|limits| limits.rooms = NonZeroUsize::new(2).unwrap());
    let alice = hub.hub.session(Some("alice")).await.unwrap();
    let mut taken = Vec::new();
    for room in ["a", "b"] {
        taken.push(alice.join(room).await.unwrap());
    }
    assert!(matches!(alice.join("c").await, Err(JoinError::Full(2))));
    let mut bob = hub.connect("bob");
    bob.sees_containing("in lobby").await;
    bob.sends("/join c").await;
    bob.sees_in_time("! there are 2 rooms already: join one of them (/rooms)")
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_empty_lobby_keeps_what_was_said_in_it() {
    let hub = hub(|limits| limits.empty_rooms = 2).hub;
    let alice = hub.session(Some("alice")).await.unwrap();
    alice.publish("lobby", "hello").await.unwrap();
    for room in 0..9 {
        alice.publish(&format!("room-{room}"), "bye").await.unwrap();
    }
    assert_eq!(hub.position("lobby").await.unwrap().seq, Seq(1));
    assert_eq!(hub.stats().rooms, 3);
}

#[tokio::test(start_paused = true)]
async fn an_address_opens_so_many_rooms_and_others_open_theirs() {
    let mut hub = hub(|limits| limits.rooms_per_address = NonZeroUsize::new(2));
    let mut twins = Vec::new();
    for n in 0..3 {
        let address = format!("192.0.2.1:{n}");
        twins.push(member(&mut hub, &format!("twin{n}"), &address).await);
    }
    let mut bob = member(&mut hub, "bob", "192.0.2.2:1").await;
    for (n, room) in ["a", "b"].iter().enumerate() {
        twins[n].sends(&format!("/join {room}")).await;
        let joined = format!("* you are twin{n} in {room}");
        twins[n].sees_in_time(&joined).await;
        twins[n].sends("remember").await;
    }
    let refused =
        "! your address has opened 2 rooms already: leave one, or join one of them (/rooms)";
    twins[2].sends("/join c").await;
    twins[2].sees_in_time(refused).await;
    twins[2].sends("/join a").await;
    twins[2].sees_in_time("* you are twin2 in a").await;
    bob.sends("/join c").await;
    bob.sees_in_time("* you are bob in c").await;
    // The address can open a room only in place of an empty room that it has opened itself. It can't replace an empty
    // room of another address.
    twins[1].sends("/join d").await;
    twins[1].sees_in_time(refused).await;
    twins[1].sends("/join lobby").await;
    twins[1].sends("/join d").await;
    twins[1].sees_in_time("* you are twin1 in d").await;
    let position = hub.hub.position("b").await.unwrap();
    assert_eq!(position.seq, Seq(0), "the log of b is gone");
}

#[tokio::test(start_paused = true)]
async fn speaking_in_many_rooms_and_leaving_them_erases_nothing_of_others() {
    let mut hub = hub(|limits| limits.joins_per_address = None);
    let mut bob = member(&mut hub, "bob", "192.0.2.2:1").await;
    bob.sends("/join tea").await;
    bob.sends("the kettle is on").await;
    bob.sends("/join lobby").await;
    bob.sees_in_time("* you are bob in lobby").await;
    let mut flooder = member(&mut hub, "flooder", "192.0.2.1:1").await;
    for room in 0..308 {
        flooder.sends(&format!("/join room-{room}")).await;
        flooder.sends("gone in a moment").await;
        let joined = format!("* you are flooder in room-{room}");
        flooder.sees_in_time(&joined).await;
    }
    flooder.sends("/join lobby").await;
    flooder.sees_in_time("* you are flooder in lobby").await;
    assert_eq!(hub.hub.stats().rooms, 257);
    bob.sends("/join tea").await;
    bob.sees_in_time("14:02 bob: the kettle is on").await;
}

#[tokio::test(start_paused = true)]
async fn a_room_whose_publisher_gave_up_is_forgotten_like_any_other() {
    let mut limits = Limits::default();
    limits.empty_rooms = 0;
    let journal = SlowJournal::new(vec![Duration::from_secs(60)]);
    let hub = Hub::builder().limits(limits).journal(journal).build();
    let alice = hub.session(Some("alice")).await.unwrap();
    let published = timeout(Duration::from_secs(1), alice.publish("ops", "hello"));
    published.await.unwrap_err();
    tokio::time::sleep(Duration::from_secs(60)).await;
    alice.publish("tea", "bye").await.unwrap();
    assert_eq!(hub.stats().rooms, 0);
}

#[tokio::test(start_paused = true)]
async fn a_join_costs_more_where_many_members_are_told_of_it() {
    let mut hub = hub(|limits| limits.joins_per_address = Some(rate(8, 2)));
    let mut crowd = Vec::new();
    for n in 0..40 {
        let session = hub.hub.session(Some(&format!("m{n}"))).await.unwrap();
        crowd.push((session.join("crowd").await.unwrap(), session));
    }
    let mut alice = member(&mut hub, "alice", "192.0.2.1:1000").await;
    let start = Instant::now();
    alice.sends("/join quiet").await;
    alice.sees_in_time("* you are alice in quiet").await;
    alice.sends("/join crowd").await;
    alice.sees_in_time("* you are alice in crowd").await;
    assert!(start.elapsed() < Duration::from_millis(100));
    alice.sends("/join quiet").await;
    alice.sends("/join crowd").await;
    alice.sees_in_time("* you are alice in crowd").await;
    // A join of `quiet` costs one token, a join of `crowd` costs six. The first joins spend the burst of eight tokens.
    // The address must earn the tokens for the last joins, at two tokens a second.
    let took = start.elapsed().as_secs();
    assert!((2..=4).contains(&took), "{took} s");
}

#[tokio::test(start_paused = true)]
async fn a_join_that_would_wait_too_long_is_refused_and_costs_nothing() {
    let mut hub = hub(|limits| limits.joins_per_address = Some(rate(2, 1)));
    let mut alice = member(&mut hub, "alice", "192.0.2.1:1000").await;
    for room in 0..20 {
        alice.sends(&format!("/join room-{room}")).await;
        let seen = alice.next_line().await.unwrap();
        assert!(seen.starts_with("* you are alice in"), "{seen}");
        alice.sees_until_quiet().await;
    }
    // Another connection of the same address spends all tokens that the address earns in the next seconds.
    let mut waiting = Vec::new();
    for n in 0..6 {
        let mut twin = member(&mut hub, &format!("twin{n}"), &format!("192.0.2.1:{n}")).await;
        twin.sends("/join elsewhere").await;
        waiting.push(twin);
    }
    alice.sends("/join room-0").await;
    alice
        .sees("! your address asks for too much: try again in 6 s")
        .await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    alice.sends("/join room-0").await;
    alice.sees("* you are alice in room-0").await;
}
