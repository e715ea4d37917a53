//! Operations within one transaction: find rooms, append messages, index messages, and remove expired messages.
//!
//! Invariant: a function that changes a [`Room`] also changes the room's row. A room gets its row and its id with its
//! first message. So the file contains nothing about a room that never had a message.

use crate::index;
use crate::options::Keep;
use crate::rooms::Key;
use crate::rows;
use crate::state::Progress;
use chat_core::Seq;
use chat_core::log::{Account, Batch, Epoch, MessageRef, Timestamp};
use chat_core::rooms::Modes;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// The cached state of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Room {
    /// The id of the room's row, if it has one.
    pub(crate) id: Option<i64>,
    pub(crate) key: Key,
    pub(crate) name: String,
    pub(crate) epoch: Epoch,
    /// The last position of the room's log.
    pub(crate) tail: Seq,
    /// The position up to which messages have expired.
    pub(crate) floor: Seq,
    /// The number of messages that the log holds.
    pub(crate) kept: u64,
    pub(crate) topic: String,
    /// Who set the topic and when; `None` if this is unknown.
    pub(crate) topic_set: Option<(String, Timestamp)>,
    /// The modes, shared by the copies of this value.
    pub(crate) modes: Arc<Modes>,
}

const ROOM: &str = "SELECT id, key, name, epoch, tail, floor, kept, topic";

fn read(row: &Row<'_>) -> rusqlite::Result<Room> {
    Ok(Room {
        id: row.get(0)?,
        key: row.get::<_, String>(1)?.into(),
        name: row.get(2)?,
        epoch: Epoch(row.get::<_, i64>(3)?.cast_unsigned()),
        tail: Seq(row.get::<_, i64>(4)?.cast_unsigned()),
        floor: Seq(row.get::<_, i64>(5)?.cast_unsigned()),
        kept: row.get::<_, i64>(6)?.cast_unsigned(),
        topic: row.get(7)?,
        topic_set: topic_set(row.get(8)?, row.get(9)?),
        modes: Arc::new(Modes::read(&row.get::<_, String>(10)?)),
    })
}

fn topic_set(by: Option<String>, at: Option<i64>) -> Option<(String, Timestamp)> {
    by.zip(at.map(|at| Timestamp(at.cast_unsigned())))
}

/// Returns the room with this key, if it has a row.
pub(crate) fn find(connection: &Connection, key: &str) -> rusqlite::Result<Option<Room>> {
    let mut statement = connection.prepare_cached(&format!(
        "{ROOM}, topic_by, topic_at, modes FROM rooms WHERE key = ?1"
    ))?;
    statement.query_row([key], read).optional()
}

/// Returns all rooms that have a row, without the authors of their topics and without their modes. The query works with
/// earlier schemas, too.
pub(crate) fn rooms(connection: &Connection) -> rusqlite::Result<Vec<Room>> {
    let mut statement =
        connection.prepare_cached(&format!("{ROOM}, NULL, NULL, '' FROM rooms ORDER BY id"))?;
    statement.query_map([], read)?.collect()
}

/// Returns the keys of all rooms that hold messages.
pub(crate) fn filled(connection: &Connection) -> rusqlite::Result<Vec<Key>> {
    let mut statement = connection.prepare_cached("SELECT key FROM rooms WHERE kept > 0")?;
    let keys = statement.query_map([], |row| row.get::<_, String>(0))?;
    keys.map(|key| key.map(Key::from)).collect()
}

/// Returns a new room that has no messages, and that the database does not contain yet. The room gets the same epoch at
/// each opening of the file.
pub(crate) fn new_room(connection: &Connection, key: &Key, name: &str) -> rusqlite::Result<Room> {
    let mut seed = connection.prepare_cached("SELECT seed FROM progress")?;
    let seed: i64 = seed.query_row([], |row| row.get(0))?;
    let mut hasher = DefaultHasher::new();
    (seed, key).hash(&mut hasher);
    Ok(Room {
        id: None,
        key: Key::clone(key),
        name: name.to_owned(),
        epoch: Epoch(hasher.finish()),
        tail: Seq::START,
        floor: Seq::START,
        kept: 0,
        topic: String::new(),
        topic_set: None,
        modes: Arc::default(),
    })
}

/// Appends a batch whose positions follow the room's last position.
pub(crate) fn append(
    connection: &Connection,
    room: &mut Room,
    progress: &mut Progress,
    batch: &Batch,
) -> rusqlite::Result<()> {
    let room_id = match room.id {
        Some(id) => id,
        None => add(connection, room)?,
    };
    for message in batch.messages(0..batch.len()) {
        let id = rows::id(room_id, message.seq);
        insert(connection, id, batch, progress.generation, &message)?;
        room.tail = message.seq;
    }
    if let Some(topic) = batch.topic() {
        (*topic.text).clone_into(&mut room.topic);
        room.topic_set = topic.set.map(|set| (set.by.as_str().to_owned(), set.at));
    }
    // The modes are long if their lists are, so the row gets them only when they change.
    if batch.mode_changes().next().is_some() && Arc::make_mut(&mut room.modes).apply(batch) {
        let sql = "UPDATE rooms SET modes = ?2 WHERE id = ?1";
        let modes = room.modes.to_string();
        connection
            .prepare_cached(sql)?
            .execute(params![room_id, modes])?;
    }
    room.kept += batch.len() as u64;
    progress.appended += batch.len() as u64;
    Ok(())
}

/// Inserts the row of a room, and sets the room's id.
fn add(connection: &Connection, room: &mut Room) -> rusqlite::Result<i64> {
    let sql = "INSERT INTO rooms (key, name, epoch, tail, floor, kept, topic)
        VALUES (?1, ?2, ?3, 0, 0, 0, '')";
    let epoch = room.epoch.0.cast_signed();
    connection
        .prepare_cached(sql)?
        .execute(params![&*room.key, room.name, epoch])?;
    let id = connection.last_insert_rowid();
    if id > rows::ROOM_MAX {
        // The file already has `ROOM_MAX` rooms, which are about eight million. A higher room id does not fit into the
        // ids of messages.
        return Err(rusqlite::Error::IntegralValueOutOfRange(0, id));
    }
    connection.execute("UPDATE progress SET rooms = rooms + 1", [])?;
    room.id = Some(id);
    Ok(id)
}

fn insert(
    connection: &Connection,
    id: i64,
    batch: &Batch,
    life: u64,
    message: &MessageRef<'_>,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO messages (id, at, author, kind, text, key, session, life, account)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    connection.prepare_cached(sql)?.execute(params![
        id,
        batch.at().0.cast_signed(),
        batch.from().as_str(),
        message.kind.number(),
        message.text,
        message.kept_key,
        batch.author().0.cast_signed(),
        life.cast_signed(),
        batch.account().map(Account::as_str),
    ])?;
    Ok(())
}

/// The number of bytes that an indexed message counts in addition to its text.
const INDEXED_BESIDES: usize = 64;

/// The result of a step of indexing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Indexed {
    /// The size in bytes of the messages that this step indexed. The size of a message is the length of its text plus
    /// [`INDEXED_BESIDES`].
    pub(crate) bytes: usize,
    /// Whether messages remain to be indexed.
    pub(crate) has_more: bool,
}

/// Returns the ids of the rooms whose logs are not fully indexed.
pub(crate) fn unindexed(connection: &Connection) -> rusqlite::Result<Vec<i64>> {
    let mut statement = connection.prepare("SELECT id FROM rooms WHERE indexed < tail")?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// Returns the number of messages that are not indexed yet.
pub(crate) fn count_unindexed(connection: &Connection) -> rusqlite::Result<u64> {
    let sql = "SELECT count(*) FROM rooms r JOIN messages m
        ON m.id > (r.id << 40) + r.indexed AND m.id <= (r.id << 40) + r.tail WHERE r.indexed < r.tail";
    let mut statement = connection.prepare_cached(sql)?;
    let count: i64 = statement.query_row([], |row| row.get(0))?;
    Ok(count.cast_unsigned())
}

/// Indexes the next messages of a room's log, until their size reaches `bytes_max`. Indexes at least one message.
pub(crate) fn index(
    connection: &Connection,
    room: i64,
    bytes_max: usize,
) -> rusqlite::Result<Indexed> {
    let sql = "SELECT indexed, tail FROM rooms WHERE id = ?1";
    let seq = |number: i64| Seq(number.cast_unsigned());
    let mut statement = connection.prepare_cached(sql)?;
    let (mut indexed, tail) =
        statement.query_row([room], |row| Ok((seq(row.get(0)?), seq(row.get(1)?))))?;
    let sql = "SELECT id, text FROM messages WHERE id > ?1 AND id <= ?2 ORDER BY id";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![rows::id(room, indexed), rows::id(room, tail)])?;
    let sql = "INSERT INTO found (rowid, words, pairs) VALUES (?1, ?2, ?3)";
    let mut insert = connection.prepare_cached(sql)?;
    let mut bytes = 0;
    loop {
        let Some(row) = rows.next()? else {
            indexed = tail;
            break;
        };
        let id = row.get(0)?;
        // A text that can't be read is left out of the index.
        if let Ok(text) = row.get_ref(1)?.as_str() {
            let columns = index::columns(text);
            insert.execute(params![id, columns.words, columns.pairs])?;
            bytes += text.len() + INDEXED_BESIDES;
        }
        indexed = rows::seq(id);
        if bytes >= bytes_max {
            break;
        }
    }
    let sql = "UPDATE rooms SET indexed = ?2 WHERE id = ?1";
    connection
        .prepare_cached(sql)?
        .execute(params![room, indexed.0.cast_signed()])?;
    Ok(Indexed {
        bytes,
        has_more: indexed < tail,
    })
}

/// Writes the changed state of a room, if it has a row.
pub(crate) fn update(connection: &Connection, room: &Room) -> rusqlite::Result<()> {
    let Some(id) = room.id else { return Ok(()) };
    let sql = "UPDATE rooms SET tail = ?2, floor = ?3, kept = ?4,
        topic = ?5, topic_by = ?6, topic_at = ?7 WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![
        id,
        room.tail.0.cast_signed(),
        room.floor.0.cast_signed(),
        room.kept.cast_signed(),
        room.topic,
        room.topic_set.as_ref().map(|(by, _)| by),
        room.topic_set.as_ref().map(|(_, at)| at.0.cast_signed()),
    ])?;
    Ok(())
}

/// Writes how many messages were ever appended to the file.
pub(crate) fn update_progress(connection: &Connection, progress: Progress) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE progress SET appended = ?1")?
        .execute([progress.appended.cast_signed()])?;
    Ok(())
}

/// The result of a step of removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Removed {
    /// How many messages the step has removed.
    pub(crate) count: u64,
    /// Whether more messages may have expired.
    pub(crate) has_more: bool,
}

/// Removes expired messages of a room, at most `limit`.
pub(crate) fn expire(
    connection: &Connection,
    room: &mut Room,
    keep: Keep,
    now: Timestamp,
    limit: u64,
) -> rusqlite::Result<Removed> {
    let (wanted, before) = match keep {
        Keep::Everything => (0, u64::MAX),
        Keep::Count(count) => (room.kept.saturating_sub(count), u64::MAX),
        Keep::Days(days) => {
            let millis = u64::from(days) * 24 * 60 * 60 * 1000;
            (room.kept, now.0.saturating_sub(millis))
        }
    };
    let Some(id) = room.id.filter(|_| wanted > 0) else {
        return Ok(Removed::default());
    };
    let sql = "SELECT id, at FROM messages WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3";
    let (low, high) = (rows::id(id, room.floor), rows::id(id, room.tail));
    let mut statement = connection.prepare_cached(sql)?;
    let mut oldest = statement.query(params![low, high, wanted.min(limit).cast_signed()])?;
    let (mut last, mut count) = (None, 0);
    while let Some(row) = oldest.next()? {
        if row.get::<_, i64>(1)?.cast_unsigned() >= before {
            break;
        }
        last = Some(row.get::<_, i64>(0)?);
        count += 1;
    }
    drop(oldest);
    let Some(last) = last else {
        return Ok(Removed::default());
    };
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
    Ok(Removed {
        count,
        has_more: count == limit,
    })
}
