//! Invalid lines: each gets the documented answer, and the session continues.

use crate::program::Program;
use crate::{hub, said, unlimited};
use chat_json::wire::{Event, Why};
use serde_json::{Value, json};

/// The answer to a line: the id that it names, if the line has a valid one, and the code.
enum Answer {
    Err(Value, &'static str),
    Ok(Value),
    Nothing,
}

use Answer::{Err as Refused, Nothing, Ok as Granted};

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

fn table() -> Vec<(&'static str, Vec<u8>, Answer)> {
    let none = Value::Null;
    let say = |fields: &str| format!(r#"{{"cmd":"say","room":"ops","id":7,{fields}}}"#);
    let texts: Vec<(&str, String, Answer)> = vec![
        (
            "broken",
            r#"{"cmd":"ping","id":7"#.into(),
            Refused(none.clone(), "bad_request"),
        ),
        (
            "two on a line",
            r#"{"cmd":"ping","id":7} {"cmd":"ping","id":8}"#.into(),
            Refused(none.clone(), "bad_request"),
        ),
        (
            "no JSON",
            "hello everybody".into(),
            Refused(none.clone(), "bad_request"),
        ),
        (
            "a NUL, which ends no line here",
            "{\"cmd\":\"ping\",\0\"id\":7}".into(),
            Refused(none.clone(), "bad_request"),
        ),
        (
            "an array",
            r#"["ping"]"#.into(),
            Refused(none.clone(), "bad_request"),
        ),
        (
            "a string",
            r#""ping""#.into(),
            Refused(none.clone(), "bad_request"),
        ),
        (
            "no command",
            r#"{"id":7}"#.into(),
            Refused(json!(7), "bad_request"),
        ),
        (
            "an empty object",
            "{}".into(),
            Refused(none.clone(), "bad_request"),
        ),
        (
            "an unknown command",
            r#"{"cmd":"frobnicate","id":7}"#.into(),
            Refused(json!(7), "unknown_cmd"),
        ),
        (
            "an unknown command without id",
            r#"{"cmd":"frobnicate"}"#.into(),
            Refused(none.clone(), "unknown_cmd"),
        ),
        (
            "an unprintable command",
            r#"{"cmd":"\u001b[2J\n","id":7}"#.into(),
            Refused(json!(7), "unknown_cmd"),
        ),
        (
            "an endless command",
            format!(r#"{{"cmd":"{}","id":7}}"#, "x".repeat(60_000)),
            Refused(json!(7), "unknown_cmd"),
        ),
        (
            "a command that is a number",
            r#"{"cmd":1,"id":7}"#.into(),
            Refused(json!(7), "bad_request"),
        ),
        (
            "a room that is a number",
            r#"{"cmd":"who","room":7,"id":7}"#.into(),
            Refused(json!(7), "bad_request"),
        ),
        (
            "a text that is a list",
            say(r#""text":["a"]"#),
            Refused(json!(7), "bad_request"),
        ),
        (
            "a limit below 0",
            r#"{"cmd":"history","room":"ops","limit":-1,"id":7}"#.into(),
            Refused(json!(7), "bad_request"),
        ),
        (
            "a position that is a number",
            r#"{"cmd":"join","room":"dev","after":3,"id":7}"#.into(),
            Refused(json!(7), "bad_request"),
        ),
        (
            "a position without a place",
            r#"{"cmd":"join","room":"dev","after":{},"id":7}"#.into(),
            Refused(json!(7), "bad_request"),
        ),
        (
            "an epoch that is none",
            r#"{"cmd":"join","room":"dev","after":{"epoch":"K-3","seq":1},"id":7}"#.into(),
            Refused(json!(7), "bad_request"),
        ),
        (
            "an infinite number",
            r#"{"cmd":"history","room":"ops","limit":1e999,"id":7}"#.into(),
            Refused(json!(7), "bad_request"),
        ),
        (
            "a number of 400 digits",
            format!(
                r#"{{"cmd":"history","room":"ops","before":1{},"id":7}}"#,
                "0".repeat(400)
            ),
            Refused(json!(7), "bad_request"),
        ),
        (
            "a duplicate field",
            say(r#""text":"a","text":"b""#),
            Refused(json!(7), "bad_request"),
        ),
        (
            "a duplicate id",
            r#"{"cmd":"ping","id":7,"id":8}"#.into(),
            Refused(none.clone(), "bad_request"),
        ),
        (
            "half a surrogate pair",
            say(r#""text":"\ud83d""#),
            Refused(json!(7), "bad_request"),
        ),
        (
            "a second hello",
            r#"{"cmd":"hello","nick":"other","id":7}"#.into(),
            Refused(json!(7), "bad_request"),
        ),
        (
            "an id that is a float",
            r#"{"cmd":"ping","id":1.5}"#.into(),
            Refused(none.clone(), "bad_request"),
        ),
        (
            "an id that is infinite",
            r#"{"cmd":"ping","id":1e999}"#.into(),
            Refused(none.clone(), "bad_request"),
        ),
        (
            "an id beyond 64 bits",
            r#"{"cmd":"ping","id":18446744073709551616}"#.into(),
            Refused(none.clone(), "bad_request"),
        ),
        (
            "an id that is an object",
            r#"{"cmd":"ping","id":{"a":1}}"#.into(),
            Refused(none.clone(), "bad_request"),
        ),
        (
            "an id that is a list",
            r#"{"cmd":"ping","id":[1]}"#.into(),
            Refused(none.clone(), "bad_request"),
        ),
        (
            "an id that is true",
            r#"{"cmd":"ping","id":true}"#.into(),
            Refused(none.clone(), "bad_request"),
        ),
        (
            "an id of 300 bytes",
            format!(r#"{{"cmd":"ping","id":"{}"}}"#, "x".repeat(300)),
            Refused(none.clone(), "bad_request"),
        ),
        (
            "an id of 300 bytes, and no command",
            format!(r#"{{"id":"{}"}}"#, "x".repeat(300)),
            Refused(none.clone(), "bad_request"),
        ),
        (
            "an id of 256 bytes",
            format!(r#"{{"cmd":"ping","id":"{}"}}"#, "x".repeat(256)),
            Granted(json!("x".repeat(256))),
        ),
        (
            "the smallest id",
            format!(r#"{{"cmd":"ping","id":{}}}"#, i64::MIN),
            Granted(json!(i64::MIN)),
        ),
        (
            "the largest id",
            format!(r#"{{"cmd":"ping","id":{}}}"#, u64::MAX),
            Granted(json!(u64::MAX)),
        ),
        (
            "an id in escapes",
            r#"{"cmd":"ping","id":"\ud55c\n\u0000"}"#.into(),
            Granted(json!("한\n\0")),
        ),
        (
            "an empty id",
            r#"{"cmd":"ping","id":""}"#.into(),
            Granted(json!("")),
        ),
        ("no id", r#"{"cmd":"ping","id":null}"#.into(), Nothing),
        (
            "say without room",
            r#"{"cmd":"say","text":"a","id":7}"#.into(),
            Refused(json!(7), "bad_request"),
        ),
        (
            "say without text",
            r#"{"cmd":"say","room":"ops","id":7}"#.into(),
            Refused(json!(7), "bad_request"),
        ),
        (
            "act without text",
            r#"{"cmd":"act","room":"ops","id":7}"#.into(),
            Refused(json!(7), "bad_request"),
        ),
        (
            "tell without to",
            r#"{"cmd":"tell","text":"a","id":7}"#.into(),
            Refused(json!(7), "bad_request"),
        ),
        (
            "tell without text",
            r#"{"cmd":"tell","to":"alice","id":7}"#.into(),
            Refused(json!(7), "bad_request"),
        ),
        (
            "nick without nick",
            r#"{"cmd":"nick","id":7}"#.into(),
            Refused(json!(7), "bad_request"),
        ),
        (
            "join without room",
            r#"{"cmd":"join","id":7}"#.into(),
            Refused(json!(7), "bad_request"),
        ),
        (
            "leave without room",
            r#"{"cmd":"leave","id":7}"#.into(),
            Refused(json!(7), "bad_request"),
        ),
        (
            "who without room",
            r#"{"cmd":"who","id":7}"#.into(),
            Refused(json!(7), "bad_request"),
        ),
        (
            "topic without room",
            r#"{"cmd":"topic","id":7}"#.into(),
            Refused(json!(7), "bad_request"),
        ),
        (
            "history without room",
            r#"{"cmd":"history","id":7}"#.into(),
            Refused(json!(7), "bad_request"),
        ),
        (
            "a text of 4,097 bytes",
            say(&format!(r#""text":"{}""#, "x".repeat(4097))),
            Refused(json!(7), "too_long"),
        ),
        (
            "a text of controls",
            say(r#""text":"\u0007\u001b""#),
            Refused(json!(7), "bad_request"),
        ),
        (
            "a key of 65 bytes",
            say(&format!(r#""text":"a","key":"{}""#, "k".repeat(65))),
            Refused(json!(7), "bad_request"),
        ),
        (
            "an empty key",
            say(r#""text":"a","key":"""#),
            Refused(json!(7), "bad_request"),
        ),
        (
            "a key with a line break",
            say(r#""text":"a","key":"a\nb""#),
            Refused(json!(7), "bad_request"),
        ),
        (
            "a room that can't be",
            r#"{"cmd":"join","room":"a b","id":7}"#.into(),
            Refused(json!(7), "bad_name"),
        ),
        (
            "a nick that can't be",
            r#"{"cmd":"nick","nick":"\u202e","id":7}"#.into(),
            Refused(json!(7), "bad_name"),
        ),
        (
            "a nick that is taken",
            r#"{"cmd":"nick","nick":"ALICE","id":7}"#.into(),
            Refused(json!(7), "nick_taken"),
        ),
        (
            "a room that is not joined",
            r#"{"cmd":"say","room":"dev","text":"a","id":7}"#.into(),
            Refused(json!(7), "denied"),
        ),
        (
            "a room that is joined",
            r#"{"cmd":"join","room":"OPS","id":7}"#.into(),
            Refused(json!(7), "denied"),
        ),
        (
            "a room that there isn't",
            r#"{"cmd":"who","room":"dev","id":7}"#.into(),
            Refused(json!(7), "not_found"),
        ),
        (
            "a member that there isn't",
            r#"{"cmd":"tell","to":"zoe","text":"a","id":7}"#.into(),
            Refused(json!(7), "not_found"),
        ),
        (
            "an unknown field",
            r#"{"cmd":"ping","id":7,"colour":"red"}"#.into(),
            Granted(json!(7)),
        ),
        (
            "an unknown field, nested deep",
            format!(r#"{{"cmd":"ping","id":7,"x":{}}}"#, nested(10_000)),
            Granted(json!(7)),
        ),
        (
            "a field nested deep",
            format!(r#"{{"cmd":"who","room":{},"id":7}}"#, nested(10_000)),
            Refused(json!(7), "bad_request"),
        ),
        (
            "an id nested deep",
            format!(r#"{{"cmd":"ping","id":{}}}"#, nested(10_000)),
            Refused(none.clone(), "bad_request"),
        ),
        (
            "nothing but brackets",
            "[".repeat(10_000),
            Refused(none.clone(), "bad_request"),
        ),
        (
            "nothing but braces",
            r#"{"a":"#.repeat(10_000),
            Refused(none.clone(), "bad_request"),
        ),
        (
            "an event",
            r#"{"ev":"ping"}"#.into(),
            Refused(none.clone(), "bad_request"),
        ),
        ("an empty line", String::new(), Nothing),
        ("spaces", "  \t ".into(), Nothing),
        (
            "64 KiB",
            format!(
                r#"{{"cmd":"ping","id":7,"x":"{}"}}"#,
                "x".repeat(65_536 - 28)
            ),
            Granted(json!(7)),
        ),
        (
            "64 KiB and a byte",
            format!(
                r#"{{"cmd":"ping","id":7,"x":"{}"}}"#,
                "x".repeat(65_537 - 28)
            ),
            Refused(none.clone(), "too_long"),
        ),
        (
            "half a megabyte",
            "x".repeat(512 * 1024),
            Refused(none.clone(), "too_long"),
        ),
    ];
    let mut table: Vec<_> = texts
        .into_iter()
        .map(|(what, text, answer)| (what, text.into_bytes(), answer))
        .collect();
    let not_utf8 = b"{\"cmd\":\"ping\",\"id\":\"\xc3\x28\"}".to_vec();
    table.push(("no UTF-8", not_utf8, Refused(none.clone(), "bad_request")));
    // In the plain dialect these are telnet commands, of which the second one is not complete.
    for (what, bytes) in [("WILL", b"\xff\xfb\x01"), ("SB", b"\xff\xfa\x18")] {
        table.push((what, bytes.to_vec(), Refused(none.clone(), "bad_request")));
    }
    table
}

#[tokio::test(start_paused = true)]
async fn bad_input_is_answered_with_its_code_and_the_session_goes_on() {
    let mut hub = hub(unlimited());
    let mut alice = Program::join(&mut hub, "alice", &["ops"]).await;
    let mut mallory = Program::join(&mut hub, "mallory", &["ops"]).await;
    for (what, mut line, answer) in table() {
        let length = line.len();
        line.push(b'\n');
        mallory.wire.sends_bytes(&line).await;
        mallory
            .sends(json!({"cmd": "ping", "id": "still here"}))
            .await;
        match answer {
            Refused(re, code) => {
                let seen = mallory.next().await;
                assert_eq!(seen["re"], re, "{what} ({length} bytes): {seen}");
                assert_eq!(seen["err"]["code"], code, "{what}: {seen}");
                let msg = seen["err"]["msg"].as_str().unwrap();
                assert!(!msg.is_empty() && msg.len() < 400, "{what}: {msg}");
                assert!(!msg.chars().any(char::is_control), "{what}: {msg:?}");
            }
            Granted(re) => mallory.sees(json!({"re": re, "ok": {}})).await,
            Nothing => {}
        }
        mallory.sees(json!({"re": "still here", "ok": {}})).await;
    }
    alice
        .sees(json!({"ev": "joined", "room": "ops", "nick": "mallory"}))
        .await;
    mallory.says("ops", "all is well").await;
    alice.sees(said("ops", 1, "mallory", "all is well")).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_but_hello_ping_and_quit_is_a_command_before_the_hello() {
    let mut hub = hub(unlimited());
    let mut bot = Program::connect(&mut hub, "bot");
    for cmd in [
        "join", "leave", "say", "act", "tell", "nick", "topic", "who", "rooms", "history",
    ] {
        let answer = bot.asks(cmd, json!({"room": "ops", "text": "a"})).await;
        assert_eq!(answer["err"]["code"], "bad_request", "{answer}");
        assert!(answer["err"]["msg"].as_str().unwrap().contains("hello"));
    }
    assert_eq!(
        bot.asks("frob", json!({})).await["err"]["code"],
        "unknown_cmd"
    );
    assert_eq!(bot.does("ping", json!({})).await, json!({}));
    let answer = bot.asks("hello", json!({"v": 2})).await;
    assert_eq!(answer["err"]["code"], "bad_request");
    let long = json!({"client": "x".repeat(257)});
    assert_eq!(bot.asks("hello", long).await["err"]["code"], "bad_request");
    let answer = bot.asks("hello", json!({"nick": "two words"})).await;
    assert_eq!(answer["err"]["code"], "bad_name");
    let welcome = bot.does("hello", json!({"nick": "bot"})).await;
    assert_eq!(welcome["nick"], "bot");
    bot.does("join", json!({"room": "ops"})).await;
}

#[tokio::test(start_paused = true)]
async fn a_program_that_forgets_its_hello_does_not_become_chat() {
    let mut hub = hub(unlimited());
    let mut alice = hub.member("alice").await;
    let mut bot = Program::connect(&mut hub, "bot");
    let answer = bot
        .asks("say", json!({"room": "lobby", "text": "hi"}))
        .await;
    assert_eq!(answer["err"]["code"], "bad_request");
    alice.sees_nothing().await;
}

#[test]
fn a_client_ignores_what_it_does_not_know() {
    let read = |line| serde_json::from_str::<Event<'_>>(line).unwrap();
    assert_eq!(
        read(r#"{"ev":"later","room":["of",{"another":"kind"}]}"#),
        Event::Unknown
    );
    let ping = read(r#"{"ev":"ping","later":{"a":[1,null]}}"#);
    assert_eq!(ping, Event::Ping);
    let gap = read(r#"{"ev":"gap","room":"ops","from":1,"to":2,"why":"later","later":1}"#);
    assert!(
        matches!(
            gap,
            Event::Gap {
                why: Why::Other,
                ..
            }
        ),
        "{gap:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_byte_order_mark_before_the_hello_is_skipped() {
    for piece in [1, 100] {
        let mut hub = hub(unlimited());
        let mut alice = hub.member("alice").await;
        let mut bot = Program::connect(&mut hub, "bot");
        let hello = "\u{feff}{\"cmd\":\"hello\",\"id\":1,\"nick\":\"bot\"}\n";
        for bytes in hello.as_bytes().chunks(piece) {
            bot.wire.sends_bytes(bytes).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(bot.next().await["ok"]["nick"], "bot");
        alice.sees_nothing().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_hello_that_ends_with_a_nul_never_becomes_chat() {
    let hello = r#"{"cmd":"hello","id":1,"nick":"bot","token":"0123456789abcdef"}"#;
    let long = format!("{}{hello}", " ".repeat(600));
    let ping = r#"{"cmd":"ping","id":2}"#;
    for hello in [hello, &long] {
        for end in ["\0", "\0\n"] {
            for (piece, is_greeted) in [(1, false), (7, true), (1000, false)] {
                let mut hub = hub(unlimited());
                let mut alice = hub.member("alice").await;
                let mut bot = Program::connect(&mut hub, "bot");
                if is_greeted {
                    bot.wire.sees_in_time("* here with you: alice").await;
                    alice.sees_containing(" joined").await;
                }
                let lines = format!("{hello}{end}{ping}{end}");
                for bytes in lines.as_bytes().chunks(piece) {
                    bot.wire.sends_bytes(bytes).await;
                    tokio::task::yield_now().await;
                }
                let welcome = bot.next().await;
                assert_eq!(welcome["ok"]["nick"], "bot", "{end:?} {piece}");
                assert_eq!(bot.next().await["re"], 2, "{end:?} {piece}");
                let seen = alice.sees_until_quiet().await;
                let is_said = seen.iter().any(|line| line.contains("hello"));
                assert!(!is_said, "{seen:?}");
            }
        }
    }
}

/// Only the end of the first line decides whether a NUL ends lines.
#[tokio::test(start_paused = true)]
async fn after_a_newline_a_nul_ends_no_line() {
    let mut hub = hub(unlimited());
    let mut bot = Program::connect(&mut hub, "bot");
    bot.wire
        .sends_bytes(b"{\"cmd\":\"hello\",\"id\":1}\n")
        .await;
    assert_eq!(bot.next().await["ok"]["v"], 1);
    bot.wire.sends_bytes(b"{\"cmd\":\"ping\"}\0").await;
    bot.wire.sees_nothing().await;
    bot.wire.sends_bytes(b"\n").await;
    assert_eq!(bot.next().await["err"]["code"], "bad_request");
}

#[tokio::test(start_paused = true)]
async fn a_half_sent_line_is_given_up_in_time_however_it_trickles() {
    let mut hub = hub(unlimited());
    let mut bot = Program::join(&mut hub, "bot", &["ops"]).await;
    let began = tokio::time::Instant::now();
    bot.wire.sends_bytes(b"{\"cmd\":\"ping\",\"x\":\"").await;
    for _ in 0..5 {
        tokio::time::sleep(std::time::Duration::from_secs(10)).await;
        // A byte, so that there is no silence.
        bot.wire.sends_bytes(b"x").await;
        bot.wire.sees_nothing().await;
    }
    let answer = bot.next().await;
    assert_eq!(answer["err"]["code"], "bad_request", "{answer}");
    assert_eq!(began.elapsed().as_secs(), 60);
    bot.wire.sends("\"}").await;
    assert_eq!(bot.does("ping", json!({})).await, json!({}));
}
