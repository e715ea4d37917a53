//! A client may safely repeat a message under the same key.

use crate::kept::Kept;
use crate::program::Program;
use crate::{builder, hub, said, unlimited};
use chat_testkit::{SlowJournal, TestHub};
use serde_json::{Value, json};
use std::time::Duration;

fn say(id: u64, text: &str, key: &str) -> Value {
    json!({"cmd": "say", "id": id, "room": "ops", "text": text, "key": key})
}

fn said_under(key: &str, seq: u64, from: &str, text: &str) -> Value {
    let mut event = said("ops", seq, from, text);
    event["key"] = json!(key);
    event
}

/// Returns a hub whose first append takes five seconds.
fn slow() -> TestHub {
    let journal = SlowJournal::new(vec![Duration::from_secs(5)]);
    crate::build(builder(unlimited()).journal(journal))
}

#[tokio::test(start_paused = true)]
async fn what_is_said_again_under_its_key_is_not_said_twice() {
    let mut hub = hub(unlimited());
    let mut alice = Program::join(&mut hub, "alice", &["ops"]).await;
    let mut bot = Program::join(&mut hub, "bot", &["ops"]).await;
    alice
        .sees(json!({"ev": "joined", "room": "ops", "nick": "bot"}))
        .await;
    let first = json!({"re": 1, "ok": {"room": "ops", "seq": 1}});
    let again = json!({"re": 1, "ok": {"room": "ops", "seq": 1, "dup": true}});
    bot.sends(say(1, "deployed", "k")).await;
    bot.sees(first).await;
    bot.sends(say(1, "deployed", "k")).await;
    bot.sees(again.clone()).await;
    bot.sends(json!({"cmd": "act", "id": 1, "room": "ops", "text": "deploys", "key": "k"}))
        .await;
    bot.sees(again.clone()).await;
    alice.sees(said_under("k", 1, "bot", "deployed")).await;
    // Another client may use the same key for its own message.
    alice.sends(say(1, "mine", "k")).await;
    alice
        .sees(json!({"re": 1, "ok": {"room": "ops", "seq": 2}}))
        .await;
    bot.sees(said_under("k", 2, "alice", "mine")).await;
    alice.wire.sees_nothing().await;
    // The server forgets a key after the key's lifetime.
    tokio::time::sleep(Duration::from_secs(10)).await;
    bot.sends(say(1, "deployed", "k")).await;
    bot.sees(again).await;
}

/// It is uncertain whether a message was appended. The client sends the message again, and the server finds it by its
/// key. The other members receive the message before later messages.
#[tokio::test(start_paused = true)]
async fn what_may_have_been_kept_is_found_and_leaves_no_hole() {
    let journal = Kept::new();
    let mut hub = crate::build(builder(unlimited()).journal(journal.clone()));
    let mut alice = Program::join(&mut hub, "alice", &["ops"]).await;
    let mut bot = Program::join(&mut hub, "bot", &["ops"]).await;
    alice.sees_until_quiet().await;
    bot.sends(say(1, "zero", "k0")).await;
    bot.sees(json!({"re": 1, "ok": {"room": "ops", "seq": 1}}))
        .await;
    alice.sees(said_under("k0", 1, "bot", "zero")).await;
    journal.make_uncertain();
    let fields = json!({"room": "ops", "text": "one", "key": "k1"});
    let refused = bot.asks("say", fields.clone()).await;
    assert!(refused["err"].is_object(), "{refused}");
    let again = bot.does("say", fields).await;
    assert_eq!(again, json!({"room": "ops", "seq": 2, "dup": true}));
    bot.sends(say(2, "two", "k2")).await;
    bot.sees(json!({"re": 2, "ok": {"room": "ops", "seq": 3}}))
        .await;
    alice.sees(said_under("k1", 2, "bot", "one")).await;
    alice.sees(said_under("k2", 3, "bot", "two")).await;
    bot.sends(say(3, "three", "k3")).await;
    alice.sees(said_under("k3", 4, "bot", "three")).await;
    alice.wire.sees_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_key_is_forgotten_after_its_time() {
    let mut limits = unlimited();
    limits.key_lifetime = Duration::from_secs(10);
    let mut hub = hub(limits);
    let mut bot = Program::join(&mut hub, "bot", &["ops"]).await;
    for (wait, seq, is_dup) in [(0, 1, false), (9, 1, true), (1, 2, false)] {
        tokio::time::sleep(Duration::from_secs(wait)).await;
        let said = bot
            .does("say", json!({"room": "ops", "text": "a", "key": "k"}))
            .await;
        assert_eq!(said["seq"], seq);
        assert_eq!(said.get("dup").is_some(), is_dup);
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_that_says_the_same_twice_says_it_once() {
    for mut hub in [hub(unlimited()), slow()] {
        let mut alice = Program::join(&mut hub, "alice", &["ops"]).await;
        let mut bot = Program::join(&mut hub, "bot", &["ops"]).await;
        let burst = [
            say(1, "a", "k"),
            say(2, "b", "l"),
            say(3, "a", "k"),
            say(4, "c", "m"),
        ];
        bot.sends_all(&burst).await;
        bot.sees(json!({"re": 1, "ok": {"room": "ops", "seq": 1}}))
            .await;
        bot.sees(json!({"re": 2, "ok": {"room": "ops", "seq": 2}}))
            .await;
        bot.sees(json!({"re": 3, "ok": {"room": "ops", "seq": 1, "dup": true}}))
            .await;
        bot.sees(json!({"re": 4, "ok": {"room": "ops", "seq": 3}}))
            .await;
        alice
            .sees(json!({"ev": "joined", "room": "ops", "nick": "bot"}))
            .await;
        alice.sees(said_under("k", 1, "bot", "a")).await;
        alice.sees(said_under("l", 2, "bot", "b")).await;
        alice.sees(said_under("m", 3, "bot", "c")).await;
        alice.wire.sees_nothing().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_holds_while_the_journal_is_slow_and_its_author_was_cut() {
    let mut hub = slow();
    let hello = json!({"nick": "bot", "token": "0123456789abcdef", "join": [{"room": "ops"}]});
    let (mut bot, _) = Program::hello(&mut hub, hello.clone()).await;
    bot.sends(say(1, "deployed", "k")).await;
    // The journal has received the message when the connection is lost.
    assert!(bot.sees_until_quiet().await.is_empty());
    hub.cuts_all().await;
    let began = tokio::time::Instant::now();
    let (mut bot, _) = Program::hello(&mut hub, hello).await;
    bot.sends(say(2, "deployed", "k")).await;
    let answer = bot.next().await;
    let again = json!({"re": 2, "ok": {"room": "ops", "seq": 1, "dup": true}});
    assert_eq!(answer, again);
    // The program's earlier session published the message after the program had joined again, so the message arrives
    // live.
    bot.sees(said_under("k", 1, "bot", "deployed")).await;
    assert!(
        began.elapsed() >= Duration::from_secs(4),
        "it waited for the journal"
    );
    let history = bot.does("history", json!({"room": "ops"})).await;
    assert_eq!(history["messages"].as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_refused_with_its_message_can_be_used() {
    let mut hub = hub(unlimited());
    let mut bot = Program::join(&mut hub, "bot", &["ops"]).await;
    for text in ["", "\u{7}", &"x".repeat(4097)] {
        let refused = bot
            .asks("say", json!({"room": "ops", "text": text, "key": "k"}))
            .await;
        assert!(refused["err"].is_object(), "{refused}");
    }
    let said = bot
        .does("say", json!({"room": "ops", "text": "a", "key": "k"}))
        .await;
    assert_eq!(said, json!({"room": "ops", "seq": 1}));
}

#[tokio::test(start_paused = true)]
async fn what_was_said_is_known_to_be_said_by_who_is_no_longer_there() {
    let mut hub = hub(unlimited());
    let mut bot = Program::join(&mut hub, "bot", &["ops"]).await;
    let said = json!({"room": "ops", "text": "deployed", "key": "k"});
    bot.does("say", said.clone()).await;
    bot.does("leave", json!({"room": "ops"})).await;
    let again = bot.does("say", said).await;
    assert_eq!(again, json!({"room": "ops", "seq": 1, "dup": true}));
}
