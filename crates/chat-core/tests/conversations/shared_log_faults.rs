//! A log that several hubs append to, and that begins anew, is lost or has holes: no member misses anything silently.

use crate::shared_log::{event, hub, join, say};
use chat_core::{Event, Hub, Limits, Member};
use chat_testkit::{SharedJournal, TestHub};
use std::time::Duration;

/// Long enough for every delay of the journal.
async fn settle() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

/// What the member receives up to the end of its session, in words.
async fn to_the_end(member: &mut Member) -> Vec<String> {
    let mut heard = Vec::new();
    let all = async {
        while let Some(event) = member.next().await {
            heard.extend(in_words(&event));
        }
    };
    let all = tokio::time::timeout(Duration::from_secs(3600), all);
    all.await.expect("the session ends");
    heard
}

/// What the member receives next, in words.
async fn next_in_words(member: &mut Member) -> String {
    loop {
        if let Some(words) = in_words(&event(member).await) {
            return words;
        }
    }
}

fn in_words(event: &Event) -> Option<String> {
    match event {
        Event::Message(message) => Some(message.text().to_owned()),
        Event::Gap(missed) => Some(format!("{missed:?}")),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn an_append_under_way_across_a_new_epoch_does_not_hold_up_the_drain() {
    let shared = SharedJournal::new(21);
    let (here, node) = hub(&shared, 1);
    let (_alice, mut alice) = join(&here, "alice").await;
    let (_bob, bob) = join(&here, "bob").await;
    say(&bob, "bob", 5).await;
    node.hold_answers(true);
    let late = async {
        let handle = bob.handle().clone();
        handle.say("late").await
    };
    let begins_anew = async {
        settle().await;
        shared.reset("ops");
        settle().await;
        node.hold_answers(false);
    };
    let (late, ()) = tokio::join!(late, begins_anew);
    assert!(late.is_ok(), "{late:?}");
    here.drain();
    let heard = to_the_end(&mut alice).await;
    assert_eq!(heard.last().unwrap(), "OtherEpoch", "{heard:?}");
}

#[tokio::test(start_paused = true)]
async fn a_replay_that_waits_while_the_log_begins_anew_shows_nothing_of_the_new_epoch() {
    let shared = SharedJournal::new(22);
    let test_hub = |node| {
        let mut limits = Limits::default();
        limits.rate = None;
        TestHub::build(Hub::builder().limits(limits).journal(shared.node(node)))
    };
    let [mut here, mut there] = [1, 2].map(test_hub);
    let mut bob = there.member("bob").await;
    for number in 0..3 {
        bob.sends(&format!("before {number}")).await;
    }
    settle().await;
    let mut slow = here.connect_with("slow", 64);
    slow.sends("/nick slow").await;
    slow.sees_in_time("* you are now slow").await;
    slow.sees_until_quiet().await;
    // The help fills the stream, so the replay waits for the peer to read.
    slow.sends_bytes(b"/help\n/history 3\n").await;
    settle().await;
    shared.reset("lobby");
    settle().await;
    for number in 0..3 {
        bob.sends(&format!("after {number}")).await;
    }
    settle().await;
    let mut lines = slow.sees_in_time("14:02 bob: after 2").await;
    lines.retain(|line| line.contains("bob: ") || line.contains("anew"));
    let expected = [
        "* the room's log began anew: messages missed",
        "14:02 bob: after 0",
        "14:02 bob: after 1",
    ];
    assert_eq!(lines, expected);
}

#[tokio::test(start_paused = true)]
async fn a_lagging_member_is_given_no_positions_of_an_epoch_that_the_room_does_not_know_yet() {
    let shared = SharedJournal::new(23);
    let [(here, node), (there, _)] = [1, 2].map(|node| hub(&shared, node));
    let (_alice, mut alice) = join(&here, "alice").await;
    let (_bob, bob) = join(&there, "bob").await;
    say(&bob, "before", 12).await;
    settle().await;
    node.hold();
    shared.reset("ops");
    settle().await;
    say(&bob, "after", 3).await;
    // The log has begun anew, but the room has not followed it there.
    let heard = next_in_words(&mut alice).await;
    assert!(
        heard.starts_with("Unreadable(Some(Gap { from: Seq(1)"),
        "{heard}"
    );
    node.release();
    for expected in ["OtherEpoch", "after 0", "after 1", "after 2"] {
        assert_eq!(next_in_words(&mut alice).await, expected);
    }
}
