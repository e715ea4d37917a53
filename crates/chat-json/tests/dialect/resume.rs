//! Joining again: later messages are replayed, and messages that are no longer in the log are reported as a gap.

use crate::program::Program;
use crate::{hub, replayed, said, unlimited};
use chat_testkit::TestHub;
use serde_json::{Value, json};
use std::num::NonZeroUsize;

/// Lets alice publish `count` messages in `ops`.
async fn says_many(alice: &mut Program, count: u64) {
    for _ in 0..count {
        alice.says("ops", "something").await;
    }
}

fn gap(from: impl Into<Option<u64>>, to: impl Into<Option<u64>>, why: &str) -> Value {
    json!({"ev": "gap", "room": "ops", "from": from.into(), "to": to.into(), "why": why})
}

/// Connects the program `bot`, which joins `ops` with the fields of `join`. Returns the program, and the description of
/// `ops` in the server's welcome.
async fn comes_back(hub: &mut TestHub, mut join: Value) -> (Program, Value) {
    join["room"] = json!("ops");
    let (bot, mut welcome) = Program::hello(hub, json!({"nick": "bot", "join": [join]})).await;
    (bot, welcome["rooms"][0].take())
}

/// Expects that the messages from `first` to `last` are replayed, and that later messages arrive live.
async fn sees_and_goes_live(bot: &mut Program, alice: &mut Program, first: u64, last: u64) {
    for seq in first..=last {
        bot.sees(replayed("ops", seq, "alice", "something")).await;
    }
    let seq = alice.says("ops", "now").await;
    bot.sees(said("ops", seq, "alice", "now")).await;
}

#[tokio::test(start_paused = true)]
async fn a_resume_replays_exactly_what_followed() {
    let mut hub = hub(unlimited());
    let mut alice = Program::join(&mut hub, "alice", &["ops"]).await;
    says_many(&mut alice, 300).await;
    for after in [0, 1, 150, 299, 300] {
        let position = json!({"after": {"seq": after}});
        let (mut bot, room) = comes_back(&mut hub, position).await;
        assert_eq!(room["recovered"], true);
        let end = room["seq"].as_u64().unwrap();
        let mut seq = after;
        while seq < end {
            let event = bot.next().await;
            seq += 1;
            assert_eq!(
                (&event["seq"], &event["replay"]),
                (&json!(seq), &json!(true))
            );
        }
        bot.wire.sees_nothing().await;
        // The result is the same if the program sends the epoch too.
        bot.does("leave", json!({"room": "ops"})).await;
        let epoch = &room["epoch"];
        let again = json!({"room": "ops", "after": {"epoch": epoch, "seq": end}});
        assert_eq!(bot.does("join", again).await["recovered"], true);
        alice.sees_until_quiet().await;
        let seq = alice.says("ops", "now").await;
        bot.sees(said("ops", seq, "alice", "now")).await;
        bot.does("quit", json!({})).await;
        alice.sees_until_quiet().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_that_no_longer_reaches_back_is_told_as_a_gap() {
    let mut limits = unlimited();
    limits.journal_messages = NonZeroUsize::new(10).unwrap();
    let mut hub = hub(limits);
    let mut alice = Program::join(&mut hub, "alice", &["ops"]).await;
    says_many(&mut alice, 30).await;
    let (mut bot, room) = comes_back(&mut hub, json!({"after": {"seq": 7}})).await;
    assert_eq!(room["recovered"], false);
    bot.sees(gap(8, 20, "expired")).await;
    alice.sees_until_quiet().await;
    sees_and_goes_live(&mut bot, &mut alice, 21, 30).await;
}

#[tokio::test(start_paused = true)]
async fn a_position_of_another_epoch_is_told_as_a_gap_and_shown_all_there_is() {
    let mut limits = unlimited();
    // The hub forgets a room and its log as soon as the room has no members.
    limits.empty_rooms = 0;
    let mut hub = hub(limits);
    let mut alice = Program::join(&mut hub, "alice", &["ops"]).await;
    says_many(&mut alice, 5).await;
    let who = json!({"room": "ops"});
    alice.does("leave", who.clone()).await;
    alice.does("join", who.clone()).await;
    says_many(&mut alice, 3).await;
    let (mut bot, room) = comes_back(&mut hub, json!({"limit": 0})).await;
    assert_eq!(room["seq"], 3, "the room began anew");
    bot.does("leave", who.clone()).await;
    let position = json!({"room": "ops", "after": {"epoch": "z00", "seq": 2}});
    let room = bot.does("join", position).await;
    assert_eq!(room["recovered"], false);
    bot.sees(gap(None, None, "epoch")).await;
    alice.sees_until_quiet().await;
    sees_and_goes_live(&mut bot, &mut alice, 1, 3).await;
}

#[tokio::test(start_paused = true)]
async fn a_position_that_the_log_has_not_reached_is_told_as_a_gap() {
    let mut hub = hub(unlimited());
    let mut alice = Program::join(&mut hub, "alice", &["ops"]).await;
    says_many(&mut alice, 3).await;
    let (mut bot, room) = comes_back(&mut hub, json!({"after": {"seq": 4}})).await;
    assert_eq!(room["recovered"], false);
    bot.sees(gap(None, None, "epoch")).await;
    alice.sees_until_quiet().await;
    sees_and_goes_live(&mut bot, &mut alice, 1, 3).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_limit_leaves_out_is_told_as_a_gap() {
    let mut hub = hub(unlimited());
    let mut alice = Program::join(&mut hub, "alice", &["ops"]).await;
    says_many(&mut alice, 100).await;
    for (limit, first) in [(0, 101), (1, 100), (40, 61), (100, 1), (5000, 1)] {
        let join = json!({"after": {"seq": 0}, "limit": limit});
        let (mut bot, room) = comes_back(&mut hub, join).await;
        assert_eq!(room["recovered"], first == 1, "{limit}");
        if first > 1 {
            bot.sees(gap(1, first - 1, "limit")).await;
        }
        for seq in first..=100 {
            bot.sees(replayed("ops", seq, "alice", "something")).await;
        }
        bot.wire.sees_nothing().await;
        bot.does("quit", json!({})).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_without_a_position_replays_the_latest() {
    let mut hub = hub(unlimited());
    let mut alice = Program::join(&mut hub, "alice", &["ops"]).await;
    says_many(&mut alice, 100).await;
    for (limit, first) in [(0, 101), (3, 98), (70, 31), (5000, 1)] {
        let (mut bot, room) = comes_back(&mut hub, json!({"limit": limit})).await;
        assert_eq!(room.get("recovered"), None);
        for seq in first..=100 {
            bot.sees(replayed("ops", seq, "alice", "something")).await;
        }
        bot.wire.sees_nothing().await;
        bot.does("quit", json!({})).await;
    }
}

#[tokio::test(start_paused = true)]
async fn several_rooms_are_replayed_before_anything_is_live() {
    let mut hub = hub(unlimited());
    let rooms = ["one", "two", "three"];
    let mut alice = Program::join(&mut hub, "alice", &rooms).await;
    for number in 0..40 {
        for room in rooms {
            alice.says(room, &format!("{number}")).await;
        }
    }
    let join: Vec<_> = rooms
        .iter()
        .zip([0, 10, 40])
        .map(|(room, seq)| json!({"room": room, "after": {"seq": seq}}))
        .collect();
    let mut bot = Program::connect(&mut hub, "bot");
    let hello = json!({"cmd": "hello", "id": 1, "nick": "bot", "join": join});
    bot.sends(hello).await;
    for room in rooms {
        alice
            .sends(json!({"cmd": "say", "room": room, "text": "now"}))
            .await;
    }
    let welcome = bot.next().await;
    assert_eq!(welcome["re"], 1);
    let events = bot.sees_until_quiet().await;
    for (room, after) in rooms.iter().zip([0, 10, 40]) {
        let of_room = events.iter().filter(|event| event["room"] == *room);
        let seqs: Vec<_> = of_room
            .map(|event| event["seq"].as_u64().unwrap())
            .collect();
        assert_eq!(seqs, Vec::from_iter(after + 1..=41), "{room}");
    }
    let live = events.iter().skip_while(|event| event["replay"] == true);
    assert!(live.clone().all(|event| event.get("replay").is_none()));
    assert!(live.count() <= 3);
}

/// Returns the positions of the messages of a page.
fn seqs(page: &Value) -> Vec<u64> {
    let messages = page["messages"].as_array().unwrap().iter();
    messages
        .map(|message| message["seq"].as_u64().unwrap())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn history_read_in_pages_covers_a_log_exactly_once() {
    let mut hub = hub(unlimited());
    let mut alice = Program::join(&mut hub, "alice", &["ops"]).await;
    let long = "\\".repeat(4000);
    for number in 0..120 {
        let text = if number % 3 == 0 { &*long } else { "short" };
        alice.says("ops", text).await;
    }
    for limit in [1, 7, 50, 1000] {
        let (mut back, mut before) = (Vec::new(), 121);
        loop {
            let ask = json!({"room": "ops", "before": before, "limit": limit});
            let page = seqs(&alice.does("history", ask).await);
            assert!(page.len() <= limit);
            let Some(first) = page.first() else { break };
            before = *first;
            back.splice(0..0, page);
        }
        assert_eq!(back, Vec::from_iter(1..=120), "before, by {limit}");
        let (mut forth, mut after) = (Vec::new(), 0);
        loop {
            let ask = json!({"room": "ops", "after": {"seq": after}, "limit": limit});
            let page = seqs(&alice.does("history", ask).await);
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            after = *last;
            forth.extend(page);
        }
        assert_eq!(forth, Vec::from_iter(1..=120), "after, by {limit}");
    }
    let latest = alice.does("history", json!({"room": "ops"})).await;
    assert_eq!(seqs(&latest).last(), Some(&120));
}

#[tokio::test(start_paused = true)]
async fn history_tells_what_the_log_no_longer_holds() {
    let mut limits = unlimited();
    limits.journal_messages = NonZeroUsize::new(10).unwrap();
    let mut hub = hub(limits);
    let mut alice = Program::join(&mut hub, "alice", &["ops"]).await;
    says_many(&mut alice, 30).await;
    let ask = json!({"room": "ops", "after": {"seq": 3}, "limit": 2});
    let page = alice.does("history", ask).await;
    assert_eq!(page["gap"], json!({"from": 4, "to": 20}));
    assert_eq!(seqs(&page), [21, 22]);
    let ask = json!({"room": "ops", "before": 21});
    let page = alice.does("history", ask).await;
    assert!(seqs(&page).is_empty());
    let ask = json!({"room": "ops", "after": {"epoch": "z00", "seq": 3}});
    assert_eq!(alice.asks("history", ask).await["err"]["code"], "not_found");
}

#[tokio::test(start_paused = true)]
async fn lag_is_repaired_as_if_nothing_had_been_and_who_is_there_is_told_anew() {
    let mut limits = unlimited();
    limits.ring_batches = NonZeroUsize::new(8).unwrap();
    limits.queue_bytes = NonZeroUsize::new(1024).unwrap();
    let mut hub = hub(limits);
    let mut alice = Program::join(&mut hub, "alice", &["ops"]).await;
    let mut slow = Program::over(hub.connect_with("slow", 1000));
    let join = json!([{"room": "ops"}]);
    slow.does("hello", json!({"nick": "slow", "join": join}))
        .await;
    alice.sees_until_quiet().await;
    for _ in 0..100 {
        alice.says("ops", "something").await;
    }
    let kim = Program::join(&mut hub, "kim", &["ops"]).await;
    alice.sees_until_quiet().await;
    let mut seq = 0;
    let mut is_told = false;
    while seq < 100 {
        let event = slow.next().await;
        if event["ev"] == "present" {
            let members = json!(["alice", "slow", "kim"]);
            let present = json!({
                "ev": "present", "room": "ops", "count": 3, "members": members,
                "roles": {"alice": "operator"},
            });
            assert_eq!(event, present);
            is_told = true;
        } else {
            seq += 1;
            assert_eq!(event, said("ops", seq, "alice", "something"));
        }
    }
    let rest = slow.sees_until_quiet().await;
    assert!(is_told || rest.iter().any(|event| event["ev"] == "present"));
    let seq = alice.says("ops", "now").await;
    slow.sees(said("ops", seq, "alice", "now")).await;
    drop(kim);
}
