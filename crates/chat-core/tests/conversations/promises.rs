//! One test for each promise of the documentation, named after the promise.

use crate::{members, unlimited};
use chat_core::{CloseReason, Event, Hub, Limits, PresenceChange};
use chat_testkit::{SlowJournal, TestHub, Wire};
use std::num::NonZeroUsize;
use std::time::Duration;

/// Returns a line of [`promise_1_all_members_see_one_order`] without its time. Returns `None` if the line is not a
/// message.
fn said(line: &str) -> Option<&str> {
    line.strip_prefix("14:02 ")
        .filter(|rest| rest.contains(": "))
}

async fn everybody_talks(hub: &mut TestHub, members: usize, messages: usize) -> Vec<Vec<String>> {
    let mut wires: Vec<Wire> = Vec::new();
    for number in 0..members {
        let mut wire = hub.member(&format!("m{number}")).await;
        wire.sends("/echo on").await;
        wires.push(wire);
    }
    for message in 0..messages {
        for wire in &mut wires {
            wire.sends(&format!("number {message}")).await;
            if message % 3 == 0 {
                tokio::task::yield_now().await;
            }
        }
    }
    let mut seen = Vec::new();
    for wire in &mut wires {
        let mut lines: Vec<String> = Vec::new();
        while lines.len() < members * messages {
            let line = wire.next_line().await.unwrap();
            lines.extend(said(&line).map(str::to_owned));
        }
        seen.push(lines);
    }
    seen
}

#[tokio::test(start_paused = true)]
async fn promise_1_all_members_see_one_order() {
    let mut hub = unlimited();
    let seen = everybody_talks(&mut hub, 10, 50).await;
    assert!(seen.iter().all(|lines| *lines == seen[0]));
    for member in 0..10 {
        let own = seen[0]
            .iter()
            .filter(|line| line.starts_with(&format!("m{member}: ")));
        assert!(
            own.enumerate()
                .all(|(n, line)| line.ends_with(&format!("number {n}"))),
            "each in its own order"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn promise_1_holds_when_the_journal_takes_its_time() {
    let delays = (0..200)
        .map(|n| Duration::from_millis(n * 7 % 50))
        .collect();
    let mut limits = Limits::default();
    limits.rate = None;
    let mut hub = TestHub::build(
        Hub::builder()
            .limits(limits)
            .journal(SlowJournal::new(delays)),
    );
    let seen = everybody_talks(&mut hub, 5, 40).await;
    assert!(seen.iter().all(|lines| *lines == seen[0]));
}

#[tokio::test(start_paused = true)]
async fn promise_3_a_room_never_waits_for_a_member() {
    let mut hub = unlimited();
    let [mut alice, mut bob] = members(&mut hub, ["alice", "bob"]).await;
    let mut stuck = hub.connect_with("stuck", 64);
    stuck.sends("hi").await;
    for wire in [&mut alice, &mut bob] {
        wire.sees_in_time("14:02 guest-3: hi").await;
    }
    // All these messages together have ten times as many bytes as may wait for a member.
    let text = "x".repeat(4000);
    for number in 0..640 {
        alice.sends(&format!("{number} {text}")).await;
        bob.sees(&format!("14:02 alice: {number} {text}")).await;
    }
    bob.sees("* guest-3 left (gone: stopped reading)").await;
    assert_eq!(hub.ended().await, CloseReason::Stalled);
}

#[tokio::test(start_paused = true)]
async fn promise_5_however_a_session_ends_its_leaving_is_announced_once() {
    let mut hub = unlimited();
    let [mut witness] = members(&mut hub, ["witness"]).await;
    for (ending, reason) in [
        ("quit", "quit"),
        ("quit with a reason", "see you: soon"),
        ("end", "connection closed"),
        ("drop", "connection closed"),
        ("reset", "connection lost"),
    ] {
        let (mut wire, faults) = hub.connect_faulty("kim");
        wire.sends("/nick kim").await;
        wire.sees_in_time("* you are now kim").await;
        let arrived = witness.next_line().await.unwrap();
        assert!(arrived.ends_with("joined"), "{arrived}");
        assert!(witness.next_line().await.unwrap().ends_with("is now kim"));
        match ending {
            "quit" => wire.sends("/quit").await,
            "quit with a reason" => wire.sends("/quit see you: soon").await,
            "end" => wire.ends().await,
            "drop" => drop(wire),
            _ => faults.reset(),
        }
        witness.sees(&format!("* kim left (gone: {reason})")).await;
        hub.ended().await;
        witness.sees_nothing().await;
        assert!(
            hub.hub.session(Some("kim")).await.is_ok(),
            "the nick is free"
        );
    }
    assert_eq!(hub.hub.sessions(), 1);
}

#[tokio::test(start_paused = true)]
async fn promise_5_holds_for_a_session_that_is_dropped_or_panics() {
    let hub = Hub::default();
    let witness = hub.session(Some("witness")).await.unwrap();
    let mut lobby = witness.join("lobby").await.unwrap();
    for expected in [CloseReason::Dropped, CloseReason::Failed] {
        let kim = hub.session(Some("kim")).await.unwrap();
        let member = kim.join("lobby").await.unwrap();
        let panics = expected == CloseReason::Failed;
        let ended = std::thread::spawn(move || {
            let _owned = (kim, member);
            assert!(!panics, "on purpose");
        });
        assert_eq!(ended.join().is_err(), panics);
        let mut reasons = Vec::new();
        while let Ok(Some(event)) = tokio::time::timeout(Duration::from_secs(1), lobby.next()).await
        {
            if let Event::Presence(presence) = event
                && let PresenceChange::Left { reason } = &presence.change
            {
                reasons.push(reason.clone());
            }
        }
        assert_eq!(reasons, [Some(expected)]);
        assert!(
            hub.session(Some("KIM")).await.is_ok(),
            "the nick is free again"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn promise_6_a_line_is_a_line() {
    let mut hub = unlimited();
    let [mut mallory, mut alice] = members(&mut hub, ["mallory", "alice"]).await;
    let attacks = [
        "\x1b[2J\x1b]0;title\x07cleared",
        "14:02 bob: forged\r* root joined",
        "\u{9b}31mred \u{202e}txet",
        "bell\x07 back\x08 del\x7f vt\x0b ff\x0c",
    ];
    for attack in attacks {
        for command in ["", "/me ", "/topic ", "/msg alice "] {
            mallory.sends(&format!("{command}{attack}")).await;
            let line = alice.next_line().await.unwrap();
            assert!(!line.chars().any(chat_core::text::is_unsafe), "{line:?}");
            assert!(
                line.contains("mallory"),
                "one line, which says who: {line:?}"
            );
        }
        mallory.sends(&format!("/nick {attack}")).await;
        mallory.sends(&format!("/join {attack}")).await;
    }
    mallory.sends(&format!("/quit {}", attacks.concat())).await;
    let line = alice.next_line().await.unwrap();
    assert!(
        line.starts_with("* mallory left (gone: ") && !line.chars().any(chat_core::text::is_unsafe),
        "{line:?}"
    );
    for line in mallory.sees_the_end().await {
        assert!(!line.chars().any(chat_core::text::is_unsafe), "{line:?}");
    }
    alice.sees_nothing().await;
}

/// A name with a control character is refused rather than cleaned, because a cleaned name could be mistaken for another
/// one. A backspace is never part of a name, because it deletes the character before it.
#[tokio::test(start_paused = true)]
async fn promise_6_a_name_brings_no_control_character() {
    let mut hub = unlimited();
    let [mut alice, mut bob] = members(&mut hub, ["alice", "bob"]).await;
    for (name, why) in [
        ("e\x1b[2Jvil", "U+001B"),
        ("e\u{9b}vil", "U+009B"),
        ("e\u{202e}vil", "the invisible character U+202E"),
    ] {
        bob.sends(&format!("/nick {name}")).await;
        bob.sees(&format!(
            "! that can't be a nick: a name may not hold {why}"
        ))
        .await;
        bob.sends(&format!("/join {name}")).await;
        bob.sees(&format!(
            "! that can't be a room's name: a name may not hold {why}"
        ))
        .await;
    }
    bob.sends("/who").await;
    bob.sees("* lobby: 2 members: alice, bob").await;
    bob.sends("/rooms").await;
    bob.sees("* rooms: lobby (2)").await;
    alice.sees_nothing().await;
    bob.sends("/nick e\x7fvil").await;
    bob.sees("* you are now vil").await;
    alice.sees("* bob is now vil").await;
}

#[tokio::test(start_paused = true)]
async fn promise_7_bad_input_hurts_only_its_sender() {
    let mut hub = unlimited();
    let [mut mallory, mut alice] = members(&mut hub, ["mallory", "alice"]).await;
    mallory.sends(&"x".repeat(8193)).await;
    mallory.sees("! line too long (limit 8192 bytes)").await;
    mallory.sends_bytes(b"\xc3\x28\n").await;
    mallory.sees("! not UTF-8: message dropped").await;
    mallory.sends(&"x".repeat(4097)).await;
    mallory.sees("! message too long (limit 4096 bytes)").await;
    mallory.sends_bytes(&[b'y'; 100_000]).await;
    mallory.sees("! line too long (limit 8192 bytes)").await;
    mallory.sends_bytes(b"\n\n  \n\x07\n").await;
    mallory.sees("! nothing visible to say").await;
    alice.sees_nothing().await;
    mallory.sends("still here").await;
    alice.sees("14:02 mallory: still here").await;
    mallory.sees_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn promise_7_a_fast_sender_is_slowed_and_loses_nothing() {
    let mut hub = TestHub::default();
    let [mut alice, mut bob] = members(&mut hub, ["alice", "bob"]).await;
    let began = tokio::time::Instant::now();
    for number in 0..119 {
        alice.sends(&number.to_string()).await;
    }
    for number in 0..119 {
        bob.sees(&format!("14:02 alice: {number}")).await;
    }
    // Each line costs one token. Of the burst of 20 tokens, `/nick` has used one, so 19 lines are read at once. The
    // other 100 lines are read at five a second.
    assert_eq!(began.elapsed().as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn promise_8_draining_gives_everybody_what_was_said_and_a_goodbye() {
    let mut hub = unlimited();
    let [mut alice, mut bob, mut slow] = members(&mut hub, ["alice", "bob", "slow"]).await;
    for number in 0..100 {
        alice.sends(&number.to_string()).await;
    }
    alice.sends("/who").await;
    alice.sees("* lobby: 3 members: alice, bob, slow").await;
    hub.hub.drain();
    assert!(hub.hub.session(None).await.is_err());
    for wire in [&mut bob, &mut slow] {
        for number in 0..100 {
            wire.sees(&format!("14:02 alice: {number}")).await;
        }
    }
    for mut wire in [alice, bob, slow] {
        assert_eq!(
            wire.sees_the_end().await.last().unwrap(),
            "* goodbye: the server is shutting down"
        );
        assert_eq!(hub.ended().await, CloseReason::Draining);
    }
    assert_eq!(hub.hub.sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn promise_8_a_member_that_takes_nothing_holds_up_a_drain_no_longer_than_its_time() {
    let mut limits = Limits::default();
    limits.queue_bytes = NonZeroUsize::new(1024).unwrap();
    let mut hub = TestHub::new(limits);
    let mut stuck = hub.connect_with("stuck", 16);
    stuck.sends("/help").await;
    let began = tokio::time::Instant::now();
    tokio::time::sleep(Duration::from_secs(1)).await;
    hub.hub.drain();
    assert_eq!(hub.ended().await, CloseReason::Draining);
    assert_eq!(began.elapsed().as_secs(), 6);
}
