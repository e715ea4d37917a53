//! What happened, as a member is told of it.

use crate::batch::{Batch, Message, SessionId, Timestamp};
use crate::journal::Gap;
use crate::name::{Nick, RoomName};
use crate::room::RoomInfo;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// What happened in a room.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// Somebody said or did something, or set the topic: see [`Message::kind`].
    Message(Message),
    /// Who is in the room changed.
    Presence(Arc<Presence>),
    /// This member fell behind and missed changes of presence: who is in the room now. What it missed of the log
    /// follows, and then what happens from now on. `nicks` are all members, unless the room has too many to announce
    /// each.
    Present(Box<RoomInfo>),
    /// Messages that this member missed and that can't be had any more.
    Gap(Gap),
    /// The application has closed the room, perhaps with a reason: this is its last event.
    Closed(Arc<str>),
}

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

/// A message to one session alone.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Direct {
    /// Who sent it.
    pub from: Nick,
    /// When the hub took it.
    pub at: Timestamp,
    /// Its text, without control characters.
    pub text: Arc<str>,
}

impl Direct {
    /// Creates a message, to test what a dialect makes of it. The text is taken as it is.
    #[must_use]
    pub const fn new(from: Nick, at: Timestamp, text: Arc<str>) -> Self {
        Self { from, at, text }
    }
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
            Self::Silent => f.write_str("no answer"),
            Self::Draining => f.write_str("server is shutting down"),
            Self::Kicked(reason) if reason.is_empty() => f.write_str("kicked"),
            Self::Kicked(reason) => write!(f, "kicked: {reason}"),
            Self::Refused => f.write_str("refused"),
            Self::TooSoon(wait) => write!(f, "too much from its address: {} s", wait.as_secs() + 1),
            Self::TakenOver => f.write_str("taken over"),
            Self::Failed | Self::NoTimers => f.write_str("internal error"),
            Self::Dropped => f.write_str("gone"),
        }
    }
}

/// What a room sends to all its members: one item of its broadcast, borrowed.
///
/// A later version may have other items: an encoder writes nothing for one that it does not know.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Broadcast<'a> {
    /// Some of a batch's messages.
    Messages(&'a Batch, Range<usize>),
    /// Who is in the room changed.
    Presence(&'a Presence),
    /// How many members there are, in a room that has too many to announce each.
    Count(&'a RoomName, usize),
    /// Messages that the member missed and is not given.
    Missed(&'a RoomName, Missed),
}

/// Messages that a member missed and is not given, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Missed {
    /// The log no longer holds them.
    Expired(Gap),
    /// There are more than the member asked for.
    BeyondLimit(Gap),
    /// The log can't be read now. `None`: nor is it known which they are.
    Unreadable(Option<Gap>),
    /// The log that they were in is gone, or was restored: it is not known which they are.
    OtherEpoch,
}

/// How one dialect writes what a room sends.
///
/// A room makes each encoding at most once for all members that share an encoder, so it must depend on nothing but the
/// item. Encoders are told apart by the address of their `Arc`: share one, don't make one for each connection.
pub trait Encoder: Send + Sync + 'static {
    /// Appends the item's bytes; nothing if this encoder doesn't show it.
    fn encode(&self, item: &Broadcast<'_>, moment: Moment, out: &mut bytes::BytesMut);
}

/// Whether an item is shown as it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// It has just happened, or since the member came: lag is repaired as if nothing had been.
    Live,
    /// It happened before the member came, or it asked to see it again.
    Replay,
}
