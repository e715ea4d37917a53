//! `kill9`: the server is killed repeatedly while writers wait for acknowledgements. After each restart, every
//! acknowledged message must be in the log, once and in order.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use chat_json::{Client as Program, RequestError};
use tokio::task::JoinSet;

use super::findings::{Findings, grouped};
use super::log::{self, ROOM};
use super::stage::Stage;
use crate::ledger::{self, Acknowledged, Kept};

/// How long the server runs after it has acknowledged its first message, in milliseconds.
const LIVES_MS: std::ops::Range<usize> = 5..150;

pub(super) async fn run(stage: &Stage<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    let (writers, kills) = (stage.pick(50, 8), stage.pick(100, 5));
    findings.did(format!(
        "{writers} writers that wait for each acknowledgement; {kills} times kill -9 and restart; --sync full"
    ));
    let dir = tempfile::Builder::new().prefix("chat-bench-").tempdir()?;
    let file = dir.path().join("chat.db").to_string_lossy().into_owned();
    let arguments = ["--data", &file];
    let mut server = stage.start(writers + 16, &arguments)?;
    let port = server.port();
    let told: Vec<_> = (0..writers).map(|_| Arc::default()).collect();
    let answered = Arc::new(AtomicU64::new(0));
    let mut writing = JoinSet::new();
    for (number, told) in told.iter().enumerate() {
        writing.spawn(write(port, number, Arc::clone(told), Arc::clone(&answered)));
    }
    let mut random = stage.random(0);
    let (mut kept, mut epochs) = (Vec::<Kept>::new(), Vec::new());
    let mut short = Vec::<String>::new();
    for kill in 0..kills {
        let before = answered.load(Ordering::Relaxed);
        while answered.load(Ordering::Relaxed) == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
            if let Some(ended) = writing.try_join_next() {
                ended.context("a writer panicked")?.context("a writer")?;
            }
        }
        let lives = LIVES_MS.start + random.usize(..LIVES_MS.len());
        tokio::time::sleep(Duration::from_millis(lives as u64)).await;
        server.kill()?;
        // The record of this server's acknowledgements is copied now. After the restart, acknowledgements of the new
        // server are added to the record.
        let told = snapshot(&told);
        server = stage.start_at(port, writers + 16, &arguments)?;
        let after = kept.last().map_or(0, |last| last.seq);
        let read = log::read(port, after).await;
        let read = read.with_context(|| format!("after kill {kill}"))?;
        short.extend((read.gaps > 0).then(|| format!("{} gaps after kill {kill}", read.gaps)));
        epochs.push(read.epoch);
        kept.extend(read.kept);
        let wrongs = ledger::judge(&kept, &told);
        short.extend(
            wrongs
                .lost
                .into_iter()
                .map(|lost| format!("{lost}, kill {kill}")),
        );
    }
    writing.abort_all();
    while writing.join_next().await.is_some() {}
    let whole = log::read(port, 0).await?;
    let wrongs = ledger::judge(&whole.kept, &snapshot(&told));
    epochs.push(whole.epoch);
    epochs.dedup();
    findings.figure("acknowledged", grouped(answered.load(Ordering::Relaxed)));
    findings.at_least("messages kept", whole.kept.len() as u64, kills as u64);
    findings.none("acknowledged but missing after a restart", &short);
    log::report(&wrongs, findings);
    findings.exactly("epochs", epochs.len() as u64, 1);
    findings.exactly("gaps", whole.gaps, 0);
    Ok(())
}

fn snapshot(told: &[Arc<Mutex<Acknowledged>>]) -> Vec<Acknowledged> {
    let told = told.iter();
    told.map(|told| told.lock().unwrap_or_else(PoisonError::into_inner).clone())
        .collect()
}

/// Publishes numbered messages one at a time, and continues across restarts of the server.
async fn write(
    port: u16,
    number: usize,
    told: Arc<Mutex<Acknowledged>>,
    answered: Arc<AtomicU64>,
) -> anyhow::Result<()> {
    let builder = Program::connect(format!("127.0.0.1:{port}"))
        .nick(format!("w{number}"))
        .join(ROOM);
    let (client, mut events) = builder.open().await?;
    let mut count = 0;
    loop {
        let text = format!("w{number} {count}");
        let mut saying = std::pin::pin!(client.say(ROOM, &text));
        let said = loop {
            tokio::select! {
                said = &mut saying => break said,
                // Events are discarded, so that their queue does not fill.
                _ = events.next() => {}
            }
        };
        match said {
            Ok(seq) => {
                let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
                told.0.push((count, seq));
                answered.fetch_add(1, Ordering::Relaxed);
                count += 1;
            }
            // The message was not published, because the journal of a restarted server is not ready yet.
            Err(RequestError::Refused { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(error) => return Err(error.into()),
        }
    }
}
