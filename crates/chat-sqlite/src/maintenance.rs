//! What is done with a file that nobody need serve: looking at it, and carrying it elsewhere.

use crate::error::OpenError;
use crate::file;
use crate::options::Options;
use crate::rooms::{Changes, Key, Rooms};
use crate::rows::{self, COLUMNS, Stored};
use crate::store;
use chat_core::log::{Drafts, SessionId, Timestamp};
use chat_core::name::NameError;
use chat_core::{Kind, Nick, RoomName, Seq};
use rusqlite::{Connection, Transaction, params};
use std::collections::HashSet;
use std::fmt;
use std::io;
use std::path::Path;

/// How many messages one transaction of an import takes.
const IMPORTED_AT_ONCE: usize = 5000;

/// The longest text that is imported, far more than servers let through.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// The last place that is imported: as many follow it as precede it.
const IMPORTED_SEQ_MAX: u64 = rows::PLACE_MAX / 2;

/// How many of the database's complaints are shown.
const COMPLAINTS_MAX: usize = 10;

/// One message, as it is carried from file to file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The room's name.
    pub room: String,
    /// The place in its log.
    pub seq: Seq,
    /// When it was said.
    pub at: Timestamp,
    /// Who said it.
    pub from: String,
    /// What it is.
    pub kind: Kind,
    /// The text.
    pub text: String,
    /// The key under which it was said.
    pub key: Option<String>,
}

/// Why not all was exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The file can't be read.
    #[error(transparent)]
    File(#[from] OpenError),
    /// What was exported could not be written.
    #[error("can't write: {0}")]
    Output(#[from] io::Error),
}

/// Why not all was imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file can't be opened or written: at most the last 5,000 of what was taken are not in it.
    #[error(transparent)]
    File(#[from] OpenError),
    /// A message can't be taken.
    #[error("message {}: {why}; what precedes it is imported", imported.messages + 1)]
    Refused {
        /// What precedes it.
        imported: Imported,
        /// Why not.
        why: RecordError,
    },
}

/// Why a message can't be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The name of its room can't be one.
    #[error("room: {0}")]
    Room(NameError),
    /// The name of its author can't be one.
    #[error("from: {0}")]
    Nick(NameError),
    /// Its text is longer than 1 MiB.
    #[error("text: it has {0} bytes, and 1048576 at most are taken")]
    TextTooLong(usize),
    /// Its place is too far.
    #[error("seq: {0} is more than a log can hold")]
    TooFar(Seq),
}

/// What an import has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Imported {
    /// How many messages.
    pub messages: u64,
    /// Into how many rooms.
    pub rooms: u64,
}

/// What a look at a file has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The schema of the file.
    pub schema: i64,
    /// How many rooms there are.
    pub rooms: u64,
    /// How many messages there are.
    pub messages: u64,
    /// How many of them can be searched for.
    pub indexed: u64,
    /// What is wrong.
    pub complaints: Vec<String>,
}

/// Hands each message of a file to `each`: room by room, in the order of their logs. The file may be in use.
///
/// # Errors
///
/// The file can't be read, or `each` failed, which ends it.
pub fn export(
    path: &Path,
    room: Option<&str>,
    since: Option<Timestamp>,
    each: &mut dyn FnMut(Record) -> io::Result<()>,
) -> Result<(), ExportError> {
    let connection = file::read_only(path)?;
    file::identify(&connection)?;
    let rooms = store::rooms(&connection).map_err(OpenError::from)?;
    let wanted = room.map(|room| room.strip_prefix('#').unwrap_or(room).to_lowercase());
    let since = since.map_or(i64::MIN, |since| since.0.cast_signed());
    let sql = format!(
        "SELECT {COLUMNS} FROM messages m WHERE m.id > ?1 AND m.id <= ?2 AND m.at >= ?3 ORDER BY m.id"
    );
    let mut statement = connection.prepare(&sql).map_err(OpenError::from)?;
    for room in rooms {
        if wanted
            .as_ref()
            .is_some_and(|wanted| *wanted != room.name.to_lowercase())
        {
            continue;
        }
        let Some(id) = room.id else { continue };
        let (low, high) = (rows::id(id, Seq::START), rows::id(id, room.tail));
        let mut rows = statement
            .query(params![low, high, since])
            .map_err(OpenError::from)?;
        while let Some(row) = rows.next().map_err(OpenError::from)? {
            let stored = Stored::read(row).map_err(OpenError::from)?;
            each(Record {
                room: room.name.clone(),
                seq: stored.seq,
                at: stored.at,
                from: stored.author,
                kind: stored.kind,
                text: stored.text,
                key: stored.key,
            })?;
        }
    }
    Ok(())
}

/// Takes messages into a file that nobody has open; it is made if need be. In a room that is empty they keep their
/// places, in another they follow what is there. One that can't be taken ends it; what precedes it is imported.
///
/// # Errors
///
/// See [`ImportError`].
pub fn import(
    path: &Path,
    options: &Options,
    records: impl IntoIterator<Item = Record>,
) -> Result<Imported, ImportError> {
    let mut opened = file::open(path, options)?;
    let mut all = Rooms::new(opened.progress);
    let mut records = records.into_iter().peekable();
    let (mut imported, mut rooms) = (Imported::default(), HashSet::new());
    while records.peek().is_some() {
        let transaction = opened.connection.transaction().map_err(OpenError::from)?;
        let mut changes = all.begin();
        let mut refused = None;
        for record in records.by_ref().take(IMPORTED_AT_ONCE) {
            let names = match Names::of(&record, options) {
                Ok(names) => names,
                Err(why) => {
                    refused = Some(why);
                    break;
                }
            };
            rooms.insert(Key::clone(&names.key));
            take(&transaction, &all, &mut changes, names, &record).map_err(OpenError::from)?;
            imported.messages += 1;
        }
        commit(transaction, &changes).map_err(OpenError::from)?;
        all.commit(changes);
        imported.rooms = rooms.len() as u64;
        let noted = opened.state.write(all.progress());
        noted.map_err(OpenError::io("what stands beside it"))?;
        if let Some(why) = refused {
            return Err(ImportError::Refused { imported, why });
        }
    }
    Ok(imported)
}

fn commit(transaction: Transaction<'_>, changes: &Changes) -> rusqlite::Result<()> {
    for room in changes.rooms.values() {
        store::update(&transaction, room)?;
    }
    store::update_progress(&transaction, changes.progress)?;
    transaction.commit()
}

/// A record's names, read by the rules.
struct Names {
    key: Key,
    room: RoomName,
    nick: Nick,
}

impl Names {
    /// Looks whether a record can be taken.
    fn of(record: &Record, options: &Options) -> Result<Self, RecordError> {
        if record.text.len() > TEXT_BYTES_MAX {
            return Err(RecordError::TextTooLong(record.text.len()));
        }
        if record.seq.0 > IMPORTED_SEQ_MAX {
            return Err(RecordError::TooFar(record.seq));
        }
        let room = options.names.room(&record.room);
        let room = room.map_err(RecordError::Room)?;
        Ok(Self {
            key: (options.names.fold)(room.as_str()).into(),
            nick: options
                .names
                .nick(&record.from)
                .map_err(RecordError::Nick)?,
            room,
        })
    }
}

/// Adds one message.
fn take(
    connection: &Connection,
    all: &Rooms,
    changes: &mut Changes,
    names: Names,
    record: &Record,
) -> rusqlite::Result<()> {
    all.find(changes, connection, &names.key, names.room.as_str())?;
    let Some(room) = all.known(&mut changes.rooms, &names.key) else {
        return Ok(());
    };
    let mut drafts = Drafts::new(SessionId::NOBODY, names.nick, record.at);
    drafts.restore(record.kind, &record.text, record.key.as_deref());
    let seq = record.seq.max(room.tail.next());
    if room.tail == Seq::START {
        // What precedes it was not exported: it is as if it had been kept no longer.
        room.floor = Seq(seq.0.saturating_sub(1));
    }
    let batch = drafts.number(names.room, [seq]);
    store::append(connection, room, &mut changes.progress, &batch)
}

/// Looks whether a file is whole, and what is in it. It is not changed, and may be in use.
///
/// # Errors
///
/// It can't be read at all, or is none of ours.
pub fn check(path: &Path) -> Result<Report, OpenError> {
    let connection = file::read_only(path)?;
    let mut report = Report {
        schema: file::identify(&connection)?,
        ..Report::default()
    };
    if let Err(error) = look(&connection, &mut report) {
        report.complaints.push(error.to_string());
    }
    if report.complaints.is_empty() && report.indexed != report.messages {
        let lacks = report.messages.abs_diff(report.indexed);
        report.complaints.push(format!(
            "{lacks} messages are not as the search has them: export and import make it anew"
        ));
    }
    Ok(report)
}

fn look(connection: &Connection, report: &mut Report) -> rusqlite::Result<()> {
    let sql = format!("PRAGMA integrity_check({COMPLAINTS_MAX})");
    let mut statement = connection.prepare(&sql)?;
    let complaints = statement.query_map([], |row| row.get::<_, String>(0))?;
    for complaint in complaints {
        let complaint = complaint?;
        if complaint != "ok" {
            report.complaints.push(complaint);
        }
    }
    let count = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    report.rooms = count("SELECT count(*) FROM rooms")?.unsigned_abs();
    report.messages = count("SELECT count(*) FROM messages")?.unsigned_abs();
    report.indexed = count("SELECT count(*) FROM found_docsize")?.unsigned_abs();
    let known = count("SELECT rooms FROM progress")?.unsigned_abs();
    if known != report.rooms {
        let complaint = format!("{} rooms, of {known}", report.rooms);
        report.complaints.push(complaint);
    }
    for room in store::rooms(connection)? {
        let Some(id) = room.id else { continue };
        let (low, high) = (rows::id(id, Seq::START), rows::id(id, room.tail));
        let sql = "SELECT count(*) FROM messages WHERE id > ?1 AND id <= ?2";
        let kept: i64 = connection.query_row(sql, params![low, high], |row| row.get(0))?;
        if kept.cast_unsigned() != room.kept {
            report
                .complaints
                .push(format!("{}: {kept} messages, of {}", room.name, room.kept));
        }
    }
    Ok(())
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.complaints.is_empty()
    }
}

impl fmt::Display for Report {
    /// A few lines for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            schema,
            rooms,
            messages,
            complaints,
            ..
        } = self;
        let (messages, rooms) = (Count(*messages, "message"), Count(*rooms, "room"));
        writeln!(f, "schema {schema}: {messages} in {rooms}")?;
        if complaints.is_empty() {
            return writeln!(f, "it is whole");
        }
        for complaint in complaints {
            writeln!(f, "wrong: {complaint}")?;
        }
        writeln!(
            f,
            "restore a copy; or export what can be read, and import it into a new file"
        )
    }
}

/// So many of something.
struct Count(u64, &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(count, what) = self;
        let plural = if *count == 1 { "" } else { "s" };
        write!(f, "{count} {what}{plural}")
    }
}

impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rooms = Count(self.rooms, "room");
        write!(f, "{} into {rooms}", Count(self.messages, "message"))
    }
}
