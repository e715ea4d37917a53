//! A command that a program executes in process, for a client of its own, gets the same answer as a command over a
//! connection.

use crate::program::Program;
use crate::{hub, unlimited};
use chat_core::{Event, SessionEvent, SessionEvents};
use serde_json::{Value, json};

async fn answer(session: &mut SessionEvents, command: &Value) -> Value {
    let answer = chat_json::answer(session, &command.to_string()).await;
    answer.map_or(Value::Null, |answer| serde_json::from_str(&answer).unwrap())
}

/// Returns the answer without the fields that differ between two hubs.
fn comparable(mut answer: Value) -> Value {
    for field in ["epoch", "ts"] {
        if answer["ok"][field].take() != Value::Null {
            answer["ok"][field] = json!(field);
        }
    }
    answer
}

#[tokio::test(start_paused = true)]
async fn each_command_is_answered_as_over_a_connection() {
    let commands = [
        json!({"cmd": "say", "id": 1, "room": "ops", "text": "before"}),
        json!({"cmd": "join", "id": 2, "room": "ops"}),
        json!({"cmd": "join", "id": "2a", "room": "a b"}),
        json!({"cmd": "say", "id": 3, "room": "ops", "text": "one", "key": "k"}),
        json!({"cmd": "say", "id": 4, "room": "ops", "text": "one", "key": "k"}),
        json!({"cmd": "say", "id": 5, "room": "ops", "text": "안녕"}),
        json!({"cmd": "say", "id": 6, "room": "ops", "text": " "}),
        json!({"cmd": "say", "id": 7, "room": "ops"}),
        json!({"cmd": "act", "id": 8, "room": "ops", "text": "waves"}),
        json!({"cmd": "topic", "id": 9, "room": "ops", "text": "on call"}),
        json!({"cmd": "topic", "id": 10, "room": "ops"}),
        json!({"cmd": "who", "id": 11, "room": "ops"}),
        json!({"cmd": "rooms", "id": 12}),
        json!({"cmd": "rooms", "id": 13, "limit": 0}),
        json!({"cmd": "history", "id": 14, "room": "ops", "limit": 2}),
        json!({"cmd": "history", "id": 15, "room": "ops", "after": {"seq": 1}, "limit": 2}),
        json!({"cmd": "history", "id": 16, "room": "ops", "after": {"epoch": "0", "seq": 1}}),
        json!({"cmd": "search", "id": 17, "room": "ops", "text": "안녕"}),
        json!({"cmd": "tell", "id": 18, "to": "nobody", "text": "psst"}),
        json!({"cmd": "nick", "id": 19, "nick": "lee"}),
        json!({"cmd": "nick", "id": 20, "nick": "l e e"}),
        json!({"cmd": "mode", "id": 30, "room": "ops"}),
        json!({"cmd": "mode", "id": 31, "room": "ops", "set": "+moderated +key k +limit 7 +secret"}),
        json!({"cmd": "mode", "id": 32, "room": "ops", "set": "+ban a +quiet b"}),
        json!({"cmd": "mode", "id": 33, "room": "ops", "set": "+moderated"}),
        json!({"cmd": "mode", "id": 34, "room": "ops", "set": "+loud"}),
        json!({"cmd": "mode", "id": 35, "room": "ops", "set": "-ban a -quiet b"}),
        json!({"cmd": "mode", "id": 36, "room": "ops"}),
        json!({"cmd": "mode", "id": 37, "room": "nowhere"}),
        json!({"cmd": "kick", "id": 38, "room": "ops", "nick": "nobody"}),
        json!({"cmd": "kick", "id": 39, "room": "ops"}),
        json!({"cmd": "kick", "id": 40, "room": "nowhere", "nick": "kim"}),
        json!({"cmd": "invite", "id": 41, "room": "ops", "nick": "nobody"}),
        json!({"cmd": "invite", "id": 42, "room": "ops", "nick": "lee"}),
        json!({"cmd": "rooms", "id": 43}),
        json!({"cmd": "leave", "id": 44, "room": "ops"}),
        json!({"cmd": "rooms", "id": 45}),
        json!({"cmd": "who", "id": 46, "room": "ops"}),
        json!({"cmd": "mode", "id": 47, "room": "ops"}),
        json!({"cmd": "join", "id": 48, "room": "ops"}),
        json!({"cmd": "join", "id": 49, "room": "ops", "key": "k"}),
        json!({"cmd": "ping", "id": 21}),
        json!({"cmd": "leave", "id": 22, "room": "ops"}),
        json!({"cmd": "leave", "id": 23, "room": "ops"}),
        json!({"cmd": "dance", "id": 24}),
        json!({"cmd": "who", "room": "nowhere"}),
        json!({"id": 25}),
        json!(["join", 26]),
        json!("join"),
    ];
    let mut over_the_wire = hub(unlimited());
    let mut program = Program::join(&mut over_the_wire, "kim", &["lobby"]).await;
    let in_process = hub(unlimited());
    let session = in_process.hub.session(Some("kim")).await.unwrap();
    let mut session = session.into_events();
    session.join("lobby").await.unwrap();
    for command in &commands {
        program.sends(command.clone()).await;
        let mut over_connection = program.next().await;
        while over_connection["ev"] != Value::Null {
            over_connection = program.next().await;
        }
        let answer = answer(&mut session, command).await;
        assert_eq!(comparable(answer), comparable(over_connection), "{command}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_without_an_id_is_answered_only_if_it_is_refused() {
    let hub = hub(unlimited());
    let session = hub.hub.session(Some("kim")).await.unwrap();
    let mut session = session.into_events();
    let join = json!({"cmd": "join", "room": "ops"});
    assert_eq!(answer(&mut session, &join).await, Value::Null);
    let refused = answer(&mut session, &join).await;
    assert_eq!(refused["err"]["code"], "denied");
    for (command, code) in [
        (json!({"cmd": "hello", "v": 1}), "bad_request"),
        (
            json!({"cmd": "publish", "room": "dev", "text": "x"}),
            "bad_request",
        ),
        (
            json!({"cmd": "act", "room": "ops", "text": "x", "key": "k"}),
            "bad_request",
        ),
    ] {
        assert_eq!(
            answer(&mut session, &command).await["err"]["code"],
            code,
            "{command}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn quit_leaves_all_rooms_of_a_session_in_process() {
    let hub = hub(unlimited());
    let lee = hub.hub.session(Some("lee")).await.unwrap();
    let mut lee = lee.into_events();
    lee.join("ops").await.unwrap();
    let session = hub.hub.session(Some("kim")).await.unwrap();
    let mut session = session.into_events();
    session.join("ops").await.unwrap();
    let quit = answer(&mut session, &json!({"cmd": "quit", "id": 1})).await;
    assert_eq!(quit, json!({"re": 1, "ok": {}}));
    let mut changes = Vec::new();
    for _ in 0..2 {
        if let Some(SessionEvent::Room(_, Event::Presence(presence))) = lee.next().await {
            changes.push(format!("{:?}", presence.change));
        }
    }
    assert_eq!(changes, ["Joined", "Left { reason: None }"]);
}
