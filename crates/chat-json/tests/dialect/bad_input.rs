//! Invalid lines: each gets the answer that is documented, and the session continues.

use crate::program::Program;
use crate::{hub, said, unlimited};
use chat_json::wire::{Event, Why};
use serde_json::{Value, json};

/// The expected answer to a line. `Ok` has the line's id. `Err` has the line's id, or null if the line has no valid id,
/// and the error code.
enum Answer {
    Err(Value, &'static str),
    Ok(Value),
    Nothing,
}

use Answer::{Err as Refused, Nothing, Ok as Granted};

/// Lines that the server refuses as a `bad_request`, without an id in the answer.
const WITHOUT_ID: [(&str, &str); 15] = [
    ("broken", r#"{"cmd":"ping","id":7"#),
    (
        "two on a line",
        r#"{"cmd":"ping","id":7} {"cmd":"ping","id":8}"#,
    ),
    ("no JSON", "hello everybody"),
    (
        "a NUL, which ends no line here",
        "{\"cmd\":\"ping\",\0\"id\":7}",
    ),
    ("an array", r#"["ping"]"#),
    ("a string", r#""ping""#),
    ("an empty object", "{}"),
    ("a duplicate id", r#"{"cmd":"ping","id":7,"id":8}"#),
    ("an id that is a float", r#"{"cmd":"ping","id":1.5}"#),
    ("an id that is infinite", r#"{"cmd":"ping","id":1e999}"#),
    (
        "an id beyond 64 bits",
        r#"{"cmd":"ping","id":18446744073709551616}"#,
    ),
    ("an id that is an object", r#"{"cmd":"ping","id":{"a":1}}"#),
    ("an id that is a list", r#"{"cmd":"ping","id":[1]}"#),
    ("an id that is true", r#"{"cmd":"ping","id":true}"#),
    ("an event", r#"{"ev":"ping"}"#),
];

/// Lines that the server refuses as a `bad_request`, with the id 7 in the answer.
const WITH_ID: [(&str, &str); 26] = [
    ("no command", r#"{"id":7}"#),
    ("a command that is a number", r#"{"cmd":1,"id":7}"#),
    (
        "a room that is a number",
        r#"{"cmd":"who","room":7,"id":7}"#,
    ),
    (
        "a text that is a list",
        r#"{"cmd":"say","room":"ops","id":7,"text":["a"]}"#,
    ),
    (
        "a limit below 0",
        r#"{"cmd":"history","room":"ops","limit":-1,"id":7}"#,
    ),
    (
        "a position that is a number",
        r#"{"cmd":"join","room":"dev","after":3,"id":7}"#,
    ),
    (
        "a position without a place",
        r#"{"cmd":"join","room":"dev","after":{},"id":7}"#,
    ),
    (
        "an epoch that is none",
        r#"{"cmd":"join","room":"dev","after":{"epoch":"K-3","seq":1},"id":7}"#,
    ),
    (
        "an infinite number",
        r#"{"cmd":"history","room":"ops","limit":1e999,"id":7}"#,
    ),
    (
        "a duplicate field",
        r#"{"cmd":"say","room":"ops","id":7,"text":"a","text":"b"}"#,
    ),
    (
        "half a surrogate pair",
        r#"{"cmd":"say","room":"ops","id":7,"text":"\ud83d"}"#,
    ),
    ("a second hello", r#"{"cmd":"hello","nick":"other","id":7}"#),
    ("say without room", r#"{"cmd":"say","text":"a","id":7}"#),
    ("say without text", r#"{"cmd":"say","room":"ops","id":7}"#),
    ("act without text", r#"{"cmd":"act","room":"ops","id":7}"#),
    ("tell without to", r#"{"cmd":"tell","text":"a","id":7}"#),
    ("tell without text", r#"{"cmd":"tell","to":"alice","id":7}"#),
    ("nick without nick", r#"{"cmd":"nick","id":7}"#),
    ("join without room", r#"{"cmd":"join","id":7}"#),
    ("leave without room", r#"{"cmd":"leave","id":7}"#),
    ("who without room", r#"{"cmd":"who","id":7}"#),
    ("topic without room", r#"{"cmd":"topic","id":7}"#),
    ("history without room", r#"{"cmd":"history","id":7}"#),
    (
        "a text of controls",
        r#"{"cmd":"say","room":"ops","id":7,"text":"\u0007\u001b"}"#,
    ),
    (
        "an empty key",
        r#"{"cmd":"say","room":"ops","id":7,"text":"a","key":""}"#,
    ),
    (
        "a key with a line break",
        r#"{"cmd":"say","room":"ops","id":7,"text":"a","key":"a\nb"}"#,
    ),
];

/// Lines that the server refuses with a code other than `bad_request`, and with the id 7 in the answer. The last string
/// of each entry is the code.
const OTHERWISE_REFUSED: [(&str, &str, &str); 9] = [
    (
        "an unknown command",
        r#"{"cmd":"frobnicate","id":7}"#,
        "unknown_cmd",
    ),
    (
        "an unprintable command",
        r#"{"cmd":"\u001b[2J\n","id":7}"#,
        "unknown_cmd",
    ),
    (
        "a room that can't be",
        r#"{"cmd":"join","room":"a b","id":7}"#,
        "bad_name",
    ),
    (
        "a nick that can't be",
        r#"{"cmd":"nick","nick":"\u202e","id":7}"#,
        "bad_name",
    ),
    (
        "a nick that is taken",
        r#"{"cmd":"nick","nick":"ALICE","id":7}"#,
        "nick_taken",
    ),
    (
        "a room that is not joined",
        r#"{"cmd":"say","room":"dev","text":"a","id":7}"#,
        "denied",
    ),
    (
        "a room that is joined",
        r#"{"cmd":"join","room":"OPS","id":7}"#,
        "denied",
    ),
    (
        "a room that there isn't",
        r#"{"cmd":"who","room":"dev","id":7}"#,
        "not_found",
    ),
    (
        "a member that there isn't",
        r#"{"cmd":"tell","to":"zoe","text":"a","id":7}"#,
        "not_found",
    ),
];

/// A case: its name, the line, and the expected answer.
type Case = (&'static str, Vec<u8>, Answer);

fn table() -> Vec<Case> {
    let without_id =
        WITHOUT_ID.map(|(what, line)| (what, line.into(), Refused(Value::Null, "bad_request")));
    let with_id = WITH_ID.map(|(what, line)| (what, line.into(), Refused(json!(7), "bad_request")));
    let otherwise =
        OTHERWISE_REFUSED.map(|(what, line, code)| (what, line.into(), Refused(json!(7), code)));
    let mut table: Vec<Case> = without_id
        .into_iter()
        .chain(with_id)
        .chain(otherwise)
        .collect();
    for (what, line, answer) in ids()
        .into_iter()
        .chain(unusual())
        .chain(long())
        .chain(nested())
    {
        table.push((what, line.into_bytes(), answer));
    }
    let not_utf8 = b"{\"cmd\":\"ping\",\"id\":\"\xc3\x28\"}".to_vec();
    table.push(("no UTF-8", not_utf8, Refused(Value::Null, "bad_request")));
    // In the plain dialect these bytes are telnet commands. The second command is incomplete.
    for (what, bytes) in [("WILL", b"\xff\xfb\x01"), ("SB", b"\xff\xfa\x18")] {
        table.push((what, bytes.to_vec(), Refused(Value::Null, "bad_request")));
    }
    table
}

/// Lines with ids of every kind.
fn ids() -> Vec<(&'static str, String, Answer)> {
    let ping = |id: &str| format!(r#"{{"cmd":"ping","id":{id}}}"#);
    let long = |length| format!("\"{}\"", "x".repeat(length));
    let no_command = format!(r#"{{"id":{}}}"#, long(300));
    vec![
        (
            "an id of 300 bytes",
            ping(&long(300)),
            Refused(Value::Null, "bad_request"),
        ),
        (
            "an id of 300 bytes, and no command",
            no_command,
            Refused(Value::Null, "bad_request"),
        ),
        (
            "an id of 256 bytes",
            ping(&long(256)),
            Granted(json!("x".repeat(256))),
        ),
        (
            "the smallest id",
            ping(&i64::MIN.to_string()),
            Granted(json!(i64::MIN)),
        ),
        (
            "the largest id",
            ping(&u64::MAX.to_string()),
            Granted(json!(u64::MAX)),
        ),
        (
            "an id in escapes",
            ping(r#""\ud55c\n\u0000""#),
            Granted(json!("한\n\0")),
        ),
        ("an empty id", ping("\"\""), Granted(json!(""))),
        ("no id", ping("null"), Nothing),
    ]
}

/// Unusual lines. All are valid except the first, whose command is unknown and which has no id.
fn unusual() -> Vec<(&'static str, String, Answer)> {
    let unknown_field = r#"{"cmd":"ping","id":7,"colour":"red"}"#;
    vec![
        (
            "an unknown command without id",
            r#"{"cmd":"frobnicate"}"#.into(),
            Refused(Value::Null, "unknown_cmd"),
        ),
        ("an unknown field", unknown_field.into(), Granted(json!(7))),
        ("an empty line", String::new(), Nothing),
        ("spaces", "  \t ".into(), Nothing),
    ]
}

/// Lines with long parts.
fn long() -> Vec<(&'static str, String, Answer)> {
    let say = |fields: &str| format!(r#"{{"cmd":"say","room":"ops","id":7,{fields}}}"#);
    let command = format!(r#"{{"cmd":"{}","id":7}}"#, "x".repeat(60_000));
    let digits = "0".repeat(400);
    let number = format!(r#"{{"cmd":"history","room":"ops","before":1{digits},"id":7}}"#);
    let text = say(&format!(r#""text":"{}""#, "x".repeat(4097)));
    let key = say(&format!(r#""text":"a","key":"{}""#, "k".repeat(65)));
    let of_length = |length: usize| {
        format!(
            r#"{{"cmd":"ping","id":7,"x":"{}"}}"#,
            "x".repeat(length - 28)
        )
    };
    vec![
        (
            "an endless command",
            command,
            Refused(json!(7), "unknown_cmd"),
        ),
        (
            "a number of 400 digits",
            number,
            Refused(json!(7), "bad_request"),
        ),
        ("a text of 4,097 bytes", text, Refused(json!(7), "too_long")),
        ("a key of 65 bytes", key, Refused(json!(7), "bad_request")),
        ("64 KiB", of_length(65_536), Granted(json!(7))),
        (
            "64 KiB and a byte",
            of_length(65_537),
            Refused(Value::Null, "too_long"),
        ),
        (
            "half a megabyte",
            "x".repeat(512 * 1024),
            Refused(Value::Null, "too_long"),
        ),
    ]
}

/// Deeply nested lines.
fn nested() -> Vec<(&'static str, String, Answer)> {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let unknown_field = format!(r#"{{"cmd":"ping","id":7,"x":{deep}}}"#);
    let field = format!(r#"{{"cmd":"who","room":{deep},"id":7}}"#);
    let id = format!(r#"{{"cmd":"ping","id":{deep}}}"#);
    let braces = r#"{"a":"#.repeat(10_000);
    vec![
        (
            "an unknown field, nested deep",
            unknown_field,
            Granted(json!(7)),
        ),
        (
            "a field nested deep",
            field,
            Refused(json!(7), "bad_request"),
        ),
        ("an id nested deep", id, Refused(Value::Null, "bad_request")),
        (
            "nothing but brackets",
            "[".repeat(10_000),
            Refused(Value::Null, "bad_request"),
        ),
        (
            "nothing but braces",
            braces,
            Refused(Value::Null, "bad_request"),
        ),
    ]
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

/// Whether a NUL ends lines depends only on the end of the first line.
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
        // Without this byte the server would treat the program as silent.
        bot.wire.sends_bytes(b"x").await;
        bot.wire.sees_nothing().await;
    }
    let answer = bot.next().await;
    assert_eq!(answer["err"]["code"], "bad_request", "{answer}");
    assert_eq!(began.elapsed().as_secs(), 60);
    bot.wire.sends("\"}").await;
    assert_eq!(bot.does("ping", json!({})).await, json!({}));
}
