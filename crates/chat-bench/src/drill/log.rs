//! Reads the log of a room over the JSON dialect.

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::client::Client;
use super::findings::Findings;
use crate::ledger::{Kept, Wrongs};

/// The most messages that one request reads.
const PAGE: usize = 1000;

/// The room that the writers publish in.
pub(crate) const ROOM: &str = "ops";

/// A part of a log.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) epoch: String,
    pub(crate) kept: Vec<Kept>,
    pub(crate) gaps: u64,
}

/// Reads the log from the position `after` to its end.
pub(crate) async fn read(port: u16, after: u64) -> anyhow::Result<Log> {
    let mut client = Client::connect(port).await?;
    // The hello requests no nick, because the session of an earlier read may still exist.
    let hello = json!({"cmd": "hello", "id": 0, "join": [{"room": ROOM}]});
    let welcome = ask(&mut client, &hello, 0).await?;
    let place = &welcome["rooms"][0];
    let epoch = place["epoch"].as_str().context("no epoch")?.to_owned();
    let tail = place["seq"].as_u64().context("no seq")?;
    let mut log = Log {
        epoch,
        ..Log::default()
    };
    let (mut after, mut id) = (after, 1);
    while after < tail {
        let request = json!({
            "cmd": "history", "id": id, "room": ROOM, "after": {"seq": after}, "limit": PAGE,
        });
        let page = ask(&mut client, &request, id).await?;
        log.gaps += u64::from(!page["gap"].is_null());
        let messages = page["messages"].as_array().context("no messages")?;
        ensure!(
            !messages.is_empty(),
            "nothing follows {after} before {tail}"
        );
        for message in messages {
            after = message["seq"].as_u64().context("no seq")?;
            let text = message["text"].as_str().context("no text")?.to_owned();
            log.kept.push(Kept { seq: after, text });
        }
        id += 1;
    }
    Ok(log)
}

/// Sends a request, and returns the value of `ok` in the reply.
pub(crate) async fn ask(client: &mut Client, request: &Value, id: u64) -> anyhow::Result<Value> {
    let begins = format!("{{\"re\":{id},");
    let answer = client.ask(&format!("{request}\n"), &begins).await?;
    let mut answer: Value = serde_json::from_str(&answer)?;
    ensure!(answer["err"].is_null(), "{request} is refused: {answer}");
    Ok(answer["ok"].take())
}

/// Adds to the findings how a log differs from the writers' acknowledgements.
pub(crate) fn report(wrongs: &Wrongs, findings: &mut Findings) {
    findings.none("acknowledged but not in the log", &wrongs.lost);
    findings.none("acknowledged at another position", &wrongs.elsewhere);
    findings.none("kept twice", &wrongs.twice);
    findings.none("kept out of a writer's order", &wrongs.disordered);
}
