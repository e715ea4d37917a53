//! Reads a room's log from end to end and skips damaged parts.

use crate::carry::{ExportError, Unreadable};
use crate::error::OpenError;
use crate::file;
use crate::rows::{self, Stored};
use crate::store::Room;
use chat_core::Seq;
use rusqlite::{Connection, ErrorCode, Statement, params};
use std::io;

/// The number of messages that are read at a time.
const PAGE: usize = 1000;

/// Calls `each` with every message of a room, in the order of its log. Returns the ranges of messages that can't be
/// read.
pub(crate) fn messages(
    connection: &Connection,
    room: &Room,
    each: &mut dyn FnMut(Stored) -> io::Result<()>,
) -> Result<Vec<Unreadable>, ExportError> {
    let Some(id) = room.id else {
        return Ok(Vec::new());
    };
    let columns = rows::columns(file::identify(connection)?);
    let sql = format!(
        "SELECT {columns} FROM messages m WHERE m.id > ?1 AND m.id <= ?2 ORDER BY m.id LIMIT {PAGE}"
    );
    let mut scan = Scan {
        id,
        room,
        statement: connection.prepare(&sql).map_err(OpenError::from)?,
        last: room.floor,
        unreadable: Vec::new(),
    };
    // The next attempt begins this many positions after the last message that was read. The distance doubles while
    // attempts fail.
    let mut leap = 0_u64;
    let end_of_leaps = Seq(room.tail.0.saturating_sub(1));
    // The start of a bisection: the position of the last message that was read, or a later position from which an
    // attempt returned no message.
    let mut failed = room.floor;
    while scan.last < room.tail {
        let before = scan.last;
        let mut after = Seq(scan.last.0.saturating_add(leap)).min(end_of_leaps);
        let (mut page, mut end) = scan.page(after).map_err(OpenError::from)?;
        // The attempt may have skipped readable messages. A bisection finds the first readable message.
        while !page.is_empty() && after.0 > failed.0.saturating_add(1) {
            let middle = Seq(failed.0.midpoint(after.0));
            match scan.page(middle).map_err(OpenError::from)? {
                (nearer, _) if nearer.is_empty() => failed = middle,
                nearer => ((page, end), after) = (nearer, middle),
            }
        }
        for stored in page {
            note(&mut scan.unreadable, room, scan.last, stored.seq);
            scan.last = stored.seq;
            each(stored)?;
        }
        (leap, failed) = match end {
            End::OfLog => break,
            End::OfPage => (0, scan.last),
            End::Damaged if scan.last > before => (1, scan.last),
            End::Damaged if after >= end_of_leaps => break,
            End::Damaged => (leap.saturating_mul(2).max(1), after),
        };
    }
    let Scan {
        last,
        mut unreadable,
        ..
    } = scan;
    note(&mut unreadable, room, last, room.tail.next());
    Ok(unreadable)
}

struct Scan<'a> {
    id: i64,
    room: &'a Room,
    statement: Statement<'a>,
    /// The position of the last message passed to `each`.
    last: Seq,
    unreadable: Vec<Unreadable>,
}

/// Why a page has no further messages.
enum End {
    /// The log has no more messages.
    OfLog,
    /// The page has its maximum number of messages.
    OfPage,
    /// The next message can't be read.
    Damaged,
}

impl Scan<'_> {
    /// Reads one page of messages after a position. SQLite's WAL can only grow during a read, and the caller may be
    /// slow. So the read of the page ends before the caller gets the messages.
    fn page(&mut self, after: Seq) -> rusqlite::Result<(Vec<Stored>, End)> {
        let (low, high) = (rows::id(self.id, after), rows::id(self.id, self.room.tail));
        let mut found = self.statement.query(params![low, high])?;
        let (mut page, mut last) = (Vec::new(), self.last);
        loop {
            let stored = match found.next() {
                Ok(Some(row)) => Stored::read(row),
                Ok(None) if page.len() == PAGE => return Ok((page, End::OfPage)),
                Ok(None) => return Ok((page, End::OfLog)),
                Err(error) => Err(error),
            };
            let stored = match stored {
                Ok(stored) => stored,
                Err(error) if is_damage(&error) => return Ok((page, End::Damaged)),
                Err(error) => return Err(error),
            };
            let is_in_order = stored.seq > last && stored.seq <= self.room.tail;
            if stored.room != self.id || !is_in_order {
                return Ok((page, End::Damaged));
            }
            last = stored.seq;
            page.push(stored);
        }
    }
}

/// Records the positions between two messages as unreadable.
fn note(unreadable: &mut Vec<Unreadable>, room: &Room, last: Seq, next: Seq) {
    if last.next() < next {
        unreadable.push(Unreadable {
            room: room.name.clone(),
            from: last.next(),
            to: Seq(next.0 - 1),
        });
    }
}

/// Returns whether an error means that the file is damaged. Any other error, such as a lock, ends the scan.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    match error.sqlite_error_code() {
        Some(code) => matches!(
            code,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::SystemIoFailure
        ),
        // An error without a code means that a column has the wrong type.
        None => true,
    }
}
