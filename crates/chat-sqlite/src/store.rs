//! What is done within one transaction: rooms are opened, messages appended, and what is no longer kept removed.
//!
//! Invariant: what a room's row says and what is remembered of it change together: the memory that is handed in is a
//! copy, which takes the place of the old one when the transaction is committed. A room gets its row with its first
//! message, so that names which nobody speaks under leave nothing behind.

use crate::index;
use crate::options::Keep;
use crate::rows;
use crate::state::Progress;
use chat_core::log::{Batch, Epoch, MessageRef, Timestamp};
use chat_core::{Kind, Seq};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// How many messages one step of removal takes.
const REMOVED_AT_ONCE: u64 = 500;

/// What is remembered of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) id: i64,
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) epoch: Epoch,
    pub(crate) tail: Seq,
    pub(crate) floor: Seq,
    pub(crate) kept: u64,
    pub(crate) topic: String,
    /// It has a row.
    pub(crate) is_stored: bool,
}

/// Everything that is remembered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    pub(crate) rooms: HashMap<i64, Room>,
    pub(crate) progress: Progress,
}

const ROOM: &str = "SELECT id, key, name, epoch, tail, floor, kept, topic FROM rooms";

fn read(row: &Row<'_>) -> rusqlite::Result<Room> {
    Ok(Room {
        id: row.get(0)?,
        key: row.get(1)?,
        name: row.get(2)?,
        epoch: Epoch(row.get::<_, i64>(3)?.cast_unsigned()),
        tail: Seq(row.get::<_, i64>(4)?.cast_unsigned()),
        floor: Seq(row.get::<_, i64>(5)?.cast_unsigned()),
        kept: row.get::<_, i64>(6)?.cast_unsigned(),
        topic: row.get(7)?,
        is_stored: true,
    })
}

/// The room with this key, if it has a row.
pub(crate) fn find(connection: &Connection, key: &str) -> rusqlite::Result<Option<Room>> {
    let mut statement = connection.prepare_cached(&format!("{ROOM} WHERE key = ?1"))?;
    statement.query_row([key], read).optional()
}

/// All rooms that have a row.
pub(crate) fn rooms(connection: &Connection) -> rusqlite::Result<Vec<Room>> {
    let mut statement = connection.prepare_cached(&format!("{ROOM} ORDER BY id"))?;
    statement.query_map([], read)?.collect()
}

/// A room that nothing has been said in. It has no row, and the same epoch whenever it is opened.
pub(crate) fn new_room(
    connection: &Connection,
    id: i64,
    key: &str,
    name: &str,
) -> rusqlite::Result<Room> {
    let mut seed = connection.prepare_cached("SELECT seed FROM progress")?;
    let seed: i64 = seed.query_row([], |row| row.get(0))?;
    let mut hasher = DefaultHasher::new();
    (seed, key).hash(&mut hasher);
    Ok(Room {
        id,
        key: key.to_owned(),
        name: name.to_owned(),
        epoch: Epoch(hasher.finish()),
        tail: Seq::START,
        floor: Seq::START,
        kept: 0,
        topic: String::new(),
        is_stored: false,
    })
}

/// The first id that no room has had.
pub(crate) fn next_id(connection: &Connection) -> rusqlite::Result<i64> {
    let sql = "SELECT coalesce(max(id), 0) + 1 FROM rooms";
    connection.query_row(sql, [], |row| row.get(0))
}

/// Appends a batch whose places are those after the room's last.
pub(crate) fn append(
    connection: &Connection,
    room: &mut Room,
    progress: &mut Progress,
    batch: &Batch,
) -> rusqlite::Result<()> {
    if !std::mem::replace(&mut room.is_stored, true) {
        let sql = "INSERT INTO rooms (id, key, name, epoch, tail, floor, kept, topic)
            VALUES (?1, ?2, ?3, ?4, 0, 0, 0, '')";
        let epoch = room.epoch.0.cast_signed();
        connection
            .prepare_cached(sql)?
            .execute(params![room.id, room.key, room.name, epoch])?;
        connection.execute("UPDATE progress SET rooms = rooms + 1", [])?;
    }
    for message in batch.messages(0..batch.len()) {
        let id = rows::id(room.id, message.seq);
        insert(connection, id, batch, progress.generation, &message)?;
        if message.kind == Kind::Topic {
            message.text.clone_into(&mut room.topic);
        }
        room.tail = message.seq;
    }
    room.kept += batch.len() as u64;
    progress.appended += batch.len() as u64;
    Ok(())
}

/// Adds one message and what it is found by.
fn insert(
    connection: &Connection,
    id: i64,
    batch: &Batch,
    life: u64,
    message: &MessageRef<'_>,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO messages (id, at, author, kind, text, key, session, life)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    connection.prepare_cached(sql)?.execute(params![
        id,
        batch.at().0.cast_signed(),
        batch.from().as_str(),
        rows::kind_number(message.kind),
        message.text,
        message.key,
        batch.author().0.cast_signed(),
        life.cast_signed(),
    ])?;
    let columns = index::columns(message.text);
    connection
        .prepare_cached("INSERT INTO found (rowid, words, pairs) VALUES (?1, ?2, ?3)")?
        .execute(params![id, columns.words, columns.pairs])?;
    Ok(())
}

/// Writes what is remembered of a room that has changed.
pub(crate) fn update(connection: &Connection, room: &Room) -> rusqlite::Result<()> {
    let sql = "UPDATE rooms SET tail = ?2, floor = ?3, kept = ?4, topic = ?5 WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![
        room.id,
        room.tail.0.cast_signed(),
        room.floor.0.cast_signed(),
        room.kept.cast_signed(),
        room.topic
    ])?;
    Ok(())
}

/// Writes how much has been appended.
pub(crate) fn update_progress(connection: &Connection, progress: Progress) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE progress SET appended = ?1")?
        .execute([progress.appended.cast_signed()])?;
    Ok(())
}

/// Removes some of what a room no longer keeps. Returns whether there may be more.
pub(crate) fn expire(
    connection: &Connection,
    room: &mut Room,
    keep: Keep,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let wanted = match keep {
        Keep::Everything => 0,
        Keep::Count(count) => room.kept.saturating_sub(count),
        Keep::Days(_) => room.kept,
    };
    let wanted = wanted.min(REMOVED_AT_ONCE);
    if wanted == 0 {
        return Ok(false);
    }
    let before = match keep {
        Keep::Days(days) => now.0.saturating_sub(u64::from(days) * 24 * 60 * 60 * 1000),
        _ => u64::MAX,
    };
    let sql = "SELECT id, at FROM messages WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3";
    let (low, high) = (rows::id(room.id, room.floor), rows::id(room.id, room.tail));
    let mut statement = connection.prepare_cached(sql)?;
    let mut oldest = statement.query(params![low, high, wanted.cast_signed()])?;
    let (mut last, mut count) = (None, 0);
    while let Some(row) = oldest.next()? {
        if row.get::<_, i64>(1)?.cast_unsigned() >= before {
            break;
        }
        last = Some(row.get::<_, i64>(0)?);
        count += 1;
    }
    drop(oldest);
    let Some(last) = last else { return Ok(false) };
    for sql in [
        "DELETE FROM found WHERE rowid > ?1 AND rowid <= ?2",
        "DELETE FROM messages WHERE id > ?1 AND id <= ?2",
    ] {
        connection
            .prepare_cached(sql)?
            .execute(params![low, last])?;
    }
    room.floor = rows::seq(last);
    room.kept = room.kept.saturating_sub(count);
    update(connection, room)?;
    Ok(count == REMOVED_AT_ONCE)
}
