//! The resolved configuration. Only this module reads command-line flags.

use crate::cli::{Cli, Lift, LimitArgs, LogFormat};
use crate::kept::Kept;
use chat_core::{Hub, Limits, Loopback, RoomName};
use std::num::NonZeroUsize;
use std::time::Duration;

/// Descriptors reserved for other uses than connections: listeners, the log, the runtime, and a margin.
const RESERVED_DESCRIPTORS: u64 = 64;

/// The configuration of the server.
pub(crate) struct ServerConfig {
    pub(crate) listen: Vec<String>,
    pub(crate) log: LogConfig,
    pub(crate) workers: usize,
    /// The silence after which the kernel probes whether a peer is alive. `None` turns the probes off.
    pub(crate) keepalive: Option<Duration>,
    /// The file that keeps the rooms' logs. `None` keeps the logs in memory.
    #[cfg(feature = "sqlite")]
    pub(crate) data: Option<crate::data::DataConfig>,
    #[cfg(feature = "irc")]
    pub(crate) irc: crate::irc::IrcConfig,
    #[cfg(feature = "web")]
    pub(crate) web: crate::web::WebConfig,
    room: RoomName,
    motd: String,
    limits: Limits,
}

/// The configuration of the log.
pub(crate) struct LogConfig {
    pub(crate) filter: Option<String>,
    pub(crate) format: LogFormat,
}

impl ServerConfig {
    pub(crate) const fn room(&self) -> &RoomName {
        &self.room
    }

    /// Builds the hub, and opens the file that keeps the hub's logs, if one is configured.
    pub(crate) fn into_hub(self) -> anyhow::Result<(Hub, Kept)> {
        #[cfg_attr(not(feature = "irc"), expect(unused_mut))]
        let mut names = crate::names::rules();
        #[cfg(feature = "irc")]
        self.irc.reserve(&mut names);
        let builder = Hub::builder()
            .limits(self.limits)
            .names(names)
            .lobby(self.room)
            .motd(&self.motd)
            .delivery_tasks(self.workers);
        #[cfg(feature = "sqlite")]
        if let Some(data) = self.data {
            let journal = data.open()?;
            let hub = builder.journal(journal.clone()).build();
            return Ok((hub, Kept::InFile(journal)));
        }
        Ok((builder.build(), Kept::InMemory))
    }

    /// Returns whether browsers can join.
    pub(crate) const fn has_web(&self) -> bool {
        #[cfg(feature = "web")]
        return self.web.is_served;
        #[cfg(not(feature = "web"))]
        false
    }

    /// Describes where messages are kept, and for how long.
    pub(crate) fn kept(&self) -> String {
        #[cfg(feature = "sqlite")]
        if let Some(data) = &self.data {
            return data.to_string();
        }
        "in memory, until it ends".to_owned()
    }
}

impl From<Cli> for ServerConfig {
    fn from(cli: Cli) -> Self {
        Self {
            listen: cli.listen,
            log: LogConfig {
                filter: cli.log,
                format: cli.log_format,
            },
            keepalive: lifted(cli.keepalive),
            #[cfg(feature = "sqlite")]
            data: cli.data.map(|file| crate::data::DataConfig {
                file,
                sync: cli.sync,
                keep: cli.keep,
            }),
            #[cfg(feature = "irc")]
            irc: cli.irc.into(),
            #[cfg(feature = "web")]
            web: cli.web.into(),
            workers: cli.workers.map_or_else(workers, NonZeroUsize::get),
            room: cli.room,
            motd: cli.motd.unwrap_or_default(),
            limits: limits(&cli.limits),
        }
    }
}

/// Returns the default number of worker threads: half of the processors. Most of the work of a delivery is done in the
/// kernel, and each further thread adds wake-ups. Measured on two processors: with one thread, a burst costs a quarter
/// less processor time, and a message takes a fifth longer to reach 9,000 members.
fn workers() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    (processors / 2).max(1)
}

fn limits(args: &LimitArgs) -> Limits {
    let mut limits = Limits::default();
    if let Some(connections) = connections_allowed() {
        limits.connections = connections;
    }
    if let Some(rate) = args.rate {
        limits.rate = lifted(rate);
    }
    if let Some(per_address) = args.per_address {
        limits.per_address = lifted(per_address);
    }
    if let Some(rooms) = args.rooms_per_address {
        limits.rooms_per_address = lifted(rooms);
    }
    if let Some(connects) = args.connects_per_address {
        limits.connects_per_address = lifted(connects);
    }
    if let Some(joins) = args.joins_per_address {
        limits.joins_per_address = lifted(joins);
    }
    if let Some(answers) = args.answers_per_address {
        limits.answers_per_address = lifted(answers);
    }
    if let Some(bytes) = args.bytes_per_minute {
        limits.bytes_per_minute = lifted(bytes);
    }
    if args.count_loopback {
        limits.loopback = Loopback::Counted;
    }
    if let Some(announce) = args.announce {
        limits.announce = lifted(announce).map_or(usize::MAX, NonZeroUsize::get);
    }
    if let Some(line_timeout) = args.line_timeout {
        limits.line_timeout = lifted(line_timeout);
    }
    if let Some(spare_greet_after) = args.spare_greet_after {
        limits.spare_greet_after = lifted(spare_greet_after);
    }
    set(&mut limits.connections, args.connections);
    set(&mut limits.line_bytes, args.line_bytes);
    set(&mut limits.text_bytes, args.text_bytes);
    set(&mut limits.reason_bytes, args.reason_bytes);
    set(&mut limits.rooms_per_session, args.rooms_per_session);
    set(&mut limits.rooms, args.rooms);
    set(&mut limits.empty_rooms, args.empty_rooms);
    set(&mut limits.journal_messages, args.journal_messages);
    set(&mut limits.journal_bytes, args.journal_bytes);
    set(&mut limits.journal_total_bytes, args.journal_total_bytes);
    set(&mut limits.ring_batches, args.ring_batches);
    set(&mut limits.batch_bytes, args.batch_bytes);
    set(&mut limits.queue_bytes, args.queue_bytes);
    set(&mut limits.mailbox, args.mailbox);
    set(&mut limits.keys_per_nick, args.keys_per_nick);
    set(&mut limits.keys, args.keys);
    set(&mut limits.key_lifetime, args.key_lifetime);
    set(&mut limits.ping_after, args.ping_after);
    set(&mut limits.dead_after, args.dead_after);
    set(&mut limits.history, args.history);
    set(&mut limits.history_max, args.history_max);
    set(&mut limits.prefix_bytes, args.prefix_bytes);
    set(&mut limits.prefix_timeout, args.prefix_timeout);
    set(&mut limits.greet_after, args.greet_after);
    set(&mut limits.first_chunk_after, args.first_chunk_after);
    set(&mut limits.chunk_after, args.chunk_after);
    set(&mut limits.stall_timeout, args.stall_timeout);
    set(&mut limits.drain, args.drain);
    limits
}

fn set<T>(limit: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *limit = value;
    }
}

fn lifted<T>(limit: Lift<T>) -> Option<T> {
    match limit {
        Lift::Off => None,
        Lift::Limit(limit) => Some(limit),
    }
}

/// Raises the descriptor limit to its maximum. Returns the number of connections that the raised limit allows.
fn connections_allowed() -> Option<NonZeroUsize> {
    let allowed = rlimit::increase_nofile_limit(u64::MAX).ok()?;
    NonZeroUsize::new(usize::try_from(allowed.saturating_sub(RESERVED_DESCRIPTORS)).ok()?)
}
