//! The JSON Lines dialect over in-memory streams with paused time: what programs send, and what each must receive.

#![expect(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

mod bad_input;
mod crowd;
mod document;
mod heartbeat;
mod in_process;
mod kept;
mod keys;
mod mixture;
mod policies;
mod program;
mod publish;
mod resume;
mod rooms;
mod shared_log;
mod tokens;

use chat_core::{Hub, HubBuilder, Limits};
use chat_json::JsonLines;
use chat_testkit::{NOW, TestHub};
use serde_json::{Value, json};

/// Returns the builder of the hubs in these tests.
fn builder(limits: Limits) -> HubBuilder {
    Hub::builder().limits(limits)
}

/// Returns a hub whose server speaks JSON Lines as well as the plain dialect.
fn build(builder: HubBuilder) -> TestHub {
    TestHub::build(builder).protocol(JsonLines::default())
}

/// Returns the default limits, without the limit on the rate of lines.
fn unlimited() -> Limits {
    let mut limits = Limits::default();
    limits.rate = None;
    limits
}

fn hub(limits: Limits) -> TestHub {
    build(builder(limits))
}

/// Returns the event of a message that is delivered live.
fn said(room: &str, seq: u64, from: &str, text: &str) -> Value {
    json!({"ev": "said", "room": room, "seq": seq, "ts": NOW.0, "from": from, "text": text})
}

/// Returns the event of a message that is replayed.
fn replayed(room: &str, seq: u64, from: &str, text: &str) -> Value {
    let mut event = said(room, seq, from, text);
    event["replay"] = json!(true);
    event
}
