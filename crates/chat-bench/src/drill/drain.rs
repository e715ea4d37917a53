//! `drain`: sends SIGTERM to the server while all members talk. A message that one member receives must reach all other
//! members before the server's goodbye.

use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval_at};

use super::client::{Client, missed, said};
use super::crowd;
use super::findings::{Findings, grouped};
use super::stage::Stage;
use crate::launch::Server;
use crate::ledger::Series;

/// The number of messages that a member sends at once.
const BURST: u64 = 4;

/// How long the server may take to end after SIGTERM. The server's drain timeout is 5 s.
const ENDED_WITHIN: Duration = Duration::from_secs(6);

const GOODBYE: &[u8] = b"* goodbye: the server is shutting down";

/// What one member sent and received.
#[derive(Debug)]
struct Record {
    sent: u64,
    /// The messages received from each member, by the sender's number.
    series: Vec<Series>,
    /// The number of messages reported as missed, plus the number of lines that no member sent.
    lost: u64,
    refused: u64,
    goodbyes: u64,
    behind_goodbye: u64,
}

pub(super) async fn run(stage: &Stage<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    let members = stage.pick(1000, 30);
    // All members together send 500 messages a second.
    let every = Duration::from_millis(stage.pick(8000, 240));
    let before = Duration::from_millis(stage.pick(5000, 700));
    findings.did(format!(
        "{} members send {BURST} messages each every {} ms; SIGTERM after {} ms, while they continue",
        grouped(members as u64),
        every.as_millis(),
        before.as_millis()
    ));
    let mut server = stage.start(members + 16, &["--history", "0"])?;
    let clients = crowd::arrive(server.port(), crowd::nicks(members)).await?;
    let (mut talking, mut random) = (JoinSet::new(), stage.random(0));
    for (number, client) in clients.into_iter().enumerate() {
        let first = every.mul_f64(random.f64());
        let began = tokio::time::Instant::now() + first;
        talking.spawn(talk(client, number, members, began, every));
    }
    tokio::time::sleep(before).await;
    let asked = Instant::now();
    server.ask_to_end()?;
    let status = ended(&mut server, asked).await?;
    let took = asked.elapsed();
    let mut records = Vec::new();
    while let Some(record) = talking.join_next().await {
        records.push(record.context("a member panicked")?.context("a member")?);
    }
    judge(&records, findings);
    findings.within("ended after", took, ENDED_WITHIN);
    let code = status
        .code()
        .map_or_else(|| "none".to_owned(), |code| code.to_string());
    findings.figure("exit code", code);
    findings.exactly("ended with code 0", u64::from(status.success()), 1);
    Ok(())
}

async fn ended(server: &mut Server, asked: Instant) -> anyhow::Result<ExitStatus> {
    loop {
        if let Some(status) = server.ended()? {
            return Ok(status);
        }
        ensure!(
            asked.elapsed() < 2 * ENDED_WITHIN,
            "the server does not end"
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Talks as one member until the server closes the connection.
async fn talk(
    mut client: Client,
    own: usize,
    members: usize,
    began: tokio::time::Instant,
    every: Duration,
) -> anyhow::Result<(usize, Record)> {
    let mut record = Record::new(members);
    let mut ticker = interval_at(began, every);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut may_talk = true;
    loop {
        tokio::select! {
            _ = ticker.tick(), if may_talk => {
                let lines = (record.sent..record.sent + BURST).map(|n| format!("{n} talk\n"));
                // If sending fails, the server is shutting down. The member then only reads.
                may_talk = client.writer.send(lines.collect::<String>().as_bytes()).await.is_ok();
                record.sent += BURST;
            }
            more = client.reader.next() => {
                if !more.context("the server reset the connection")? {
                    break;
                }
                record.hear(client.reader.line());
            }
        }
    }
    Ok((own, record))
}

impl Record {
    fn new(members: usize) -> Self {
        Self {
            sent: 0,
            series: vec![Series::default(); members],
            lost: 0,
            refused: 0,
            goodbyes: 0,
            behind_goodbye: 0,
        }
    }

    fn hear(&mut self, line: &[u8]) {
        if self.goodbyes > 0 {
            self.behind_goodbye += 1;
        }
        if line == GOODBYE {
            self.goodbyes += 1;
        } else if let Some(count) = missed(line) {
            self.lost += count;
        } else if line.starts_with(b"! ") {
            self.refused += 1;
        } else if let Some((from, text)) = said(line) {
            match stamp(from, text) {
                Some((from, number)) if from < self.series.len() => {
                    self.series[from].receive(number);
                }
                _ => self.lost += 1,
            }
        }
    }
}

/// Returns the sender's number and the message number, such as 17 and 5 for the text `5 talk` from `m17`.
fn stamp(from: &[u8], text: &[u8]) -> Option<(usize, u64)> {
    let from = std::str::from_utf8(from).ok()?.strip_prefix('m')?;
    let text = std::str::from_utf8(text).ok()?.strip_suffix(" talk")?;
    Some((from.parse().ok()?, text.parse().ok()?))
}

fn judge(records: &[(usize, Record)], findings: &mut Findings) {
    let sum = |of: fn(&Record) -> u64| records.iter().map(|(_, record)| of(record)).sum();
    let everyone = records.len();
    // A message that one member received must have reached all other members.
    let mut accepted = vec![0; everyone];
    for (_, record) in records {
        for (all, seen) in accepted.iter_mut().zip(&record.series) {
            *all = (*all).max(seen.next);
        }
    }
    let mut short = Vec::new();
    for (own, record) in records {
        for (from, (all, seen)) in accepted.iter().zip(&record.series).enumerate() {
            if from != *own && seen.next < *all {
                short.push(format!("m{own} saw {} of m{from}'s {all}", seen.next));
            }
        }
    }
    findings.figure(
        "messages sent by members",
        grouped(sum(|record| record.sent)),
    );
    findings.at_least(
        "messages that at least one member received",
        accepted.iter().sum(),
        20,
    );
    findings.figure("refused", grouped(sum(|record| record.refused)));
    findings.exactly(
        "lost or missed",
        sum(|record| record.lost + record.series.iter().map(|series| series.lost).sum::<u64>()),
        0,
    );
    findings.exactly(
        "duplicated or out of order",
        sum(|record| record.series.iter().map(|series| series.repeated).sum()),
        0,
    );
    findings.none("members without another's last messages", &short);
    let goodbyes = sum(|record| record.goodbyes);
    findings.exactly("goodbyes", goodbyes, everyone as u64);
    findings.exactly(
        "lines after a goodbye",
        sum(|record| record.behind_goodbye),
        0,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_saw_less_than_another_fails_the_drill() {
        let mut records = vec![
            (0, Record::new(2)),
            (1, Record::new(2)),
            (2, Record::new(2)),
        ];
        records[1].1.hear(b"14:02 m0: 0 talk");
        for (_, record) in &mut records {
            record.hear(GOODBYE);
        }
        let mut findings = Findings::default();
        judge(&records, &mut findings);
        assert!(
            findings.to_string().contains("m2 saw 0 of m0's 1"),
            "{findings}"
        );
    }
}
