//! Drills: our server, as a child process, among members and on a machine that fail it.
//!
//! Each shows promises of the server under stress and prints the bounds beside the figures. A drill may be unlucky
//! with its figures on a busy machine, but never with what must not happen: a message lost or seen twice.

mod account;
mod churn;
mod client;
mod costly;
mod crowd;
mod descriptors;
mod drain;
mod findings;
mod full_disk;
mod kill9;
mod log;
mod memory;
mod resume;
mod slow;
mod soak;
mod stage;
mod storm;
mod stuck;
mod torn;
mod witness;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::ValueEnum;
use tokio::time::timeout;

use crate::progress::Progress;
use findings::Findings;
use stage::Stage;

/// How long one drill may take before it has failed; the time that the command line gives comes on top.
const DRILL_MAX: Duration = Duration::from_secs(240);

/// One kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DrillName {
    /// All of them but soak
    All,
    /// One of 1,000 members never reads
    StuckReader,
    /// 200 members read 1 KiB a second
    SlowReaders,
    /// More connections than descriptors
    FdExhaustion,
    /// 5,000 members are cut and back within 2 s
    ReconnectStorm,
    /// 64 tasks come, go and rename at random
    Churn,
    /// SIGTERM among 1,000 busy members
    Drain,
    /// A member stops reading and comes back
    Resume,
    /// 100 times kill -9 under 50 writers, with --data
    Kill9,
    /// The disk of --data fills up, and is freed (as root)
    DiskFull,
    /// 1,000 files of --data that are cut or have bits turned over (in process)
    Torn,
    /// One sender asks for whatever costs most: no kind moves others' p99 past 20 ms
    Costly,
    /// Members come, talk and leave for --minutes: memory and descriptors do not grow
    Soak,
}

impl DrillName {
    /// Each drill once, but for the one that takes minutes.
    fn each() -> Vec<Self> {
        let all = Self::value_variants().iter().copied();
        all.filter(|name| !matches!(name, Self::All | Self::Soak))
            .collect()
    }

    /// What was asked for, with `all` spelled out.
    pub(crate) fn resolve(names: &[Self]) -> Vec<Self> {
        if names.contains(&Self::All) {
            Self::each()
        } else {
            names.to_vec()
        }
    }

    fn as_string(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// All that `chat-bench drill` was asked to do.
#[derive(Debug)]
pub(crate) struct DrillPlan {
    pub(crate) drills: Vec<DrillName>,
    pub(crate) seed: u64,
    /// Our server's program.
    pub(crate) server: PathBuf,
    pub(crate) is_quick: bool,
    /// How long the drills that last a time last, if it was said.
    pub(crate) lasting: Option<Duration>,
    /// How long `soak` lasts, if it was said.
    pub(crate) soaking: Option<Duration>,
    /// How many senders `costly` has.
    pub(crate) senders: usize,
    /// What the names of the kinds of `costly` begin with; all kinds if there is none.
    pub(crate) kinds: Vec<String>,
}

impl DrillPlan {
    /// The most connections that any drill makes.
    pub(crate) fn connections_max(&self) -> usize {
        if self.is_quick { 1_000 } else { 10_500 }
    }
}

/// Runs the drills and prints what they found. Returns one text for each that failed.
///
/// # Errors
///
/// Nothing could be run at all.
pub(crate) fn run(plan: &DrillPlan, progress: &Progress) -> anyhow::Result<Vec<String>> {
    let mut failures = Vec::new();
    for &name in &plan.drills {
        let title = name.as_string();
        progress.now(&format!("drill {title}"));
        // A runtime of its own, so that a drill leaves nothing behind.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .enable_all()
            .build()
            .context("no runtime")?;
        let (began, mut findings) = (Instant::now(), Findings::default());
        let limit = DRILL_MAX + plan.lasting.or(plan.soaking).unwrap_or_default();
        let stage = Stage::new(plan);
        let done = runtime
            .block_on(async { timeout(limit, perform(name, &stage, &mut findings)).await })
            .context("it did not end in time")
            .flatten();
        runtime.shutdown_timeout(Duration::from_secs(1));
        let has_passed = done.is_ok() && findings.have_passed();
        let verdict = if has_passed { "PASS" } else { "FAIL" };
        let seconds = began.elapsed().as_secs_f64();
        println!("{title}: {verdict} ({seconds:.1} s)\n{findings}");
        if let Err(error) = done {
            let error: String = format!("{error:#}").chars().take(ERROR_SHOWN).collect();
            failures.push(format!("{title}: {error}"));
        } else if !has_passed {
            failures.push(format!("{title}: a bound was broken"));
        }
    }
    Ok(failures)
}

/// How much of an error is shown: a line that nobody expected may be long.
const ERROR_SHOWN: usize = 500;

/// Threads on which the drills' clients run; the server needs the rest of a small machine.
const WORKERS: usize = 2;

async fn perform(
    name: DrillName,
    stage: &Stage<'_>,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    match name {
        DrillName::All => Ok(()),
        DrillName::StuckReader => stuck::run(stage, findings).await,
        DrillName::SlowReaders => slow::run(stage, findings).await,
        DrillName::FdExhaustion => descriptors::run(stage, findings).await,
        DrillName::ReconnectStorm => storm::run(stage, findings).await,
        DrillName::Churn => churn::run(stage, findings).await,
        DrillName::Drain => drain::run(stage, findings).await,
        DrillName::Resume => resume::run(stage, findings).await,
        DrillName::Kill9 => kill9::run(stage, findings).await,
        DrillName::DiskFull => full_disk::run(stage, findings).await,
        DrillName::Torn => torn::run(stage, findings).await,
        DrillName::Costly => costly::run(stage, findings).await,
        DrillName::Soak => soak::run(stage, findings).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_means_each_once() {
        let all = DrillName::resolve(&[DrillName::Churn, DrillName::All]);
        assert_eq!(all.len(), 11);
        assert!(!all.contains(&DrillName::All));
        assert!(!all.contains(&DrillName::Soak));
        assert_eq!(DrillName::resolve(&[DrillName::Churn]), [DrillName::Churn]);
    }
}
