//! The file that keeps messages: opening it to serve, and the commands `export`, `import` and `check`.

mod import;

use anyhow::{Context, bail};
use chat_core::RoomName;
use chat_core::log::Timestamp;
use chat_core::rooms::ModeChanges;
use chat_sqlite::{ExportError, Keep, Options, Record, SqliteJournal, Sync};
use clap::{Args, Subcommand};
use import::Import;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// The file that keeps the rooms' logs, and the settings of the file.
#[derive(Debug)]
pub(crate) struct DataConfig {
    pub(crate) file: PathBuf,
    pub(crate) sync: Sync,
    pub(crate) keep: Vec<Keeps>,
}

/// How long messages are kept in one room, or in all rooms without a setting of their own.
#[derive(Debug, Clone)]
pub(crate) struct Keeps {
    /// The room. `None` means all rooms without a setting of their own.
    room: Option<RoomName>,
    keep: Keep,
}

impl DataConfig {
    pub(crate) fn open(self) -> anyhow::Result<SqliteJournal> {
        let mut options = options();
        options.sync = self.sync;
        for Keeps { room, keep } in self.keep {
            match room {
                Some(room) => options.keep_in.push((room, keep)),
                None => options.keep = keep,
            }
        }
        SqliteJournal::open(&self.file, &options)
            .with_context(|| format!("--data {}", self.file.display()))
    }
}

impl fmt::Display for DataConfig {
    /// Writes the file's path, and the retention if it is limited.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in {}", self.file.display())?;
        for Keeps { room, keep } in &self.keep {
            let room = room.as_ref().map_or("", |room| room.as_str());
            let separator = if room.is_empty() { "" } else { ": " };
            match keep {
                Keep::Everything => write!(f, "; {room}{separator}for ever")?,
                Keep::Days(days) => write!(f, "; {room}{separator}for {days} days")?,
                Keep::Count(0) => write!(f, "; {room}{separator}nothing")?,
                Keep::Count(count) if room.is_empty() => {
                    write!(f, "; the latest {count} messages of each room")?;
                }
                Keep::Count(count) => write!(f, "; {room}: the latest {count} messages")?,
            }
        }
        Ok(())
    }
}

/// The commands for a file that no server uses.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write the messages of a file to stdout
    Export(Export),
    /// Import the output of `export --json` from stdin or a file; messages that are imported twice are in the file
    /// twice
    Import(Import),
    /// Check whether a file is complete, and print what it contains
    Check(Check),
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The file
    #[arg(long, value_name = "FILE")]
    data: PathBuf,

    /// Only this room
    #[arg(long, value_name = "NAME")]
    room: Option<String>,

    /// Only messages since this time: 2026-11-23, or 2026-11-23T14:02
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,

    /// Write one JSON object a line, for `import`
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The file
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
}

/// One message in the format of `export --json`.
#[derive(Debug, Serialize, Deserialize)]
struct Line<'a> {
    room: Cow<'a, str>,
    seq: u64,
    /// The time of the message, in milliseconds since 1970, UTC.
    ts: u64,
    from: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<Cow<'a, str>>,
    kind: Cow<'a, str>,
    text: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Cow<'a, str>>,
}

impl Command {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Export(export) => export.run(),
            Self::Import(import) => import.run(),
            Self::Check(check) => check.run(),
        }
    }
}

impl Export {
    fn run(self) -> anyhow::Result<ExitCode> {
        let mut out = BufWriter::new(io::stdout().lock());
        let mut write = |record: Record| {
            if self.json {
                serde_json::to_writer(&mut out, &Line::from(&record))?;
                out.write_all(b"\n")
            } else {
                write_plain(&record, &mut out)
            }
        };
        let exported = chat_sqlite::export(
            &self.data,
            &options(),
            self.room.as_deref(),
            self.since,
            &mut write,
        );
        let exported = match exported {
            Ok(exported) => exported,
            Err(ExportError::Output(error)) => return gone(error),
            Err(error) => return Err(error).context(self.data.display().to_string()),
        };
        if let Err(error) = out.flush() {
            return gone(error);
        }
        for unreadable in &exported.unreadable {
            crate::log::say(unreadable);
        }
        Ok(if exported.unreadable.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

/// Treats a closed output as success: the reader of the output needs no more lines.
fn gone(error: io::Error) -> anyhow::Result<ExitCode> {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        _ => Err(error).context("can't write"),
    }
}

/// Writes a record as `2026-11-23 14:02 lobby alice: hello`.
fn write_plain(record: &Record, out: &mut impl Write) -> io::Result<()> {
    let at = crate::wall_time::local(record.at);
    let (room, from, text) = (&record.room, &record.from, &record.text);
    let said = match &*kind(record) {
        "acted" => format!("* {from} {text}"),
        "topic" => format!("* {from} set the topic: {text}"),
        "mode" => format!("* {from} {}", ModeChanges::read(text).in_words()),
        _ => format!("{from}: {text}"),
    };
    writeln!(
        out,
        "{}-{:02}-{:02} {:02}:{:02} {room} {said}",
        at.year, at.month, at.day, at.hour, at.minute
    )
}

impl Check {
    fn run(self) -> anyhow::Result<ExitCode> {
        let report =
            chat_sqlite::check(&self.data).with_context(|| self.data.display().to_string())?;
        if let Err(error) = write!(io::stdout(), "{report}") {
            // The result of the check decides the exit code, even if the output is closed early.
            gone(error)?;
        }
        Ok(if report.is_whole() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

impl<'a> From<&'a Record> for Line<'a> {
    fn from(record: &'a Record) -> Self {
        Self {
            room: (&*record.room).into(),
            seq: record.seq.0,
            ts: record.at.0,
            from: (&*record.from).into(),
            account: record.account.as_deref().map(Cow::Borrowed),
            kind: kind(record),
            text: (&*record.text).into(),
            key: record.key.as_deref().map(Cow::Borrowed),
        }
    }
}

fn kind(record: &Record) -> Cow<'static, str> {
    match record.kind {
        chat_core::Kind::Acted => "acted".into(),
        chat_core::Kind::Topic => "topic".into(),
        chat_core::Kind::Notice => "notice".into(),
        chat_core::Kind::Mode => "mode".into(),
        chat_core::Kind::Said => "said".into(),
        // A kind of message that only a later version knows is written as its number. The import of that version
        // accepts the number.
        other => other.number().to_string().into(),
    }
}

impl Line<'_> {
    fn into_record(self) -> anyhow::Result<Record> {
        let kind = match &*self.kind {
            "said" => chat_core::Kind::Said,
            "acted" => chat_core::Kind::Acted,
            "topic" => chat_core::Kind::Topic,
            "notice" => chat_core::Kind::Notice,
            "mode" => chat_core::Kind::Mode,
            other => match other.parse() {
                Ok(number) => chat_core::Kind::from_number(number),
                Err(_) => {
                    bail!("kind: said, acted, topic, notice, mode or a number, not {other:?}")
                }
            },
        };
        Ok(Record {
            room: self.room.into_owned(),
            seq: chat_core::Seq(self.seq),
            at: Timestamp(self.ts),
            from: self.from.into_owned(),
            account: self.account.map(Cow::into_owned),
            kind,
            text: self.text.into_owned(),
            key: self.key.map(Cow::into_owned),
        })
    }
}

fn options() -> Options {
    let mut options = Options::default();
    options.names = crate::names::rules();
    options
}

/// Parses `--sync`.
pub(crate) fn sync(word: &str) -> Result<Sync, String> {
    match word {
        "full" => Ok(Sync::Full),
        "normal" => Ok(Sync::Normal),
        _ => Err("give full or normal".into()),
    }
}

/// Parses `--keep`.
pub(crate) fn keep(text: &str) -> Result<Keeps, String> {
    let (room, text) = match text.split_once('=') {
        Some((room, text)) => {
            let room = crate::names::rules().room(room);
            (Some(room.map_err(|error| error.to_string())?), text)
        }
        None => (None, text),
    };
    let bad = || "give days as 30d, a count as 10000, or off; for one room as ops=30d".to_owned();
    let keep = match text.strip_suffix('d') {
        _ if text == "off" => Keep::Everything,
        Some(days) => Keep::Days(days.parse().map_err(|_| bad())?),
        None => Keep::Count(text.parse().map_err(|_| bad())?),
    };
    Ok(Keeps { room, keep })
}

/// Parses a time in the server's time zone.
fn time(text: &str) -> Result<Timestamp, String> {
    let bad = |error: jiff::Error| format!("give 2026-11-23 or 2026-11-23T14:02: {error}");
    let moment: jiff::civil::DateTime = text.parse().map_err(bad)?;
    let moment = moment.to_zoned(jiff::tz::TimeZone::system()).map_err(bad)?;
    let millis = moment.timestamp().as_millisecond();
    Ok(Timestamp(millis.try_into().unwrap_or_default()))
}
