//! Two hubs share one log. A message that a client repeats on the other hub under the same key is published only once.

use crate::program::Program;
use crate::{build, builder, unlimited};
use chat_testkit::{SharedJournal, TestHub};
use serde_json::{Value, json};
use std::time::Duration;

/// Returns two hubs on the same journal.
fn hubs(shared: &SharedJournal) -> [TestHub; 2] {
    [1, 2].map(|node| build(builder(unlimited()).journal(shared.node(node))))
}

/// Connects a program that sends this token and joins `ops`.
async fn join(hub: &mut TestHub, nick: &str, token: &str) -> Program {
    let fields = json!({"nick": nick, "token": token, "join": [{"room": "ops"}]});
    Program::hello(hub, fields).await.0
}

/// Publishes a text under a key. Returns the result, and the texts that the program received before the result.
async fn say(program: &mut Program, text: &str, key: &str) -> (Value, Vec<String>) {
    let line = json!({"cmd": "say", "id": 7, "room": "ops", "text": text, "key": key});
    program.sends(line).await;
    let mut told = Vec::new();
    loop {
        let mut seen = program.next().await;
        if seen["re"] == 7 {
            return (seen["ok"].take(), told);
        }
        told.extend(text_of(&seen));
    }
}

fn text_of(event: &Value) -> Option<String> {
    let is_said = event["ev"] == "said";
    is_said.then(|| event["text"].as_str().unwrap().to_owned())
}

/// Returns the texts that a program receives until nothing more arrives.
async fn settled(program: &mut Program) -> Vec<Value> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    program.sees_until_quiet().await
}

const TOKEN: &str = "u9Ksv0nJm3xTqL5cAAAA";

#[tokio::test(start_paused = true)]
async fn a_key_holds_on_all_hubs_that_share_a_log() {
    for seed in 0..20 {
        let shared = SharedJournal::new(seed);
        let [mut here, mut there] = hubs(&shared);
        let mut bot = join(&mut here, "bot", TOKEN).await;
        let mut twin = join(&mut there, "bot", TOKEN).await;
        let mut alice = join(&mut here, "alice", "another token of alice").await;
        let (first, _) = say(&mut bot, "deployed", "k").await;
        assert!(first.get("dup").is_none(), "{first}");
        let (again, mut told) = say(&mut twin, "deployed", "k").await;
        assert_eq!(again["dup"], true, "seed {seed}: {again}");
        assert_eq!(again["seq"], first["seq"], "seed {seed}");
        // Under the same key, another client publishes another message. Under another key, the same client does, too.
        let (other, before) = say(&mut alice, "mine", "k").await;
        assert!(other.get("dup").is_none(), "{other}");
        let (next, later) = say(&mut twin, "next", "k2").await;
        assert!(next.get("dup").is_none(), "{next}");
        told.extend(later);
        told.extend(settled(&mut twin).await.iter().filter_map(text_of));
        assert_eq!(told, ["deployed", "mine"], "seed {seed}");
        let told = settled(&mut alice).await;
        let told: Vec<_> = before
            .into_iter()
            .chain(told.iter().filter_map(text_of))
            .collect();
        assert_eq!(told, ["deployed", "next"], "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_said_at_once_on_two_hubs_is_said_once() {
    for seed in 0..20 {
        let shared = SharedJournal::new(seed);
        let [mut here, mut there] = hubs(&shared);
        let mut bot = join(&mut here, "bot", TOKEN).await;
        let mut twin = join(&mut there, "bot", TOKEN).await;
        let ((one, _), (other, _)) =
            tokio::join!(say(&mut bot, "now", "k"), say(&mut twin, "now", "k"));
        assert_eq!(one["seq"], other["seq"], "seed {seed}");
        let are_duplicates = [&one, &other].map(|said| said.get("dup").is_some());
        assert!(are_duplicates[0] != are_duplicates[1], "{one} {other}");
        settled(&mut bot).await;
        let mut late = join(&mut here, "late", "a token of a latecomer").await;
        let page = late.does("history", json!({"room": "ops"})).await;
        assert_eq!(page["messages"].as_array().unwrap().len(), 1, "{page}");
    }
}

/// The messages of a burst, some of them with keys, are answered in order.
#[tokio::test(start_paused = true)]
async fn a_burst_is_published_in_its_order() {
    let shared = SharedJournal::new(4);
    let [mut here, mut there] = hubs(&shared);
    let mut bot = join(&mut here, "bot", TOKEN).await;
    let mut alice = join(&mut there, "alice", "another token of alice").await;
    let say = |id: u64, key: Option<&str>| {
        let mut line = json!({"cmd": "say", "id": id, "room": "ops", "text": format!("{id}")});
        if let Some(key) = key {
            line["key"] = json!(key);
        }
        line
    };
    let burst = [
        say(1, None),
        say(2, Some("a")),
        say(3, Some("b")),
        say(4, None),
        say(5, None),
        say(6, Some("a")),
    ];
    for line in burst {
        bot.sends(line).await;
    }
    let seen = settled(&mut bot).await;
    let answered: Vec<_> = seen
        .iter()
        .filter_map(|reply| reply["re"].as_u64())
        .collect();
    assert_eq!(answered, [1, 2, 3, 4, 5, 6], "{seen:?}");
    let told: Vec<_> = settled(&mut alice)
        .await
        .iter()
        .filter_map(text_of)
        .collect();
    assert_eq!(told, ["1", "2", "3", "4", "5"]);
}
