//! The four workloads of the fan-out benchmark.

use clap::ValueEnum;
use serde::Serialize;

/// The name of one of the four workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[value(rename_all = "UPPER")]
pub(crate) enum WorkloadName {
    /// Trickle: 100 members, 1 publisher, one message outstanding
    #[value(alias = "a")]
    A,
    /// Burst: 100 members, 1 publisher, 256 messages in flight
    #[value(alias = "b")]
    B,
    /// All talk: 100 members, 50 of them publish, 256 messages in flight in total
    #[value(alias = "c")]
    C,
    /// Big room: 1,000 members, 1 publisher, 64 messages in flight
    #[value(alias = "d")]
    D,
}

/// How many members and publishers there are, and how much they send.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Workload {
    pub(crate) name: WorkloadName,
    /// The number of members, which receive messages. Publishers are members too, unless the server needs separate
    /// connections for them.
    pub(crate) members: usize,
    /// Number of publishers.
    pub(crate) publishers: usize,
    /// The most messages in flight, for all publishers together.
    pub(crate) window: usize,
    /// The number of bytes of a message's text.
    pub(crate) payload: usize,
    /// The number of additional members that join and then never read.
    pub(crate) stuck: usize,
}

impl Workload {
    /// Returns the workload as `--help` describes it.
    pub(crate) fn standard(name: WorkloadName) -> Self {
        let (members, publishers, window) = match name {
            WorkloadName::A => (100, 1, 1),
            WorkloadName::B => (100, 1, 256),
            WorkloadName::C => (100, 50, 256),
            WorkloadName::D => (1000, 1, 64),
        };
        Self {
            name,
            members,
            publishers,
            window,
            payload: 64,
            stuck: 0,
        }
    }

    /// Returns how many messages the publisher with the number `publisher` may have in flight: an equal share of the
    /// workload's window, and at least one. If the window does not divide evenly, the first publishers get one message
    /// more.
    pub(crate) fn window_of(&self, publisher: usize) -> usize {
        let more = usize::from(publisher < self.window % self.publishers);
        (self.window / self.publishers + more).max(1)
    }

    /// Returns one line that describes the workload.
    pub(crate) fn title(&self) -> String {
        let what = match self.name {
            WorkloadName::A => "trickle",
            WorkloadName::B => "burst",
            WorkloadName::C => "all talk",
            WorkloadName::D => "big room",
        };
        let stuck = match self.stuck {
            0 => String::new(),
            n => format!(", {n} more never read"),
        };
        format!(
            "{:?} {what}: {} members, {} publishing, {} in flight, {} bytes{stuck}",
            self.name, self.members, self.publishers, self.window, self.payload
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_add_up_to_the_window() {
        for name in [
            WorkloadName::A,
            WorkloadName::B,
            WorkloadName::C,
            WorkloadName::D,
        ] {
            let workload = Workload::standard(name);
            let shares: usize = (0..workload.publishers)
                .map(|p| workload.window_of(p))
                .sum();
            assert_eq!(shares, workload.window);
        }
    }
}
