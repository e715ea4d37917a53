//! The journal benchmark: how many messages a second are stored in memory and in a file, and how long each message
//! waits for its position.
//!
//! Each writer publishes one message and waits for its position before it publishes the next, as a program that needs
//! acknowledgements does. The file is in `--dir`, which should be on a real disk.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use chat_core::{Event, Hub, Limits, Session};
use chat_sqlite::{Options, SqliteJournal, Sync};
use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::progress::Progress;

/// The arguments of `chat-bench journal`.
#[derive(Debug)]
pub(crate) struct JournalPlan {
    pub(crate) dir: PathBuf,
    pub(crate) writers: Vec<usize>,
    pub(crate) lasting: Duration,
    pub(crate) payload: usize,
}

/// Where a log is stored: in memory, or in a file with this level of `--sync`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kept {
    Memory,
    Normal,
    Full,
}

/// The figures of the journal benchmark.
#[derive(Debug, Serialize)]
pub(crate) struct JournalReport {
    pub(crate) payload: usize,
    pub(crate) rows: Vec<Row>,
    pub(crate) paced: Vec<Paced>,
}

/// The figures for concurrent writers. After each message, a writer waits until the log has given the message a
/// position.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    kept: Kept,
    writers: usize,
    messages_per_second: f64,
    p50_us: u64,
    p99_us: u64,
}

/// The time until a member receives a message, while one message is published each millisecond.
#[derive(Debug, Serialize)]
pub(crate) struct Paced {
    kept: Kept,
    messages: u64,
    p50_us: u64,
    p99_us: u64,
    max_us: u64,
}

const ALL: [Kept; 3] = [Kept::Memory, Kept::Normal, Kept::Full];

/// Measures every kind of storage.
pub(crate) fn run(plan: &JournalPlan, progress: &Progress) -> anyhow::Result<JournalReport> {
    let (mut rows, mut paced) = (Vec::new(), Vec::new());
    for kept in ALL {
        for &writers in &plan.writers {
            progress.now(&format!("{kept}, {writers} writers"));
            rows.push(in_runtime(waiting(plan, kept, writers))?);
        }
        progress.now(&format!("{kept}, 1,000 messages a second"));
        paced.push(in_runtime(at_a_pace(plan, kept))?);
    }
    Ok(JournalReport {
        payload: plan.payload,
        rows,
        paced,
    })
}

fn in_runtime<T>(measuring: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(measuring)
}

/// Returns a hub with the kind of storage that `kept` names, and the directory of its files.
fn hub(dir: &Path, kept: Kept) -> anyhow::Result<(Hub, Option<tempfile::TempDir>)> {
    let sync = match kept {
        Kept::Memory => return Ok((Hub::new(Limits::default()), None)),
        Kept::Normal => Sync::Normal,
        Kept::Full => Sync::Full,
    };
    let dir = tempfile::Builder::new()
        .prefix("chat-bench-")
        .tempdir_in(dir)?;
    let mut options = Options::default();
    options.sync = sync;
    let journal = SqliteJournal::open(&dir.path().join("log.db"), &options)?;
    Ok((Hub::builder().journal(journal).build(), Some(dir)))
}

async fn waiting(plan: &JournalPlan, kept: Kept, writers: usize) -> anyhow::Result<Row> {
    let (hub, _dir) = hub(&plan.dir, kept)?;
    let mut sessions = Vec::new();
    for writer in 0..writers {
        sessions.push(hub.session(Some(&format!("w{writer}"))).await?);
    }
    let text = "x".repeat(plan.payload);
    let (began, mut writing) = (Instant::now(), JoinSet::new());
    // Messages that are published during the warm-up do not count.
    let counts_from = began + plan.lasting / 5;
    let until = counts_from + plan.lasting;
    for session in sessions {
        writing.spawn(write(session, text.clone(), counts_from, until));
    }
    let mut waited = Histogram::<u64>::new(3)?;
    while let Some(written) = writing.join_next().await {
        waited.add(written.context("a writer panicked")??)?;
    }
    Ok(Row {
        kept,
        writers,
        messages_per_second: waited.len() as f64 / plan.lasting.as_secs_f64(),
        p50_us: waited.value_at_quantile(0.5),
        p99_us: waited.value_at_quantile(0.99),
    })
}

async fn write(
    session: Session,
    text: String,
    counts_from: Instant,
    until: Instant,
) -> anyhow::Result<Histogram<u64>> {
    let mut waited = Histogram::new(3)?;
    loop {
        let began = Instant::now();
        if began >= until {
            return Ok(waited);
        }
        session.publish("bench", &text).await?;
        if began >= counts_from {
            waited.record(micros(began))?;
        }
    }
}

async fn at_a_pace(plan: &JournalPlan, kept: Kept) -> anyhow::Result<Paced> {
    let (hub, _dir) = hub(&plan.dir, kept)?;
    let (talking, listening) = (
        hub.session(Some("talking")).await?,
        hub.session(Some("listening")).await?,
    );
    let mut member = listening.join("bench").await?;
    let messages = plan.lasting.as_millis() as u64;
    let origin = Instant::now();
    let mut tasks = JoinSet::new();
    let text = "x".repeat(plan.payload);
    tasks.spawn(async move {
        let mut ticks = interval(Duration::from_millis(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut saying = futures::stream::FuturesUnordered::new();
        let mut left = messages;
        while left > 0 {
            tokio::select! {
                _ = ticks.tick() => {
                    let at = origin.elapsed().as_micros();
                    let (talking, text) = (&talking, format!("{at} {text}"));
                    saying.push(async move { talking.publish("bench", &text).await });
                    left -= 1;
                }
                Some(said) = futures::StreamExt::next(&mut saying) => drop(said?),
            }
        }
        while let Some(said) = futures::StreamExt::next(&mut saying).await {
            said?;
        }
        anyhow::Ok(())
    });
    let mut took = Histogram::<u64>::new(3)?;
    while took.len() < messages {
        let event = member.next().await.context("the room ended")?;
        let Event::Message(message) = event else {
            continue;
        };
        let said = message.text().split(' ').next();
        let said: u128 = said.context("no time")?.parse()?;
        let late = origin.elapsed().as_micros().saturating_sub(said);
        took.record(u64::try_from(late)?)?;
    }
    while let Some(done) = tasks.join_next().await {
        done.context("the writer panicked")??;
    }
    Ok(Paced {
        kept,
        messages,
        p50_us: took.value_at_quantile(0.5),
        p99_us: took.value_at_quantile(0.99),
        max_us: took.max(),
    })
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Memory => "memory",
            Self::Normal => "file, normal",
            Self::Full => "file, full",
        })
    }
}

impl fmt::Display for JournalReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Writers that each wait for the position of one message of {} bytes before the next.",
            self.payload
        )?;
        writeln!(
            f,
            "  {:<14} {:>8} {:>14} {:>8} {:>8}  x one writer",
            "", "writers", "messages/s", "p50 us", "p99 us"
        )?;
        for row in &self.rows {
            let one = self.rows.iter().find(|one| one.kept == row.kept);
            let one = one.map_or(f64::NAN, |one| one.messages_per_second);
            writeln!(
                f,
                "  {:<14} {:>8} {:>14.0} {:>8} {:>8}  {:>12.1}",
                row.kept,
                row.writers,
                row.messages_per_second,
                row.p50_us,
                row.p99_us,
                row.messages_per_second / one
            )?;
        }
        writeln!(
            f,
            "\nOne message a millisecond: time until a member receives it."
        )?;
        writeln!(
            f,
            "  {:<14} {:>8} {:>8} {:>8} {:>8}",
            "", "messages", "p50 us", "p99 us", "max us"
        )?;
        for paced in &self.paced {
            writeln!(
                f,
                "  {:<14} {:>8} {:>8} {:>8} {:>8}",
                paced.kept, paced.messages, paced.p50_us, paced.p99_us, paced.max_us
            )?;
        }
        Ok(())
    }
}
