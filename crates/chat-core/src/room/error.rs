//! Why messages are not published.

use crate::hub::JoinError;
use crate::journal::JournalError;
use std::fmt;

/// Why messages were not published.
#[derive(Debug)]
#[non_exhaustive]
pub enum PublishError {
    /// The text is longer than this many bytes.
    TooLong(usize),
    /// The hub is shutting down; the room's log takes nothing more.
    Draining,
    /// Nothing visible is left of the text.
    Empty,
    /// Too many appends wait for the journal.
    Busy,
    /// The session has ended, or is not in the room any more.
    NotAMember,
    /// There is no such room and it can't be opened.
    Room(Box<JoinError>),
    /// The journal failed.
    Journal(JournalError),
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(limit) => write!(f, "message too long (limit {limit} bytes)"),
            Self::Empty => f.write_str("nothing visible to say"),
            Self::Draining => f.write_str("not delivered: the server is shutting down"),
            Self::Busy => {
                f.write_str("not delivered: too much waits for the room's log, try again")
            }
            Self::NotAMember => f.write_str("not delivered: you are not in that room"),
            Self::Room(error) => write!(f, "not delivered: {error}"),
            Self::Journal(error @ (JournalError::Gone | JournalError::Uncertain(_))) => {
                let aside = error.aside();
                write!(
                    f,
                    "it may or may not have been kept: the room's log failed{aside}; look before you say it again"
                )
            }
            Self::Journal(error) => {
                let aside = error.aside();
                write!(
                    f,
                    "not delivered: the room's log can't be used now{aside}, try again"
                )
            }
        }
    }
}

impl std::error::Error for PublishError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Journal(source) => Some(source),
            Self::Room(error) => error.source(),
            _ => None,
        }
    }
}
