//! Reading a room's log from end to end, also past what is damaged.

use crate::carry::{ExportError, Unreadable};
use crate::error::OpenError;
use crate::rows::{self, COLUMNS, Stored};
use crate::store::Room;
use chat_core::Seq;
use rusqlite::{Connection, ErrorCode, Statement, params};
use std::io;

/// Hands each message of a room to `each`, in the order of its log; gives what can't be read.
pub(crate) fn messages(
    connection: &Connection,
    room: &Room,
    each: &mut dyn FnMut(Stored) -> io::Result<()>,
) -> Result<Vec<Unreadable>, ExportError> {
    let Some(id) = room.id else {
        return Ok(Vec::new());
    };
    let sql =
        format!("SELECT {COLUMNS} FROM messages m WHERE m.id > ?1 AND m.id <= ?2 ORDER BY m.id");
    let mut scan = Scan {
        id,
        room,
        statement: connection.prepare(&sql).map_err(OpenError::from)?,
        last: room.floor,
        unreadable: Vec::new(),
    };
    // How far beyond the last that could be read it is tried again.
    let mut leap = 0_u64;
    while scan.last < room.tail {
        let before = scan.last;
        let after = Seq(scan.last.0.saturating_add(leap));
        if after >= room.tail || scan.run(after, each)? {
            break;
        }
        leap = if scan.last > before {
            1
        } else {
            leap.saturating_mul(2).max(1)
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
    /// The last that was handed out.
    last: Seq,
    unreadable: Vec<Unreadable>,
}

impl Scan<'_> {
    /// Reads what follows a place, until the end (`true`) or something damaged.
    fn run(
        &mut self,
        after: Seq,
        each: &mut dyn FnMut(Stored) -> io::Result<()>,
    ) -> Result<bool, ExportError> {
        let (low, high) = (rows::id(self.id, after), rows::id(self.id, self.room.tail));
        let mut found = self
            .statement
            .query(params![low, high])
            .map_err(OpenError::from)?;
        loop {
            let stored = match found.next() {
                Ok(Some(row)) => Stored::read(row),
                Ok(None) => return Ok(true),
                Err(error) => Err(error),
            };
            let stored = match stored {
                Ok(stored) => stored,
                Err(error) if is_damage(&error) => return Ok(false),
                Err(error) => return Err(OpenError::from(error).into()),
            };
            let is_in_order = stored.seq > self.last && stored.seq <= self.room.tail;
            if stored.room != self.id || !is_in_order {
                return Ok(false);
            }
            note(&mut self.unreadable, self.room, self.last, stored.seq);
            self.last = stored.seq;
            each(stored)?;
        }
    }
}

/// Takes note of what was not read between two places.
fn note(unreadable: &mut Vec<Unreadable>, room: &Room, last: Seq, next: Seq) {
    if last.next() < next {
        unreadable.push(Unreadable {
            room: room.name.clone(),
            from: last.next(),
            to: Seq(next.0 - 1),
        });
    }
}

/// Whether it is the file's fault; what isn't, such as a lock, ends the reading.
fn is_damage(error: &rusqlite::Error) -> bool {
    match error.sqlite_error_code() {
        Some(code) => matches!(
            code,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::SystemIoFailure
        ),
        // A column is not what it should be.
        None => true,
    }
}
