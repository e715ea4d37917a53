//! The file beside the file: who has it open, and how much it must hold.
//!
//! Invariant: what is written here has been committed before. So a database that holds less has lost something.

use crate::error::OpenError;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

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
    /// What it said when it was opened, if that could be read.
    pub(crate) found: Option<Progress>,
}

/// What the file begins with, so that nothing else is mistaken for it.
const MAGIC: &[u8; 8] = b"chat-st1";

impl StateFile {
    /// Locks it; makes it if need be.
    pub(crate) fn lock(database: &Path) -> Result<Self, OpenError> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path(database))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(Self {
            found: read(&bytes),
            file,
        })
    }

    /// Notes what has been committed.
    pub(crate) fn write(&mut self, progress: Progress) -> io::Result<()> {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..16].copy_from_slice(&progress.generation.to_le_bytes());
        bytes[16..].copy_from_slice(&progress.appended.to_le_bytes());
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&bytes)
    }
}

fn read(bytes: &[u8]) -> Option<Progress> {
    let number = |range| {
        Some(u64::from_le_bytes(
            bytes
                .get::<std::ops::Range<usize>>(range)?
                .try_into()
                .ok()?,
        ))
    };
    (bytes.len() == 24 && bytes.starts_with(MAGIC)).then_some(())?;
    Some(Progress {
        generation: number(8..16)?,
        appended: number(16..24)?,
    })
}

fn path(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push("-state");
    path.into()
}
