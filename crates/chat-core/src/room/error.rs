//! The errors of publishing messages and of joining a room.

use crate::log::{JournalError, KeyError};
use crate::name::{NameError, RoomName};
use crate::room::denied::Denied;
use std::fmt;

/// The session is not in the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotInRoom;

/// Why messages were not published.
#[derive(Debug)]
#[non_exhaustive]
pub enum PublishError {
    /// The text is longer than this many bytes, which is the limit.
    TooLong(usize),
    /// The hub is shutting down, and the room's log accepts no more messages.
    Draining,
    /// The text has no visible characters.
    Empty,
    /// The text that was given as the message's key is not a valid key.
    Key(KeyError),
    /// The message was not published and can be sent again later. Too many earlier messages of the room wait for the
    /// journal, or the hub is about to close the room, or another message is being published under the same key.
    Busy,
    /// The session has ended, or is not in the room.
    NotAMember,
    /// The room was not open, and opening it failed.
    Room(Box<JoinError>),
    /// The journal failed. After [`JournalError::Uncertain`] or [`JournalError::Gone`] the message may still be in the
    /// log and be delivered. After any other error the message is not in the log.
    Journal(JournalError),
    /// The room's modes do not let the session publish this.
    Denied(Denied),
}

impl fmt::Display for NotInRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("you are not in that room")
    }
}

impl std::error::Error for NotInRoom {}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(limit) => write!(f, "message too long (limit {limit} bytes)"),
            Self::Empty => f.write_str("nothing visible to say"),
            Self::Key(error) => error.fmt(f),
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
            Self::Denied(denied) => denied.fmt(f),
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

/// Why a session could not join a room.
#[derive(Debug)]
#[non_exhaustive]
pub enum JoinError {
    /// The text is not a room name.
    Name(NameError),
    /// The session is in the room of this name already.
    AlreadyIn(RoomName),
    /// The session is in this many rooms already, which is the limit.
    TooManyRooms(usize),
    /// The hub has this many rooms already, which is the limit.
    Full(usize),
    /// The limit for rooms that sessions from one address have opened is reached. The value is the limit. All these
    /// rooms have members.
    TooManyOpened(usize),
    /// The hub is shutting down.
    Draining,
    /// The session has ended.
    Ended,
    /// The room's log can't be opened.
    Journal(JournalError),
    /// The room's modes do not let the session join.
    Denied(Denied),
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(_) => f.write_str("that can't be a room's name"),
            Self::AlreadyIn(room) => write!(f, "you are in {room} already"),
            Self::TooManyRooms(limit) => {
                write!(f, "you are in {limit} rooms already: leave one first")
            }
            Self::Full(limit) => {
                write!(f, "there are {limit} rooms already: join one of them")
            }
            Self::TooManyOpened(limit) => write!(
                f,
                "your address has opened {limit} rooms already: leave one, or join one of them"
            ),
            Self::Draining => f.write_str("the server is shutting down"),
            Self::Ended => f.write_str("the session has ended"),
            Self::Denied(denied) => denied.fmt(f),
            Self::Journal(error) => {
                let aside = error.aside();
                write!(f, "the room's log can't be opened now{aside}, try again")
            }
        }
    }
}

impl std::error::Error for JoinError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Name(source) => Some(source),
            Self::Journal(source) => Some(source),
            _ => None,
        }
    }
}
