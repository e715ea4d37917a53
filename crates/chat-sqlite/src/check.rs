//! Checks whether a file is intact, and summarises its contents.

use crate::carry::{Count, ExportError, Unreadable};
use crate::error::OpenError;
use crate::file;
use crate::scan;
use crate::state::StateFile;
use crate::store;
use rusqlite::Connection;
use std::fmt;
use std::path::Path;

/// The maximum number of errors of SQLite's integrity check in a report.
const COMPLAINTS_MAX: usize = 10;

/// The result of [`check`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The version of the file's schema.
    pub schema: i64,
    /// The names of the rooms, each with the number of its messages that can be read.
    pub rooms: Vec<(String, u64)>,
    /// The number of messages in the search index.
    pub indexed: u64,
    /// The number of messages that are not in the search index yet. Such messages are not an error: a running server
    /// continues to index them, and a search reads them one by one.
    pub unindexed: u64,
    /// The ranges of messages that can't be read.
    pub unreadable: Vec<Unreadable>,
    /// All other problems, each as one line for people.
    pub complaints: Vec<String>,
}

/// Checks whether a file is intact, and summarises its contents. The check reads the whole file and does not change it.
/// A server may have the file open.
///
/// # Errors
///
/// Returns an error if the file can't be read at all, or if it was not made by this crate.
pub fn check(path: &Path) -> Result<Report, OpenError> {
    let known = path
        .canonicalize()
        .ok()
        .and_then(|path| StateFile::peek(&path));
    let connection = file::read_only(path)?;
    let mut report = Report {
        schema: file::identify(&connection)?,
        ..Report::default()
    };
    // Checks each part even if the check of another part fails.
    for look in [integrity, rooms, search] {
        if let Err(error) = look(&connection, &mut report) {
            report.complaints.push(error.to_string());
        }
    }
    let sql = "SELECT appended FROM progress";
    let appended = connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    // `FILE-state`, the file beside the database, was read first. Messages that a server appends after that read can
    // only make the database's count higher.
    if let (Some(known), Ok(appended)) = (known, appended)
        && known.appended > appended.unsigned_abs()
    {
        let missing = Count(known.appended - appended.unsigned_abs(), "message");
        let complaint = format!("{missing} that were kept are not in it");
        report.complaints.push(complaint);
    }
    Ok(report)
}

/// Runs SQLite's own integrity check.
fn integrity(connection: &Connection, report: &mut Report) -> Result<(), ExportError> {
    let sql = format!("PRAGMA integrity_check({COMPLAINTS_MAX})");
    let mut statement = connection.prepare(&sql).map_err(OpenError::from)?;
    let complaints = statement.query_map([], |row| row.get::<_, String>(0));
    for complaint in complaints.map_err(OpenError::from)? {
        let complaint = complaint.map_err(OpenError::from)?;
        if complaint != "ok" {
            // A complaint may have several lines; the report takes the first one.
            let first = complaint.lines().next().unwrap_or_default();
            report.complaints.push(first.to_owned());
        }
    }
    Ok(())
}

/// Checks that the file has as many rooms as its counter says, and that all their messages can be read.
fn rooms(connection: &Connection, report: &mut Report) -> Result<(), ExportError> {
    let rooms = store::rooms(connection).map_err(OpenError::from)?;
    for room in &rooms {
        let mut count = 0;
        let unreadable = scan::messages(connection, room, &mut |_| {
            count += 1;
            Ok(())
        });
        report.unreadable.extend(unreadable?);
        report.rooms.push((room.name.clone(), count));
    }
    let known = connection.query_row("SELECT rooms FROM progress", [], |row| row.get::<_, i64>(0));
    let (known, found) = (
        known.map_err(OpenError::from)?.unsigned_abs(),
        rooms.len() as u64,
    );
    if known != found {
        let complaint = format!("{}, of {known}", Count(found, "room"));
        report.complaints.push(complaint);
    }
    Ok(())
}

/// Checks that every message that can be read can be found by a search.
fn search(connection: &Connection, report: &mut Report) -> Result<(), ExportError> {
    let sql = "SELECT count(*) FROM found_docsize";
    let indexed = connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    report.indexed = indexed.map_err(OpenError::from)?.unsigned_abs();
    // In schema 1, messages were indexed when they were appended, so no message is unindexed.
    if report.schema > 1 {
        report.unindexed = store::count_unindexed(connection).map_err(OpenError::from)?;
    }
    let found = report.indexed + report.unindexed;
    if report.unreadable.is_empty() && found != report.messages() {
        let complaint = format!("{} can be searched for", Count(found, "message"));
        report.complaints.push(complaint);
    }
    Ok(())
}

impl Report {
    /// Returns whether the check has found no problem.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.complaints.is_empty() && self.unreadable.is_empty()
    }

    /// Returns the number of messages that can be read, of all rooms together.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.rooms.iter().map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Report {
    /// Writes a few lines for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages = Count(self.messages(), "message");
        let rooms = Count(self.rooms.len() as u64, "room");
        writeln!(f, "schema {}: {messages} in {rooms}", self.schema)?;
        let list = |f: &mut fmt::Formatter<'_>| {
            let mut rooms = self.rooms.iter();
            rooms.try_for_each(|(room, count)| writeln!(f, "{room}: {}", Count(*count, "message")))
        };
        if self.is_whole() {
            writeln!(f, "it is whole")?;
            return list(f);
        }
        for complaint in &self.complaints {
            writeln!(f, "wrong: {complaint}")?;
        }
        for unreadable in &self.unreadable {
            writeln!(f, "wrong: {unreadable}")?;
        }
        let repair = match (self.messages(), self.unreadable.is_empty()) {
            (0, _) => "nothing can be repaired: restore a copy",
            (_, true) => "all messages can be repaired:",
            (_, false) => "what can be read can be repaired, or restore a copy:",
        };
        writeln!(f, "{repair}")?;
        if self.messages() > 0 {
            writeln!(
                f,
                "  chat-server export --json --data DAMAGED | chat-server import --data NEW"
            )?;
        }
        list(f)
    }
}
