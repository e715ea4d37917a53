//! Publishing in a room without being a member of the room.

use crate::kept::Kept;
use crate::program::Program;
use crate::{builder, hub, replayed, said, unlimited};
use chat_testkit::{SlowJournal, TestHub};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

fn publish(id: u64, room: &str, text: &str) -> Value {
    json!({"cmd": "publish", "id": id, "room": room, "text": text})
}

fn published(id: u64, room: &str, seq: u64) -> Value {
    json!({"re": id, "ok": {"room": room, "seq": seq}})
}

/// Connects a program that is in no room.
async fn outsider(hub: &mut TestHub, nick: &str) -> Program {
    Program::join(hub, nick, &[]).await
}

#[tokio::test(start_paused = true)]
async fn publishing_needs_no_membership_and_announces_nobody() {
    let mut hub = hub(unlimited());
    let mut alice = Program::join(&mut hub, "alice", &["ops"]).await;
    let mut bot = outsider(&mut hub, "bot").await;
    bot.sends(publish(1, "#OPS", "deployed")).await;
    bot.sees(published(1, "ops", 1)).await;
    alice.sees(said("ops", 1, "bot", "deployed")).await;
    let present = alice.does("who", json!({"room": "ops"})).await;
    assert_eq!(present["members"], json!(["alice"]));
    alice
        .does("say", json!({"room": "ops", "text": "thanks"}))
        .await;
    drop(bot);
    hub.ended().await;
    alice.wire.sees_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_member_publishes_as_it_says() {
    let mut hub = hub(unlimited());
    let mut alice = Program::join(&mut hub, "alice", &["ops"]).await;
    let fields = json!({"nick": "bot", "echo": true, "join": [{"room": "ops"}]});
    let (mut bot, _) = Program::hello(&mut hub, fields).await;
    alice.sees_until_quiet().await;
    bot.sends(publish(1, "ops", "hi")).await;
    let seen = bot.sees_until_quiet().await;
    assert!(seen.contains(&published(1, "ops", 1)), "{seen:?}");
    assert!(seen.contains(&said("ops", 1, "bot", "hi")), "{seen:?}");
    alice.sees(said("ops", 1, "bot", "hi")).await;
}

#[tokio::test(start_paused = true)]
async fn a_room_that_is_missing_is_opened_on_request_only() {
    let mut hub = hub(unlimited());
    let mut bot = outsider(&mut hub, "bot").await;
    for _ in 0..2 {
        let refused = bot
            .asks("publish", json!({"room": "opss", "text": "hi"}))
            .await;
        assert_eq!(refused["err"]["code"], "not_found");
        let refused = json!({"room": "opss", "text": "hi", "create": false});
        let refused = bot.asks("publish", refused).await;
        assert_eq!(refused["err"]["code"], "not_found");
        assert_eq!(hub.hub.stats().rooms, 0);
    }
    let fields = json!({"room": "opss", "text": "one", "create": true});
    let ok = bot.does("publish", fields).await;
    assert_eq!(ok, json!({"room": "opss", "seq": 1}));
    // The room has no members now, but its log has a message.
    let ok = bot
        .does("publish", json!({"room": "opss", "text": "two"}))
        .await;
    assert_eq!(ok["seq"], 2);
    assert_eq!(bot.does("rooms", json!({})).await, json!({"rooms": []}));
    let history = json!({"room": "opss", "limit": 5});
    bot.does("join", history).await;
    let replays = bot.sees_until_quiet().await;
    let texts = [(1, "one"), (2, "two")];
    assert_eq!(
        replays,
        texts.map(|(seq, text)| replayed("opss", seq, "bot", text))
    );
}

#[tokio::test(start_paused = true)]
async fn a_room_of_which_only_the_log_is_left_is_not_missing() {
    let journal = Kept::new();
    for (seq, create) in [(1, true), (2, false)] {
        let mut hub = crate::build(builder(unlimited()).journal(journal.clone()));
        let mut bot = outsider(&mut hub, "bot").await;
        let fields = json!({"room": "ops", "text": "hi", "create": create});
        assert_eq!(bot.does("publish", fields).await["seq"], seq);
    }
}

/// A journal accepts appends to a room from one log only. If the hub opened the room twice, appends of the second log
/// would count as appends of another hub.
#[tokio::test(start_paused = true)]
async fn a_room_that_is_joined_and_published_in_at_once_is_opened_once() {
    let journal = Kept::new();
    let build = || crate::build(builder(unlimited()).journal(journal.clone()));
    let mut hub = build();
    let mut alice = Program::join(&mut hub, "alice", &["ops"]).await;
    alice
        .does("say", json!({"room": "ops", "text": "one"}))
        .await;
    drop((alice, hub));
    let mut hub = build();
    let mut programs = Vec::new();
    for number in 0..6 {
        programs.push(outsider(&mut hub, &format!("bot{number}")).await);
    }
    let before = journal.openings();
    for (number, program) in programs.iter_mut().enumerate() {
        let command = match number {
            4 => json!({"cmd": "join", "id": 1, "room": "ops"}),
            _ => publish(1, "ops", "at once"),
        };
        program.sends(command).await;
    }
    for program in &mut programs {
        program.sees_until_quiet().await;
    }
    assert_eq!(journal.openings(), before + 1);
    let ok = programs[0]
        .does("publish", json!({"room": "ops", "text": "last"}))
        .await;
    assert_eq!(ok["seq"], 7);
}

#[tokio::test(start_paused = true)]
async fn the_lobby_is_never_missing() {
    let mut hub = hub(unlimited());
    let mut bot = outsider(&mut hub, "bot").await;
    let ok = bot
        .does("publish", json!({"room": "Lobby", "text": "hi"}))
        .await;
    assert_eq!(ok["seq"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_answered_in_order_whatever_its_rooms() {
    let mut hub = hub(unlimited());
    let mut alice = Program::join(&mut hub, "alice", &["ops", "dev"]).await;
    let mut bot = Program::join(&mut hub, "bot", &["dev"]).await;
    alice.sees_until_quiet().await;
    let say = |id: u64| json!({"cmd": "say", "id": id, "room": "dev", "text": "said"});
    let burst = [
        publish(1, "ops", "a"),
        publish(2, "ops", "b"),
        say(3),
        publish(4, "dev", "c"),
        publish(5, "nowhere", "d"),
        publish(6, "ops", ""),
        publish(7, "ops", "e"),
        json!({"cmd": "ping", "id": 8}),
    ];
    bot.sends_all(&burst).await;
    for (id, room, seq) in [(1, "ops", 1), (2, "ops", 2), (3, "dev", 1), (4, "dev", 2)] {
        bot.sees(published(id, room, seq)).await;
    }
    for (id, code) in [(5, "not_found"), (6, "bad_request")] {
        let refused = bot.next().await;
        assert_eq!(
            (&refused["re"], &refused["err"]["code"]),
            (&json!(id), &json!(code))
        );
    }
    bot.sees(published(7, "ops", 3)).await;
    bot.sees(json!({"re": 8, "ok": {}})).await;
    let seen = alice.sees_until_quiet().await;
    let of = |room: &str| -> Vec<_> {
        let of = seen.iter().filter(|event| event["room"] == room);
        of.map(|event| event["text"].clone()).collect()
    };
    assert_eq!(of("ops"), ["a", "b", "e"]);
    assert_eq!(of("dev"), ["said", "c"]);
}

#[tokio::test(start_paused = true)]
async fn publishing_again_under_its_key_is_not_said_twice() {
    let slow = SlowJournal::new(vec![Duration::from_secs(5)]);
    let slow = crate::build(builder(unlimited()).journal(slow));
    for mut hub in [hub(unlimited()), slow] {
        let mut alice = Program::join(&mut hub, "alice", &["ops"]).await;
        let mut bot = outsider(&mut hub, "bot").await;
        let keyed = |id: u64| {
            let mut publish = publish(id, "ops", "deployed");
            publish["key"] = json!("k");
            publish
        };
        bot.sends_all(&[keyed(1), keyed(2)]).await;
        bot.sees(published(1, "ops", 1)).await;
        for id in [2, 3] {
            if id == 3 {
                bot.sends(keyed(3)).await;
            }
            let mut again = published(id, "ops", 1);
            again["ok"]["dup"] = json!(true);
            bot.sees(again).await;
        }
        let seen = alice.sees_until_quiet().await;
        assert_eq!(seen.len(), 1, "{seen:?}");
        assert_eq!(seen[0]["key"], "k");
    }
}

#[tokio::test(start_paused = true)]
async fn a_room_stays_while_something_is_being_published_in_it() {
    let mut limits = unlimited();
    limits.empty_rooms = 0;
    let journal = SlowJournal::new(vec![Duration::from_secs(5), Duration::from_secs(5)]);
    let mut hub = crate::build(builder(limits).journal(journal));
    let mut bots = [
        outsider(&mut hub, "one").await,
        outsider(&mut hub, "two").await,
    ];
    let fields = json!({"cmd": "publish", "id": 1, "room": "ops", "text": "hi", "create": true});
    for bot in &mut bots {
        bot.sends(fields.clone()).await;
    }
    let mut seqs = Vec::new();
    for bot in &mut bots {
        seqs.push(bot.next().await["ok"]["seq"].as_u64());
    }
    seqs.sort_unstable();
    assert_eq!(seqs, [Some(1), Some(2)]);
    // Once the messages are published, the hub forgets the room like any other empty room.
    assert_eq!(hub.hub.stats().rooms, 0);
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_is_cut_leaves_nothing_open() {
    let mut hub = hub(unlimited());
    let mut bot = outsider(&mut hub, "bot").await;
    bot.sends(json!({"cmd": "publish", "room": "ops", "text": "", "create": true}))
        .await;
    bot.sees_until_quiet().await;
    assert_eq!(hub.hub.stats().rooms, 0);
    drop(bot);
    hub.ended().await;
    assert_eq!(hub.hub.sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_published_is_checked_like_what_is_said() {
    let mut hub = hub(unlimited());
    let mut alice = Program::join(&mut hub, "alice", &["ops"]).await;
    let mut bot = outsider(&mut hub, "bot").await;
    for (fields, code) in [
        (json!({"text": "hi"}), "bad_request"),
        (json!({"room": "ops"}), "bad_request"),
        (json!({"room": "ops", "text": "\u{1b}"}), "bad_request"),
        (json!({"room": "ops", "text": "x".repeat(5000)}), "too_long"),
        (
            json!({"room": "a b", "text": "hi", "create": true}),
            "bad_name",
        ),
        (
            json!({"room": "ops", "text": "hi", "key": ""}),
            "bad_request",
        ),
        (
            json!({"room": "ops", "text": "hi", "create": "yes"}),
            "bad_request",
        ),
    ] {
        let refused = bot.asks("publish", fields.clone()).await;
        assert_eq!(refused["err"]["code"], code, "{fields}");
    }
    alice.wire.sees_nothing().await;
    bot.does("publish", json!({"room": "ops", "text": "a\u{1b}[2Jb"}))
        .await;
    alice.sees(said("ops", 1, "bot", "a[2Jb")).await;
}

#[tokio::test(start_paused = true)]
async fn publishing_counts_against_the_rate() {
    let mut hub = hub(chat_core::Limits::default());
    let _alice = Program::join(&mut hub, "alice", &["ops"]).await;
    let mut bot = outsider(&mut hub, "bot").await;
    let start = Instant::now();
    // At most twenty lines are allowed at once, and then five lines each second. The hello was the first of the twenty
    // lines.
    let burst: Vec<_> = (0..29).map(|id| publish(id, "ops", "hi")).collect();
    bot.sends_all(&burst).await;
    for id in 0..29 {
        assert_eq!(bot.next().await["re"], id);
    }
    let took = start.elapsed().as_secs_f32();
    assert!((1.5..2.5).contains(&took), "{took} s");
}
