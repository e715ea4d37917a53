//! Drills: `chat-server` runs as a child process while its members, or the machine, fail.
//!
//! Each drill checks promises of the server under stress, and prints the figures with their bounds. On a busy machine,
//! a measured time may exceed its bound. A count of failures, such as lost messages, does not depend on the load.

mod account;
mod churn;
mod client;
mod costly;
mod crowd;
mod descriptors;
mod drain;
mod findings;
mod full_disk;
mod http;
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

/// How long one drill may take before it fails. The time of `--seconds` or `--minutes` is added.
const DRILL_MAX: Duration = Duration::from_secs(240);

/// The drills by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DrillName {
    /// All drills but soak
    All,
    /// One of 1,000 members never reads
    StuckReader,
    /// 200 members read 1 KiB a second
    SlowReaders,
    /// More connections than descriptors
    FdExhaustion,
    /// 5,000 members are disconnected and reconnect within 2 s
    ReconnectStorm,
    /// 64 members join, leave and rename at random
    Churn,
    /// SIGTERM among 1,000 busy members
    Drain,
    /// A member stops reading and reads on later
    Resume,
    /// kill -9 with 50 writers, 100 times, with --data
    Kill9,
    /// The disk of --data fills up and is freed (needs root)
    DiskFull,
    /// 1,000 files of --data that are truncated or have flipped bits (in process)
    Torn,
    /// One sender makes the most expensive requests: the p99 of others stays below 20 ms
    Costly,
    /// Browsers that break the rules of HTTP or are slow on purpose
    Http,
    /// Members join, talk and leave for --minutes: memory and descriptors do not grow
    Soak,
}

impl DrillName {
    /// Returns every drill except `soak`, which takes minutes.
    fn each() -> Vec<Self> {
        let all = Self::value_variants().iter().copied();
        all.filter(|name| !matches!(name, Self::All | Self::Soak))
            .collect()
    }

    /// Returns the drills of `names`. `all` stands for every drill except `soak`.
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

/// The arguments of `chat-bench drill`.
#[derive(Debug)]
pub(crate) struct DrillPlan {
    pub(crate) drills: Vec<DrillName>,
    pub(crate) seed: u64,
    /// The path of `chat-server`.
    pub(crate) server: PathBuf,
    pub(crate) is_quick: bool,
    /// How long drills of configurable length last (`--seconds`). `None` if each drill uses its default.
    pub(crate) lasting: Option<Duration>,
    /// How long `soak` lasts (`--minutes`). `None` if `soak` uses its default.
    pub(crate) soaking: Option<Duration>,
    /// The number of connections on which the drill `costly` sends (`--connections`).
    pub(crate) senders: usize,
    /// Prefixes of names. The drill `costly` tries the kinds of requests whose names begin with one of these prefixes.
    /// If there are no prefixes, the drill tries all kinds.
    pub(crate) kinds: Vec<String>,
}

impl DrillPlan {
    /// The most connections that any drill makes.
    pub(crate) fn connections_max(&self) -> usize {
        if self.is_quick { 1_000 } else { 10_500 }
    }
}

/// Runs the drills and prints their findings. Returns one error text for each drill that failed.
///
/// # Errors
///
/// Returns an error if the Tokio runtime can't be built.
pub(crate) fn run(plan: &DrillPlan, progress: &Progress) -> anyhow::Result<Vec<String>> {
    let mut failures = Vec::new();
    for &name in &plan.drills {
        let title = name.as_string();
        progress.now(&format!("drill {title}"));
        // Each drill has its own runtime, so that no task of one drill runs during the next.
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
            .context("timed out")
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
            failures.push(format!("{title}: a figure is out of bounds"));
        }
    }
    Ok(failures)
}

/// The most characters of an error text that are shown. The text may contain a long line of the server.
const ERROR_SHOWN: usize = 500;

/// The number of threads for the drills' clients. The server needs the other processors of a small machine.
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
        DrillName::Http => http::run(stage, findings).await,
        DrillName::Soak => soak::run(stage, findings).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_stands_for_each_drill_once() {
        let all = DrillName::resolve(&[DrillName::Churn, DrillName::All]);
        assert_eq!(all.len(), 12);
        assert!(!all.contains(&DrillName::All));
        assert!(!all.contains(&DrillName::Soak));
        assert_eq!(DrillName::resolve(&[DrillName::Churn]), [DrillName::Churn]);
    }
}
