//! Pings, timeouts, and the end of a conversation.

use crate::program::Program;
use crate::{hub, unlimited};
use chat_core::CloseReason;
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, sleep};

#[tokio::test(start_paused = true)]
async fn a_silent_program_is_asked_and_then_given_up() {
    let mut hub = hub(unlimited());
    let mut alice = hub.member("alice").await;
    let mut bot = Program::join(&mut hub, "bot", &["lobby"]).await;
    alice.sees("* bot joined").await;
    let began = Instant::now();
    bot.sees(json!({"ev": "ping"})).await;
    assert_eq!(began.elapsed().as_secs(), 25);
    assert!(bot.wire.sees_the_end().await.is_empty());
    assert_eq!(began.elapsed().as_secs(), 35);
    alice.sees("* bot left (gone: no answer)").await;
    assert_eq!(hub.ended().await, CloseReason::Silent);
}

#[tokio::test(start_paused = true)]
async fn any_line_is_an_answer() {
    let mut hub = hub(unlimited());
    let mut bot = Program::join(&mut hub, "bot", &["lobby"]).await;
    for line in [
        r#"{"cmd":"ping"}"#,
        "",
        "{",
        r#"{"cmd":"say","room":"lobby","text":"a"}"#,
    ] {
        let began = Instant::now();
        bot.sees(json!({"ev": "ping"})).await;
        assert_eq!(began.elapsed().as_secs(), 25, "{line:?}");
        sleep(Duration::from_secs(9)).await;
        bot.wire.sends(line).await;
        for answer in bot.sees_until_quiet().await {
            assert!(answer["err"].is_object(), "{answer}");
        }
        // This command begins a new interval until the next ping.
        bot.does("ping", json!({})).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_program_that_talks_is_not_asked() {
    let mut hub = hub(unlimited());
    let mut bot = Program::join(&mut hub, "bot", &["lobby"]).await;
    for _ in 0..10 {
        sleep(Duration::from_secs(24)).await;
        bot.does("ping", json!({})).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_person_is_never_asked() {
    let mut hub = hub(unlimited());
    let mut alice = hub.member("alice").await;
    alice.sees_until_quiet().await;
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(alice.sees_until_quiet().await, [""; 0]);
    alice.sends("/who").await;
    alice.sees("* lobby: 1 member: alice").await;
}

#[tokio::test(start_paused = true)]
async fn a_quit_is_answered_and_announced_with_its_reason() {
    let mut hub = hub(unlimited());
    let mut alice = Program::join(&mut hub, "alice", &["ops"]).await;
    for (fields, reason) in [
        (
            json!({"cmd": "quit", "id": 1, "reason": "done\u{7}"}),
            "done",
        ),
        (json!({"cmd": "quit", "id": 1}), "quit"),
    ] {
        let mut bot = Program::join(&mut hub, "bot", &["ops"]).await;
        bot.sends(fields).await;
        bot.sees(json!({"re": 1, "ok": {}})).await;
        bot.sees(json!({"ev": "bye", "code": "quit", "reconnect": false}))
            .await;
        assert!(bot.wire.sees_the_end().await.is_empty());
        alice
            .sees(json!({"ev": "joined", "room": "ops", "nick": "bot"}))
            .await;
        alice
            .sees(json!({"ev": "left", "room": "ops", "nick": "bot", "reason": reason}))
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_sends_everybody_away_after_what_was_said_and_not_all_back_at_once() {
    let mut hub = hub(unlimited());
    let mut alice = Program::join(&mut hub, "alice", &["ops"]).await;
    let mut bots = Vec::new();
    for number in 0..12 {
        bots.push(Program::join(&mut hub, &format!("bot-{number}"), &["ops"]).await);
    }
    for bot in [&mut alice].into_iter().chain(&mut bots) {
        bot.sees_until_quiet().await;
    }
    for _ in 0..50 {
        alice.says("ops", "something").await;
    }
    hub.hub.drain();
    let mut waits = Vec::new();
    for bot in &mut bots {
        for seq in 1..=50 {
            assert_eq!(bot.next().await["seq"], seq);
        }
        let mut bye = bot.next().await;
        while bye["ev"] == "left" {
            bye = bot.next().await;
        }
        let after_ms = bye["after_ms"].take().as_u64().unwrap();
        assert!((500..3000).contains(&after_ms), "{after_ms}");
        assert_eq!(
            bye,
            json!({"ev": "bye", "code": "draining", "reconnect": true, "after_ms": null})
        );
        assert!(bot.wire.sees_the_end().await.is_empty());
        waits.push(after_ms);
    }
    waits.sort_unstable();
    waits.dedup();
    assert!(waits.len() > 1, "all come back at once");
}
