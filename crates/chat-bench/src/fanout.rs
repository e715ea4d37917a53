//! The fan-out benchmark: runs each workload with each server, in rounds. Each run starts a new server process.

use std::time::Duration;

use anyhow::{Context, anyhow};
use serde::Serialize;

use crate::generator::{Failure, Generator, Goal, Phase};
use crate::launch::Server;
use crate::peer::Contestant;
use crate::proc;
use crate::progress::Progress;
use crate::turns::{self, Turns};
use crate::workload::Workload;

/// The arguments of `chat-bench fanout`.
#[derive(Debug)]
pub(crate) struct FanoutPlan {
    pub(crate) workloads: Vec<Workload>,
    pub(crate) rounds: u32,
    pub(crate) warm_up: Goal,
    pub(crate) goal: Goal,
    /// The longest time that a run may go without a delivery. After this time the run fails.
    pub(crate) stall: Duration,
    pub(crate) contestants: Vec<Contestant>,
}

/// The results of one workload.
#[derive(Debug)]
pub(crate) struct WorkloadResult {
    pub(crate) workload: Workload,
    pub(crate) servers: Vec<Turns<Run>>,
}

/// The figures of one run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Run {
    pub(crate) messages: u64,
    pub(crate) deliveries: u64,
    pub(crate) seconds: f64,
    pub(crate) deliveries_per_second: f64,
    pub(crate) cpu_us_per_delivery: f64,
    /// The time from sending a message until its last receiver has received it: percentiles, in microseconds.
    pub(crate) last_p50_us: f64,
    pub(crate) last_p99_us: f64,
    /// Resident memory at the start of the measured phase, and the growth during the phase, in KiB.
    pub(crate) rss_kib: u64,
    pub(crate) rss_change_kib: i64,
}

impl FanoutPlan {
    /// The most connections that any workload of the plan makes.
    pub(crate) fn connections_max(&self) -> usize {
        self.workloads.iter().map(connections).max().unwrap_or(0)
    }
}

/// Runs all workloads. A server's failure is part of its result, and the runs of the other servers continue.
pub(crate) fn run(plan: &FanoutPlan, progress: &Progress) -> Vec<WorkloadResult> {
    plan.workloads
        .iter()
        .map(|workload| run_workload(plan, workload, progress))
        .collect()
}

fn run_workload(plan: &FanoutPlan, workload: &Workload, progress: &Progress) -> WorkloadResult {
    let title = format!("{:?}", workload.name);
    let measure = |contestant: &Contestant| start_and_measure(plan, workload, contestant);
    WorkloadResult {
        workload: workload.clone(),
        servers: turns::take(&title, plan.rounds, &plan.contestants, progress, measure),
    }
}

fn start_and_measure(
    plan: &FanoutPlan,
    workload: &Workload,
    contestant: &Contestant,
) -> anyhow::Result<Run> {
    let server = Server::start(&*contestant.peer, connections(workload))
        .context("could not start the server")?;
    measure(plan, workload, contestant, &server)
        .map_err(|failure| anyhow!("{failure}\n(its last output: {:?})", server.last_words()))
}

/// Performs one run: connects all members, warms up, measures, and looks for duplicates.
fn measure(
    plan: &FanoutPlan,
    workload: &Workload,
    contestant: &Contestant,
    server: &Server,
) -> Result<Run, Failure> {
    let peer = &*contestant.peer;
    let mut generator = Generator::new(peer, workload, server.port(), plan.stall)?;
    generator.connect_all()?;
    generator.run(plan.warm_up)?;
    generator.settle()?;
    let rss = proc::resident_kib(server.pid())?;
    let cpu = proc::cpu_time(server.pid())?;
    let phase = generator.run(plan.goal)?;
    let cpu = proc::cpu_time(server.pid())?.saturating_sub(cpu);
    let rss_after = proc::resident_kib(server.pid())?;
    generator.settle()?;
    generator.hang_up();
    Ok(figures(&phase, cpu, rss, rss_after))
}

fn figures(phase: &Phase, cpu: Duration, rss: u64, rss_after: u64) -> Run {
    let seconds = phase.elapsed.as_secs_f64();
    let deliveries = phase.deliveries as f64;
    let quantile = |q| phase.latency.value_at_quantile(q) as f64 / 1e3;
    Run {
        messages: phase.messages,
        deliveries: phase.deliveries,
        seconds,
        deliveries_per_second: deliveries / seconds,
        cpu_us_per_delivery: cpu.as_secs_f64() * 1e6 / deliveries,
        last_p50_us: quantile(0.5),
        last_p99_us: quantile(0.99),
        rss_kib: rss,
        rss_change_kib: rss_after as i64 - rss as i64,
    }
}

/// The number of connections of a workload, including separate publishers and a reserve of 16.
fn connections(workload: &Workload) -> usize {
    workload.members + workload.publishers + workload.stuck + 16
}
