//! What the client promises to its caller.

use crate::network::Network;
use chat_core::{Hub, Limits, Peer, Server};
use chat_json::{
    ByteStream, Client, Connect, Event, Events, GapCause, IfMissing, JsonLines, MessageKind,
    OpenError, RequestError,
};
use futures::FutureExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

async fn open(network: &Network, nick: &str) -> (Client, Events) {
    let builder = Client::connect_with(network.clone());
    let opened = builder.nick(nick).join("ops").open().await;
    opened.expect("the server is up")
}

/// Returns the next event that is not about joins and leaves.
async fn next(events: &mut Events) -> Event {
    loop {
        let event = timeout(Duration::from_secs(600), events.next()).await;
        match event.expect("something happens").expect("there is more") {
            Event::Joined { .. } | Event::Left { .. } | Event::Renamed { .. } => {}
            Event::Online { .. } | Event::Greeting { .. } | Event::Entered(_) => {}
            event => return event,
        }
    }
}

async fn next_text(events: &mut Events) -> String {
    match next(events).await {
        Event::Message(message) => message.text,
        other => panic!("expected a message: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_said_is_heard_and_has_a_place() {
    let network = Network::new(1);
    let (alice, mut alice_hears) = open(&network, "alice").await;
    let (bob, mut bob_hears) = open(&network, "bob").await;
    assert_eq!(alice.say("ops", "hello").await, Ok(1));
    assert_eq!(alice.act("ops", "waves").await, Ok(2));
    assert_eq!(next_text(&mut bob_hears).await, "hello");
    assert_eq!(next_text(&mut bob_hears).await, "waves");
    assert_eq!(bob.say("ops", "hi").await, Ok(3));
    assert_eq!(next_text(&mut alice_hears).await, "hi", "not its own");
    bob.tell("alice", "psst").await.unwrap();
    let Event::Direct { from, text, .. } = next(&mut alice_hears).await else {
        panic!("told");
    };
    assert_eq!((&*from, &*text), ("bob", "psst"));
}

#[tokio::test(start_paused = true)]
async fn messages_of_each_kind_are_heard() {
    let network = Network::new(1);
    let (_client, mut hears) = open(&network, "kim").await;
    let host = network.hub().session(Some("host")).await.unwrap();
    let ops = host.join("ops").await.unwrap();
    ops.say("said").await.unwrap();
    ops.act("acted").await.unwrap();
    ops.notice("notice").await.unwrap();
    ops.set_topic("topic").await.unwrap();
    for (text, kind) in [
        ("said", MessageKind::Said),
        ("acted", MessageKind::Acted),
        ("notice", MessageKind::Notice),
        ("topic", MessageKind::Topic),
    ] {
        let Event::Message(message) = next(&mut hears).await else {
            panic!("expected {text}");
        };
        assert_eq!((&*message.text, message.kind), (text, kind));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_published_needs_no_room() {
    let network = Network::new(1);
    let (alice, mut alice_hears) = open(&network, "alice").await;
    let bot = Client::connect_with(network.clone()).nick("bot");
    let (bot, mut bot_hears) = bot.open().await.unwrap();
    let publish = |room, if_missing| bot.publish(room, "deployed", if_missing);
    assert_eq!(publish("ops", IfMissing::Refuse).await, Ok(1));
    assert!(
        matches!(&publish("opss", IfMissing::Refuse).await, Err(RequestError::Refused { code, .. }) if code == "not_found")
    );
    assert_eq!(publish("opss", IfMissing::Create).await, Ok(1));
    alice.say("ops", "thanks").await.unwrap();
    let Some(Event::Online { .. }) = bot_hears.next().await else {
        panic!("online");
    };
    drop(bot);
    // No join was announced, so the message is the very next event.
    while let Some(event) = alice_hears.next().await {
        match event {
            Event::Online { .. } | Event::Greeting { .. } | Event::Entered(_) => {}
            Event::Message(message) => {
                assert_eq!((&*message.from, message.seq), ("bot", 1));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn questions_are_answered() {
    let network = Network::new(1);
    let (alice, _events) = open(&network, "alice").await;
    let (bob, _events) = open(&network, "bob").await;
    assert_eq!(alice.who("ops").await.unwrap().members, ["alice", "bob"]);
    assert_eq!(alice.nick("alicia").await.unwrap(), "alicia");
    assert_eq!(bob.set_topic("ops", "on call: kim").await, Ok(1));
    let rooms = alice.rooms().await.unwrap();
    assert_eq!((&*rooms[0].room, &*rooms[0].topic), ("ops", "on call: kim"));
    bob.join("dev").await.unwrap();
    for number in 0..30 {
        bob.say("dev", &number.to_string()).await.unwrap();
    }
    let page = bob.history("dev", None, 10).await.unwrap();
    assert_eq!((page[0].seq, page.len()), (21, 10));
    let page = bob.history("dev", Some(21), 100).await.unwrap();
    assert_eq!((page[0].seq, page.len()), (1, 20));
    bob.leave("dev").await.unwrap();
    let Err(RequestError::Refused { code, .. }) = bob.say("dev", "gone").await else {
        panic!("it has left");
    };
    assert_eq!(code, "denied");
}

#[tokio::test(start_paused = true)]
async fn the_first_attempt_fails_loudly_and_later_ones_go_on() {
    let network = Network::new(1);
    network.crash();
    let refused = Client::connect_with(network.clone())
        .nick("bot")
        .open()
        .await;
    assert!(matches!(refused, Err(OpenError::Unreachable(_))));
    let (client, mut events) = Client::connect_with(network.clone())
        .nick("bot")
        .join("ops")
        .start();
    assert!(matches!(next(&mut events).await, Event::Offline { .. }));
    network.restart();
    assert_eq!(client.say("ops", "said while offline").await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_taken_nick_is_refused_at_first_and_waited_for_after_a_break() {
    let network = Network::new(1);
    let (alice, _events) = open(&network, "alice").await;
    let refused = Client::connect_with(network.clone())
        .nick("alice")
        .open()
        .await;
    let Err(OpenError::Refused(RequestError::Refused { code, .. })) = refused else {
        panic!("alice is there");
    };
    assert_eq!(code, "nick_taken");
    network.crash();
    network.restart();
    let ghost = network.hub().session(Some("alice")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(40)).await;
    drop(ghost);
    assert_eq!(alice.say("ops", "back").await, Ok(1));
}

/// Opens streams to a hub. When `breaks` is notified, the stream breaks only at the client's end. The server still
/// considers the stream open.
fn half_dead(chat: Server, breaks: Arc<Notify>) -> impl Connect {
    let tasks = Mutex::new(JoinSet::new());
    move || {
        let (client, mut near) = tokio::io::duplex(4096);
        let (mut far, server) = tokio::io::duplex(4096);
        let (breaks, mut tasks) = (Arc::clone(&breaks), tasks.lock().expect("no panic"));
        let chat = chat.clone();
        tasks.spawn(async move { drop(chat.serve_connection(server, Peer::default()).await) });
        tasks.spawn(async move {
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                () = breaks.notified() => {
                    drop(near);
                    // The server's end of the stream stays open.
                    std::future::pending().await
                }
            }
        });
        async { Ok(Box::new(client) as Box<dyn ByteStream>) }.boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_takes_its_nick_back_from_its_half_dead_connection_without_waiting() {
    let hub = Hub::default();
    let chat = Server::new(hub.clone()).protocol(JsonLines::default());
    let breaks = Arc::new(Notify::new());
    let connect = half_dead(chat, Arc::clone(&breaks));
    let builder = Client::connect_with(connect).nick("alice").join("ops");
    let (alice, mut events) = builder.open().await.unwrap();
    assert_eq!(alice.say("ops", "one").await, Ok(1));
    breaks.notify_one();
    let began = Instant::now();
    while !matches!(events.next().await.unwrap(), Event::Offline { .. }) {}
    assert_eq!(alice.say("ops", "two").await, Ok(2));
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(hub.members("ops").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_given_up_and_a_silent_client_is_not() {
    let network = Network::new(1);
    let (_alice, mut events) = open(&network, "alice").await;
    let quiet = timeout(Duration::from_secs(3600), async {
        loop {
            match events.next().await {
                Some(Event::Online { .. } | Event::Greeting { .. } | Event::Entered(_)) => {}
                other => break other,
            }
        }
    });
    assert!(quiet.await.is_err(), "an hour of silence is no trouble");
    let (far, _kept) = tokio::io::duplex(64 * 1024);
    let far = Mutex::new(Some(far));
    let began = Instant::now();
    let deaf = Client::connect_with(move || {
        let far = far.lock().unwrap().take();
        let far = far.ok_or_else(|| std::io::ErrorKind::ConnectionRefused.into());
        Box::pin(std::future::ready(
            far.map(|far| Box::new(far) as Box<dyn ByteStream>),
        )) as _
    });
    assert!(matches!(deaf.open().await, Err(OpenError::Unreachable(_))));
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_does_not_read_events_loses_none_that_the_log_holds() {
    let network = Network::new(1);
    let (_alice, mut alice_hears) = open(&network, "alice").await;
    let (bob, _events) = open(&network, "bob").await;
    for number in 0..5000 {
        bob.say("ops", &number.to_string()).await.unwrap();
    }
    for number in 0..5000 {
        assert_eq!(next_text(&mut alice_hears).await, number.to_string());
    }
    bob.say("ops", "live again").await.unwrap();
    assert_eq!(next_text(&mut alice_hears).await, "live again");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_does_not_read_events_is_told_what_the_log_lost() {
    let mut limits = Limits::default();
    limits.rate = None;
    let network = Network::with_limits(1, limits);
    let (_alice, mut alice_hears) = open(&network, "alice").await;
    let (bob, _events) = open(&network, "bob").await;
    for number in 1..=5000_u64 {
        bob.say("ops", &number.to_string()).await.unwrap();
    }
    let (mut expected, mut gaps) = (1, 0);
    while expected <= 5000 {
        match next(&mut alice_hears).await {
            Event::Message(message) => {
                assert_eq!(message.seq, expected);
                expected += 1;
            }
            Event::Gap { from, to, why, .. } => {
                assert_eq!((from, why), (Some(expected), GapCause::Expired));
                expected = to.unwrap() + 1;
                gaps += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(gaps, 1);
}

#[tokio::test(start_paused = true)]
async fn a_loop_over_events_may_say_things_although_more_come_than_wait() {
    let network = Network::new(1);
    let (alice, mut alice_hears) = open(&network, "alice").await;
    let (bob, _events) = open(&network, "bob").await;
    for number in 0..3000 {
        bob.say("ops", &number.to_string()).await.unwrap();
    }
    for number in 0..3000_u64 {
        next_text(&mut alice_hears).await;
        let answered = timeout(Duration::from_secs(60), alice.say("ops", "yes")).await;
        assert_eq!(answered.expect("it is answered"), Ok(3001 + number));
    }
}

#[tokio::test(start_paused = true)]
async fn quitting_says_goodbye_and_ends_the_events() {
    let network = Network::new(1);
    let (alice, mut alice_hears) = open(&network, "alice").await;
    let (_bob, mut bob_hears) = open(&network, "bob").await;
    alice.quit("good night").await.unwrap();
    while let Some(event) = bob_hears.next().await {
        if let Event::Left { nick, reason, .. } = event {
            assert_eq!((&*nick, reason.as_deref()), ("alice", Some("good night")));
            break;
        }
    }
    let mut last = None;
    while let Some(event) = alice_hears.next().await {
        last = Some(event);
    }
    assert!(matches!(last, Some(Event::Closed { .. })), "{last:?}");
    assert_eq!(alice.say("ops", "more").await, Err(RequestError::Closed));
}

#[tokio::test(start_paused = true)]
async fn what_must_not_be_done_twice_is_given_up_when_the_connection_breaks() {
    let network = Network::new(1);
    let (alice, _events) = open(&network, "alice").await;
    let (_bob, _bob_hears) = open(&network, "bob").await;
    network.deafen();
    let (tell, said, ()) =
        tokio::join!(alice.tell("bob", "once"), alice.say("ops", "safe"), async {
            // After this time both requests have been sent, but neither was answered.
            tokio::time::sleep(Duration::from_secs(1)).await;
            network.crash();
            network.restart();
        });
    assert_eq!(tell, Err(RequestError::Interrupted));
    assert_eq!(said, Ok(1), "a message has a key, and is repeated");
}

#[tokio::test(start_paused = true)]
async fn dropping_all_handles_ends_the_session() {
    let network = Network::new(1);
    let (alice, events) = open(&network, "alice").await;
    let (_bob, mut bob_hears) = open(&network, "bob").await;
    drop(alice);
    drop(events);
    let left = timeout(Duration::from_secs(60), async {
        loop {
            if let Some(Event::Left { nick, .. }) = bob_hears.next().await {
                return nick;
            }
        }
    });
    assert_eq!(left.await.unwrap(), "alice");
}

#[tokio::test(start_paused = true)]
async fn a_hello_that_is_cut_short_is_no_chat_and_no_arrival() {
    let network = Network::new(1);
    let session = network.hub().session(Some("watch")).await.unwrap();
    let mut lobby = session.join("lobby").await.unwrap();
    network.cut(40, 60);
    let (client, _events) = Client::connect_with(network.clone())
        .nick("bot")
        .join("ops")
        .start();
    assert_eq!(client.say("ops", "in at last").await, Ok(1));
    assert_eq!(network.has_cut(), 40);
    let quiet = timeout(Duration::from_secs(1), lobby.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_taken_out_of_a_room_is_told_and_does_not_come_back_by_itself() {
    let network = Network::new(1);
    let (client, mut events) = open(&network, "bot").await;
    network
        .hub()
        .remove("ops", "bot", "too chatty")
        .await
        .unwrap();
    let Event::NotEntered {
        room,
        code,
        message,
    } = next(&mut events).await
    else {
        panic!("taken out");
    };
    assert_eq!(
        (&*room, &*code, &*message),
        ("ops", "removed", "too chatty")
    );
    assert!(client.say("ops", "hello?").await.is_err());
    assert!(network.hub().members("ops").is_empty());
    network.hub().kick("bot", "good night").await.unwrap();
    let Event::Closed { why } = next(&mut events).await else {
        panic!("sent away");
    };
    assert_eq!(why, "the server closed the connection: kicked: good night");
}
