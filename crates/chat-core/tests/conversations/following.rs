//! Following rooms without being a member.

use crate::{members, unlimited};
use chat_core::{Event, Follower, Hub, Limits, Policy, PresenceChange};
use chat_testkit::in_words;
use futures::FutureExt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

/// Returns the follower's next event in words.
async fn next(follower: &mut Follower) -> String {
    match follower.next().await {
        Some((room, Event::Message(message))) => {
            format!("{room}: {} says {}", message.from(), message.text())
        }
        Some((room, event)) => format!("{room}: {}", in_words(&event)),
        None => "the end".into(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_sees_all_rooms_and_nobody_sees_it() {
    let mut hub = unlimited();
    let [mut alice] = members(&mut hub, ["alice"]).await;
    let mut follower = hub.hub.follow_all();
    alice.sends("hi").await;
    assert_eq!(next(&mut follower).await, "lobby: alice says hi");
    alice.sends("/join ops").await;
    assert_eq!(next(&mut follower).await, "ops: alice joined");
    assert_eq!(next(&mut follower).await, "lobby: alice left");
    alice.sends("/nick alicia").await;
    assert_eq!(next(&mut follower).await, "ops: alice is alicia");
    alice.sends("/who").await;
    alice
        .sees_in_time("* ops: 1 member: alicia (operator)")
        .await;
    hub.hub.close_room("ops", "late").unwrap();
    assert_eq!(next(&mut follower).await, "ops: closed late");
    assert_eq!(next(&mut follower).await, "lobby: alicia joined");
    hub.hub.drain();
    assert_eq!(next(&mut follower).await, "the end");
}

#[tokio::test(start_paused = true)]
async fn a_follower_of_one_room_sees_that_one_through_its_being_opened_anew() {
    let hub = Hub::default();
    let mut follower = hub.follow("#OPS").unwrap();
    let alice = hub.session(Some("alice")).await.unwrap();
    alice.publish("lobby", "not this").await.unwrap();
    alice.publish("ops", "one").await.unwrap();
    assert_eq!(next(&mut follower).await, "ops: alice says one");
    hub.close_room("ops", "").unwrap();
    assert_eq!(next(&mut follower).await, "ops: closed ");
    alice.publish("ops", "two").await.unwrap();
    assert_eq!(next(&mut follower).await, "ops: alice says two");
    assert!(follower.next().now_or_never().is_none());
    assert!(hub.follow("no name").is_err());
}

#[tokio::test(start_paused = true)]
async fn promise_2_a_follower_that_lags_reads_what_it_missed_from_the_logs() {
    let mut limits = Limits::default();
    limits.ring_batches = NonZeroUsize::new(8).unwrap();
    limits.journal_messages = NonZeroUsize::new(100).unwrap();
    let hub = Hub::new(limits);
    let alice = hub.session(Some("alice")).await.unwrap();
    alice.publish("old", "before").await.unwrap();
    let mut follower = hub.follow_all();
    for number in 0..150 {
        alice
            .publish("old", &format!("old {number}"))
            .await
            .unwrap();
        if number < 50 {
            alice
                .publish("new", &format!("new {number}"))
                .await
                .unwrap();
        }
    }
    let mut seen = Vec::new();
    while let Some(Some((room, event))) = follower.next().now_or_never() {
        match event {
            Event::Message(message) => seen.push(message.text().to_owned()),
            Event::Gap(missed) => {
                let gap = missed.gap().unwrap();
                seen.push(format!("{room} gap {}-{}", gap.from, gap.to));
            }
            other => panic!("{other:?}"),
        }
    }
    let (old, new): (Vec<_>, Vec<_>) = seen.into_iter().partition(|seen| seen.starts_with("old"));
    let expected: Vec<_> = (0..50).map(|number| format!("new {number}")).collect();
    assert_eq!(new, expected);
    let mut expected = vec!["old gap 2-51".to_owned()];
    expected.extend((50..150).map(|number| format!("old {number}")));
    assert_eq!(old, expected);
    alice.publish("old", "live again").await.unwrap();
    assert_eq!(next(&mut follower).await, "old: alice says live again");
}

#[tokio::test(start_paused = true)]
async fn a_follower_is_told_who_comes_and_goes_where_members_are_not() {
    let mut limits = Limits::default();
    limits.announce = 2;
    let hub = Hub::new(limits);
    let mut follower = hub.follow("lobby").unwrap();
    let mut here = Vec::new();
    for nick in ["a", "b", "c", "d"] {
        let session = hub.session(Some(nick)).await.unwrap();
        let member = session.join("lobby").await.unwrap();
        here.push((session, member));
    }
    let mut seen = Vec::new();
    while let Some(Some((_, event))) = follower.next().now_or_never() {
        if let Event::Presence(presence) = event
            && matches!(presence.change, PresenceChange::Joined)
        {
            seen.push(presence.nick.to_string());
        }
    }
    assert_eq!(seen, ["a", "b", "c", "d"]);
    here[3].0.rename("e").await.unwrap();
    assert_eq!(next(&mut follower).await, "lobby: d is e");
    here.pop();
    assert_eq!(next(&mut follower).await, "lobby: e left");
}

/// A value that the hub owns. The hub drops the value when the hub is dropped.
struct Part {
    _token: Arc<()>,
}

impl Policy for Part {}

#[tokio::test(start_paused = true)]
async fn a_follower_lets_go_of_the_hub() {
    let part = Arc::new(());
    let token = Arc::clone(&part);
    let hub = Hub::builder().policy(Part { _token: token }).build();
    let alice = hub.session(Some("alice")).await.unwrap();
    let mut events = hub.follow_all();
    alice.publish("ops", "one").await.unwrap();
    assert!(matches!(events.next().await, Some((_, Event::Message(_)))));
    alice.publish("ops", "two").await.unwrap();
    drop((alice, hub));
    assert!(matches!(events.next().await, Some((_, Event::Message(_)))));
    assert_eq!(Arc::strong_count(&part), 2, "the follower keeps the hub");
    drop(events);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(Arc::strong_count(&part), 1, "nothing keeps the hub");
}

/// The followers lag so far that the ring has dropped the messages of the room, and the report that the room is closed.
/// The log of a closed room exists as long as a member holds the room.
#[tokio::test(start_paused = true)]
async fn promise_2_a_follower_that_lags_is_told_the_rest_and_the_end_of_a_closed_room() {
    for is_kept in [true, false] {
        let mut limits = Limits::default();
        limits.ring_batches = NonZeroUsize::new(8).unwrap();
        let hub = Hub::new(limits);
        let alice = hub.session(Some("alice")).await.unwrap();
        let mut followers = [hub.follow_all(), hub.follow("ops").unwrap()];
        let mut member = Some(alice.join("ops").await.unwrap());
        alice.publish("ops", "first").await.unwrap();
        for follower in &mut followers {
            assert_eq!(next(follower).await, "ops: alice joined");
            assert_eq!(next(follower).await, "ops: alice says first");
        }
        for number in 0..3 {
            alice.publish("ops", &number.to_string()).await.unwrap();
        }
        hub.close_room("ops", "late").unwrap();
        if !is_kept {
            member = None;
        }
        for number in 0..20 {
            alice.publish("noise", &number.to_string()).await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        for follower in &mut followers {
            let mut seen = Vec::new();
            while let Ok(Some((room, event))) =
                tokio::time::timeout(Duration::from_secs(1), follower.next()).await
            {
                if room.as_str() == "ops" {
                    seen.push(match event {
                        Event::Message(message) => message.text().to_owned(),
                        Event::Gap(missed) => format!("{missed:?}"),
                        Event::Closed(reason) => format!("closed {reason}"),
                        other => format!("{other:?}"),
                    });
                }
            }
            let expected: &[_] = if is_kept {
                &["0", "1", "2", "closed late"]
            } else {
                &["Unreadable(None)", "closed late"]
            };
            assert_eq!(seen, expected, "the room is kept: {is_kept}");
        }
        drop(member);
    }
}
