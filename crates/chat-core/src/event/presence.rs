//! Who comes to a room and leaves it, and why.

use crate::log::SessionId;
use crate::name::{Nick, RoomName};
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// Who is in a room changed. Such events have no place in the log: after a resume the list of members is the truth.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Presence {
    /// The room.
    pub room: RoomName,
    /// The session it is about.
    pub session: SessionId,
    /// Its nick; the old one where it is renamed.
    pub nick: Nick,
    /// What changed.
    pub change: PresenceChange,
    /// The number of a change of the session as a whole, which is announced in each of its rooms: another nick, or its
    /// end. It is the same in all of them, and no other change of that session has it. `None` for a change of this room
    /// alone, and where the session is in no other room.
    pub number: Option<NonZeroU32>,
}

impl Presence {
    /// Creates a change, to test what a dialect makes of it.
    #[must_use]
    pub const fn new(
        room: RoomName,
        session: SessionId,
        nick: Nick,
        change: PresenceChange,
    ) -> Self {
        Self {
            room,
            session,
            nick,
            change,
            number: None,
        }
    }
}

/// How who is in a room changed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum PresenceChange {
    /// The session came into the room.
    Joined,
    /// The session left the room.
    Left {
        /// Why its session ended; `None` if it only left this room.
        reason: Option<CloseReason>,
    },
    /// The application took the session out of the room.
    Removed {
        /// Why; empty if it gave no reason.
        reason: Arc<str>,
    },
    /// The session has another nick.
    Renamed {
        /// The new nick.
        to: Nick,
    },
    /// The room has more members than are announced one by one: from now on arrivals, departures and renames are
    /// not announced.
    Hushed {
        /// The most members that are announced one by one.
        limit: usize,
    },
    /// The room has become small again: from now on they are announced.
    Unhushed,
}

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// It said goodbye, perhaps with a reason.
    Quit(Option<Arc<str>>),
    /// Its peer closed the connection.
    Disconnected,
    /// The connection broke.
    Broken,
    /// Its peer took nothing for too long while something waited.
    Stalled,
    /// Its peer did not say in time who it is.
    NotRegistered,
    /// Its peer was asked whether it is there, and did not answer.
    Silent,
    /// The hub is shutting down.
    Draining,
    /// The application ended it, perhaps with a reason.
    Kicked(Arc<str>),
    /// The [`Policy`](crate::Policy) did not let it in.
    Refused,
    /// Its address has asked for too much lately: it may come back after so long.
    TooSoon(Duration),
    /// The same client came back with its token, and took the nick.
    TakenOver,
    /// The handshake of its protocol did not end in time.
    TimedOut,
    /// Its connection's task panicked.
    Failed,
    /// The Tokio runtime that its connection was served on has no timers.
    NoTimers,
    /// Its [`Session`](crate::Session) was dropped.
    Dropped,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quit(Some(reason)) => f.write_str(reason),
            Self::Quit(None) => f.write_str("quit"),
            Self::Disconnected => f.write_str("connection closed"),
            Self::Broken => f.write_str("connection lost"),
            Self::Stalled => f.write_str("stopped reading"),
            Self::NotRegistered => f.write_str("registration timed out"),
            Self::Silent => f.write_str("no answer"),
            Self::Draining => f.write_str("server is shutting down"),
            Self::Kicked(reason) if reason.is_empty() => f.write_str("kicked"),
            Self::Kicked(reason) => write!(f, "kicked: {reason}"),
            Self::Refused => f.write_str("refused"),
            Self::TooSoon(wait) => write!(f, "too much from its address: {} s", wait.as_secs() + 1),
            Self::TimedOut => f.write_str("handshake timed out"),
            Self::TakenOver => f.write_str("taken over"),
            Self::Failed | Self::NoTimers => f.write_str("internal error"),
            Self::Dropped => f.write_str("gone"),
        }
    }
}
