//! `FILE-state`, the file beside the database. It locks the database and records how much the database must hold.
//!
//! Invariant: `FILE-state` records only what was committed to the database before. So a database that holds less than
//! `FILE-state` records has lost data.
//!
//! `FILE-state` also records its own identity (inode and creation time) and the time of the last write. If the database
//! and `FILE-state` are copied and restored together, they still agree, and only the identity and the time show that
//! they are copies.
//!
//! While the database is written with `Sync::Normal`, `FILE-state` also records the current boot of the machine. A
//! power cut may undo the last writes to both files. The files then still agree, and only the changed boot shows that
//! messages may be lost.

use crate::error::OpenError;
use crate::file;
use chat_core::log::Epoch;
use std::fs::{File, Metadata, TryLockError};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// Counters of a database's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Progress {
    /// How many times the database was opened for writing.
    pub(crate) generation: u64,
    /// How many messages were appended to the database in all.
    pub(crate) appended: u64,
}

/// `FILE-state`, the file beside the database, open and locked.
#[derive(Debug)]
pub(crate) struct StateFile {
    file: File,
    /// The identity of `FILE-state`, from [`id`].
    id: u64,
    /// The number of the machine's current boot, if a power cut may lose committed data. 0 if a power cut loses
    /// nothing.
    at_risk: u64,
    /// The counters that `FILE-state` held when it was opened, if they could be read.
    pub(crate) found: Option<Progress>,
    /// The time at which `FILE-state` was last synced to the disk.
    synced: Instant,
    /// Whether `FILE-state` is the original file, not a copy, and no power cut can have lost data since the last write.
    pub(crate) is_trusted: bool,
}

/// The content of `FILE-state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Words {
    progress: Progress,
    id: u64,
    at_risk: u64,
    /// The time of writing, in milliseconds since 1970.
    at: u64,
}

/// The first bytes of `FILE-state`, which identify the format.
const MAGIC: &[u8; 8] = b"chat-st1";

/// The length of `FILE-state` in bytes.
const BYTES: usize = 48;

/// The minimum time between two syncs of `FILE-state` to the disk. It is half of [`CHANGED_WITHIN`].
const SYNCED_EVERY: Duration = Duration::from_secs(1);

/// The maximum number of milliseconds between the time that `FILE-state` records and the change time of the file. A
/// longer time means that the file is a copy. Coarse clocks and slow disks need this tolerance.
const CHANGED_WITHIN: u64 = 2000;

impl StateFile {
    /// Locks `FILE-state`, and creates the file if it does not exist.
    pub(crate) fn lock(database: &Path) -> Result<Self, OpenError> {
        let path = file::beside(database, "-state");
        let failed = |error| OpenError::io(path.display())(error);
        let mut file = file::private()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let mut bytes = Vec::new();
        (&mut file)
            .take(BYTES as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        let id = id(&file).map_err(failed)?;
        let words = read(&bytes);
        let changed = changed(&file).map_err(failed)?;
        Ok(Self {
            found: words.map(|words| words.progress),
            is_trusted: words.is_some_and(|words| words.are_of(id, changed)),
            file,
            id,
            at_risk: 0,
            synced: Instant::now(),
        })
    }

    /// Reads the `FILE-state` of a database without locking it.
    pub(crate) fn peek(database: &Path) -> Option<Progress> {
        let mut bytes = Vec::new();
        let file = File::open(file::beside(database, "-state")).ok()?;
        file.take(BYTES as u64 + 1).read_to_end(&mut bytes).ok()?;
        read(&bytes).map(|words| words.progress)
    }

    /// Records that the database is open, and whether a power cut may lose committed data. When this method returns,
    /// the record is on the disk.
    pub(crate) fn begin(&mut self, is_at_risk: bool, progress: Progress) -> io::Result<()> {
        self.at_risk = if is_at_risk { start_of_machine() } else { 0 };
        self.write(progress)?;
        self.file.sync_all()?;
        self.synced = Instant::now();
        Ok(())
    }

    /// Syncs `FILE-state` to the disk if the last sync was at least [`SYNCED_EVERY`] ago. Without this sync,
    /// `FILE-state` might have old content and a new change time after a power cut. It would then be mistaken for a
    /// copy.
    pub(crate) fn sync_sometimes(&mut self) -> io::Result<()> {
        if self.at_risk == 0 && self.synced.elapsed() >= SYNCED_EVERY {
            self.file.sync_data()?;
            self.synced = Instant::now();
        }
        Ok(())
    }

    /// Records that all data is on the disk, so that a power cut loses nothing.
    pub(crate) fn end(&mut self, progress: Progress) -> io::Result<()> {
        self.begin(false, progress)
    }

    /// Records the counters of committed messages.
    pub(crate) fn write(&mut self, progress: Progress) -> io::Result<()> {
        let mut bytes = [0; BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..16].copy_from_slice(&progress.generation.to_le_bytes());
        bytes[16..24].copy_from_slice(&progress.appended.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.id.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.at_risk.to_le_bytes());
        bytes[40..].copy_from_slice(&millis(SystemTime::now()).to_le_bytes());
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&bytes)
    }
}

fn read(bytes: &[u8]) -> Option<Words> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (numbers, rest) = rest.as_chunks::<8>();
    let numbers: &[[u8; 8]; 5] = numbers.try_into().ok()?;
    let [generation, appended, id, at_risk, at] = numbers.map(u64::from_le_bytes);
    rest.is_empty().then_some(Words {
        progress: Progress {
            generation,
            appended,
        },
        id,
        at_risk,
        at,
    })
}

impl Words {
    /// Returns whether `FILE-state` is trusted. `id` is the identity of the file, and `changed` is the time of its last
    /// change, in milliseconds since 1970. The file is trusted if this content was written to this file, the file has
    /// not changed since then, and no power cut can have lost data.
    fn are_of(self, id: u64, changed: Option<u64>) -> bool {
        let is_same =
            changed.is_none_or(|changed| changed <= self.at.saturating_add(CHANGED_WITHIN));
        let is_safe = self.at_risk == 0 || self.at_risk == start_of_machine();
        id == self.id && is_same && is_safe
    }
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

/// Returns when the content, the name or another attribute of a file last changed, in milliseconds since 1970.
#[cfg(unix)]
fn changed(file: &File) -> io::Result<Option<u64>> {
    use std::os::unix::fs::MetadataExt;
    let metadata = file.metadata()?;
    let millis = metadata.ctime() * 1000 + metadata.ctime_nsec() / 1_000_000;
    Ok(u64::try_from(millis).ok())
}

#[cfg(not(unix))]
fn changed(_: &File) -> io::Result<Option<u64>> {
    Ok(None)
}

/// Returns a number for the current boot of the machine, never 0. If the boot is unknown, the number is random.
fn start_of_machine() -> u64 {
    let known = std::fs::read("/proc/sys/kernel/random/boot_id");
    let hash = match known {
        Ok(id) if !id.is_empty() => {
            let mut hasher = DefaultHasher::new();
            id.hash(&mut hasher);
            hasher.finish()
        }
        _ => Epoch::random().0,
    };
    hash.max(1)
}

/// Returns the identity of a file: its inode number and, if known, its creation time.
fn id(file: &File) -> io::Result<u64> {
    let metadata = file.metadata()?;
    let made = metadata.created().ok();
    let made = made.and_then(|made| made.duration_since(SystemTime::UNIX_EPOCH).ok());
    let made = made.map_or(0, |made| made.as_nanos() as u64);
    Ok(made ^ number(&metadata).rotate_left(32))
}

#[cfg(unix)]
fn number(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn number(_: &Metadata) -> u64 {
    0
}
