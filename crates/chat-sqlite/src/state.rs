//! The file beside the file: who has it open, and how much it must hold.
//!
//! Invariant: what is written here has been committed before. So a database that holds less has lost something. It also
//! says which file it is itself (its inode and when it was made) and when it was written, so that a copy of it proves
//! nothing: a database and this, both copied at the same time and put back later, would agree. And while the database is written with `Sync::Normal`, it
//! says since which start of the machine: a power cut may take the last moments of both, which would agree as well.

use crate::error::OpenError;
use crate::file;
use chat_core::log::Epoch;
use std::fs::{File, Metadata, TryLockError};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// How much has happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Progress {
    /// How often it was opened to be written.
    pub(crate) generation: u64,
    /// How many messages were ever appended.
    pub(crate) appended: u64,
}

/// `FILE-state`, locked.
#[derive(Debug)]
pub(crate) struct StateFile {
    file: File,
    /// Which file it is.
    id: u64,
    /// Since which start of the machine the database may lose something in a power cut; 0: it loses nothing.
    at_risk: u64,
    /// What it said when it was opened, if that could be read.
    pub(crate) found: Option<Progress>,
    /// When it was last on the disk for certain.
    synced: Instant,
    /// It is the file that was written then, and nothing can have been lost since.
    pub(crate) is_trusted: bool,
}

/// What the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Words {
    progress: Progress,
    id: u64,
    at_risk: u64,
    /// When it was written: milliseconds since 1970.
    at: u64,
}

/// What the file begins with, so that nothing else is mistaken for it.
const MAGIC: &[u8; 8] = b"chat-st1";

/// How long it is.
const BYTES: usize = 48;

/// How often it is put on the disk while it changes: by half of what is allowed for.
const SYNCED_EVERY: Duration = Duration::from_secs(1);

/// How much later than it says a file may have been changed: by as much as clocks and disks are coarse.
const CHANGED_WITHIN: u64 = 2000;

impl StateFile {
    /// Locks it; makes it if need be.
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

    /// What it says, without locking it.
    pub(crate) fn peek(database: &Path) -> Option<Progress> {
        let mut bytes = Vec::new();
        let file = File::open(file::beside(database, "-state")).ok()?;
        file.take(BYTES as u64 + 1).read_to_end(&mut bytes).ok()?;
        read(&bytes).map(|words| words.progress)
    }

    /// The database is open, and may lose something in a power cut or not. Durable when this returns.
    pub(crate) fn begin(&mut self, is_at_risk: bool, progress: Progress) -> io::Result<()> {
        self.at_risk = if is_at_risk { start_of_machine() } else { 0 };
        self.write(progress)?;
        self.file.sync_all()?;
        self.synced = Instant::now();
        Ok(())
    }

    /// Has it on the disk now and then. Otherwise a power cut might leave it as it was long before, with the time of its
    /// last change, as if it had been copied.
    pub(crate) fn sync_sometimes(&mut self) -> io::Result<()> {
        if self.at_risk == 0 && self.synced.elapsed() >= SYNCED_EVERY {
            self.file.sync_data()?;
            self.synced = Instant::now();
        }
        Ok(())
    }

    /// All is on the disk.
    pub(crate) fn end(&mut self, progress: Progress) -> io::Result<()> {
        self.begin(false, progress)
    }

    /// Notes what has been committed.
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
    /// Whether they were written into this file, which has not been changed since, and nothing was lost in a power cut.
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

/// When a file was changed last, or its name: milliseconds since 1970.
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

/// Which start of the machine this is; never 0, and where it isn't known, one that is never again.
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

/// Which file it is: its number on its disk, and when it was made, as far as that is known.
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
