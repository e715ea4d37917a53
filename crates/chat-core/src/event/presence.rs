//! Changes of who is in a room, and why sessions end.

use crate::event::profile::Profile;
use crate::log::SessionId;
use crate::name::{Nick, RoomName};
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// A change of the members of a room.
///
/// Changes of presence are not in the room's log: they have no position, and a member that joins again does not receive
/// the changes that it missed. Such a member reads the present members from
/// [`RoomInfo::nicks`](crate::rooms::RoomInfo::nicks).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Presence {
    /// The room's name.
    pub room: RoomName,
    /// The session that has changed. If a renamed session shares its old or its new nick with
    /// other sessions, the room announces an arrival or a departure instead, and this field is [`SessionId::NOBODY`].
    pub session: SessionId,
    /// The nick of the session. For [`PresenceChange::Renamed`], the old nick.
    pub nick: Nick,
    /// What changed.
    pub change: PresenceChange,
    /// Identifies a change that several rooms announce: a new nick, another profile, or the end of the session. All rooms of the session
    /// announce the change with the same number, and no other change of the session has that number. A program that
    /// sees several rooms can thus show the change once. `None` if only this room announces the change.
    pub number: Option<NonZeroU32>,
    /// What is known of the session besides its nick, after the change.
    pub profile: Profile,
}

impl Presence {
    /// Creates a change without a [`number`](Self::number), of a session with the default profile, for tests of a
    /// dialect.
    #[must_use]
    pub fn new(room: RoomName, session: SessionId, nick: Nick, change: PresenceChange) -> Self {
        Self {
            room,
            session,
            nick,
            change,
            number: None,
            profile: Profile::default(),
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
        /// Why the session ended; `None` if the session left this room but did not end.
        reason: Option<CloseReason>,
    },
    /// The application, or an operator of the room, removed the session from the room.
    Removed {
        /// The reason; empty if none was given.
        reason: Arc<str>,
        /// The nick of the operator; `None` if the application removed the session.
        by: Option<Nick>,
    },
    /// The session took another nick.
    Renamed {
        /// The new nick.
        to: Nick,
    },
    /// The session joined the room, which now has more than `limit` members. The room announces no arrivals, departures
    /// and renames until [`Unhushed`](Self::Unhushed).
    Hushed {
        /// The value of [`Limits::announce`](crate::Limits::announce).
        limit: usize,
    },
    /// The session left the room, which now has at most three quarters of [`Limits::announce`](crate::Limits::announce)
    /// members. The room announces each change again.
    Unhushed,
    /// The session is away, or has come back.
    Away {
        /// The message that the session has left; `None` if it has come back.
        message: Option<Arc<str>>,
    },
    /// Something else that is known of the session has changed: its user name, its host, its account or its real name.
    /// [`Presence::profile`] holds the new values.
    ProfileChanged {
        /// The values before the change.
        was: Box<Profile>,
    },
}

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The peer asked to leave. `None` if the peer gave no reason.
    Quit(Option<Arc<str>>),
    /// The peer closed the connection.
    Disconnected,
    /// The connection failed, or the node that held the session is gone.
    Broken,
    /// Output waited for the peer, and the peer accepted no bytes for
    /// [`Limits::stall_timeout`](crate::Limits::stall_timeout).
    Stalled,
    /// The peer did not complete the registration that its dialect requires within
    /// [`Limits::registration_timeout`](crate::Limits::registration_timeout).
    NotRegistered,
    /// The peer failed to authenticate too often in a row; see
    /// [`Limits::failed_authentications`](crate::Limits::failed_authentications).
    NotAuthenticated,
    /// The peer did not answer a ping.
    Silent,
    /// The hub is shutting down.
    Draining,
    /// The application ended the session. The text is the reason; empty if the application gave none.
    Kicked(Arc<str>),
    /// The [`Policy`](crate::Policy) did not admit the session.
    Refused,
    /// The peer's address has exceeded its rate limits. The peer may connect again after this time.
    TooSoon(Duration),
    /// A later session of the same client took the nick. The hub recognises the client by the client's token.
    TakenOver,
    /// The handshake of the connection's protocol did not end in time, or a
    /// [spare connection](crate::Hub::expect_spare_connections) was not used in time.
    TimedOut,
    /// The task that served the connection or held the session panicked.
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
