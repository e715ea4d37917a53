//! The environment of a drill: its size, its random choices, and its server.

use std::time::Duration;

use anyhow::Context;

use super::DrillPlan;
use crate::launch::Server;
use crate::peer::CommandLine;
use fastrand::Rng;

/// The environment of one drill.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    plan: &'a DrillPlan,
}

impl<'a> Stage<'a> {
    /// Creates the stage for the arguments of the command line.
    pub(crate) const fn new(plan: &'a DrillPlan) -> Self {
        Self { plan }
    }

    /// Returns `quick` if `--quick` is set, otherwise `full`.
    pub(crate) fn pick<T>(&self, full: T, quick: T) -> T {
        if self.plan.is_quick { quick } else { full }
    }

    /// Returns the time that `--seconds` sets. Without `--seconds`, returns `quick` if `--quick` is set, otherwise
    /// `full`.
    pub(crate) fn lasting(&self, full: Duration, quick: Duration) -> Duration {
        self.plan.lasting.unwrap_or_else(|| self.pick(full, quick))
    }

    /// Returns the time that `--minutes` sets. Without `--minutes`, returns `quick` if `--quick` is set, otherwise
    /// `full`.
    pub(crate) fn minutes(&self, full: Duration, quick: Duration) -> Duration {
        self.plan.soaking.unwrap_or_else(|| self.pick(full, quick))
    }

    /// The number of connections that `costly` sends on.
    pub(crate) const fn connections(&self) -> usize {
        self.plan.senders
    }

    /// Returns the prefixes in `--kinds`, which select the kinds of requests that the drill `costly` tries.
    pub(crate) fn kinds(&self) -> &[String] {
        &self.plan.kinds
    }

    /// The seed of this run.
    pub(crate) const fn seed(&self) -> u64 {
        self.plan.seed
    }

    /// Returns the random generator of one participant of the drill. With the same seed, each participant makes the
    /// same choices again.
    pub(crate) fn random(&self, party: usize) -> Rng {
        Rng::with_seed(self.plan.seed ^ ((party as u64) << 32))
    }

    /// The path of `chat-server`.
    pub(crate) fn program(&self) -> &std::path::Path {
        &self.plan.server
    }

    /// Starts a server with the `extra` arguments, for many members on one address. So `--rate` and `--per-address` are
    /// off, and `--connections` is `connections`. The other limits have their defaults.
    pub(crate) fn start(&self, connections: usize, extra: &[&str]) -> anyhow::Result<Server> {
        Server::launch(connections, |place| {
            Ok(self.command(place.port, connections, extra))
        })
        .context("could not start the server")
    }

    /// Starts a server with the default limits and the `extra` arguments.
    pub(crate) fn start_default(&self, extra: &[&str]) -> anyhow::Result<Server> {
        Server::launch(0, |place| {
            let listen = format!("127.0.0.1:{}", place.port);
            let mut arguments = vec!["--listen", &listen];
            arguments.extend(extra);
            Ok(CommandLine::new(self.program(), &arguments))
        })
        .context("could not start the server")
    }

    /// Like [`start`](Self::start), on the port of an earlier server.
    pub(crate) fn start_at(
        &self,
        port: u16,
        connections: usize,
        extra: &[&str],
    ) -> anyhow::Result<Server> {
        Server::launch_at(port, connections, |place| {
            Ok(self.command(place.port, connections, extra))
        })
        .context("could not restart the server")
    }

    /// Like [`start`](Self::start), with a limit on the server's descriptors.
    pub(crate) fn start_with_descriptors(
        &self,
        descriptors: usize,
        connections: usize,
    ) -> anyhow::Result<Server> {
        Server::launch(connections, |place| {
            let CommandLine { program, arguments } = self.command(place.port, connections, &[]);
            let script = format!("ulimit -n {descriptors} && exec \"$0\" \"$@\"");
            let mut limited = CommandLine::new("/bin/sh".as_ref(), &["-c", &script]);
            limited.arguments.push(program.into_os_string());
            limited.arguments.extend(arguments);
            Ok(limited)
        })
        .context("could not start the server")
    }

    fn command(&self, port: u16, connections: usize, extra: &[&str]) -> CommandLine {
        let (listen, connections) = (format!("127.0.0.1:{port}"), connections.to_string());
        let mut arguments = vec!["--listen", &listen, "--rate", "off", "--per-address", "off"];
        arguments.extend(["--connections", &connections]);
        arguments.extend(extra);
        CommandLine::new(self.program(), &arguments)
    }
}
