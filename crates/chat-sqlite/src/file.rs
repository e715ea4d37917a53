//! Opens a database file: checks that this crate made the file, migrates its schema, and detects whether the file was
//! replaced.

use crate::error::{Failure, OpenError};
use crate::held::Held;
use crate::options::{Options, Sync};
use crate::state::{Progress, StateFile};
use chat_core::log::Epoch;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The ASCII codes of "chat", stored in the database header. They show that this crate made the file.
const APPLICATION_ID: i64 = 0x6368_6174;

/// The version of the schema that this crate writes.
pub(crate) const SCHEMA: i64 = 4;

/// The SQL of each schema version; each step upgrades from the version before it.
const MIGRATIONS: [&str; SCHEMA as usize] = [
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
];

/// The maximum size in bytes of SQLite's write-ahead log (WAL) after SQLite resets the log. SQLite truncates a
/// longer log to this size.
const WAL_BYTES_MAX: i64 = 64 << 20;

/// How long an operation waits for a lock that another program holds.
const BUSY_MAX: Duration = Duration::from_secs(1);

/// A database that this process alone has open for writing. On drop, the connection is closed before the lock on the
/// file is released.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) connection: Connection,
    pub(crate) place: Place,
    pub(crate) state: StateFile,
    pub(crate) progress: Progress,
}

/// Opens a file for writing, and creates the file if it does not exist.
pub(crate) fn open(path: &Path, options: &Options) -> Result<Opened, OpenError> {
    let path = &resolve(path)?;
    // The file is locked before SQLite opens it. A program that opens the file under another path would use another
    // WAL, which this process does not see. `held` is declared before the connection, so it is dropped after the
    // connection on every return.
    let held = Arc::new(Held::lock(path)?);
    let size = |metadata: std::fs::Metadata| metadata.len();
    let mut is_new = std::fs::metadata(path).map_or(0, size) == 0;
    if !is_new {
        // The file is identified before `FILE-state`, the lock file beside it, is created. If another program made the
        // file, the file stays unchanged and no lock file is created.
        let found = read_only(path).and_then(|connection| identify(&connection));
        is_new = match found {
            // `FILE-state` shows that this crate made the file, so the file's header is damaged.
            Err(OpenError::Foreign) if StateFile::peek(path).is_some() => {
                return Err(OpenError::Damaged("its beginning is lost".into()));
            }
            found => found? == 0,
        };
    }
    if has_other_names(path) {
        return Err(OpenError::Linked);
    }
    let mut state = StateFile::lock(path)?;
    if let Some(Progress { appended, .. }) = state.found
        && is_new
        && appended > 0
    {
        return Err(OpenError::Emptied(appended));
    }
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_MAX)?;
    connection.set_prepared_statement_cache_capacity(32);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = match options.sync {
        Sync::Full => "FULL",
        Sync::Normal => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    // On macOS, fsync leaves the data in the disk's cache. With these settings, a sync writes the data to the disk
    // itself.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES_MAX)?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    if let Some(pages) = options.pages_max {
        connection.pragma_update(None, "max_page_count", pages)?;
    }
    migrate(&mut connection)?;
    examine(&connection)?;
    let progress = begin(&mut connection, &state, is_new, options.trusts_copies)?;
    state
        .begin(options.sync == Sync::Normal, progress)
        .map_err(OpenError::io("what stands beside it"))?;
    Ok(Opened {
        connection,
        place: Place::new(path, Arc::clone(&held))?,
        state,
        progress,
    })
}

/// Returns the path of the file with all links resolved. So each file has one path, one WAL and one `FILE-state`.
/// Creates an empty file if none exists.
fn resolve(path: &Path) -> Result<PathBuf, OpenError> {
    let failed = |error| OpenError::io(path.display())(error);
    match std::fs::metadata(path) {
        Ok(_) => {}
        // An existing file is not opened here. When this process closes a file, it also loses the locks that another of
        // its connections holds on the file.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let made = private().append(true).create(true).open(path);
            drop(made.map_err(failed)?);
        }
        Err(error) => return Err(failed(error)),
    }
    path.canonicalize().map_err(failed)
}

/// Returns options for creating files that no other user of the machine can read. SQLite creates its own files with
/// the same mode.
pub(crate) fn private() -> OpenOptions {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "there is no mode to set"))]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// The paths and the identities of three files: the database, its WAL, and `FILE-state`, the lock file beside the
/// database. If a file is moved or removed while it is open, writes to the file succeed but are lost when the process
/// ends.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
    /// SQLite's write-ahead log (WAL).
    wal: PathBuf,
    state: PathBuf,
    ids: [Option<FileId>; 3],
    held: Arc<Held>,
}

/// A device, and the number of an inode on this device.
type FileId = (u64, u64);

impl Place {
    fn new(path: &Path, held: Arc<Held>) -> Result<Self, OpenError> {
        let mut place = Self {
            path: path.to_owned(),
            wal: beside(path, "-wal"),
            state: beside(path, "-state"),
            ids: [None; 3],
            held,
        };
        place.ids = place.ids();
        place.held.watch(&place.wal, &beside(path, "-shm"))?;
        Ok(place)
    }

    fn ids(&self) -> [Option<FileId>; 3] {
        [&self.path, &self.wal, &self.state].map(|path| file_id(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the held database file, which must outlive all connections.
    pub(crate) fn held(&self) -> &Arc<Held> {
        &self.held
    }

    /// Checks that the files are still at their paths and that the database has not been cut short.
    pub(crate) fn look(&self) -> Result<(), Failure> {
        if self.ids() != self.ids {
            return Err(Failure::Moved);
        }
        if !self.held.is_whole() {
            return Err(Failure::CutShort);
        }
        Ok(())
    }
}

/// Returns the path of a file beside the database.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

#[cfg(unix)]
fn file_id(path: &Path) -> Option<FileId> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Only Unix systems let an open file be moved or removed, so other systems need no file identity.
#[cfg(not(unix))]
fn file_id(_: &Path) -> Option<FileId> {
    None
}

#[cfg(unix)]
fn has_other_names(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.nlink() > 1)
}

#[cfg(not(unix))]
fn has_other_names(_: &Path) -> bool {
    false
}

/// Opens a file for reading.
pub(crate) fn read_only(path: &Path) -> Result<Connection, OpenError> {
    std::fs::metadata(path).map_err(OpenError::io(path.display()))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_MAX)?;
    Ok(connection)
}

/// Checks that this crate made the file, and knows the version of the file's schema. Returns the version of the schema,
/// or 0 if the file is empty.
pub(crate) fn identify(connection: &Connection) -> Result<i64, OpenError> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    match number("application_id")? {
        APPLICATION_ID => {}
        // The process that created the file ended before it wrote the schema.
        0 if is_empty(connection)? => return Ok(0),
        _ => return Err(OpenError::Foreign),
    }
    match number("user_version")? {
        found if found > SCHEMA => Err(OpenError::Newer {
            found,
            known: SCHEMA,
        }),
        found => Ok(found),
    }
}

fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| {
        row.get(0)
    })
}

/// Migrates an older schema, or an empty file, to the current version.
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

/// Makes quick checks for lost data: the number of rooms is right, each room is found by its key, and the last message
/// of each log exists.
fn examine(connection: &Connection) -> Result<(), OpenError> {
    let rooms: i64 = connection.query_row("SELECT count(*) FROM rooms", [], |row| row.get(0))?;
    let known: i64 = connection.query_row("SELECT rooms FROM progress", [], |row| row.get(0))?;
    if rooms != known {
        let what = format!("{rooms} rooms, of {known}");
        return Err(OpenError::Damaged(what));
    }
    let mut statement = connection.prepare(
        "SELECT name, tail, floor,
            id = (SELECT id FROM rooms AS same WHERE same.key = rooms.key),
            (SELECT max(id) FROM messages WHERE id BETWEEN rooms.id << 40 AND (rooms.id << 40) + tail) & 0xffffffffff
         FROM rooms",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (tail, floor): (i64, i64) = (row.get(1)?, row.get(2)?);
        let is_found: Option<bool> = row.get(3)?;
        let last: Option<i64> = row.get(4)?;
        let name: String = row.get(0)?;
        if is_found != Some(true) {
            return Err(OpenError::Damaged(format!(
                "{name} is not found by its name"
            )));
        }
        if last.unwrap_or(floor) != tail {
            return Err(OpenError::Damaged(format!("the end of {name} is missing")));
        }
    }
    Ok(())
}

/// Increments the file's count of openings. If the file may have been replaced, gives all logs new epochs.
fn begin(
    connection: &mut Connection,
    state: &StateFile,
    is_new: bool,
    trusts_copies: bool,
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
    let is_whole = (state.is_trusted || trusts_copies)
        && state.found.is_some_and(|known| {
            progress.appended >= known.appended && progress.generation >= known.generation
        });
    if !is_new && !is_whole {
        tracing::warn!(
            "the file may not be what it was (restored, copied, cut short, or a power cut): its rooms begin anew for those who come back"
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
