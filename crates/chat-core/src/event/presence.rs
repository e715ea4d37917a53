//! Changes of who is in a room, and why sessions end.

use crate::log::SessionId;
use crate::name::{Nick, RoomName};
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// A change of who is in a room. Such events have no position in the log: after a resume, the list of members is
/// authoritative.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Presence {
    /// The room.
    pub room: RoomName,
    /// The session that the change is about.
    pub session: SessionId,
    /// The session's nick; if it is renamed, the old one.
    pub nick: Nick,
    /// What changed.
    pub change: PresenceChange,
    /// The number of a change that is announced in each room of the session: a new nick, or the end of the session. It
    /// is the same in all of these rooms, and no other change of that session has it. `None` if the change concerns
    /// this room alone, or the session is in no other room.
    pub number: Option<NonZeroU32>,
}

impl Presence {
    /// Creates a change, for tests of a dialect.
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

/// How the members of a room changed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum PresenceChange {
    /// The session joined the room.
    Joined,
    /// The session left the room.
    Left {
        /// Why the session ended; `None` if it only left this room.
        reason: Option<CloseReason>,
    },
    /// The application removed the session from the room.
    Removed {
        /// The reason; empty if the application gave none.
        reason: Arc<str>,
    },
    /// The session has another nick.
    Renamed {
        /// The new nick.
        to: Nick,
    },
    /// The room now has more members than are announced one by one. Arrivals, departures and renames are no longer
    /// announced.
    Hushed {
        /// The most members that are announced one by one.
        limit: usize,
    },
    /// The room has fewer members again, and changes are announced again.
    Unhushed,
}

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The peer said goodbye, perhaps with a reason.
    Quit(Option<Arc<str>>),
    /// The peer closed the connection.
    Disconnected,
    /// The connection broke.
    Broken,
    /// The peer accepted no bytes for too long while some waited for it.
    Stalled,
    /// The peer did not identify itself in time.
    NotRegistered,
    /// The peer failed to authenticate too often in a row; see
    /// [`Limits::failed_authentications`](crate::Limits::failed_authentications).
    NotAuthenticated,
    /// The peer did not answer a ping.
    Silent,
    /// The hub is shutting down.
    Draining,
    /// The application ended the session, perhaps with a reason.
    Kicked(Arc<str>),
    /// The [`Policy`](crate::Policy) did not admit the session.
    Refused,
    /// The peer's address has asked for too much lately. It may come back after this time.
    TooSoon(Duration),
    /// The same client came back with its token and took the nick.
    TakenOver,
    /// The handshake of the connection's protocol did not end in time.
    TimedOut,
    /// The connection's task panicked.
    Failed,
    /// The Tokio runtime that served the connection has no timers.
    NoTimers,
    /// The [`Session`](crate::Session) was dropped.
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
            Self::NotAuthenticated => f.write_str("too many failed logins"),
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
