//! Why a file can't be opened, and what went wrong in words for members and for the operator.

use chat_core::log::JournalError;
use rusqlite::ErrorCode;
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
    /// It is not there, or its directory isn't, or it can't be read or written.
    #[error("it can't be opened: {0}")]
    Io(#[from] io::Error),
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
            _ => Self::Sqlite(error),
        }
    }
}

/// What peers are told of a failure.
pub(crate) fn unavailable(error: &rusqlite::Error) -> JournalError {
    JournalError::Unavailable(reason(error).into())
}

/// A failure in a few words.
pub(crate) fn reason(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
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
pub(crate) fn advice(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "free some space: it goes on by itself",
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            "let the server write the file and its directory: it goes on by itself"
        }
        Some(ErrorCode::SystemIoFailure) => "look at the disk, and at the system's log",
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            "end the server, run `chat-server check`, and restore a copy"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "end the other program that uses it"
        }
        _ => "run `chat-server check` when the server has ended",
    }
}
