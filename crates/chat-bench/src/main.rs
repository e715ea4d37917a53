//! `chat-bench`: applies the same load to `chat-server`, reference servers, and other installed chat servers.
//!
//! Each server runs as a child process on a free loopback port and is driven by one single-threaded generator. Only the
//! server's own processor time and memory count, and a delivery counts only if the right bytes arrive in the right
//! order. Drills show what `chat-server` does when members or the machine fail.

#![forbid(unsafe_code)]

mod cli;
mod drill;
mod fanout;
mod generator;
mod hub;
mod idle;
mod journal;
mod launch;
mod ledger;
mod payload;
mod peer;
mod proc;
mod progress;
mod readiness;
mod reference;
mod report;
mod server_bin;
mod stats;
mod turns;
mod workload;

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

use cli::{Cli, Command, DrillArgs, FanoutArgs, HubArgs, IdleArgs, JournalArgs, Reference};
use progress::Progress;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(Verdict::Right) => ExitCode::SUCCESS,
        Ok(Verdict::Wrong) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("chat-bench: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether every server behaved correctly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Right,
    /// At least one server lost, duplicated, reordered or corrupted a message, or failed in another way.
    Wrong,
}

fn run(cli: Cli) -> anyhow::Result<Verdict> {
    match cli.command {
        Command::Fanout(args) => run_fanout(&args),
        Command::Idle(args) => run_idle(&args),
        Command::Hub(args) => run_hub(&args),
        Command::Journal(args) => run_journal(&args),
        Command::Drill(args) => run_drill(&args),
        Command::Reference(Reference::Floor { port }) => {
            reference::floor::serve(port).context("floor")?;
            Ok(Verdict::Right)
        }
        Command::Reference(Reference::Obvious { port }) => {
            reference::obvious::serve(port).context("obvious")?;
            Ok(Verdict::Right)
        }
        Command::Reference(Reference::Run { command }) => {
            reference::run(&command)?;
            Ok(Verdict::Right)
        }
    }
}

fn run_fanout(args: &FanoutArgs) -> anyhow::Result<Verdict> {
    let plan = args.plan()?;
    proc::raise_descriptor_limit(plan.connections_max() + DESCRIPTOR_RESERVE)?;
    let results = fanout::run(&plan, &Progress::new());
    let report = report::FanoutReport::new(&plan, results);
    report::write_fanout(&report, &args.output)?;
    Ok(verdict(&report.failures()))
}

fn run_idle(args: &IdleArgs) -> anyhow::Result<Verdict> {
    let plan = args.plan()?;
    proc::raise_descriptor_limit(plan.workload.members + DESCRIPTOR_RESERVE)?;
    let report = idle::run(&plan, &Progress::new());
    report::write_idle(&report, args.json.as_deref())?;
    Ok(verdict(&report.failures()))
}

fn run_hub(args: &HubArgs) -> anyhow::Result<Verdict> {
    let report = hub::run(&args.plan(), &Progress::new())?;
    report::write(&report.to_string(), &report, args.json.as_deref())?;
    Ok(Verdict::Right)
}

fn run_journal(args: &JournalArgs) -> anyhow::Result<Verdict> {
    let report = journal::run(&args.plan(), &Progress::new())?;
    report::write(&report.to_string(), &report, args.json.as_deref())?;
    Ok(Verdict::Right)
}

fn run_drill(args: &DrillArgs) -> anyhow::Result<Verdict> {
    let plan = args.plan()?;
    // The servers inherit the limit of this process.
    proc::raise_descriptor_limit(plan.connections_max() + DESCRIPTOR_RESERVE)?;
    let failures = drill::run(&plan, &Progress::new())?;
    Ok(verdict(&failures))
}

fn verdict(failures: &[String]) -> Verdict {
    if failures.is_empty() {
        return Verdict::Right;
    }
    for failure in failures {
        eprintln!("chat-bench: FAILED: {failure}");
    }
    Verdict::Wrong
}

/// How many descriptors a process needs in addition to one for each member: for the listener, epoll, files, and
/// publishers that are not members.
const DESCRIPTOR_RESERVE: usize = 128;
