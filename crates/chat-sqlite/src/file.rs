//! Opening a file: whose it is, which schema it has, and whether it is the one that it was.

use crate::error::OpenError;
use crate::options::{Options, Sync};
use crate::state::{Progress, StateFile};
use chat_core::log::Epoch;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use std::path::Path;

/// "chat", in the database's header: nobody else's file is taken for ours.
const APPLICATION_ID: i64 = 0x6368_6174;

/// The schema that this version writes.
pub(crate) const SCHEMA: i64 = 1;

/// How the schema comes to be: each step leads to the version after it.
const MIGRATIONS: [&str; SCHEMA as usize] = [include_str!("schema/1.sql")];

/// How many bytes of SQLite's log of changes are kept between uses.
const WAL_BYTES_MAX: i64 = 64 << 20;

/// A file that is open to be written, by this process alone.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) connection: Connection,
    pub(crate) state: StateFile,
    pub(crate) progress: Progress,
}

/// Opens a file to write it; makes it if need be.
pub(crate) fn open(path: &Path, options: &Options) -> Result<Opened, OpenError> {
    if let Some(directory) = path
        .parent()
        .filter(|directory| !directory.as_os_str().is_empty())
    {
        // SQLite only says that it can't open it.
        std::fs::metadata(directory)?;
    }
    let is_new = std::fs::metadata(path).map_or(true, |metadata| metadata.len() == 0);
    if !is_new {
        // Nothing of somebody else's is touched, not even by a lock beside it.
        identify(&read_only(path)?)?;
    }
    let mut state = StateFile::lock(path)?;
    let mut connection = Connection::open(path)?;
    connection.set_prepared_statement_cache_capacity(32);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = match options.sync {
        Sync::Full => "FULL",
        Sync::Normal => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES_MAX)?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    if let Some(pages) = options.pages_max {
        connection.pragma_update(None, "max_page_count", pages)?;
    }
    migrate(&mut connection)?;
    examine(&connection)?;
    let progress = begin(&mut connection, &state, is_new)?;
    state.write(progress)?;
    Ok(Opened {
        connection,
        state,
        progress,
    })
}

/// Opens a file to read it.
pub(crate) fn read_only(path: &Path) -> Result<Connection, OpenError> {
    std::fs::metadata(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(2))?;
    Ok(connection)
}

/// Looks whether a file is ours, and of a version that is known; gives the version.
pub(crate) fn identify(connection: &Connection) -> Result<i64, OpenError> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    if number("application_id")? != APPLICATION_ID {
        return Err(OpenError::Foreign);
    }
    match number("user_version")? {
        found if found > SCHEMA => Err(OpenError::Newer {
            found,
            known: SCHEMA,
        }),
        found => Ok(found),
    }
}

/// Brings an older schema, or none, to this version's.
fn migrate(connection: &mut Connection) -> Result<(), OpenError> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let done = usize::try_from(found).unwrap_or_default();
    for (step, sql) in MIGRATIONS.iter().enumerate().skip(done) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", step as i64 + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Looks whether what was lost shows at once: whether there are as many rooms as there were, and each log reaches its
/// end.
fn examine(connection: &Connection) -> Result<(), OpenError> {
    let rooms: i64 = connection.query_row("SELECT count(*) FROM rooms", [], |row| row.get(0))?;
    let known: i64 = connection.query_row("SELECT rooms FROM progress", [], |row| row.get(0))?;
    if rooms != known {
        let what = format!("{rooms} rooms, of {known}");
        return Err(OpenError::Damaged(what));
    }
    let mut statement = connection.prepare(
        "SELECT name, tail, floor,
            (SELECT max(id) FROM messages WHERE id BETWEEN rooms.id << 40 AND (rooms.id << 40) + tail) & 0xffffffffff
         FROM rooms",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (tail, floor): (i64, i64) = (row.get(1)?, row.get(2)?);
        let last: Option<i64> = row.get(3)?;
        if last.unwrap_or(floor) != tail {
            let name: String = row.get(0)?;
            return Err(OpenError::Damaged(format!("the end of {name} is missing")));
        }
    }
    Ok(())
}

/// Counts this opening, and gives all logs new epochs if the file is not what it was.
fn begin(
    connection: &mut Connection,
    state: &StateFile,
    is_new: bool,
) -> Result<Progress, OpenError> {
    let transaction = connection.transaction()?;
    let sql = "SELECT generation, appended FROM progress";
    let mut progress = transaction
        .query_row(sql, [], |row| {
            Ok(Progress {
                generation: row.get::<_, i64>(0)?.unsigned_abs(),
                appended: row.get::<_, i64>(1)?.unsigned_abs(),
            })
        })
        .optional()?
        .ok_or_else(|| OpenError::Damaged("how much it holds is missing".into()))?;
    let is_whole = state.found.is_some_and(|known| {
        progress.appended >= known.appended && progress.generation >= known.generation
    });
    if !is_new && !is_whole {
        tracing::warn!(
            "the file is not what it was (restored, copied or cut short): its rooms begin anew for those who come back"
        );
        let rooms: Vec<i64> = transaction
            .prepare("SELECT id FROM rooms")?
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        transaction.execute("UPDATE progress SET seed = random()", [])?;
        for room in rooms {
            let epoch = Epoch::random().0.cast_signed();
            transaction.execute(
                "UPDATE rooms SET epoch = ?1 WHERE id = ?2",
                params![epoch, room],
            )?;
        }
    }
    let known = state.found.unwrap_or_default();
    progress.generation = progress.generation.max(known.generation) + 1;
    progress.appended = progress.appended.max(known.appended);
    transaction.execute(
        "UPDATE progress SET generation = ?1, appended = ?2",
        params![
            progress.generation.cast_signed(),
            progress.appended.cast_signed()
        ],
    )?;
    transaction.commit()?;
    Ok(progress)
}
