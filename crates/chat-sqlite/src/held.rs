//! The file itself, held open: looked at with each commit, and on Linux locked against other servers under whatever path.
//!
//! Invariant: closing any descriptor of a file ends the locks that SQLite has on it in this process; POSIX has it so. So
//! the descriptors here are closed after the last connection, and a process has one [`Held`] of a file at a time.

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

/// How long is waited for the last read of a journal of this process that has ended.
#[cfg(unix)]
const CLOSING_MAX: Duration = Duration::from_secs(1);

/// How often a file is looked at that seems to be cut short: another program may be in the middle of a change.
#[cfg(unix)]
const LOOKS: usize = 4;

/// How long is waited between two looks.
#[cfg(unix)]
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A device and a number on it.
#[cfg(unix)]
type FileId = (u64, u64);

/// The files that this process holds, and whether their journal still takes something.
#[cfg(unix)]
static HELD: Mutex<Option<HashMap<FileId, Use>>> = Mutex::new(None);

#[cfg(unix)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Served,
    /// Its thread has ended, and a read goes on.
    Closing,
}

/// A file that is held open and locked.
#[cfg(unix)]
#[derive(Debug)]
pub(crate) struct Held {
    id: FileId,
    /// There until it is dropped.
    file: Option<File>,
    /// SQLite's log of changes, and its index; set when they are there.
    log: OnceLock<(File, File)>,
    /// How long the file was when it was last looked at.
    seen: AtomicU64,
}

#[cfg(unix)]
impl Held {
    /// Opens and locks a file that is there.
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

    /// `None` while a journal of this process closes it.
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
        }))
    }

    /// Begins to look at SQLite's log of changes as well.
    pub(crate) fn watch(&self, wal: &Path, shm: &Path) -> Result<(), OpenError> {
        let open = |path: &Path| File::open(path).map_err(OpenError::io(path.display()));
        drop(self.log.set((open(wal)?, open(shm)?)));
        Ok(())
    }

    /// Lets other processes have it; what still reads goes on.
    pub(crate) fn release(&self) {
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        held.get_or_insert_default().insert(self.id, Use::Closing);
        #[cfg(target_os = "linux")]
        if let Some(Err(error)) = self.file.as_ref().map(File::unlock) {
            tracing::debug!(%error, "the file stays locked until it is closed");
        }
    }

    /// Whether all that was written to it is still there, as far as its size and its header tell.
    pub(crate) fn is_whole(&self) -> bool {
        (0..LOOKS).any(|look| {
            if look > 0 {
                std::thread::sleep(LOOK_EVERY);
            }
            // What can't be read is not there.
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
        // A checkpoint that the disk had no room for leaves a file shorter than its header says, and one that is made
        // smaller by VACUUM says so in its header: only both together tell.
        let is_short = len < u64::from(pages) * page && len < self.seen.load(Relaxed);
        let is_whole = header.starts_with(b"SQLite format 3\0") && !is_short;
        if is_whole {
            self.seen.store(len, Relaxed);
        }
        Ok(is_whole)
    }

    /// Whether SQLite's log of changes has the last change that its index tells of; <https://sqlite.org/walformat.html>
    /// says how both are laid out.
    fn is_log_whole(&self) -> io::Result<bool> {
        let Some((wal, shm)) = self.log.get() else {
            return Ok(true);
        };
        let mut index = [0; 96];
        shm.read_exact_at(&mut index, 0)?;
        let (index, copy) = index.split_at(48);
        if index != copy || index[12] == 0 {
            // Another program changes it, or has ended in the middle of that: SQLite makes it anew.
            return Ok(true);
        }
        let number = |at: usize| {
            let bytes = [index[at], index[at + 1], index[at + 2], index[at + 3]];
            u32::from_ne_bytes(bytes)
        };
        let Some(before_last) = u64::from(number(16)).checked_sub(1) else {
            // All that was in it is in the file.
            return Ok(true);
        };
        let page = page_bytes(u16::from_ne_bytes([index[14], index[15]]));
        let last = 32 + before_last * (24 + page);
        let (mut header, mut frame) = ([0; 32], [0; 24]);
        wal.read_exact_at(&mut header, 0)?;
        wal.read_exact_at(&mut frame, last)?;
        let sum: Vec<u8> = [number(24), number(28)]
            .iter()
            .flat_map(|word| word.to_be_bytes())
            .collect();
        let salts = &index[32..40];
        let is_long = wal.metadata()?.len() >= last + 24 + page;
        Ok(is_long && header[16..24] == *salts && frame[8..16] == *salts && frame[16..24] == sum)
    }
}

#[cfg(unix)]
impl Drop for Held {
    fn drop(&mut self) {
        // Whoever opens the file after this does not lose its locks by these being closed.
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        drop((self.file.take(), self.log.take()));
        held.get_or_insert_default().remove(&self.id);
    }
}

/// Locks the file against other processes; returns whether it could be.
#[cfg(target_os = "linux")]
fn try_lock(file: &File) -> io::Result<bool> {
    use std::fs::TryLockError;
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        // A file system without such locks has only the one on what stands beside the file.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Elsewhere this lock may be one with those that SQLite takes, and keep SQLite out: there is only the one on what stands
/// beside the file.
#[cfg(all(unix, not(target_os = "linux")))]
fn try_lock(_: &File) -> io::Result<bool> {
    Ok(true)
}

/// The size of a page as SQLite's headers have it.
#[cfg(unix)]
fn page_bytes(number: u16) -> u64 {
    // The largest does not fit.
    if number == 1 {
        65_536
    } else {
        u64::from(number)
    }
}

/// A file that is held open.
#[cfg(not(unix))]
#[derive(Debug)]
pub(crate) struct Held {
    _file: File,
}

/// There an open file can be neither removed nor cut short, and to lock it would keep SQLite out as well.
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
