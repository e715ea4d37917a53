//! The effect of policies, as programs see it.

use crate::program::Program;
use crate::{builder, said, unlimited};
use chat_core::policy::{Decision, Policy, Visitor};
use chat_core::{CloseReason, Kind};
use chat_testkit::{TestHub, WordPolicy};
use serde_json::json;
use std::time::Duration;

/// A policy that refuses texts and names that contain `no`.
const WORDS: WordPolicy = WordPolicy::refusing("no");

/// A policy that judges and changes the nicks of programs, gives a nick to programs without one, and refuses actions.
struct Programs;

impl Policy for Programs {
    async fn connect(&self, who: &Visitor, nick: Option<&str>) -> Decision {
        match nick {
            _ if who.dialect != "json" => Decision::Allow,
            Some(nick) => WORDS.judge(nick).await,
            None => Decision::Change("somebody".to_owned()),
        }
    }

    async fn say(&self, _who: &Visitor, _room: &str, kind: Kind, _text: &str) -> Decision {
        match kind {
            Kind::Acted => Decision::refuse("no acting"),
            _ => Decision::Allow,
        }
    }
}

fn hub() -> TestHub {
    crate::build(builder(unlimited()).policy(Programs).policy(WORDS))
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_an_answer_with_a_code_and_the_policys_words() {
    let mut hub = hub();
    let mut bot = Program::join(&mut hub, "bot", &["ops"]).await;
    let mut alice = Program::join(&mut hub, "alice", &["ops"]).await;
    bot.wire.sees_until_quiet().await;
    for (cmd, fields, words) in [
        (
            "say",
            json!({"room": "ops", "text": "no"}),
            "that is not done here",
        ),
        ("act", json!({"room": "ops", "text": "waves"}), "no acting"),
        (
            "topic",
            json!({"room": "ops", "text": "no"}),
            "that is not done here",
        ),
        (
            "tell",
            json!({"to": "alice", "text": "no"}),
            "that is not done here",
        ),
        ("nick", json!({"nick": "nobody"}), "that is not done here"),
        ("join", json!({"room": "nowhere"}), "that is not done here"),
    ] {
        let answer = bot.asks(cmd, fields).await;
        let expected = json!({"code": "denied", "msg": words, "retry_ms": null});
        assert_eq!(answer["err"], expected, "{cmd}");
    }
    alice.wire.sees_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_change_is_what_the_answer_and_the_room_show() {
    let mut hub = hub();
    let mut bot = Program::join(&mut hub, "bot", &["ops"]).await;
    let mut alice = Program::join(&mut hub, "alice", &["ops"]).await;
    bot.wire.sees_until_quiet().await;
    bot.does("say", json!({"room": "ops", "text": "teh cat"}))
        .await;
    alice.sees(said("ops", 1, "bot", "the cat")).await;
    let named = bot.does("nick", json!({"nick": "tehodor"})).await;
    assert_eq!(named, json!({"nick": "theodor"}));
    let joined = bot.does("join", json!({"room": "teh-zoo"})).await;
    assert_eq!(joined["room"], "the-zoo");
    let (_, welcome) = Program::hello(&mut hub, json!({"join": [{"room": "teh-zoo"}]})).await;
    assert_eq!(welcome["nick"], "somebody");
    assert_eq!(welcome["rooms"][0]["room"], "the-zoo");
}

#[tokio::test(start_paused = true)]
async fn who_may_not_join_a_room_may_not_publish_in_it() {
    let mut hub = hub();
    let mut alice = Program::join(&mut hub, "alice", &["ops", "the-zoo"]).await;
    let mut bot = Program::join(&mut hub, "bot", &[]).await;
    for fields in [
        json!({"room": "NoWhere", "text": "hi", "create": true}),
        json!({"room": "nowhere", "text": "hi"}),
        json!({"room": "ops", "text": "no"}),
        json!({"room": "new", "text": "no", "create": true}),
    ] {
        let refused = bot.asks("publish", fields.clone()).await;
        assert_eq!(refused["err"]["code"], "denied", "{fields}");
        assert_eq!(hub.hub.stats().rooms, 2, "{fields}");
    }
    alice.wire.sees_nothing().await;
    let fields = json!({"room": "teh-zoo", "text": "teh cat"});
    let ok = bot.does("publish", fields).await;
    assert_eq!(ok, json!({"room": "the-zoo", "seq": 1}));
    alice.sees(said("the-zoo", 1, "bot", "the cat")).await;
}

#[tokio::test(start_paused = true)]
async fn who_is_not_let_in_is_told_why_and_disconnected() {
    let mut hub = hub();
    let mut stranger = Program::connect(&mut hub, "stranger");
    let answer = stranger.asks("hello", json!({"nick": "nobody"})).await;
    let expected = json!({"code": "denied", "msg": "that is not done here", "retry_ms": null});
    assert_eq!(answer["err"], expected);
    stranger
        .sees(json!({"ev": "bye", "code": "denied", "reconnect": false}))
        .await;
    assert!(stranger.wire.sees_the_end().await.is_empty());
    assert_eq!(hub.ended().await, CloseReason::Refused);
    assert_eq!(hub.hub.sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_room_that_is_refused_does_not_keep_a_hello_from_the_others() {
    let mut hub = hub();
    let rooms = json!([{"room": "nowhere"}, {"room": "ops"}]);
    let (_, welcome) = Program::hello(&mut hub, json!({"nick": "bot", "join": rooms})).await;
    assert_eq!(welcome["rooms"][0]["err"]["code"], "denied");
    assert_eq!(welcome["rooms"][1]["room"], "ops");
}

#[tokio::test(start_paused = true)]
async fn commands_wait_for_a_policy_that_thinks_about_the_hello() {
    let mut hub = hub();
    let mut slow = Program::connect(&mut hub, "slow");
    slow.sends_all(&[
        json!({"cmd": "hello", "id": 1, "nick": "slow", "join": [{"room": "ops"}]}),
        json!({"cmd": "ping", "id": 2}),
    ])
    .await;
    assert_eq!(slow.next().await["re"], 1);
    slow.sees(json!({"re": 2, "ok": {}})).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_policy_does_not_make_a_program_look_dead() {
    struct Slow;
    impl Policy for Slow {
        async fn say(&self, _: &Visitor, _: &str, _: Kind, _: &str) -> Decision {
            tokio::time::sleep(Duration::from_millis(1900)).await;
            Decision::Allow
        }
    }
    let mut hub = crate::build(builder(unlimited()).policy(Slow));
    let mut bot = Program::join(&mut hub, "bot", &["ops"]).await;
    let says: Vec<_> = (0..30)
        .map(|id| json!({"cmd": "say", "id": id, "room": "ops", "text": "hi"}))
        .collect();
    bot.sends_all(&says).await;
    for id in 0..30 {
        assert_eq!(bot.next().await["re"], id);
    }
    bot.does("ping", json!({})).await;
}

/// A policy that hides the room `secret`. Any session may join the room.
struct Discreet;

impl Policy for Discreet {
    fn may_see(&self, _who: &Visitor, room: &str) -> bool {
        room != "secret"
    }
}

#[tokio::test(start_paused = true)]
async fn a_room_that_the_policy_hides_is_missing_to_who_publishes_from_outside() {
    let mut hub = crate::build(builder(unlimited()).policy(Discreet));
    let mut spy = Program::join(&mut hub, "spy", &["secret"]).await;
    let mut bot = Program::join(&mut hub, "bot", &[]).await;
    for room in ["secret", "#Secret", "nowhere"] {
        let publish = json!({"room": room, "text": "psst"});
        let answer = bot.asks("publish", publish).await;
        assert_eq!(answer["err"]["code"], "not_found", "{answer}");
    }
    spy.wire.sees_nothing().await;
    // A member may publish in the room. A program outside of the room may publish if it asks to create the room.
    for (program, create) in [(&mut spy, false), (&mut bot, true)] {
        let publish = json!({"room": "secret", "text": "psst", "create": create});
        program.does("publish", publish).await;
    }
}
