//! What writers were told that is kept, and whether it is: each once, in each writer's order.

use std::collections::HashMap;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::client::Client;

/// How many messages are read at a time.
const PAGE: usize = 1000;

/// The room in which the writers write.
pub(crate) const ROOM: &str = "ops";

/// One message of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) seq: u64,
    pub(crate) text: String,
}

/// The log as it was read, and what came of reading it.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) epoch: String,
    pub(crate) kept: Vec<Kept>,
    pub(crate) gaps: u64,
}

/// Reads what follows a place to the end of the log, as a program does.
pub(crate) async fn read(port: u16, after: u64) -> anyhow::Result<Log> {
    let mut client = Client::connect(port).await?;
    let hello = json!({"cmd": "hello", "id": 0, "nick": "auditor", "join": [{"room": ROOM}]});
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

/// Asks, and returns what is granted.
pub(crate) async fn ask(client: &mut Client, request: &Value, id: u64) -> anyhow::Result<Value> {
    let begins = format!("{{\"re\":{id},");
    let answer = client.ask(&format!("{request}\n"), &begins).await?;
    let mut answer: Value = serde_json::from_str(&answer)?;
    ensure!(answer["err"].is_null(), "{request} is refused: {answer}");
    Ok(answer["ok"].take())
}

/// What one writer was told: of each of its messages the place.
#[derive(Debug, Default, Clone)]
pub(crate) struct Acknowledged(pub(crate) Vec<(u64, u64)>);

/// What is wrong with a log, given what each writer was told. A message reads `w7 123`.
pub(crate) fn judge(log: &[Kept], writers: &[Acknowledged]) -> Wrongs {
    let mut wrongs = Wrongs::default();
    let mut places: HashMap<&str, u64> = HashMap::new();
    let mut last: HashMap<&str, u64> = HashMap::new();
    for kept in log {
        if places.insert(&kept.text, kept.seq).is_some() {
            wrongs.twice.push(format!("{} at {}", kept.text, kept.seq));
        }
        let Some((writer, number)) = kept.text.split_once(' ') else {
            continue;
        };
        let number = number.parse().unwrap_or_default();
        if last
            .insert(writer, number)
            .is_some_and(|last| last >= number)
        {
            let what = format!("{} at {}", kept.text, kept.seq);
            wrongs.disordered.push(what);
        }
    }
    for (writer, Acknowledged(told)) in writers.iter().enumerate() {
        for (number, seq) in told {
            let text = format!("w{writer} {number}");
            match places.get(text.as_str()) {
                Some(place) if place == seq => {}
                Some(place) => wrongs
                    .elsewhere
                    .push(format!("{text} at {place}, not {seq}")),
                None => wrongs.lost.push(format!("{text} at {seq}")),
            }
        }
    }
    wrongs
}

/// What must not have happened.
#[derive(Debug, Default)]
pub(crate) struct Wrongs {
    pub(crate) lost: Vec<String>,
    pub(crate) twice: Vec<String>,
    pub(crate) disordered: Vec<String>,
    pub(crate) elsewhere: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_found() {
        let kept = |seq, text: &str| Kept {
            seq,
            text: text.to_owned(),
        };
        let log = [
            kept(1, "w0 0"),
            kept(2, "w1 1"),
            kept(3, "w0 1"),
            kept(4, "w1 0"),
            kept(5, "w0 0"),
        ];
        let told = [
            Acknowledged(vec![(0, 1), (1, 3), (2, 6)]),
            Acknowledged(vec![(1, 9)]),
        ];
        let wrongs = judge(&log, &told);
        assert_eq!(wrongs.lost, ["w0 2 at 6"]);
        assert_eq!(wrongs.twice, ["w0 0 at 5"]);
        assert_eq!(wrongs.disordered, ["w1 0 at 4", "w0 0 at 5"]);
        assert_eq!(wrongs.elsewhere.len(), 2);
    }
}
