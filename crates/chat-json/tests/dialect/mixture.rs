//! Any mixture of lines, split at any byte: the server answers each id once and in order, and does not panic.

use crate::program::Program;
use crate::unlimited;
use chat_core::Limits;
use chat_json::JsonLines;
use chat_testkit::TestHub;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::{Value, json};
use std::num::NonZeroUsize;

/// The seed of all runs with the default number of cases. Any number would do.
const SEED: u64 = 20_260_923;

/// The longest line in these tests, in bytes.
const LINE_BYTES_MAX: usize = 400;

/// The parts of a line before and after its id. `is_readable` says whether the server can read the id.
#[derive(Debug, Clone)]
struct Piece {
    before_id: Vec<u8>,
    after_id: Vec<u8>,
    is_readable: bool,
}

impl Piece {
    fn bytes(&self, id: usize) -> Vec<u8> {
        [
            &self.before_id,
            id.to_string().as_bytes(),
            &self.after_id,
            b"\n",
        ]
        .concat()
    }
}

fn piece(before_id: &str, after_id: &str, is_readable: bool) -> Piece {
    Piece {
        before_id: before_id.into(),
        after_id: after_id.into(),
        is_readable,
    }
}

/// An object whose id the server can read, whether the object is valid or not.
fn object() -> impl Strategy<Value = Piece> {
    let cmd = prop_oneof![
        8 => Just("say"),
        2 => Just("act"),
        1 => Just("topic"),
        1 => Just("tell"),
        1 => Just("join"),
        1 => Just("leave"),
        1 => Just("nick"),
        1 => Just("who"),
        1 => Just("rooms"),
        1 => Just("history"),
        1 => Just("ping"),
        1 => Just("hello"),
        1 => Just("frob"),
    ];
    let field = prop_oneof![
        4 => prop::sample::select(vec!["ops", "dev", "a b", ""]).prop_map(|room| ("room", json!(room))),
        4 => ".{0,20}".prop_map(|text| ("text", json!(text))),
        2 => prop::sample::select(vec!["k", "l", "\n"]).prop_map(|key| ("key", json!(key))),
        1 => prop::sample::select(vec!["bot", "alice", "1"]).prop_map(|nick| ("nick", json!(nick))),
        1 => (0u64..9).prop_map(|seq| ("after", json!({"seq": seq}))),
        1 => (0u64..9).prop_map(|seq| ("before", json!(seq))),
        1 => (0u64..9).prop_map(|limit| ("limit", json!(limit))),
        1 => Just(("join", json!([{"room": "ops"}, {"room": "dev", "limit": 3}]))),
        1 => Just(("room", json!(7))),
        1 => Just(("x", json!({"deep": [[[]]]}))),
    ];
    (cmd, prop::collection::vec(field, 0..6)).prop_map(|(cmd, fields)| {
        let mut object = json!({});
        for (name, value) in fields {
            object[name] = value;
        }
        let rest = object.to_string();
        let comma = if rest == "{}" { "" } else { "," };
        let after = format!(",\"cmd\":\"{cmd}\"{comma}{}", &rest[1..]);
        piece("{\"id\":", &after, true)
    })
}

fn line() -> impl Strategy<Value = Piece> {
    let too_long = format!(
        ",\"cmd\":\"ping\",\"x\":\"{}\"}}",
        "x".repeat(LINE_BYTES_MAX)
    );
    prop_oneof![
        20 => object(),
        1 => Just(piece("{\"id\":", "}", true)),
        1 => Just(piece("{\"id\":", ",\"cmd\":\"ping\"", false)),
        1 => Just(piece("{\"id\":", ".5,\"cmd\":\"ping\"}", false)),
        1 => Just(piece("{\"id\":[", "],\"cmd\":\"ping\"}", false)),
        1 => Just(piece("{\"id\":", ",\"id\":0,\"cmd\":\"ping\"}", false)),
        1 => Just(piece("", "", false)),
        1 => Just(piece("{\"cmd\":\"say\",\"room\":\"ops\",\"text\":\"", "\"}", false)),
        1 => Just(piece("{\"id\":", &too_long, false)),
        1 => not_utf8(),
    ]
}

/// A line that is not UTF-8 and contains no telnet commands.
fn not_utf8() -> impl Strategy<Value = Piece> {
    let bytes = (0u8..0xff).prop_filter("no end of line", |byte| *byte != b'\n');
    prop::collection::vec(bytes, 0..20).prop_map(|bytes| Piece {
        before_id: [b"~\xfe", &*bytes].concat(),
        after_id: Vec::new(),
        is_readable: false,
    })
}

/// Sends the bytes in pieces of these sizes. Returns the server's output.
async fn played(limits: Limits, bytes: &[u8], sizes: &[usize]) -> Vec<Value> {
    let line_bytes = NonZeroUsize::new(LINE_BYTES_MAX).unwrap();
    let json_lines = JsonLines::default().line_bytes(line_bytes);
    let mut hub = TestHub::new(limits).protocol(json_lines);
    let mut alice = Program::join(&mut hub, "alice", &["ops"]).await;
    let mut bot = Program::connect(&mut hub, "bot");
    let (mut rest, mut sizes) = (bytes, sizes.iter().cycle());
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
        bot.wire.sends_bytes(piece).await;
        tokio::task::yield_now().await;
        rest = later;
    }
    let mut seen = Vec::new();
    loop {
        let object = bot.next().await;
        let is_last = object["re"] == "last";
        seen.push(object);
        if is_last {
            break;
        }
    }
    seen.extend(bot.sees_until_quiet().await);
    alice.sees_until_quiet().await;
    alice.does("ping", json!({})).await;
    seen
}

/// Returns a configuration with the same inputs in each run. For a long run with other inputs: `PROPTEST_CASES=10000
/// cargo test -p chat-json mixture`. A failure is reported with the smallest input that was found.
fn config() -> ProptestConfig {
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_some() {
        return config;
    }
    ProptestConfig {
        cases: 128,
        rng_seed: RngSeed::Fixed(SEED),
        ..config
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_mixture_of_lines_gets_one_reply_for_each_id_in_order(
        lines in prop::collection::vec(line(), 1..40),
        says_hello in any::<bool>(),
        is_limited in any::<bool>(),
        sizes in prop::collection::vec(1usize..600, 1..8),
    ) {
        let first = if says_hello {
            r#"{"cmd":"hello","nick":"bot","join":[{"room":"ops"}]}"#
        } else {
            r#"{"cmd":"ping"}"#
        };
        let mut bytes = format!("{first}\n").into_bytes();
        let mut expected = Vec::new();
        for (id, line) in lines.iter().enumerate() {
            bytes.extend(line.bytes(id));
            if line.is_readable && line.bytes(id).len() <= LINE_BYTES_MAX {
                expected.push(json!(id));
            }
        }
        bytes.extend(b"{\"cmd\":\"ping\",\"id\":\"last\"}\n");
        expected.push(json!("last"));
        let limits = if is_limited { Limits::default() } else { unlimited() };
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        let seen = runtime.block_on(played(limits, &bytes, &sizes));
        let replies: Vec<_> = seen.iter().filter(|object| object.get("re").is_some()).collect();
        let ids: Vec<_> = replies.iter().map(|reply| reply["re"].clone()).collect();
        prop_assert_eq!(ids, expected);
        for reply in replies {
            prop_assert!(reply.get("ok").is_some() != reply.get("err").is_some(), "{}", reply);
        }
    }
}
