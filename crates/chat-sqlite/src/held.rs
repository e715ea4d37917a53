//! Keeps the database file open, and checks it after each commit. On Linux, also locks the file, so that no other
//! server can open it under any path.
//!
//! Invariant: in POSIX, closing any descriptor of a file releases all locks that this process has on the file,
//! including those of SQLite. So this module closes its descriptors after SQLite's last connection to the file, and a
//! process has at most one [`Held`] for a file at a time.

use crate::error::OpenError;
use std::fs::File;
use std::path::Path;

#[cfg(unix)]
use std::{
    collections::HashMap,
    io,
    os::unix::fs::{FileExt, MetadataExt},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    sync::{Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

/// The maximum time for which opening a file waits for an earlier journal of this process. That journal may still be
/// executing its last read.
#[cfg(unix)]
const CLOSING_MAX: Duration = Duration::from_secs(1);

/// How many times to check a file that seems cut short. Another program may be in the middle of a change.
#[cfg(unix)]
const LOOKS: usize = 4;

/// The pause between two checks of a file that seems cut short, and between two attempts to lock a file.
#[cfg(unix)]
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A device, and the number of an inode on this device.
#[cfg(unix)]
type FileId = (u64, u64);

/// The database files that this process holds open, and whether the journal of each file is still in use.
#[cfg(unix)]
static HELD: Mutex<Option<HashMap<FileId, Use>>> = Mutex::new(None);

#[cfg(unix)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// A journal uses the file.
    Served,
    /// The writer thread of the journal has ended, but a read is still running.
    Closing,
}

/// A database file that is kept open and locked.
#[cfg(unix)]
#[derive(Debug)]
pub(crate) struct Held {
    id: FileId,
    /// The open file; `None` only while [`Held`] is dropped.
    file: Option<File>,
    /// SQLite's WAL and the index of the WAL (`-shm`). Set once both files exist.
    log: OnceLock<(File, File)>,
    /// The length of the file at the last check, in bytes.
    seen: AtomicU64,
    /// The newest change in the WAL at the time of the last check.
    seen_change: Mutex<Option<Change>>,
}

/// The last change that the index of a WAL records. <https://sqlite.org/walformat.html> describes the layout of the
/// WAL and its index.
#[cfg(unix)]
#[derive(Debug, Clone, Copy)]
struct Change {
    /// The salts of the WAL, which identify its contents since its last restart.
    salts: [u8; 8],
    /// The number of the last frame of the change, from 1.
    frame: u32,
    /// The checksum of all frames up to `frame`.
    sum: [u8; 8],
}

#[cfg(unix)]
impl Held {
    /// Opens and locks an existing file.
    pub(crate) fn lock(path: &Path) -> Result<Self, OpenError> {
        let metadata = std::fs::metadata(path).map_err(OpenError::io(path.display()))?;
        let id = (metadata.dev(), metadata.ino());
        let begun = Instant::now();
        loop {
            match Self::lock_now(path, id) {
                Ok(None) if begun.elapsed() < CLOSING_MAX => std::thread::sleep(LOOK_EVERY),
                Ok(held) => return held.ok_or(OpenError::InUse),
                Err(error) => return Err(error),
            }
        }
    }

    /// Opens and locks the file without waiting. Returns `None` while an earlier journal in this process is closing
    /// the file.
    fn lock_now(path: &Path, id: FileId) -> Result<Option<Self>, OpenError> {
        let failed = |error| OpenError::io(path.display())(error);
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        let held = held.get_or_insert_default();
        match held.get(&id) {
            Some(Use::Served) => return Err(OpenError::InUse),
            Some(Use::Closing) => return Ok(None),
            None => {}
        }
        let file = File::open(path).map_err(failed)?;
        if !try_lock(&file).map_err(failed)? {
            return Err(OpenError::InUse);
        }
        held.insert(id, Use::Served);
        Ok(Some(Self {
            id,
            file: Some(file),
            log: OnceLock::new(),
            seen: AtomicU64::new(0),
            seen_change: Mutex::new(None),
        }))
    }

    /// Opens SQLite's WAL and the index of the WAL, so that later checks include both files.
    pub(crate) fn watch(&self, wal: &Path, shm: &Path) -> Result<(), OpenError> {
        let open = |path: &Path| File::open(path).map_err(OpenError::io(path.display()));
        drop(self.log.set((open(wal)?, open(shm)?)));
        Ok(())
    }

    /// Releases the lock, so that other processes can take it. Reads that are running continue.
    pub(crate) fn release(&self) {
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        held.get_or_insert_default().insert(self.id, Use::Closing);
        #[cfg(target_os = "linux")]
        if let Some(Err(error)) = self.file.as_ref().map(File::unlock) {
            tracing::debug!(%error, "the file stays locked until it is closed");
        }
    }

    /// Returns whether the file still has all data that was written to it. Checks the size and the header of the file,
    /// and the last changes in the WAL.
    pub(crate) fn is_whole(&self) -> bool {
        (0..LOOKS).any(|look| {
            if look > 0 {
                std::thread::sleep(LOOK_EVERY);
            }
            // A file that can't be read counts as lost.
            self.is_file_whole().unwrap_or(false) && self.is_log_whole().unwrap_or(false)
        })
    }

    fn is_file_whole(&self) -> io::Result<bool> {
        let Some(file) = &self.file else {
            return Ok(false);
        };
        let mut header = [0; 100];
        file.read_exact_at(&mut header, 0)?;
        let len = file.metadata()?.len();
        let pages = u32::from_be_bytes([header[28], header[29], header[30], header[31]]);
        let page = page_bytes(u16::from_be_bytes([header[16], header[17]]));
        // A file counts as cut short only if it is shorter than its header says, and also shorter than at the last
        // check. A file with only one of these signs was not cut short: a checkpoint on a full disk leaves the file
        // shorter than its header says, and VACUUM shrinks the file and updates the header.
        let is_short = len < u64::from(pages) * page && len < self.seen.load(Relaxed);
        let is_whole = header.starts_with(b"SQLite format 3\0") && !is_short;
        if is_whole {
            self.seen.store(len, Relaxed);
        }
        Ok(is_whole)
    }

    /// Returns whether SQLite's WAL contains two changes: the last change that the index of the WAL records, and the
    /// change that was the last one at the previous check.
    ///
    /// If the WAL was cut short, the next change is written after a hole. So a complete last change does not prove that
    /// the changes before it are complete.
    fn is_log_whole(&self) -> io::Result<bool> {
        let Some((wal, shm)) = self.log.get() else {
            return Ok(true);
        };
        let mut index = [0; 96];
        shm.read_exact_at(&mut index, 0)?;
        let (index, copy) = index.split_at(48);
        if index != copy || index[12] == 0 {
            // Another program is changing the index, or has ended during a change. SQLite rebuilds the index.
            return Ok(true);
        }
        let Some(change) = Change::of(index) else {
            // The WAL contains no change, because a checkpoint has moved all changes into the database file.
            return Ok(true);
        };
        let page = page_bytes(u16::from_ne_bytes([index[14], index[15]]));
        let mut seen = self
            .seen_change
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let earlier = seen.filter(|seen| seen.salts == change.salts && seen.frame < change.frame);
        let mut header = [0; 32];
        wal.read_exact_at(&mut header, 0)?;
        let is_whole = header[16..24] == change.salts
            && change.is_in(wal, page)?
            && earlier.map_or(Ok(true), |earlier| earlier.is_in(wal, page))?;
        if is_whole {
            *seen = Some(change);
        }
        Ok(is_whole)
    }
}

#[cfg(unix)]
impl Change {
    /// Reads the last change from the index of a WAL. Returns `None` if the WAL contains no change.
    fn of(index: &[u8]) -> Option<Self> {
        let word = |at: usize| index[at..].first_chunk::<4>().copied();
        let frame = u32::from_ne_bytes(word(16)?);
        // The index has the byte order of this machine. The WAL is big-endian.
        let sum = [word(24)?, word(28)?].map(|word| u32::from_ne_bytes(word).to_be_bytes());
        Some(Self {
            salts: *index[32..].first_chunk()?,
            frame,
            sum: *sum.as_flattened().first_chunk()?,
        })
        .filter(|change| change.frame > 0)
    }

    /// Returns whether this change's last frame is in the WAL and complete.
    fn is_in(&self, wal: &File, page: u64) -> io::Result<bool> {
        let at = 32 + u64::from(self.frame - 1) * (24 + page);
        let mut frame = [0; 24];
        wal.read_exact_at(&mut frame, at)?;
        let is_long = wal.metadata()?.len() >= at + 24 + page;
        Ok(is_long && frame[8..16] == self.salts && frame[16..24] == self.sum)
    }
}

#[cfg(unix)]
impl Drop for Held {
    fn drop(&mut self) {
        // `HELD` stays locked until the descriptors are closed. Otherwise, this process could open and lock the file
        // again in between, and closing the old descriptors would release the new locks.
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        drop((self.file.take(), self.log.take()));
        held.get_or_insert_default().remove(&self.id);
    }
}

/// Locks the file against other processes. Returns whether the lock was acquired.
#[cfg(target_os = "linux")]
fn try_lock(file: &File) -> io::Result<bool> {
    use std::fs::TryLockError;
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        // Some file systems do not support this lock. Then only `FILE-state`, the file beside the database, is locked.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Returns `true` without locking the file. On Unix systems other than Linux, this lock may conflict with SQLite's own
/// locks. On these systems only `FILE-state`, the file beside the database, is locked.
#[cfg(all(unix, not(target_os = "linux")))]
fn try_lock(_: &File) -> io::Result<bool> {
    Ok(true)
}

/// Decodes the page size from the header of a database file. Returns the page size in bytes.
#[cfg(unix)]
fn page_bytes(number: u16) -> u64 {
    // 65,536 does not fit into 16 bits and is stored as 1.
    if number == 1 {
        65_536
    } else {
        u64::from(number)
    }
}

/// A database file that is kept open.
#[cfg(not(unix))]
#[derive(Debug)]
pub(crate) struct Held {
    _file: File,
}

/// On systems other than Unix, no program can remove or cut short an open file. A lock on the file would also keep
/// SQLite out.
#[cfg(not(unix))]
impl Held {
    pub(crate) fn lock(path: &Path) -> Result<Self, OpenError> {
        let file = File::open(path).map_err(OpenError::io(path.display()))?;
        Ok(Self { _file: file })
    }

    pub(crate) fn watch(&self, _: &Path, _: &Path) -> Result<(), OpenError> {
        Ok(())
    }

    pub(crate) fn release(&self) {}

    pub(crate) fn is_whole(&self) -> bool {
        true
    }
}
