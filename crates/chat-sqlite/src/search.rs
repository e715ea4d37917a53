//! Searches a room's log. The search finds indexed messages through the index. It reads the other messages one by one,
//! and compares each with the query.
//!
//! Invariant: a part of the log that was not searched is reported as a gap.

use crate::index::Query;
use crate::readers::Budget;
use crate::rooms::Key;
use crate::rows::{self, COLUMNS, Stored};
use crate::scan::is_damage;
use chat_core::Seq;
use chat_core::log::{Gap, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// The result of a search.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The part of the log that is not indexed and was not searched. Either the search ran out of time, or this part is
    /// damaged.
    pub(crate) gap: Option<Gap>,
    /// The messages that match, oldest first.
    pub(crate) rows: Vec<Stored>,
}

/// Finds the messages that match a query and are before a position. Returns the latest of these messages, at most
/// `limit`.
pub(crate) fn search(
    connection: &mut Connection,
    budget: &Budget,
    room: &Key,
    query: &Query,
    before: Seq,
    limit: usize,
) -> rusqlite::Result<Found> {
    // One transaction, so that the search sees the log and its index in the same state.
    let view = connection.transaction()?;
    let Some(Part { id, indexed, tail }) = part(&view, room)? else {
        return Ok(Found::default());
    };
    let last = Seq(before.0.saturating_sub(1)).min(tail);
    let mut found = beyond_index(&view, budget, query, id, indexed, last, limit)?;
    let left = limit.saturating_sub(found.rows.len());
    if left > 0 {
        let before = before.min(indexed.next());
        found.rows.extend(in_index(&view, query, id, before, left)?);
    }
    found.rows.reverse();
    Ok(found)
}

/// How far a room's log is indexed.
struct Part {
    /// The room's id.
    id: i64,
    /// The position up to which the log is indexed.
    indexed: Seq,
    /// The last position of the log.
    tail: Seq,
}

fn part(connection: &Connection, room: &Key) -> rusqlite::Result<Option<Part>> {
    let seq = |number: i64| Seq(number.cast_unsigned());
    let read = |row: &Row<'_>| {
        Ok(Part {
            id: row.get(0)?,
            indexed: seq(row.get(1)?),
            tail: seq(row.get(2)?),
        })
    };
    let sql = "SELECT id, indexed, tail FROM rooms WHERE key = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_row([&**room], read).optional()
}

/// Searches the messages that are not indexed, latest first. Stops early if half of the time for the whole search is
/// over.
fn beyond_index(
    connection: &Connection,
    budget: &Budget,
    query: &Query,
    room: i64,
    indexed: Seq,
    last: Seq,
    limit: usize,
) -> rusqlite::Result<Found> {
    let sql = format!(
        "SELECT {COLUMNS} FROM messages m WHERE m.id > ?1 AND m.id <= ?2 ORDER BY m.id DESC"
    );
    let mut found = Found::default();
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![rows::id(room, indexed), rows::id(room, last)])?;
    let mut last = last;
    while found.rows.len() < limit {
        let row = match rows.next() {
            Ok(Some(row)) => row,
            Ok(None) => break,
            // The index may still find messages, so the search continues in the index.
            Err(error) if is_damage(&error) => {
                tracing::warn!(%error, room, "a part of a log is damaged");
                let from = indexed.next();
                found.gap = (from <= last).then_some(Gap { from, to: last });
                break;
            }
            Err(error) => return Err(error),
        };
        last = Seq(rows::seq(row.get(0)?).0.saturating_sub(1));
        if budget.is_half_spent() {
            found.gap = Some(Gap {
                from: indexed.next(),
                to: rows::seq(row.get(0)?),
            });
            break;
        }
        let text = row.get_ref(4)?.as_str();
        if text.is_ok_and(|text| query.is_in(text)) {
            found.rows.push(Stored::read(row)?);
        }
    }
    Ok(found)
}

/// Finds the latest indexed messages before a position that match a query, latest first.
fn in_index(
    connection: &Connection,
    query: &Query,
    room: i64,
    before: Seq,
    limit: usize,
) -> rusqlite::Result<Vec<Stored>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM found f JOIN messages m ON m.id = f.rowid
         WHERE found MATCH ?1 AND f.rowid > ?2 AND f.rowid < ?3 ORDER BY f.rowid DESC LIMIT ?4"
    );
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let (low, high) = (rows::id(room, Seq::START), rows::id(room, before));
    connection
        .prepare_cached(&sql)?
        .query_map(params![query.expression(), low, high, limit], Stored::read)?
        .collect()
}

/// Returns the latest messages of a room that have a key and are not older than a given time. Returns at most `limit`
/// messages, oldest first, without their texts.
pub(crate) fn keyed(
    connection: &mut Connection,
    room: &Key,
    since: Timestamp,
    limit: usize,
) -> rusqlite::Result<Vec<Stored>> {
    let Some(Part { id, .. }) = part(connection, room)? else {
        return Ok(Vec::new());
    };
    let sql = "SELECT m.id, m.at, m.author, m.kind, '', m.key, m.session, m.life, m.account
        FROM messages m INDEXED BY keyed
        WHERE m.id >> 40 = ?1 AND m.at >= ?2 AND m.key IS NOT NULL ORDER BY m.at DESC LIMIT ?3";
    let (at, limit) = (
        since.0.cast_signed(),
        i64::try_from(limit).unwrap_or(i64::MAX),
    );
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![id, at, limit], Stored::read)?;
    let mut rows = rows.collect::<Result<Vec<_>, _>>()?;
    rows.sort_unstable_by_key(|row| row.seq);
    Ok(rows)
}
