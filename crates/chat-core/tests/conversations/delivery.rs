//! Delivery over connections has a fast path, in which a room writes directly to the members' streams. Each test makes
//! the fast path fail in one way, and checks that no promise is broken.

use crate::{members, slow, two_in_the_lobby, unlimited};
use chat_core::Limits;
use chat_core::error::PublishError;
use chat_testkit::TestHub;
use std::num::NonZeroUsize;

/// Returns a hub whose members soon fall behind, because its rings and queues are small.
fn tight() -> TestHub {
    let mut limits = Limits::default();
    limits.rate = None;
    limits.ring_batches = NonZeroUsize::new(8).unwrap();
    limits.queue_bytes = NonZeroUsize::new(1024).unwrap();
    TestHub::new(limits)
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_blocks_now_and_then_loses_nothing() {
    let mut hub = tight();
    let [mut alice] = members(&mut hub, ["alice"]).await;
    let mut slow = hub.connect_with("slow", 100);
    slow.sends("/nick slow").await;
    slow.sees_in_time("* you are now slow").await;
    for number in 0..900 {
        alice
            .sends(&format!("{number} {}", "x".repeat(number % 200)))
            .await;
    }
    alice.sends("/who").await;
    alice.sees_in_time("* lobby: 2 members: alice, slow").await;
    for number in 0..900 {
        slow.sees(&format!(
            "14:02 alice: {number} {}",
            "x".repeat(number % 200)
        ))
        .await;
    }
    alice.sends("live again").await;
    slow.sees("14:02 alice: live again").await;
}

#[tokio::test(start_paused = true)]
async fn a_member_that_slept_too_long_is_told_how_much_it_missed() {
    let mut hub = tight();
    let [mut alice] = members(&mut hub, ["alice"]).await;
    let mut slow = slow(&mut hub).await;
    for number in 1..=3000 {
        alice.sends(&number.to_string()).await;
    }
    alice.sends("/who").await;
    alice.sees_in_time("* lobby: 2 members: alice, slow").await;
    let (mut next, mut missed) = (1, 0);
    while next <= 3000 {
        let line = slow.next_line().await.unwrap();
        if let Some(count) = line
            .strip_prefix("* ")
            .and_then(|line| line.strip_suffix(" messages missed"))
        {
            let count: u32 = count.parse().unwrap();
            (next, missed) = (next + count, missed + count);
        } else {
            assert_eq!(line, format!("14:02 alice: {next}"));
            next += 1;
        }
    }
    assert!(missed > 0, "the log holds 1,024 of 3,000 messages");
}

#[tokio::test(start_paused = true)]
async fn own_messages_are_left_out_for_their_author_however_they_are_mixed() {
    for echo in ["off", "on"] {
        let mut hub = unlimited();
        let mut wires = members(&mut hub, ["a", "b", "c"]).await;
        for wire in &mut wires {
            wire.sends(&format!("/echo {echo}")).await;
            wire.next_line().await;
        }
        for number in 0..50 {
            for (wire, nick) in wires.iter_mut().zip(["a", "b", "c"]) {
                wire.sends(&format!("{nick}{number}")).await;
            }
        }
        for (wire, nick) in wires.iter_mut().zip(["a", "b", "c"]) {
            let own = format!("14:02 {nick}: ");
            let expected = if echo == "on" { 150 } else { 100 };
            for _ in 0..expected {
                let line = wire.next_line().await.unwrap();
                assert!(echo == "on" || !line.starts_with(&own), "{line}");
            }
            wire.sees_nothing().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn own_messages_are_left_out_when_lag_is_repaired_too() {
    let mut hub = tight();
    let [mut alice] = members(&mut hub, ["alice"]).await;
    let mut slow = slow(&mut hub).await;
    for number in 0..200 {
        alice.sends(&format!("{number} {}", "x".repeat(100))).await;
        if number % 50 == 25 {
            slow.sends("my own").await;
        }
        tokio::task::yield_now().await;
    }
    for number in 0..200 {
        slow.sees(&format!("14:02 alice: {number} {}", "x".repeat(100)))
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_joins_or_leaves_while_messages_are_on_their_way_sees_a_whole_range() {
    let mut hub = unlimited();
    let [mut alice] = members(&mut hub, ["alice"]).await;
    let mut number = 0;
    for visitor in 0..20 {
        let mut wire = hub.connect("visitor");
        wire.sends("/history 1").await;
        for _ in 0..50 {
            alice.sends(&number.to_string()).await;
            number += 1;
            tokio::task::yield_now().await;
        }
        wire.sends_bytes(b"/quit\n").await;
        let seen: Vec<u32> = wire
            .sees_the_end()
            .await
            .iter()
            .filter_map(|line| line.strip_prefix("14:02 alice: ")?.parse().ok())
            .collect();
        let mut range = seen.clone();
        range.sort_unstable();
        range.dedup();
        // The answer to `/history 1` may repeat one message. No other message may appear twice.
        assert!(seen.len() - range.len() <= 1, "visitor {visitor}: {seen:?}");
        assert!(
            range.windows(2).all(|pair| pair[1] == pair[0] + 1),
            "visitor {visitor}: {seen:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn who_missed_arrivals_while_behind_is_told_who_is_there() {
    let mut hub = tight();
    let alice = hub.hub.session(Some("alice")).await.unwrap();
    let talking = alice.join("lobby").await.unwrap();
    let mut slow = slow(&mut hub).await;
    // Each call appends a batch of its own, so the broadcast ring of eight batches is overrun.
    for number in 0..100 {
        talking
            .say(&format!("{number} {}", "x".repeat(100)))
            .await
            .unwrap();
    }
    let _bob = hub.member("bob").await;
    slow.sees_in_time("* lobby: 3 members: alice, slow, bob")
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_of_appends_is_refused_and_the_room_goes_on() {
    use chat_core::{Event, Hub};
    use chat_testkit::SlowJournal;
    use std::time::Duration;

    let delays = vec![Duration::from_secs(1); 1];
    let hub = Hub::builder().journal(SlowJournal::new(delays)).build();
    let (_sessions, mut listening, talking) = two_in_the_lobby(&hub).await;
    let mut refused = 0;
    for _ in 0..1100 {
        // The future is dropped at once, but its message may still be delivered.
        let said = futures::FutureExt::now_or_never(talking.say("x"));
        refused += usize::from(matches!(said, Some(Err(PublishError::Busy))));
    }
    assert!(refused > 0);
    // After this time the journal's delay of one second has passed.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(talking.say("last").await.unwrap().0, 1101 - refused as u64);
    let mut heard = 0;
    while heard < 1101 - refused {
        match listening.next().await.unwrap() {
            Event::Message(_) => heard += 1,
            Event::Gap(missed) => heard += missed.gap().unwrap().len() as usize,
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn promise_2_a_ring_that_outran_its_delivery_task_is_repaired_from_the_journal() {
    let mut hub = tight();
    let [mut bob] = members(&mut hub, ["bob"]).await;
    let alice = hub.hub.session(Some("alice")).await.unwrap();
    let mut talking = alice.join("lobby").await.unwrap();
    bob.sees("* alice joined").await;
    bob.sends("mine").await;
    while !matches!(talking.next().await, Some(chat_core::Event::Message(_))) {}
    // No other task runs during this loop. So a hundred batches enter a broadcast ring of eight before the room's
    // delivery task runs again.
    for number in 0..100 {
        talking.say(&number.to_string()).await.unwrap();
    }
    for number in 0..100 {
        bob.sees(&format!("14:02 alice: {number}")).await;
    }
    assert!(hub.hub.stats().lag_repairs > 0);
    talking.say("live again").await.unwrap();
    bob.sees("14:02 alice: live again").await;
}

#[tokio::test(start_paused = true)]
async fn promise_8_what_was_accepted_before_a_drain_is_delivered_before_the_goodbye() {
    let mut hub = tight();
    let [mut bob] = members(&mut hub, ["bob"]).await;
    let alice = hub.hub.session(Some("alice")).await.unwrap();
    let talking = alice.join("lobby").await.unwrap();
    bob.sees("* alice joined").await;
    for number in 0..100 {
        talking.say(&number.to_string()).await.unwrap();
    }
    hub.hub.drain();
    for number in 0..100 {
        bob.sees(&format!("14:02 alice: {number}")).await;
    }
    bob.sees("* goodbye: the server is shutting down").await;
}

#[tokio::test(start_paused = true)]
async fn coming_to_many_rooms_at_once_does_not_hold_up_another_room() {
    const ROOMS: u64 = 20;
    const MEMBERS: u64 = 10;
    let mut hub = TestHub::build(chat_core::Hub::builder().delivery_tasks(1));
    let mut crowd = Vec::new();
    for room in 0..ROOMS {
        for _ in 0..MEMBERS {
            let mut wire = hub.connect("crowd");
            wire.sends(&format!("/join room-{room}")).await;
            wire.sees_until_quiet().await;
            crowd.push(wire);
        }
    }
    let mut watch = hub.member("watch").await;
    watch.sees_until_quiet().await;
    let speaker = hub.hub.session(Some("speaker")).await.unwrap();
    let lobby = speaker.join("lobby").await.unwrap();
    watch.sees("* speaker joined").await;
    watch.sees_until_quiet().await;
    let before = hub.hub.stats().deliveries_out;
    let watching = hub.hub.clone();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        watch.sees("14:02 speaker: hello").await;
        let delivered = watching.stats().deliveries_out - before;
        (watch, delivered)
    });
    let mut members = Vec::new();
    for room in 0..ROOMS {
        members.push(speaker.join(&format!("room-{room}")).await.unwrap());
    }
    lobby.say("hello").await.unwrap();
    let (mut watch, delivered) = tasks.join_next().await.unwrap().unwrap();
    assert!(delivered <= 4 * MEMBERS, "{delivered} came before it");
    watch.sees_until_quiet().await;
    let delivered = hub.hub.stats().deliveries_out - before;
    assert_eq!(delivered, ROOMS * MEMBERS + 1);
}
