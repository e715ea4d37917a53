//! The errors of opening a file, and the failures of an open file. The texts are for members and for the operator.

use chat_core::log::JournalError;
use rusqlite::ErrorCode;
use std::fmt;
use std::io;

/// Why a file can't be used as a journal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process, or another journal of this process, has the file open.
    #[error("another program has it open: end that one first")]
    InUse,
    /// The file was made by another program. This crate does not change such a file.
    #[error("it is not a file that chat-server made: name another one")]
    Foreign,
    /// The file was made by a newer version of this crate.
    #[error("it was made by a newer version (schema {found}, this one knows {known}): upgrade")]
    Newer {
        /// The version of the file's schema.
        found: i64,
        /// The newest version of the schema that this version of the crate knows.
        known: i64,
    },
    /// The contents of the file are inconsistent. The text describes the inconsistency.
    #[error(
        "it is damaged ({0}): `chat-server check` says more; restore a copy, or export what can be read"
    )]
    Damaged(String),
    /// The file is empty, although `FILE-state`, the file beside it, records that it has held this many messages.
    #[error(
        "it is empty, and has held {0} messages: put back a copy, or remove what stands beside it (FILE-state) to begin \
         anew"
    )]
    Emptied(u64),
    /// The file has several names (hard links). Two programs could open it under different names, and each of them
    /// would have a write-ahead log (WAL) of its own.
    #[error("it has another name as well (a hard link): remove that one, or make a copy")]
    Linked,
    /// The file can be read, but not written.
    #[error(
        "it can't be written: let the server write it, its directory, and what stands beside it"
    )]
    ReadOnly,
    /// The file, one of the files beside it, or its directory does not exist or can't be opened.
    #[error("{what} can't be opened: {error}")]
    Io {
        /// The path of the file or directory.
        what: String,
        /// The error of the operating system.
        error: io::Error,
    },
    /// The writer thread can't be started.
    #[error("a thread can't be started: {0}")]
    Thread(io::Error),
    /// An error of SQLite.
    #[error("it can't be used: {0}")]
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::Foreign,
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged(error.to_string()),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::InUse,
            Some(ErrorCode::ReadOnly) => Self::ReadOnly,
            _ => Self::Sqlite(error),
        }
    }
}

impl OpenError {
    pub(crate) fn io(what: impl fmt::Display) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io {
            what: what.to_string(),
            error,
        }
    }
}

/// Why an operation on an open file fails.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The transaction was written, but it may not be on the disk. If the process is killed now, the transaction may be
    /// in the file. If the process continues, its next commit overwrites the transaction.
    #[error(transparent)]
    Commit(rusqlite::Error),
    /// The file was moved or removed: writes would be lost when the process ends.
    #[error("it was moved or removed")]
    Moved,
    /// The file or its WAL was cut short or overwritten. Earlier writes are lost. Further writes would be lost, too.
    #[error("it, or its log of changes, was cut short or overwritten by another program")]
    CutShort,
}

impl Failure {
    /// Returns the error for an operation that has changed nothing.
    pub(crate) fn unavailable(&self) -> JournalError {
        JournalError::Unavailable(self.reason().into())
    }

    /// Returns the error for the senders of a batch that was not committed.
    pub(crate) fn refusal(&self) -> JournalError {
        match self {
            // After an I/O error it is unknown whether the transaction is on the disk. On a full disk, the transaction
            // is certainly not on the disk, because its last part could not be written.
            Self::Commit(error)
                if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) =>
            {
                self.uncertain()
            }
            _ => self.unavailable(),
        }
    }

    /// Returns the error for the senders of a batch that was committed but may be lost.
    pub(crate) fn uncertain(&self) -> JournalError {
        JournalError::Uncertain(self.reason().into())
    }

    /// Returns a short description of the failure for peers.
    pub(crate) fn reason(&self) -> &'static str {
        match self.code() {
            None if matches!(self, Self::Moved) => "its file is gone",
            None if matches!(self, Self::CutShort) => "its file was cut short",
            Some(ErrorCode::DiskFull) => "the disk is full",
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
                "its file can't be written"
            }
            Some(ErrorCode::SystemIoFailure) => "the disk fails",
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => "its file is damaged",
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => "its file is in use",
            _ => "its file can't be used",
        }
    }

    /// Returns what the operator can do about the failure.
    pub(crate) fn advice(&self) -> &'static str {
        match self.code() {
            None if matches!(self, Self::Moved) => {
                "put it back where it was, with what stood beside it; or start the server anew"
            }
            None if matches!(self, Self::CutShort) => {
                "end the server and the program that did that, and restore a copy"
            }
            Some(ErrorCode::DiskFull) => "free some space: it goes on by itself",
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
                "let the server write the file and its directory: it goes on by itself"
            }
            Some(ErrorCode::SystemIoFailure) => "look at the disk, and at the system's log",
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                "end the server, run `chat-server check`, and restore a copy"
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                "end the other program that uses it: it goes on by itself"
            }
            _ => "run `chat-server check` when the server has ended",
        }
    }

    fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Sqlite(error) | Self::Commit(error) => error.sqlite_error_code(),
            Self::Moved | Self::CutShort => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    #[test]
    fn what_may_be_on_the_disk_is_not_said_to_be_lost() {
        let failed = |code| rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        let sync = Failure::Commit(failed(ffi::SQLITE_IOERR_FSYNC)).refusal();
        assert!(matches!(&sync, JournalError::Uncertain(why) if why == "the disk fails"));
        for certain in [
            Failure::Commit(failed(ffi::SQLITE_FULL)),
            Failure::Sqlite(failed(ffi::SQLITE_IOERR_WRITE)),
            Failure::Moved,
        ] {
            let refusal = certain.refusal();
            assert!(
                matches!(refusal, JournalError::Unavailable(_)),
                "{refusal:?}"
            );
        }
    }
}
