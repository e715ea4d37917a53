//! What is done with a file that nobody need serve: looking at it, and carrying it elsewhere.

use crate::error::OpenError;
use crate::file;
use crate::options::Options;
use crate::rows::{self, COLUMNS, Stored};
use crate::store::{self, Memory};
use chat_core::log::{Drafts, SessionId, Timestamp};
use chat_core::{Kind, Nick, Seq};
use rusqlite::{Connection, params};
use std::collections::HashSet;
use std::fmt;
use std::io;
use std::path::Path;

/// How many messages one transaction of an import takes.
const IMPORTED_AT_ONCE: usize = 5000;

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

/// What an import has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Imported {
    /// How many messages.
    pub messages: u64,
    /// Into how many rooms.
    pub rooms: usize,
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
        let (low, high) = (rows::id(room.id, Seq::START), rows::id(room.id, room.tail));
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
/// places, in another they follow what is there. A name that can't be one ends it; what precedes is imported.
///
/// # Errors
///
/// See [`OpenError`].
pub fn import(
    path: &Path,
    options: &Options,
    records: impl IntoIterator<Item = Record>,
) -> Result<Imported, OpenError> {
    let path = std::path::absolute(path)?;
    let mut opened = file::open(&path, options)?;
    let mut memory = Memory {
        progress: opened.progress,
        ..Memory::default()
    };
    let mut next_id = store::next_id(&opened.connection)?;
    let mut records = records.into_iter().peekable();
    let (mut messages, mut rooms) = (0, HashSet::new());
    while records.peek().is_some() {
        let transaction = opened.connection.transaction()?;
        for record in records.by_ref().take(IMPORTED_AT_ONCE) {
            let room = take(&transaction, &mut memory, &mut next_id, options, &record)?;
            rooms.insert(room);
            messages += 1;
        }
        for room in memory.rooms.values() {
            store::update(&transaction, room)?;
        }
        store::update_progress(&transaction, memory.progress)?;
        transaction.commit()?;
        opened.state.write(memory.progress)?;
    }
    Ok(Imported {
        messages,
        rooms: rooms.len(),
    })
}

/// Adds one message; gives its room.
fn take(
    connection: &Connection,
    memory: &mut Memory,
    next_id: &mut i64,
    options: &Options,
    record: &Record,
) -> Result<i64, OpenError> {
    let name = options.names.room(&record.room).map_err(invalid)?;
    let nick: Nick = options.names.nick(&record.from).map_err(invalid)?;
    let key = (options.names.fold)(name.as_str());
    let known = memory.rooms.values().find(|room| room.key == key);
    let id = match known {
        Some(room) => room.id,
        None => {
            let room = match store::find(connection, &key)? {
                Some(room) => room,
                None => {
                    *next_id += 1;
                    store::new_room(connection, *next_id - 1, &key, name.as_str())?
                }
            };
            let id = room.id;
            memory.rooms.insert(id, room);
            id
        }
    };
    let Memory { rooms, progress } = memory;
    let Some(room) = rooms.get_mut(&id) else {
        return Ok(id);
    };
    let mut drafts = Drafts::new(SessionId::NOBODY, nick, record.at);
    drafts.restore(record.kind, &record.text, record.key.as_deref());
    let seq = record.seq.max(room.tail.next());
    if room.tail == Seq::START {
        // What precedes it was not exported: it is as if it had been kept no longer.
        room.floor = Seq(seq.0.saturating_sub(1));
    }
    let batch = drafts.number(name, [seq]);
    store::append(connection, room, progress, &batch)?;
    Ok(id)
}

fn invalid(error: chat_core::name::NameError) -> OpenError {
    OpenError::Io(io::Error::new(io::ErrorKind::InvalidData, error))
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
        let (low, high) = (rows::id(room.id, Seq::START), rows::id(room.id, room.tail));
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
        writeln!(f, "schema {schema}: {messages} messages in {rooms} rooms")?;
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

impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} messages into {} rooms", self.messages, self.rooms)
    }
}
