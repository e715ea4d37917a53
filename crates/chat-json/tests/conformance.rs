//! The JSON Lines dialect satisfies the rules for all dialects.

use chat_core::Limits;
use chat_json::JsonLines;
use chat_testkit::TestHub;
use chat_testkit::conformance::{self, Speech};

/// Returns the input of the suite: a line for each command. The server may return ids unchanged, because only the
/// client interprets an id.
fn speech() -> Speech {
    Speech::new([
        r#"{"cmd":"hello","v":1,"nick":"suite-1","join":[{"room":"lobby"}]}"#,
        r#"{"id":1,"cmd":"hello","echo":true,"join":[{"room":"lobby","limit":5}]}"#,
    ])
    .allow_repeating()
    .lines([
        r#"{"id":2,"cmd":"join","room":"ops","after":{"epoch":"1a","seq":3}}"#,
        r#"{"id":"three","cmd":"say","room":"lobby","text":"안녕 \u0000\u001b[2J \u202e","key":"k1"}"#,
        r#"{"id":4,"cmd":"act","room":"lobby","text":"waves"}"#,
        r#"{"id":5,"cmd":"topic","room":"lobby","text":"news"}"#,
        r#"{"id":6,"cmd":"topic","room":"lobby"}"#,
        r#"{"id":7,"cmd":"tell","to":"suite-1","text":"hello"}"#,
        r#"{"id":8,"cmd":"nick","nick":"suite-2"}"#,
        r#"{"id":9,"cmd":"who","room":"lobby"}"#,
        r#"{"id":10,"cmd":"rooms"}"#,
        r#"{"id":11,"cmd":"history","room":"lobby","before":9,"limit":3}"#,
        r#"{"id":12,"cmd":"history","room":"lobby","after":{"seq":0}}"#,
        r#"{"id":13,"cmd":"leave","room":"ops"}"#,
        r#"{"id":14,"cmd":"ping"}"#,
        r#"{"id":15,"cmd":"quit","reason":"so long"}"#,
    ])
}

#[tokio::test]
async fn json_lines_conform() {
    let conforms = conformance::dialect(&JsonLines::default(), &speech()).await;
    conformance::assert_conforms(conforms);
}

#[tokio::test(start_paused = true)]
async fn json_connections_conform() {
    let mut limits = Limits::default();
    limits.rate = None;
    let mut hub = TestHub::new(limits).protocol(JsonLines::default());
    let conforms = conformance::connection(&mut hub, &speech()).await;
    conformance::assert_conforms(conforms);
}
