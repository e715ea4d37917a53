//! Counters of what a hub has done.
//!
//! Invariant: counting never waits. A delivery to many members takes one addition in total, not one addition for each
//! member.

use std::sync::atomic::{AtomicU64, Ordering};

/// A snapshot of a hub's counters, from [`Hub::stats`](crate::Hub::stats).
///
/// A number counts from the start of the hub and only grows, unless its description says "currently". The counters are
/// read one after the other, not at one instant, so related numbers may not agree exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Connections that [`serve`](crate::serve()) currently holds.
    pub connections: u64,
    /// Connections that were admitted: the hub has begun to serve them.
    pub connections_admitted: u64,
    /// Connections that were refused because the server already held
    /// [`Limits::connections`](crate::Limits::connections) connections.
    pub connections_refused_full: u64,
    /// Connections that were refused because their address already held
    /// [`Limits::per_address`](crate::Limits::per_address) connections.
    pub connections_refused_address: u64,
    /// Connections that were refused because their address opened connections too fast.
    pub connections_refused_rate: u64,
    /// Errors that listeners returned from [`accept`](crate::listener::Listener::accept).
    pub accept_errors: u64,
    /// Sessions that currently exist.
    pub sessions: u64,
    /// Rooms that currently exist, including empty rooms whose log is kept.
    pub rooms: u64,
    /// Messages that were appended to a room's log.
    pub messages_in: u64,
    /// Messages and presence changes that were delivered to members over connections. A message or change counts once
    /// for each member that received it.
    pub deliveries_out: u64,
    /// Bytes that were received from peers.
    pub bytes_in: u64,
    /// Bytes that were written to peers' streams or queued for them: deliveries, replies and replays. A queued byte
    /// counts even if the peer does not receive it.
    pub bytes_out: u64,
    /// Direct messages that were put into the mailbox of their recipient.
    pub directs: u64,
    /// How often a member over a connection lagged, and later received the missed messages from the journal.
    pub lag_repairs: u64,
    /// Gaps that were reported to members over connections.
    pub gaps: u64,
    /// Lines that were rejected because they are too long.
    pub lines_oversized: u64,
    /// Lines that were rejected because they are not UTF-8.
    pub lines_not_utf8: u64,
    /// Commands, messages and input lines that were answered with a refusal.
    pub refusals: u64,
    /// How many times the server stopped reading from a connection for a while, because the connection, or all
    /// connections of its address together, sent too fast.
    pub rate_pauses: u64,
    /// Connections that were closed because their peer accepted no bytes for too long.
    pub stalled: u64,
    /// Requests that were refused because the policy panicked or did not answer in time.
    pub policy_failures: u64,
    /// How often a room's log became unreachable, or could no longer be followed.
    pub journal_outages: u64,
    /// Connections that ended because of a panic: in the connection's own task, or in a task that delivered events to
    /// the connection.
    pub panics: u64,
}

/// Declares the counters, and the function that takes a snapshot of them.
macro_rules! counters {
    ($($name:ident),* $(,)?) => {
        /// The counters of one hub.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)*
        }

        impl Counters {
            /// Returns the present values of the counters. The fields of [`Stats`] whose description says "currently"
            /// are 0.
            pub(crate) fn snapshot(&self) -> Stats {
                Stats {
                    $($name: self.$name.0.load(Ordering::Relaxed),)*
                    ..Stats::default()
                }
            }
        }
    };
}

counters!(
    connections_admitted,
    connections_refused_full,
    connections_refused_address,
    connections_refused_rate,
    accept_errors,
    messages_in,
    deliveries_out,
    bytes_in,
    bytes_out,
    directs,
    lag_repairs,
    gaps,
    lines_oversized,
    lines_not_utf8,
    refusals,
    rate_pauses,
    stalled,
    policy_failures,
    journal_outages,
    panics,
);

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }
}
