//! `garbage`: random and mutated lines, split anywhere, from several connections at once.

use std::time::Instant;

use anyhow::{Context, bail};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::client::{Client, PATIENCE, Reader, Writer};
use super::corpus::{mutated_line, random_line};
use super::findings::{Findings, grouped};
use super::memory::MemoryWatch;
use super::newcomers::Newcomers;
use super::stage::Stage;
use super::witness::{Where, Witnesses};
use fastrand::Rng;

/// Connections that send garbage.
const SENDERS: usize = 4;

/// Lines that are sent before the server must answer a question again.
const BATCH: usize = 128;

/// So much comes so fast that a witness which is a hundredth of a second late would find the log of 1,024 messages
/// rewritten: that is told, and happens with the default, but it would hide a loss.
const LOG_LIMITS: [&str; 4] = ["--journal-messages", "16384", "--journal-bytes", "4194304"];

/// The longest piece in which bytes are sent.
const PIECE_MAX: usize = 2048;

/// Ends whatever was begun: a telnet command, a subnegotiation, a line.
const END_ALL: &[u8] = b"\n\xff\xf0\n";

/// Memory that may come: the logs and names of the rooms that mutated lines open, at most 257 of them with a log.
const GROWTH_MAX_KIB: f64 = 64.0 * 1024.0;

#[derive(Debug, Default)]
struct Tally {
    bytes: u64,
    answers: u64,
    /// Connections that the server ended with a word: after `/quit`, or a first line that is not ours.
    ended: u64,
    /// Those that it ended without.
    dropped: Vec<String>,
}

/// How a batch ended.
enum End {
    Answered,
    /// The connection ended; this is the last that came.
    Closed(String),
}

pub(super) async fn run(stage: &Stage<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    let each_kind = stage.pick(1_000_000, 8_000);
    findings.did(format!(
        "seed {}: {} random and {} mutated lines from {SENDERS} connections, split at random, into the witnesses' room (its log holds 16,384 messages)",
        stage.seed(),
        grouped(each_kind),
        grouped(each_kind)
    ));
    let server = stage.start(1000, &LOG_LIMITS)?;
    let port = server.port();
    let witnesses = Witnesses::begin(port, Where::Lobby).await?;
    let memory = MemoryWatch::begin(server.pid())?;
    let newcomers = Newcomers::begin(port);
    let (began, mut senders) = (Instant::now(), JoinSet::new());
    for party in 0..SENDERS {
        let lines = 2 * each_kind as usize / SENDERS;
        senders.spawn(send(port, stage.random(party), lines));
    }
    let mut all = Tally::default();
    while let Some(tally) = senders.join_next().await {
        let one = tally.context("a sender panicked")?.context("a sender")?;
        all.bytes += one.bytes;
        all.answers += one.answers;
        all.ended += one.ended;
        all.dropped.extend(one.dropped);
    }
    let (seconds, lines) = (began.elapsed().as_secs_f64(), all.answers * BATCH as u64);
    findings.at_least("lines whose sender went on unharmed", lines, 2 * each_kind);
    findings.figure("bytes sent", grouped(all.bytes));
    findings.figure("lines a second", grouped((lines as f64 / seconds) as u64));
    findings.figure("questions answered in between", grouped(all.answers));
    findings.figure("connections ended with a word (/quit, HTTP)", all.ended);
    findings.none("connections ended without a word", &all.dropped);
    newcomers.testify(findings).await?;
    let growth = memory.growth_kib();
    findings.below(
        "memory growth at its highest",
        growth,
        GROWTH_MAX_KIB,
        "KiB",
    );
    witnesses.testify(findings).await
}

async fn send(port: u16, mut random: Rng, lines: usize) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    let mut client = Client::connect(port).await?;
    let (mut sent, mut number) = (0, 0_u64);
    while sent < lines {
        let mut batch = Vec::new();
        for line in 0..BATCH {
            if line % 2 == 0 {
                random_line(&mut random, &mut batch);
            } else {
                mutated_line(&mut random, &mut batch);
            }
        }
        tally.bytes += batch.len() as u64;
        batch.extend_from_slice(END_ALL);
        // Back to the witnesses' room, from wherever a mutated line has led.
        if random.usize(..4) == 0 {
            batch.extend_from_slice(b"/leave\n");
        }
        batch.extend_from_slice(format!("/answer-{number}\n").as_bytes());
        let answer = format!("! no such command: /answer-{number} ");
        number += 1;
        match deliver(&mut client, &mut random, &batch, &answer).await? {
            End::Answered => {
                sent += BATCH;
                tally.answers += 1;
            }
            End::Closed(last) => {
                if is_farewell(&last) {
                    tally.ended += 1;
                } else {
                    tally.dropped.push(format!("the last line was {last:?}"));
                }
                client = Client::connect(port).await?;
            }
        }
    }
    Ok(tally)
}

/// Writes and reads at the same time, as the answers to so much garbage fill every buffer.
async fn deliver(
    client: &mut Client,
    random: &mut Rng,
    batch: &[u8],
    answer: &str,
) -> anyhow::Result<End> {
    let Client { reader, writer } = client;
    let talk = async {
        // A write may fail because the server has hung up; why it did is read.
        let (end, _written) = tokio::join!(answered(reader, answer), pieces(writer, random, batch));
        end
    };
    timeout(PATIENCE, talk)
        .await
        .with_context(|| format!("no answer {answer:?}"))?
}

async fn pieces(writer: &mut Writer, random: &mut Rng, mut batch: &[u8]) -> anyhow::Result<()> {
    while !batch.is_empty() {
        let (piece, rest) = batch.split_at(random.usize(..PIECE_MAX.min(batch.len())) + 1);
        writer.send(piece).await?;
        if random.usize(..8) == 0 {
            tokio::task::yield_now().await;
        }
        batch = rest;
    }
    Ok(())
}

async fn answered(reader: &mut Reader, answer: &str) -> anyhow::Result<End> {
    let mut last = String::new();
    loop {
        match reader.next().await {
            Ok(true) if reader.line().starts_with(answer.as_bytes()) => return Ok(End::Answered),
            Ok(true) => {
                last.clear();
                last.push_str(&String::from_utf8_lossy(reader.line()));
            }
            Ok(false) => {
                if !reader.unfinished().is_empty() {
                    last = String::from_utf8_lossy(reader.unfinished()).into_owned();
                }
                return Ok(End::Closed(last));
            }
            Err(error) => bail!("{error} (the last line was {last:?})"),
        }
    }
}

/// Whether the server said why it ends the connection.
fn is_farewell(last: &str) -> bool {
    let tls_alert = "\u{15}";
    let words = ["* goodbye", "HTTP/1.1 400", "554 ", "! ", tls_alert];
    words.iter().any(|word| last.starts_with(word))
}
