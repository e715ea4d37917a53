//! The command-line arguments of `chat-bench`. Each subcommand turns its arguments into a plan.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::{Args, Parser, Subcommand};

use crate::drill::{DrillName, DrillPlan};
use crate::fanout::FanoutPlan;
use crate::generator::Goal;
use crate::hub::HubPlan;
use crate::idle::IdlePlan;
use crate::journal::JournalPlan;
use crate::payload::{PAYLOAD_MAX, PAYLOAD_MIN};
use crate::peer::{
    Chat, ChatJson, ChatWeb, Contestant, Nats, Ngircd, Peer, PeerName, Raw, Redis, SocketIo, Ws,
    find_on_path,
};
use crate::server_bin;
use crate::workload::{Workload, WorkloadName};

/// Load generator for chat servers; talks to 127.0.0.1 only.
#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Measure what it costs each server to deliver messages to the members of one room
    ///
    /// Workloads, 64-byte messages: A trickle: 100 members, 1 publisher, one message at a time. B burst: 100 members, 1
    /// publisher, 256 messages in flight. C all talk: 100 members, 50 of them publish, 256 in flight in total, shared
    /// out equally (5 each, 6 for the first six). D big room: 1,000 members, 1 publisher, 64 in flight.
    ///
    /// A message is in flight until every member that should receive it has received it. A publisher receives its own
    /// messages from `chat-server-json`, `chat-server-web`, `obvious`, `ws` and `socket-io` only; with redis,
    /// publishers are connections besides the members. Each received message counts as one delivery. Everything is
    /// checked: a lost, duplicated, reordered or corrupted message ends that server's run, is reported, and makes the
    /// exit code 1.
    Fanout(FanoutArgs),
    /// Measure what an idle connection costs, and how long a message takes to reach thousands of members
    Idle(IdleArgs),
    /// Measure what the hub costs in process, without sockets, beside a bare broadcast channel
    Hub(HubArgs),
    /// Measure what it costs to keep messages, in memory and in a file
    Journal(JournalArgs),
    /// Check that chat-server keeps its promises when members or the machine fail
    ///
    /// Each drill starts its own chat-server and prints what it did, and the figures with their bounds. Two witnesses
    /// chat throughout: they must lose nothing and receive nothing twice. One failed drill makes the exit code 1.
    Drill(DrillArgs),
    /// The reference servers, which are part of this program
    #[command(subcommand, hide = true)]
    Reference(Reference),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Reference {
    /// One thread and one epoll loop that writes each chunk to every socket
    Floor {
        #[arg(long)]
        port: u16,
    },
    /// `broadcast::channel` + `Framed` + `LinesCodec` + one `select!` per member
    Obvious {
        #[arg(long)]
        port: u16,
    },
    /// Execute another program, which ends when this program's parent ends
    Run {
        #[arg(required = true, last = true)]
        command: Vec<OsString>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct FanoutArgs {
    /// Workloads to run, in this order
    #[arg(long, value_delimiter = ',', default_value = "A,B,C,D")]
    workload: Vec<WorkloadName>,
    /// Number of rounds; each reported figure is the median over all rounds
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Seconds that each server is measured in each round, after a fifth of that as warm-up
    #[arg(long, default_value_t = 1.5)]
    seconds: f64,
    /// Messages that are published in each round, after a fifth of that as warm-up; replaces --seconds
    #[arg(long)]
    messages: Option<u64>,
    /// Number of members [default: the workload's]
    #[arg(long)]
    members: Option<usize>,
    /// Number of publishers [default: the workload's]
    #[arg(long)]
    publishers: Option<usize>,
    /// Messages in flight, all publishers together [default: the workload's]
    #[arg(long)]
    window: Option<usize>,
    /// Bytes of each message's text
    #[arg(long, default_value_t = 64)]
    payload: usize,
    /// Further members that join with a small receive buffer and never read
    #[arg(long, default_value_t = 0)]
    stuck: usize,
    #[command(flatten)]
    servers: ServerArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Which servers are measured, and how `chat-server` is found and started.
#[derive(Debug, Args)]
struct ServerArgs {
    /// Servers to measure [default: all that are found]
    #[arg(long, value_delimiter = ',')]
    only: Vec<PeerName>,
    /// Path of chat-server [default: beside this program]
    #[arg(long, value_name = "PATH")]
    server_bin: Option<PathBuf>,
    /// Further arguments for chat-server, separated by spaces
    #[arg(
        long,
        value_name = "ARGS",
        allow_hyphen_values = true,
        default_value = ""
    )]
    extra_server_args: String,
    /// Seconds without a delivery after which a run fails
    #[arg(long, default_value_t = 10)]
    stall_seconds: u64,
}

/// Files that the report is written to, in addition to the table.
#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// Write all figures as JSON to this file (-: standard output; the table goes to standard error)
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write a picture of the processor time to this file (SVG)
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct IdleArgs {
    /// Members that connect and stay silent
    #[arg(long, default_value_t = 9000)]
    members: usize,
    /// Number of rounds; each reported figure is the median over all rounds
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Messages sent one at a time after the first, to measure how long each takes to reach all members
    #[arg(long, default_value_t = 20)]
    messages: u32,
    /// Milliseconds of silence before memory is read
    #[arg(long, default_value_t = 500)]
    settle_ms: u64,
    #[command(flatten)]
    servers: ServerArgs,
    /// Write all figures as JSON to this file (-: standard output; the table goes to standard error)
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct HubArgs {
    /// Sessions that receive
    #[arg(long, default_value_t = 1000, value_parser = at_least_one)]
    sessions: usize,
    /// Messages that are measured in each round, after a fifth of that as warm-up
    #[arg(long, default_value_t = 2000, value_parser = at_least_one)]
    messages: usize,
    /// Messages in flight; at most the size of the ring
    #[arg(long, default_value_t = 1, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=128))]
    window: usize,
    /// Bytes of each message's text
    #[arg(long, default_value_t = 64, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=4096))]
    payload: usize,
    /// Number of rounds; each reported figure is the median over all rounds
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Write all figures as JSON to this file (-: standard output; the table goes to standard error)
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct JournalArgs {
    /// Writers, each waiting for one message at a time
    #[arg(long, value_delimiter = ',', default_value = "1,16,64,512")]
    writers: Vec<usize>,
    /// Seconds that each measurement lasts, after a fifth of that as warm-up
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Bytes of each message's text
    #[arg(long, default_value_t = 64, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=4000))]
    payload: usize,
    /// Directory for the files that are measured
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Write all figures as JSON to this file (-: standard output; the table goes to standard error)
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

impl JournalArgs {
    /// Returns the plan that the arguments describe.
    pub(crate) fn plan(&self) -> JournalPlan {
        JournalPlan {
            dir: self.dir.clone(),
            writers: self.writers.clone(),
            lasting: Duration::from_secs(self.seconds),
            payload: self.payload,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct DrillArgs {
    /// Drills to run, in this order
    #[arg(required = true, value_name = "NAME|all")]
    names: Vec<DrillName>,
    /// Seed of all random choices: the same seed sends the same bytes
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Path of chat-server [default: beside this program]
    #[arg(long, value_name = "PATH")]
    server_bin: Option<PathBuf>,
    /// Use small numbers: each drill takes a few seconds at most
    #[arg(long)]
    quick: bool,
    /// Seconds for churn, slow-readers and costly [default: set by each drill]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: Option<u64>,
    /// Minutes for soak [default: 2]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1440))]
    minutes: Option<u64>,
    /// Senders of costly, all from one address; with more than one, costly measures but does not judge
    #[arg(long, default_value_t = 1, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=4096))]
    connections: usize,
    /// Kinds of costly requests to try, as prefixes of their names [default: all]
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    kinds: Vec<String>,
}

impl DrillArgs {
    /// Checks the arguments and returns the plan that they describe.
    pub(crate) fn plan(&self) -> anyhow::Result<DrillPlan> {
        let server = server_bin::find(self.server_bin.as_deref())?;
        Ok(DrillPlan {
            drills: DrillName::resolve(&self.names),
            seed: self.seed,
            server,
            is_quick: self.quick,
            lasting: self.seconds.map(Duration::from_secs),
            soaking: self
                .minutes
                .map(|minutes| Duration::from_secs(60 * minutes)),
            senders: self.connections,
            kinds: self.kinds.clone(),
        })
    }
}

impl HubArgs {
    /// Returns the plan that the arguments describe.
    pub(crate) const fn plan(&self) -> HubPlan {
        HubPlan {
            sessions: self.sessions,
            messages: self.messages,
            window: self.window,
            payload: self.payload,
            rounds: self.rounds,
        }
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|&count| count > 0)
        .ok_or_else(|| "the number must be at least 1".into())
}

impl FanoutArgs {
    /// Checks the arguments and returns the plan that they describe.
    pub(crate) fn plan(&self) -> anyhow::Result<FanoutPlan> {
        let workloads = self
            .workload
            .iter()
            .map(|name| self.workload(*name))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let (warm_up, goal) = match self.messages {
            Some(0) => bail!("--messages must be at least 1"),
            Some(n) => (Goal::Messages((n / 5).max(1)), Goal::Messages(n)),
            None => {
                let measured = Duration::try_from_secs_f64(self.seconds).context("--seconds")?;
                (Goal::Elapsed(measured / 5), Goal::Elapsed(measured))
            }
        };
        Ok(FanoutPlan {
            workloads,
            rounds: self.rounds,
            warm_up,
            goal,
            stall: Duration::from_secs(self.servers.stall_seconds),
            contestants: self.servers.contestants(&PeerName::ALL)?,
        })
    }

    fn workload(&self, name: WorkloadName) -> anyhow::Result<Workload> {
        let mut workload = Workload::standard(name);
        workload.members = self.members.unwrap_or(workload.members);
        workload.publishers = self.publishers.unwrap_or(workload.publishers);
        workload.window = self.window.unwrap_or(workload.window);
        workload.payload = self.payload;
        workload.stuck = self.stuck;
        check_workload(&workload)?;
        Ok(workload)
    }
}

impl IdleArgs {
    /// Checks the arguments and returns the plan that they describe.
    pub(crate) fn plan(&self) -> anyhow::Result<IdlePlan> {
        let mut workload = Workload::standard(WorkloadName::A);
        workload.members = self.members;
        check_workload(&workload)?;
        ensure!(
            self.members > IdlePlan::FIRST_IN,
            "--members must be more than {}, the members that join before memory is read",
            IdlePlan::FIRST_IN
        );
        Ok(IdlePlan {
            workload,
            rounds: self.rounds,
            messages: self.messages,
            settle: Duration::from_millis(self.settle_ms),
            stall: Duration::from_secs(self.servers.stall_seconds),
            contestants: self.servers.contestants(&[
                PeerName::Floor,
                PeerName::ChatServer,
                PeerName::ChatServerJson,
                PeerName::ChatServerWeb,
                PeerName::Ws,
                PeerName::SocketIo,
            ])?,
        })
    }
}

fn check_workload(workload: &Workload) -> anyhow::Result<()> {
    ensure!(
        (2..=60_000).contains(&workload.members),
        "--members must be 2 to 60000"
    );
    ensure!(
        (1..=workload.members).contains(&workload.publishers),
        "--publishers must be 1 to the number of members ({})",
        workload.members
    );
    ensure!(
        workload.window >= workload.publishers,
        "--window must be at least the number of publishers ({})",
        workload.publishers
    );
    ensure!(
        (PAYLOAD_MIN..=PAYLOAD_MAX).contains(&workload.payload),
        "--payload must be {PAYLOAD_MIN} to {PAYLOAD_MAX}"
    );
    Ok(())
}

impl ServerArgs {
    /// Returns the servers that `--only` names. Without `--only`, returns the servers of `usual` whose programs are
    /// found.
    fn contestants(&self, usual: &[PeerName]) -> anyhow::Result<Vec<Contestant>> {
        let own = std::env::current_exe().context("the path of this program is unknown")?;
        let wanted = if self.only.is_empty() {
            usual
        } else {
            &self.only
        };
        let mut contestants = Vec::new();
        for name in wanted {
            let needed = name
                .needed()
                .map_or_else(String::new, |needed| format!(": {needed}"));
            match self.find(*name, &own) {
                Some(peer) => contestants.push(Contestant { name: *name, peer }),
                None if self.only.is_empty() => {
                    eprintln!("chat-bench: {} not found, skipped{needed}", name.as_str());
                }
                None => bail!("{} was not found{needed}", name.as_str()),
            }
        }
        ensure!(!contestants.is_empty(), "there is no server to measure");
        Ok(contestants)
    }

    fn find(&self, name: PeerName, own: &Path) -> Option<Box<dyn Peer>> {
        let program = own.to_path_buf();
        Some(match name {
            PeerName::Floor => Box::new(Raw::floor(program)),
            PeerName::Obvious => Box::new(Raw::obvious(program)),
            PeerName::ChatServer => Box::new(self.own_server()?),
            PeerName::ChatServerJson => Box::new(ChatJson(self.own_server()?)),
            PeerName::ChatServerWeb => Box::new(ChatWeb(ChatJson(self.own_server()?))),
            PeerName::RedisServer => Box::new(Redis(find_on_path(name.as_str())?)),
            PeerName::NatsServer => Box::new(Nats(find_on_path(name.as_str())?)),
            PeerName::Ngircd => Box::new(Ngircd(find_on_path(name.as_str())?)),
            PeerName::Ws => Box::new(Ws::find()?),
            PeerName::SocketIo => Box::new(SocketIo::find()?),
        })
    }

    /// Returns how to start `chat-server`. `None` if its program is not found.
    fn own_server(&self) -> Option<Chat> {
        let extra = self.extra_server_args.split_whitespace();
        Some(Chat {
            program: server_bin::find(self.server_bin.as_deref()).ok()?,
            extra: extra.map(String::from).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(arguments: &[&str]) -> anyhow::Result<FanoutPlan> {
        let all = ["chat-bench", "fanout", "--only", "floor"];
        let cli = Cli::try_parse_from(all.iter().chain(arguments))?;
        match cli.command {
            Command::Fanout(args) => args.plan(),
            other => bail!("{other:?}"),
        }
    }

    #[test]
    fn the_default_is_all_four_workloads() {
        let plan = plan(&[]).unwrap();
        let titles: Vec<String> = plan.workloads.iter().map(Workload::title).collect();
        assert_eq!(titles.len(), 4);
        assert_eq!(
            titles[2],
            "C all talk: 100 members, 50 publishing, 256 in flight, 64 bytes"
        );
    }

    #[test]
    fn flags_change_the_workload() {
        let plan = plan(&["--workload", "b", "--members", "7", "--window", "9"]).unwrap();
        assert_eq!(plan.workloads.len(), 1);
        assert_eq!(
            (plan.workloads[0].members, plan.workloads[0].window),
            (7, 9)
        );
    }

    #[test]
    fn impossible_workloads_are_refused() {
        for arguments in [
            ["--members", "1"],
            ["--publishers", "2000"],
            ["--window", "0"],
            ["--payload", "3"],
            ["--messages", "0"],
            ["--rounds", "0"],
            ["--seconds", "-1"],
        ] {
            assert!(plan(&arguments).is_err(), "{arguments:?}");
        }
    }
}
