//! Programs and plain members in the same rooms, the order of replies, and hellos of every size.

use crate::program::Program;
use crate::{hub, said, unlimited};
use chat_core::Limits;
use chat_testkit::{NOW, Wire};
use serde_json::{Value, json};

#[tokio::test(start_paused = true)]
async fn the_welcome_names_the_lobby_and_has_the_operators_words() {
    let builder = crate::builder(unlimited());
    let lobby = chat_core::RoomName::parse("교실").unwrap();
    let builder = builder.lobby(lobby).motd("환영합니다\nbe kind");
    let mut hub = crate::build(builder);
    let (mut kim, welcome) = Program::hello(&mut hub, json!({"nick": "kim"})).await;
    assert_eq!(welcome["lobby"], "교실");
    assert_eq!(welcome["motd"], json!(["환영합니다", "be kind"]));
    assert_eq!(welcome["rooms"], json!([]), "it did not ask for it");
    kim.sees_until_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn people_raw_sockets_and_programs_see_the_same_messages_in_the_same_order() {
    let mut hub = hub(unlimited());
    let mut people = [hub.member("alice").await, hub.member("kim").await];
    let mut raw = hub.connect("raw");
    raw.sends_bytes(b"hello").await;
    raw.sees_in_time("14:02 guest-3: hello").await;
    let mut bot = Program::join(&mut hub, "bot", &["lobby"]).await;
    let mut echo = Program::hello(
        &mut hub,
        json!({"nick": "echo", "echo": true, "join": [{"room": "lobby"}]}),
    )
    .await
    .0;
    for wire in people.iter_mut().chain([&mut raw]) {
        wire.sees_until_quiet().await;
    }
    bot.sees_until_quiet().await;
    echo.sees_until_quiet().await;

    let spoken = say_thirty(&mut people[0], &mut raw, &mut bot, &mut echo).await;
    let order = echo.sees_until_quiet().await;
    assert_eq!(order.len(), spoken.len());
    let of_others = |name: &str| {
        let order: Vec<Value> = order.clone();
        let name = name.to_owned();
        order
            .into_iter()
            .filter(move |event| event["from"] != *name)
    };
    let in_plain = |event: &Value| {
        let (from, text) = (
            event["from"].as_str().unwrap(),
            event["text"].as_str().unwrap(),
        );
        format!("14:02 {from}: {text}")
    };
    let seen: Vec<Value> = of_others("bot").collect();
    assert_eq!(bot.sees_until_quiet().await, seen);
    let seen: Vec<String> = of_others("alice").map(|event| in_plain(&event)).collect();
    assert_eq!(people[0].sees_until_quiet().await, seen);
    let seen: Vec<String> = order.iter().map(in_plain).collect();
    assert_eq!(people[1].sees_until_quiet().await, seen);
    assert_eq!(
        raw.sees_until_quiet().await,
        seen,
        "its own come back to it"
    );
    let mut texts: Vec<_> = order
        .iter()
        .map(|event| event["text"].as_str().unwrap())
        .collect();
    let mut expected: Vec<_> = spoken.iter().map(|(_, text)| &**text).collect();
    texts.sort_unstable();
    expected.sort_unstable();
    assert_eq!(texts, expected);
}

/// Lets the four members publish thirty messages in turn. Returns the author and the text of each message.
async fn say_thirty(
    alice: &mut Wire,
    raw: &mut Wire,
    bot: &mut Program,
    echo: &mut Program,
) -> Vec<(&'static str, String)> {
    let mut spoken = Vec::new();
    for number in 0..30 {
        let text = format!("number {number}");
        let author = match number % 4 {
            0 => {
                alice.sends(&text).await;
                "alice"
            }
            1 => {
                raw.sends_bytes(text.as_bytes()).await;
                "guest-3"
            }
            2 => {
                bot.sends(json!({"cmd": "say", "room": "lobby", "text": text}))
                    .await;
                "bot"
            }
            _ => {
                echo.sends(json!({"cmd": "say", "room": "lobby", "text": text}))
                    .await;
                "echo"
            }
        };
        spoken.push((author, text));
        // The server takes two writes of a raw socket as one message unless there is silence between the writes.
        if number % 4 == 1 {
            tokio::time::sleep(std::time::Duration::from_millis(60)).await;
        }
    }
    spoken
}

#[tokio::test(start_paused = true)]
async fn each_dialect_shows_everything_in_its_own_form() {
    let mut hub = hub(unlimited());
    let mut alice = hub.member("alice").await;
    let mut bot = Program::join(&mut hub, "bot", &["lobby"]).await;
    alice.sees("* bot joined").await;
    bot.does("act", json!({"room": "lobby", "text": "waves"}))
        .await;
    alice.sees("14:02 * bot waves").await;
    bot.does("tell", json!({"to": "alice", "text": "psst"}))
        .await;
    alice.sees("14:02 bot -> you: psst").await;
    bot.does("topic", json!({"room": "lobby", "text": "tea"}))
        .await;
    alice.sees("* bot set the topic: tea").await;
    assert_eq!(bot.next().await["ev"], "topic");
    bot.does("nick", json!({"nick": "robot"})).await;
    alice.sees("* bot is now robot").await;
    alice.sends("/me waves back").await;
    assert_eq!(bot.next().await["ev"], "acted");
    alice.sends("/msg robot psst").await;
    assert_eq!(bot.next().await["ev"], "told");
    alice.sends("/nick ann").await;
    bot.sees(json!({"ev": "renamed", "room": "lobby", "nick": "alice", "to": "ann"}))
        .await;
    alice.sends("/join ops").await;
    bot.sees(json!({"ev": "left", "room": "lobby", "nick": "ann", "reason": null}))
        .await;
    alice.sends("/leave").await;
    bot.sees(json!({"ev": "joined", "room": "lobby", "nick": "ann"}))
        .await;
    alice.sends("/quit lunch").await;
    bot.sees(json!({"ev": "left", "room": "lobby", "nick": "ann", "reason": "lunch"}))
        .await;
}

#[tokio::test(start_paused = true)]
async fn own_messages_come_back_only_to_those_who_want_them() {
    let mut hub = hub(unlimited());
    for echo in [Some(true), Some(false), None] {
        let mut fields = json!({"nick": "bot", "join": [{"room": "ops"}]});
        if let Some(echo) = echo {
            fields["echo"] = json!(echo);
        }
        let (mut bot, _) = Program::hello(&mut hub, fields).await;
        bot.sends(json!({"cmd": "say", "id": 1, "room": "ops", "text": "a"}))
            .await;
        let mut seen = bot.sees_until_quiet().await;
        seen.sort_by_key(|object| object.get("ev").is_some());
        let seq = seen[0]["ok"]["seq"].as_u64().unwrap();
        if echo == Some(true) {
            assert_eq!(seen[1..], [said("ops", seq, "bot", "a")]);
        } else {
            assert_eq!(seen.len(), 1, "{seen:?}");
        }
        bot.does("quit", json!({})).await;
    }
}

#[tokio::test(start_paused = true)]
async fn replies_come_in_the_order_of_the_commands_one_for_each_id() {
    let mut hub = hub(unlimited());
    let mut bot = Program::join(&mut hub, "bot", &["ops", "dev"]).await;
    let say =
        |id, room: &str, text: &str| json!({"cmd": "say", "id": id, "room": room, "text": text});
    let burst = [
        say(1, "ops", "a"),
        say(2, "ops", &"x".repeat(4097)),
        say(3, "ops", "b"),
        json!({"cmd": "who", "id": 4, "room": "ops"}),
        say(5, "ops", "c"),
        json!({"cmd": "frob", "id": 6}),
        say(7, "ops", "d"),
        say(8, "dev", "e"),
        json!({"id": 9}),
        say(10, "ops", "f"),
        json!({"cmd": "say", "room": "ops", "text": "without id"}),
        json!({"cmd": "topic", "id": 11, "room": "ops", "text": "tea"}),
        say(12, "ops", "g"),
        json!({"cmd": "leave", "id": 13, "room": "ops"}),
        say(14, "ops", "gone"),
        say(15, "dev", ""),
        json!({"cmd": "hello", "id": 16}),
        say(17, "dev", "h"),
    ];
    bot.sends_all(&burst).await;
    let seen = bot.sees_until_quiet().await;
    let replies: Vec<_> = seen
        .iter()
        .filter(|object| object.get("ev").is_none())
        .collect();
    let outcomes: Vec<_> = replies
        .iter()
        .map(|reply| {
            let code = reply["err"]["code"].as_str().unwrap_or("ok");
            (reply["re"].as_u64().unwrap(), code)
        })
        .collect();
    assert_eq!(
        outcomes,
        [
            (1, "ok"),
            (2, "too_long"),
            (3, "ok"),
            (4, "ok"),
            (5, "ok"),
            (6, "unknown_cmd"),
            (7, "ok"),
            (8, "ok"),
            (9, "bad_request"),
            (10, "ok"),
            (11, "ok"),
            (12, "ok"),
            (13, "ok"),
            (14, "denied"),
            (15, "bad_request"),
            (16, "bad_request"),
            (17, "ok"),
        ]
    );
    let mut last = 0;
    for reply in &replies {
        if reply["ok"]["room"] == "ops"
            && let Some(seq) = reply["ok"]["seq"].as_u64()
        {
            assert!(seq > last, "{reply}");
            last = seq;
        }
    }
}

/// Returns a hello that joins `rooms` rooms. The name of each room has `name_bytes` bytes.
fn big_hello(rooms: usize, name_bytes: usize) -> String {
    let join: Vec<_> = (0..rooms)
        .map(|number| {
            let name = format!("r{number}");
            let room = format!("{name}{}", "x".repeat(name_bytes - name.len()));
            json!({"room": room, "after": {"epoch": "3w5e11264sgsf", "seq": 1_000_000 + number}, "limit": 1000})
        })
        .collect();
    // `json!` would sort the fields.
    format!(
        "{{\"cmd\":\"hello\",\"id\":1,\"nick\":\"bot\",\"join\":{}}}\n",
        Value::from(join)
    )
}

#[tokio::test(start_paused = true)]
async fn a_hello_may_join_64_rooms_however_long_it_gets_and_however_it_comes() {
    for (name_bytes, bytes) in [(4, 1024), (64, 8192)] {
        let hello = big_hello(64, name_bytes);
        assert!(hello.len() > bytes);
        for limits in [Limits::default(), unlimited()] {
            for piece in [1, 100, 1000, 5000, hello.len()] {
                let mut hub = hub(limits.clone());
                let mut bot = Program::connect(&mut hub, "bot");
                for piece in hello.as_bytes().chunks(piece) {
                    bot.wire.sends_bytes(piece).await;
                    tokio::task::yield_now().await;
                }
                let welcome = bot.next().await;
                assert_eq!(welcome["ok"]["nick"], "bot", "{welcome}");
                let rooms = welcome["ok"]["rooms"].as_array().unwrap();
                assert_eq!(rooms.len(), 64);
                for (number, room) in rooms.iter().enumerate() {
                    let name = room["room"].as_str().unwrap();
                    assert!(name.starts_with(&format!("r{number}")));
                    assert_eq!(room["recovered"], false);
                    assert_eq!(room["count"], 1);
                }
                for room in rooms {
                    let gap = bot.next().await;
                    assert_eq!((&gap["ev"], &gap["room"]), (&json!("gap"), &room["room"]));
                }
                bot.does("ping", json!({})).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_room_that_cant_be_joined_does_not_keep_a_hello_from_the_others() {
    let mut hub = hub(unlimited());
    let names = ["ops", "a b", "", "OPS", "dev", "\u{202e}x"];
    let mut join: Vec<_> = names.iter().map(|name| json!({"room": name})).collect();
    join.extend((0..63).map(|number| json!({"room": format!("r{number}")})));
    let hello = json!({"nick": "bot", "join": join});
    let (mut bot, welcome) = Program::hello(&mut hub, hello).await;
    let rooms = welcome["rooms"].as_array().unwrap();
    let code = |at: usize| rooms[at]["err"]["code"].as_str().unwrap_or("ok");
    let codes: Vec<_> = (0..names.len()).map(code).collect();
    assert_eq!(
        codes,
        ["ok", "bad_name", "bad_name", "denied", "ok", "bad_name"]
    );
    assert_eq!(rooms.len(), 69);
    assert_eq!((code(67), code(68)), ("ok", "full"), "64 rooms");
    bot.says("dev", "a").await;
    bot.does("leave", json!({"room": "dev"})).await;
    bot.does("join", json!({"room": "r62"})).await;
}

#[tokio::test(start_paused = true)]
async fn several_rooms_on_one_connection_each_have_their_own_order() {
    let mut hub = hub(unlimited());
    let mut bot = Program::join(&mut hub, "bot", &["ops", "dev"]).await;
    let mut alice = Program::join(&mut hub, "alice", &["ops", "dev"]).await;
    for seq in 1..=20 {
        for room in ["ops", "dev"] {
            assert_eq!(alice.says(room, "a").await, seq);
        }
    }
    let events = bot.sees_until_quiet().await;
    for room in ["ops", "dev"] {
        let of_room = events.iter().filter(|event| event["room"] == room);
        let of_room: Vec<_> = of_room.cloned().collect();
        assert_eq!(
            of_room[0],
            json!({"ev": "joined", "room": room, "nick": "alice"})
        );
        let expected: Vec<_> = (1..=20).map(|seq| said(room, seq, "alice", "a")).collect();
        assert_eq!(of_room[1..], expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_program_that_was_greeted_as_a_person_may_still_say_hello() {
    let mut hub = hub(unlimited());
    let mut bot = Program::connect(&mut hub, "bot");
    let greeting = bot.wire.next_line().await.unwrap();
    assert!(greeting.starts_with("* you are guest-1"), "{greeting}");
    bot.wire.sees("* nobody else is here yet").await;
    let welcome = bot
        .does("hello", json!({"nick": "bot", "join": [{"room": "ops"}]}))
        .await;
    assert_eq!(welcome["rooms"][0]["members"], json!(["bot"]));
    let rooms = bot.does("rooms", json!({})).await;
    assert_eq!(
        rooms["rooms"].as_array().unwrap().len(),
        1,
        "it left the lobby"
    );
}

#[tokio::test(start_paused = true)]
async fn every_command_takes_a_room_as_a_client_spells_it() {
    let mut hub = hub(unlimited());
    let mut bot = Program::join(&mut hub, "bot", &["#Ops"]).await;
    for room in ["#ops", "OPS", "ops", "#OPS"] {
        let fields = || json!({"room": room});
        let text = || json!({"room": room, "text": "build"});
        for (cmd, fields) in [
            ("say", text()),
            ("act", text()),
            ("topic", text()),
            ("topic", fields()),
            ("who", fields()),
            ("history", fields()),
            ("search", text()),
        ] {
            let answer = bot.asks(cmd, fields).await;
            assert_eq!(answer["ok"]["room"], "Ops", "{cmd} {room}: {answer}");
            if cmd == "topic" && bot_set_it(&answer) {
                // The member that sets a topic receives the event of the topic too.
                bot.next().await;
            }
        }
        bot.does("leave", fields()).await;
        let joined = bot.does("join", fields()).await;
        assert_eq!(joined["room"], "Ops", "{room}");
    }
    for room in ["##ops", "# ops", "ops#"] {
        let answer = bot.asks("say", json!({"room": room, "text": "x"})).await;
        assert_eq!(answer["err"]["code"], "denied", "{room}");
    }
}

fn bot_set_it(answer: &Value) -> bool {
    answer["ok"]["seq"].is_u64()
}

#[tokio::test(start_paused = true)]
async fn a_line_break_inside_a_text_becomes_one_space() {
    let mut hub = hub(unlimited());
    let mut alice = Program::join(&mut hub, "alice", &["ops"]).await;
    let mut bot = Program::join(&mut hub, "bot", &["ops"]).await;
    alice.next().await;
    for (seq, (text, stored)) in [
        ("x\ny", "x y"),
        ("x\r\ny", "x y"),
        ("x\u{2028}y\rz", "x y z"),
        ("x\u{1b}\ny", "x y"),
        ("\ndone\r\n", "done"),
    ]
    .into_iter()
    .enumerate()
    {
        bot.says("ops", text).await;
        alice.sees(said("ops", seq as u64 + 1, "bot", stored)).await;
    }
    let refused = bot
        .asks("say", json!({"room": "ops", "text": "\n\r\n"}))
        .await;
    assert_eq!(refused["err"]["code"], "bad_request");
    bot.does("topic", json!({"room": "ops", "text": "on\ncall"}))
        .await;
    alice
        .sees(json!({"ev": "topic", "room": "ops", "seq": 6, "ts": NOW.0, "from": "bot", "text": "on call"}))
        .await;
}
