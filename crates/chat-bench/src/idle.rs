//! The idle benchmark: thousands of silent members, and single messages to all of them.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::generator::{Failure, Generator, Goal};
use crate::launch::Server;
use crate::ledger::Echo;
use crate::peer::{Contestant, Who};
use crate::proc;
use crate::progress::Progress;
use crate::stats::median;
use crate::turns::{self, ServerReport};
use crate::workload::Workload;

/// The arguments of `chat-bench idle`.
#[derive(Debug)]
pub(crate) struct IdlePlan {
    pub(crate) workload: Workload,
    pub(crate) rounds: u32,
    /// The number of messages that are sent one at a time after the first message.
    pub(crate) messages: u32,
    /// How long all members are silent before the server's memory is measured.
    pub(crate) settle: Duration,
    pub(crate) stall: Duration,
    pub(crate) contestants: Vec<Contestant>,
}

impl IdlePlan {
    /// The number of members that join before the first reading of the server's memory. The reading then includes what
    /// a server allocates only once, so these allocations do not count as growth.
    pub(crate) const FIRST_IN: usize = 10;
}

/// The results of all servers.
#[derive(Debug, Serialize)]
pub(crate) struct IdleReport {
    pub(crate) members: usize,
    pub(crate) rounds: u32,
    pub(crate) servers: Vec<ServerReport<IdleRun, IdleRun>>,
}

/// The figures of one run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct IdleRun {
    /// Resident memory for each connection in KiB, while all members are silent.
    pub(crate) kib_per_connection: f64,
    /// Resident memory for each connection in KiB, after a few messages to all members.
    pub(crate) kib_per_connection_after_messages: f64,
    /// The time from the first connect until the last member has joined, in milliseconds.
    pub(crate) all_in_ms: f64,
    /// The time until the first message has reached all members, in milliseconds.
    pub(crate) first_message_ms: f64,
    /// The median time until a message after the first has reached all members, in milliseconds.
    pub(crate) message_ms: f64,
    /// The longest time until a message after the first has reached all members, in milliseconds.
    pub(crate) message_worst_ms: f64,
    /// The server's processor time for each delivery of the messages after the first, in microseconds.
    pub(crate) cpu_us_per_delivery: f64,
}

impl IdleReport {
    /// Returns one error text for each server that failed.
    pub(crate) fn failures(&self) -> Vec<String> {
        turns::failures(&self.servers)
    }
}

/// Measures each server in each round.
pub(crate) fn run(plan: &IdlePlan, progress: &Progress) -> IdleReport {
    let measure = |contestant: &Contestant| measure(plan, contestant);
    let servers = turns::take("idle", plan.rounds, &plan.contestants, progress, measure)
        .into_iter()
        .map(|turns| turns.report(|turns| median_run(&turns.runs)))
        .collect();
    IdleReport {
        members: plan.workload.members,
        rounds: plan.rounds,
        servers,
    }
}

fn measure(plan: &IdlePlan, contestant: &Contestant) -> Result<IdleRun, Failure> {
    let members = plan.workload.members;
    let peer = &*contestant.peer;
    let server = Server::start(peer, members + 32)?;
    let mut generator = Generator::new(peer, &plan.workload, server.port(), plan.stall)?;
    let mut first: Vec<Who> = (0..IdlePlan::FIRST_IN).map(Who::Member).collect();
    if peer.echo() == Echo::Apart {
        first.push(Who::Publisher(0));
    }
    generator.connect(&first)?;
    generator.rest(plan.settle)?;
    let before = proc::resident_kib(server.pid())?;

    let rest: Vec<Who> = (IdlePlan::FIRST_IN..members).map(Who::Member).collect();
    let start = Instant::now();
    generator.connect(&rest)?;
    let all_in = start.elapsed();
    generator.rest(plan.settle)?;
    let idle = proc::resident_kib(server.pid())?;

    let first_message = generator.run(Goal::Messages(1))?.elapsed;
    let cpu = proc::cpu_time(server.pid())?;
    let mut times = Vec::new();
    let mut deliveries = 0;
    for _ in 0..plan.messages {
        let phase = generator.run(Goal::Messages(1))?;
        deliveries += phase.deliveries;
        times.push(milliseconds(phase.elapsed));
    }
    let cpu = proc::cpu_time(server.pid())?.saturating_sub(cpu);
    generator.settle()?;
    let after = proc::resident_kib(server.pid())?;
    generator.hang_up();
    let each = |kib: u64| (kib as f64 - before as f64) / rest.len() as f64;
    Ok(IdleRun {
        kib_per_connection: each(idle),
        kib_per_connection_after_messages: each(after),
        all_in_ms: milliseconds(all_in),
        first_message_ms: milliseconds(first_message),
        message_ms: median(times.iter().copied()).unwrap_or_default(),
        message_worst_ms: times.iter().copied().fold(0.0, f64::max),
        cpu_us_per_delivery: cpu.as_secs_f64() * 1e6 / f64::from(deliveries.max(1) as u32),
    })
}

fn median_run(runs: &[Option<IdleRun>]) -> Option<IdleRun> {
    let of = |figure: fn(&IdleRun) -> f64| median(runs.iter().flatten().map(figure));
    Some(IdleRun {
        kib_per_connection: of(|run| run.kib_per_connection)?,
        kib_per_connection_after_messages: of(|run| run.kib_per_connection_after_messages)?,
        all_in_ms: of(|run| run.all_in_ms)?,
        first_message_ms: of(|run| run.first_message_ms)?,
        message_ms: of(|run| run.message_ms)?,
        message_worst_ms: of(|run| run.message_worst_ms)?,
        cpu_us_per_delivery: of(|run| run.cpu_us_per_delivery)?,
    })
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
