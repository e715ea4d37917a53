//! The command line as clap parses it.

use chat_core::{Rate, RoomName};
use chat_manual::Shell;
use clap::{Parser, Subcommand};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// A chat server that browsers, nc, telnet, scripts and any line client can reach.
#[derive(Debug, Parser)]
#[command(
    name = "chat-server",
    version,
    about,
    args_conflicts_with_subcommands = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// Listen on HOST:PORT, or on PORT of both loopback addresses [default: 5000]; can be repeated. irc://HOST:PORT and
    /// plain://HOST:PORT speak only that protocol
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Vec<String>,

    /// The room that newcomers join
    #[arg(long, value_name = "NAME", value_parser = room, default_value = "lobby")]
    pub(crate) room: RoomName,

    /// The message of the day for newcomers: a text, or @FILE
    #[arg(long, value_name = "TEXT|@FILE", value_parser = motd)]
    pub(crate) motd: Option<String>,

    /// How long a peer may be silent before the kernel probes it, and how long it may then take to answer; also how
    /// long it may leave data unacknowledged
    #[arg(long, value_name = "SECONDS|off", value_parser = seconds_or_off, default_value = "60")]
    pub(crate) keepalive: Lift<Duration>,

    /// Worker threads [default: half as many as processors]; fewer threads use less processor time, more threads reach
    /// the last member of a large room sooner
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<NonZeroUsize>,

    /// Keep messages in this file, which is created if it does not exist; without it, messages are lost when the server
    /// ends
    #[cfg(feature = "sqlite")]
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Option<PathBuf>,

    /// When a message counts as kept: full, when it is on the disk; normal, when the operating system has it, so that a
    /// power cut may lose it
    #[cfg(feature = "sqlite")]
    #[arg(long, value_name = "full|normal", value_parser = crate::data::sync, default_value = "full", requires = "data")]
    pub(crate) sync: chat_sqlite::Sync,

    /// How long messages are kept: 30d for 30 days, 10000 for the latest 10,000 of each room, 0 for none, off for ever
    /// [default: off]; can be repeated for single rooms, as in ops=30d
    #[cfg(feature = "sqlite")]
    #[arg(long, value_name = "[ROOM=]DAYSd|COUNT|off", value_parser = crate::data::keep, requires = "data")]
    pub(crate) keep: Vec<crate::data::Keeps>,

    /// The filter of the log on stderr, in the syntax of RUST_LOG: info, chat_core=debug, ... [default: RUST_LOG, or
    /// info]
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<String>,

    /// The format of the log
    #[arg(long, value_name = "text|json", value_parser = log_format, default_value = "text")]
    pub(crate) log_format: LogFormat,

    #[cfg(feature = "irc")]
    #[command(flatten)]
    pub(crate) irc: crate::irc::IrcArgs,

    #[cfg(feature = "web")]
    #[command(flatten)]
    pub(crate) web: crate::web::WebArgs,

    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// The commands that run instead of the server.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[cfg(feature = "sqlite")]
    #[command(flatten)]
    Data(crate::data::Command),
    /// Print the manual page, for man(1): chat-server man > chat-server.1
    Man,
    /// Print the completion script of a shell
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
}

impl Command {
    /// Runs the command. The exit code is 0 on success, 1 if a check finds a problem, and 2 if the command fails.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Data(command) => return command.run(),
            Self::Man => crate::manual::manual()?,
            Self::Completions { shell } => crate::manual::completions(shell)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// One flag for each limit, named after it.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArgs {
    /// Lines that a connection may send at once, and how many may follow each second [default: 20:5]
    #[arg(long, value_name = "BURST:PER_SECOND|off", value_parser = rate)]
    pub(crate) rate: Option<Lift<Rate>>,

    /// Connections from one address, except loopback [default: 256]
    #[arg(long, value_name = "N|off", value_parser = count_or_off)]
    pub(crate) per_address: Option<Lift<NonZeroUsize>>,

    /// Connections that one address may open at once, and how many may follow each second [default: 256:16]
    #[arg(long, value_name = "BURST:PER_SECOND|off", value_parser = rate)]
    pub(crate) connects_per_address: Option<Lift<Rate>>,

    /// Rooms that all connections of one address may join at once, and how many may follow each second [default:
    /// 1024:64]
    #[arg(long, value_name = "BURST:PER_SECOND|off", value_parser = rate)]
    pub(crate) joins_per_address: Option<Lift<Rate>>,

    /// The cost of answers to all connections of one address, at once and each second; 8 KiB of an answer or 5 ms of a
    /// search cost 1 [default: 4096:128]
    #[arg(long, value_name = "BURST:PER_SECOND|off", value_parser = rate)]
    pub(crate) answers_per_address: Option<Lift<Rate>>,

    /// Bytes that all connections of one address may send in a minute [default: 4194304]
    #[arg(long, value_name = "N|off", value_parser = count_or_off)]
    pub(crate) bytes_per_minute: Option<Lift<NonZeroUsize>>,

    /// Apply the limits for each address to loopback too, for tests without a proxy
    #[arg(long)]
    pub(crate) count_loopback: bool,

    /// Connections in total [default: what the descriptor limit allows, less a reserve]
    #[arg(long, value_name = "N")]
    pub(crate) connections: Option<NonZeroUsize>,

    /// Longest input line in bytes [default: 8192]
    #[arg(long, value_name = "N")]
    pub(crate) line_bytes: Option<NonZeroUsize>,

    /// Longest text of a message in bytes [default: 4096]
    #[arg(long, value_name = "N")]
    pub(crate) text_bytes: Option<NonZeroUsize>,

    /// Longest reason of a quit in bytes [default: 256]
    #[arg(long, value_name = "N")]
    pub(crate) reason_bytes: Option<usize>,

    /// Rooms that one session may be in [default: 64]
    #[arg(long, value_name = "N")]
    pub(crate) rooms_per_session: Option<NonZeroUsize>,

    /// Rooms that one address may keep open [default: 256]
    #[arg(long, value_name = "N|off", value_parser = count_or_off)]
    pub(crate) rooms_per_address: Option<Lift<NonZeroUsize>>,

    /// Rooms in total, except the lobby [default: 4096]
    #[arg(long, value_name = "N")]
    pub(crate) rooms: Option<NonZeroUsize>,

    /// Empty rooms whose log is kept, except the lobby [default: 256]
    #[arg(long, value_name = "N")]
    pub(crate) empty_rooms: Option<usize>,

    /// The most members of a room in which joins and leaves are announced one by one [default: 100]
    #[arg(long, value_name = "N|off", value_parser = count_or_off)]
    pub(crate) announce: Option<Lift<NonZeroUsize>>,

    /// Messages that a room's log holds [default: 1024]
    #[arg(long, value_name = "N")]
    pub(crate) journal_messages: Option<NonZeroUsize>,

    /// Bytes of text that a room's log holds [default: 1048576]
    #[arg(long, value_name = "N")]
    pub(crate) journal_bytes: Option<NonZeroUsize>,

    /// Bytes that the logs of all rooms in memory hold in total [default: 268435456]
    #[arg(long, value_name = "N")]
    pub(crate) journal_total_bytes: Option<NonZeroUsize>,

    /// Batches that wait in a room's broadcast ring [default: 128]
    #[arg(long, value_name = "N")]
    pub(crate) ring_batches: Option<NonZeroUsize>,

    /// Bytes of text in one batch [default: 65536]
    #[arg(long, value_name = "N")]
    pub(crate) batch_bytes: Option<NonZeroUsize>,

    /// Bytes that wait for a member whose socket is full [default: 262144]
    #[arg(long, value_name = "N")]
    pub(crate) queue_bytes: Option<NonZeroUsize>,

    /// Direct messages that wait for a session [default: 256]
    #[arg(long, value_name = "N")]
    pub(crate) mailbox: Option<NonZeroUsize>,

    /// Keys of one client that are remembered, so that a repeated message is not published twice [default: 1024]
    #[arg(long, value_name = "N")]
    pub(crate) keys_per_nick: Option<NonZeroUsize>,

    /// Keys that are remembered in total [default: 65536]
    #[arg(long, value_name = "N")]
    pub(crate) keys: Option<NonZeroUsize>,

    /// How long a key is remembered [default: 600]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) key_lifetime: Option<Duration>,

    /// How long a program (JSON Lines) may be silent before it is pinged [default: 25]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) ping_after: Option<Duration>,

    /// How long a program may be silent before it is disconnected [default: 35]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) dead_after: Option<Duration>,

    /// Earlier messages that a newcomer is shown [default: 20]
    #[arg(long, value_name = "N")]
    pub(crate) history: Option<usize>,

    /// The maximum number of messages that one /history shows [default: 1000]
    #[arg(long, value_name = "N")]
    pub(crate) history_max: Option<usize>,

    /// Bytes that may arrive before the dialect is decided [default: 1024]
    #[arg(long, value_name = "N")]
    pub(crate) prefix_bytes: Option<NonZeroUsize>,

    /// How long the dialect may stay undecided [default: 5]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) prefix_timeout: Option<Duration>,

    /// How long a line may stay unfinished; in the plain dialect only a line that is longer than any message [default:
    /// 60]
    #[arg(long, value_name = "SECONDS|off", value_parser = seconds_or_off)]
    pub(crate) line_timeout: Option<Lift<Duration>>,

    /// How long a silent newcomer waits for its greeting [default: 0.3]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) greet_after: Option<Duration>,

    /// How long a silent newcomer that may be a spare connection of a browser waits for its greeting; off: no longer
    /// than any other [default: 75]
    #[arg(long, value_name = "SECONDS|off", value_parser = seconds_or_off)]
    pub(crate) spare_greet_after: Option<Lift<Duration>>,

    /// Silence that ends the first unterminated text of a connection [default: 0.2]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) first_chunk_after: Option<Duration>,

    /// Silence that ends each further unterminated text [default: 0.05]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) chunk_after: Option<Duration>,

    /// How long a member's socket may take no data while data waits [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) stall_timeout: Option<Duration>,

    /// How long shutting down may take [default: 5]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) drain: Option<Duration>,
}

/// A limit, or `off` to lift it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lift<T> {
    Off,
    Limit(T),
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

fn room(name: &str) -> Result<RoomName, String> {
    crate::names::rules()
        .room(name)
        .map_err(|error| error.to_string())
}

fn motd(text: &str) -> Result<String, String> {
    let Some(file) = text.strip_prefix('@') else {
        return Ok(text.into());
    };
    std::fs::read_to_string(PathBuf::from(file))
        .map_err(|error| format!("can't read {file}: {error}"))
}

fn log_format(word: &str) -> Result<LogFormat, String> {
    match word {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("give text or json".into()),
    }
}

fn rate(text: &str) -> Result<Lift<Rate>, String> {
    if text == "off" {
        return Ok(Lift::Off);
    }
    let numbers = text.split_once(':').and_then(|(burst, per_second)| {
        Some(Rate {
            burst: burst.parse::<NonZeroU32>().ok()?,
            per_second: per_second.parse().ok()?,
        })
    });
    numbers
        .map(Lift::Limit)
        .ok_or_else(|| "give BURST:PER_SECOND, for example 20:5, or off".into())
}

fn count_or_off(text: &str) -> Result<Lift<NonZeroUsize>, String> {
    if text == "off" {
        return Ok(Lift::Off);
    }
    text.parse()
        .map(Lift::Limit)
        .map_err(|_| "give a number of at least 1, or off".into())
}

fn seconds_or_off(text: &str) -> Result<Lift<Duration>, String> {
    if text == "off" {
        return Ok(Lift::Off);
    }
    let seconds = seconds(text)
        .ok()
        .filter(|seconds| *seconds >= Duration::from_secs(4));
    seconds
        .map(Lift::Limit)
        .ok_or_else(|| "give seconds from 4 to 86400, or off".into())
}

pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    /// The longest time that is accepted: one day. A larger number is probably in another unit.
    const SECONDS_MAX: f64 = 86_400.0;
    let seconds = text
        .parse::<f64>()
        .ok()
        .filter(|seconds| (0.0..=SECONDS_MAX).contains(seconds));
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "give seconds from 0 to 86400, for example 0.5".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_what_can() {
        for bad in [
            ["--rate", "5"],
            ["--rate", "0:5"],
            ["--per-address", "0"],
            ["--drain", "soon"],
            ["--room", "a b"],
        ] {
            let error = Cli::try_parse_from(["chat-server"].iter().chain(&bad)).unwrap_err();
            assert!(error.to_string().contains(bad[0]), "{error}");
        }
    }
}
