//! Why a file can't be opened, and what went wrong in words for members and for the operator.

use chat_core::log::JournalError;
use rusqlite::ErrorCode;
use std::fmt;
use std::io;

/// Why a file can't be used as a journal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it open, or another journal of this one.
    #[error("another program has it open: end that one first")]
    InUse,
    /// It is something else, and is not touched.
    #[error("it is not a file that chat-server made: name another one")]
    Foreign,
    /// A newer version has made it.
    #[error("it was made by a newer version (schema {found}, this one knows {known}): upgrade")]
    Newer {
        /// The schema that was found.
        found: i64,
        /// The newest that is known.
        known: i64,
    },
    /// What is in it contradicts itself.
    #[error(
        "it is damaged ({0}): `chat-server check` says more; restore a copy, or export what can be read"
    )]
    Damaged(String),
    /// There is nothing in it, and there was.
    #[error(
        "it is empty, and has held {0} messages: put back a copy, or remove what stands beside it (FILE-state) to begin \
         anew"
    )]
    Emptied(u64),
    /// It has several names: two programs would have it open under two of them, each with a log of changes of its own.
    #[error("it has another name as well (a hard link): remove that one, or make a copy")]
    Linked,
    /// It can be read, but not written.
    #[error(
        "it can't be written: let the server write it, its directory, and what stands beside it"
    )]
    ReadOnly,
    /// It, what stands beside it, or its directory is not there, or can't be opened.
    #[error("{what} can't be opened: {error}")]
    Io {
        /// The file or directory.
        what: String,
        /// Why not.
        error: io::Error,
    },
    /// The thread that writes it can't be started.
    #[error("a thread can't be started: {0}")]
    Thread(io::Error),
    /// SQLite's own reason.
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

/// Why something can't be done with a file that is open.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// It was written, and whether it is on the disk is not known: it may be there when the process is killed now, and
    /// the next commit of this process takes its place.
    #[error(transparent)]
    Commit(rusqlite::Error),
    /// What would be written would be lost with the process.
    #[error("it was moved or removed")]
    Moved,
    /// What was written before is lost, and what would be written now would be as well.
    #[error("it, or its log of changes, was cut short or overwritten by another program")]
    CutShort,
}

impl Failure {
    /// What peers are told.
    pub(crate) fn unavailable(&self) -> JournalError {
        JournalError::Unavailable(self.reason().into())
    }

    /// What the senders of what was to be committed are told.
    pub(crate) fn refusal(&self) -> JournalError {
        match self {
            // With the disk full, its last part could not be written.
            Self::Commit(error)
                if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) =>
            {
                self.uncertain()
            }
            _ => self.unavailable(),
        }
    }

    /// What the senders of what was committed, and may be lost, are told.
    pub(crate) fn uncertain(&self) -> JournalError {
        JournalError::Uncertain(self.reason().into())
    }

    /// In a few words.
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

    /// What the operator can do about it.
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
