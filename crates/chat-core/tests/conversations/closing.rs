//! What members in process and followers receive of a room before and after the room is closed.

use chat_core::error::PublishError;
use chat_core::log::Journal;
use chat_core::{Echo, Event, Follower, Hub, Limits, Member, Seq, Session, SessionEvent};
use chat_testkit::{SharedJournal, SlowJournal, in_words};
use std::num::NonZeroUsize;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// Returns a hub whose rings hold 8 batches.
fn hub(journal: impl Journal) -> Hub {
    let mut limits = Limits::default();
    limits.ring_batches = NonZeroUsize::new(8).unwrap();
    Hub::builder().limits(limits).journal(journal).build()
}

async fn join(hub: &Hub, nick: &str, room: &str) -> (Session, Member) {
    let session = hub.session(Some(nick)).await.unwrap();
    let mut member = session.join(room).await.unwrap();
    member.set_echo(Echo::Include);
    (session, member)
}

async fn publish(session: &Session, room: &str, count: usize) {
    for number in 0..count {
        session.publish(room, &number.to_string()).await.unwrap();
    }
}

/// Returns an event in words, unless it is a change of presence.
fn words(event: &Event) -> Option<String> {
    (!matches!(event, Event::Presence(_))).then(|| in_words(event))
}

/// Returns everything that the member receives until its events end. Fails after an hour.
async fn to_the_end(member: &mut Member) -> Vec<String> {
    let mut seen = Vec::new();
    let hour = Duration::from_secs(3600);
    while let Some(event) = timeout(hour, member.next()).await.expect("no end came") {
        seen.extend(words(&event));
    }
    seen
}

/// Returns the events of the room `of` that the follower receives, until it receives nothing for a minute.
async fn told_of(follower: &mut Follower, of: &str) -> Vec<String> {
    let mut seen = Vec::new();
    while let Ok(Some((room, event))) = timeout(Duration::from_secs(60), follower.next()).await {
        if room.as_str() == of {
            seen.extend(words(&event));
        }
    }
    seen
}

/// Says "last" in `ops`, and closes the room while the journal is storing the message.
async fn close_during_an_append(hub: &Hub, alice: &Member) -> Result<Seq, PublishError> {
    let (said, closed) = tokio::join!(alice.say("last"), async {
        tokio::task::yield_now().await;
        hub.close_room("ops", "over")
    });
    assert!(closed.is_some());
    said
}

#[tokio::test(start_paused = true)]
async fn promise_2_what_is_being_stored_when_a_room_is_closed_comes_before_its_end() {
    let hub = hub(SlowJournal::new(vec![Duration::from_millis(100)]));
    let (noisy, _noise) = join(&hub, "noisy", "noise").await;
    let (_alice, mut alice) = join(&hub, "alice", "ops").await;
    let (_bob, mut bob) = join(&hub, "bob", "ops").await;
    let (mut live, mut lagging) = (hub.follow("ops").unwrap(), hub.follow_all());
    let live = told_of(&mut live, "ops");
    let (said, live) = tokio::join!(close_during_an_append(&hub, &alice), live);
    said.unwrap();
    publish(&noisy, "noise", 20).await;
    let expected = ["last", "closed over"];
    assert_eq!(live, expected);
    assert_eq!(told_of(&mut lagging, "ops").await, expected);
    for member in [&mut alice, &mut bob] {
        assert_eq!(to_the_end(member).await, expected);
    }
    assert!(hub.members("ops").is_empty());
}

#[tokio::test(start_paused = true)]
async fn promise_2_a_lagging_follower_is_told_a_message_that_is_stored_after_it_caught_up() {
    let hub = hub(SlowJournal::new(vec![Duration::from_secs(1)]));
    let (noisy, _noise) = join(&hub, "noisy", "noise").await;
    let (_alice, alice) = join(&hub, "alice", "ops").await;
    let mut follower = hub.follow("ops").unwrap();
    let meanwhile = async {
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        publish(&noisy, "noise", 20).await;
        told_of(&mut follower, "ops").await
    };
    let (said, told) = tokio::join!(close_during_an_append(&hub, &alice), meanwhile);
    said.unwrap();
    assert_eq!(told, ["last", "closed over"]);
}

#[tokio::test(start_paused = true)]
async fn promise_4_a_room_is_closed_although_its_journal_does_not_answer() {
    let hub = hub(SlowJournal::new(vec![Duration::from_secs(3600)]));
    let (session, mut alice) = join(&hub, "alice", "ops").await;
    let (_bob, mut bob) = join(&hub, "bob", "ops").await;
    let mut follower = hub.follow_all();
    let began = Instant::now();
    let closed = async {
        sleep(Duration::from_secs(1)).await;
        assert_eq!(hub.close_room("ops", "again"), None, "it is being closed");
        let said = bob.say("late").await;
        assert!(matches!(said, Err(PublishError::Busy)), "{said:?}");
        let seen = to_the_end(&mut bob).await;
        assert_eq!(began.elapsed(), hub.limits().drain);
        // This call opens a new room of the same name. Before the new room's events, the follower receives only the end
        // of the old room.
        session.publish("ops", "anew").await.unwrap();
        seen
    };
    let (said, seen) = tokio::join!(close_during_an_append(&hub, &alice), closed);
    said.unwrap();
    let expected = ["Unreadable(None)", "closed over"];
    assert_eq!(seen, expected);
    assert_eq!(to_the_end(&mut alice).await, expected);
    let told = told_of(&mut follower, "ops").await;
    assert_eq!(told, [expected[0], expected[1], "anew"]);
}

#[tokio::test(start_paused = true)]
async fn a_room_is_closed_at_once_by_a_thread_without_a_runtime() {
    let hub = hub(SlowJournal::new(vec![Duration::from_secs(1)]));
    let (_alice, alice) = join(&hub, "alice", "ops").await;
    let (_bob, mut bob) = join(&hub, "bob", "ops").await;
    let closed = async {
        tokio::task::yield_now().await;
        let closer = hub.clone();
        let closing = std::thread::spawn(move || closer.close_room("ops", "over"));
        assert_eq!(closing.join().unwrap(), Some(2));
        assert!(hub.members("ops").is_empty());
    };
    let (said, ()) = tokio::join!(alice.say("last"), closed);
    said.unwrap();
    assert_eq!(
        to_the_end(&mut bob).await,
        ["Unreadable(None)", "closed over"]
    );
}

/// The room `late` is opened and closed while the follower catches up in `early` and then in `zoo`. After that, the
/// follower lags again.
#[tokio::test(start_paused = true)]
async fn promise_2_the_end_of_one_closed_room_hides_no_other() {
    let hub = hub(SlowJournal::new(Vec::new()));
    let (noisy, _noise) = join(&hub, "noisy", "noise").await;
    let (_alice, _early) = join(&hub, "alice", "early").await;
    let (_bob, _zoo) = join(&hub, "bob", "zoo").await;
    let mut follower = hub.follow_all();
    publish(&noisy, "zoo", 1).await;
    publish(&noisy, "early", 20).await;
    let mut seen = Vec::new();
    let mut next = async || {
        let (room, event) = follower.next().await.unwrap();
        seen.extend(words(&event).map(|event| format!("{room}: {event}")));
    };
    next().await;
    let (_kim, late) = join(&hub, "kim", "late").await;
    late.say("hello").await.unwrap();
    hub.close_room("late", "over").unwrap();
    hub.close_room("zoo", "over").unwrap();
    // The follower receives the messages of `early`, the message of `zoo`, and the next event.
    for _ in 0..21 {
        next().await;
    }
    publish(&noisy, "noise", 20).await;
    for _ in 0..24 {
        drop(timeout(Duration::from_secs(60), next()).await);
    }
    seen.retain(|seen| !seen.starts_with("noise") && !seen.starts_with("early"));
    seen.sort();
    let expected = [
        "late: closed over",
        "late: hello",
        "zoo: 0",
        "zoo: closed over",
    ];
    assert_eq!(seen, expected);
}

#[tokio::test(start_paused = true)]
async fn promise_2_a_room_that_is_closed_while_a_follower_catches_up_ends_after_its_messages() {
    let hub = hub(SlowJournal::new(Vec::new()));
    let (noisy, _noise) = join(&hub, "noisy", "noise").await;
    let (alice, ops) = join(&hub, "alice", "ops").await;
    let mut follower = hub.follow("ops").unwrap();
    publish(&alice, "ops", 20).await;
    for number in 0..10 {
        let next = follower.next().await.map(|(_, event)| words(&event));
        assert_eq!(next, Some(Some(number.to_string())));
    }
    ops.say("last").await.unwrap();
    hub.close_room("ops", "over").unwrap();
    publish(&noisy, "noise", 20).await;
    let mut expected: Vec<_> = (10..20).map(|number| number.to_string()).collect();
    expected.extend(["last".to_owned(), "closed over".to_owned()]);
    assert_eq!(told_of(&mut follower, "ops").await, expected);
}

#[tokio::test(start_paused = true)]
async fn promise_2_a_room_that_is_opened_again_comes_after_the_end_of_the_closed_one() {
    for is_kept in [true, false] {
        let hub = hub(SlowJournal::new(Vec::new()));
        let (noisy, _noise) = join(&hub, "noisy", "noise").await;
        let (alice, old) = join(&hub, "alice", "ops").await;
        let mut followers = [hub.follow_all(), hub.follow("ops").unwrap()];
        old.say("old").await.unwrap();
        hub.close_room("ops", "first").unwrap();
        let old = is_kept.then_some(old);
        alice.publish("ops", "new").await.unwrap();
        publish(&noisy, "noise", 20).await;
        for follower in &mut followers {
            let of_old = if is_kept { "old" } else { "Unreadable(None)" };
            let told = told_of(follower, "ops").await;
            assert_eq!(told, [of_old, "closed first", "new"]);
        }
        drop(old);
    }
}

#[tokio::test(start_paused = true)]
async fn promise_2_a_member_that_lags_when_its_room_is_closed_receives_the_rest_and_the_end() {
    let hub = hub(SlowJournal::new(Vec::new()));
    let (alice, mut member) = join(&hub, "alice", "ops").await;
    let bob = hub.session(Some("bob")).await.unwrap();
    let mut events = bob.into_events();
    events.join("ops").await.unwrap();
    publish(&alice, "ops", 20).await;
    hub.close_room("ops", "over").unwrap();
    let mut expected: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    expected.push("closed over".to_owned());
    assert_eq!(to_the_end(&mut member).await, expected);
    let mut seen = Vec::new();
    while let Ok(Some(event)) = timeout(Duration::from_secs(60), events.next()).await {
        if let SessionEvent::Room(_, event) = event {
            seen.extend(words(&event));
        }
    }
    assert_eq!(seen, expected);
    assert!(events.room("ops").is_err(), "the room is over");
}

/// The messages are in the log, but the log's stream has not yielded them when the room is closed.
#[tokio::test(start_paused = true)]
async fn promise_2_a_member_of_a_followed_room_that_lags_when_it_is_closed_receives_the_end() {
    for yields in [true, false] {
        let node = SharedJournal::new(3).node(1);
        let hub = hub(node.clone());
        let (alice, mut member) = join(&hub, "alice", "ops").await;
        let mut follower = hub.follow("ops").unwrap();
        publish(&alice, "ops", 20).await;
        sleep(Duration::from_secs(1)).await;
        node.hold();
        member.say("last").await.unwrap();
        hub.close_room("ops", "over").unwrap();
        if yields {
            node.release();
        }
        let mut expected: Vec<_> = (0..20).map(|number| number.to_string()).collect();
        let last = if yields { "last" } else { "Unreadable(None)" };
        expected.extend([last.to_owned(), "closed over".to_owned()]);
        // The member begins to read after the room is closed. The ring has already dropped the report of the gap.
        sleep(Duration::from_secs(10)).await;
        assert_eq!(to_the_end(&mut member).await, expected);
        assert_eq!(told_of(&mut follower, "ops").await, expected);
    }
}
