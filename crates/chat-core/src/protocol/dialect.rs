//! How one connection talks: the interface between bytes and commands.
//!
//! Invariant: a dialect does no I/O and never waits. It turns a line into commands, and an event or a reply into bytes.
//! It knows nothing of the hub.

use crate::event::{CloseReason, Direct, Encoder, RoomInfo, RoomSummary};
use crate::limits::Limits;
use crate::log::{Account, Batch, Page, Seq, Span, Timestamp};
use crate::name::{Nick, RoomName};
use crate::protocol::commands::Commands;
use crate::protocol::framing::Framing;
use crate::protocol::refusal::Refusal;
use crate::room::Echo;
use bytes::BytesMut;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// How one connection talks, and the state that it needs for that.
pub trait Dialect: Send + Sync {
    /// Returns the dialect's name in lower case, which a [`Policy`](crate::Policy) can check.
    fn name(&self) -> &'static str;

    /// Returns the encoder that writes the events of this connection's rooms.
    fn encoder(&self) -> Arc<dyn Encoder>;

    /// Returns whether this connection receives its own messages.
    fn echo(&self) -> Echo;

    /// Returns what the dialect expects of the connection, such as whether a newcomer arrives in the lobby.
    fn options(&self) -> DialectOptions;

    /// Processes a line. Adds to `commands` what the line asks for, and the dialect's own answers, in order.
    fn receive<'a>(&mut self, line: &'a str, commands: &mut Commands<'a>);

    /// Returns how this connection's input is divided into items of at most `item_bytes_max` bytes. `None`, the
    /// default, divides it into lines.
    ///
    /// Called once, when the connection is known to speak this dialect.
    fn framing(&self, _item_bytes_max: usize) -> Option<Box<dyn Framing>> {
        None
    }

    /// Sets how the peer's messages are delimited.
    fn set_delimiter(&mut self, _ending: Delimiter) {}

    /// Writes the greeting of a newcomer. The members that it meets follow as [`Reply::Joined`]. The default writes
    /// nothing.
    fn greet(&mut self, _greeting: &Greeting<'_>, _out: &mut BytesMut) {}

    /// Writes what separates two replayed messages, if they are of different days.
    ///
    /// Before the first message, `previous` is the current time. After the last message, `next` is the current time.
    fn write_day(
        &self,
        _previous: Timestamp,
        _next: Timestamp,
        _now: Timestamp,
        _out: &mut BytesMut,
    ) {
    }

    /// Writes the answer to a command.
    ///
    /// Each command that [`receive`](Self::receive) has added is answered once, in the order of the commands. Each has
    /// its own reply, but one [`Reply::Published`] or [`Reply::Unpublished`] answers several commands, and several
    /// [`Reply::Members`] answer one. A
    /// [`Quit`](crate::protocol::Command::Quit) is answered by [`goodbye`](Self::goodbye). An
    /// [`OptionsChanged`](crate::protocol::Command::OptionsChanged) is not answered. [`Reply::Rejected`],
    /// [`Reply::Present`] and [`Reply::Removed`] answer no command.
    fn reply(&mut self, reply: &Reply<'_>, out: &mut BytesMut);

    /// Writes the question whether the peer is still there. Any line is an answer.
    fn ping(&mut self, _out: &mut BytesMut) {}

    /// Writes a direct message to this session.
    fn direct(&mut self, direct: &Direct, out: &mut BytesMut);

    /// Writes the goodbye to this peer, or nothing if it needs none.
    fn goodbye(&mut self, reason: &CloseReason, out: &mut BytesMut);
}

/// How a peer's messages are delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delimiter {
    /// By a newline.
    Newline,
    /// By a newline or by silence, because the peer is a program that sends no newline.
    Silence,
}

/// What a dialect expects of its connection.
///
/// The default suits a program's dialect: the hub does nothing that the peer has not asked for. Set the fields that
/// differ:
///
/// ```
/// use chat_core::protocol::DialectOptions;
///
/// let mut options = DialectOptions::default();
/// options.has_heartbeat = true;
/// # assert!(!options.arrives_in_lobby);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DialectOptions {
    /// A newcomer joins the lobby without asking.
    pub arrives_in_lobby: bool,
    /// A newcomer registers over several lines. It has no session until the dialect adds a
    /// [`Hello`](crate::protocol::Command::Hello): no nick is claimed, nothing is announced, and the only other
    /// commands executed are `Authenticate`, `Ping`, `Quit` and `OptionsChanged`. After a refused hello the peer may
    /// try again. It must register within [`registration_timeout`](Limits::registration_timeout). It is not
    /// [greeted](Dialect::greet), because the [`Welcome`](Reply::Welcome) has the same content.
    pub registers: bool,
    /// Silence may end a message of a peer that sends no newline.
    pub silence_ends_text: bool,
    /// A silent peer is asked whether it is still there, and disconnected if it does not answer.
    pub has_heartbeat: bool,
    /// A nick change or the end of a session is shown once, even if the peer shares several rooms with that session.
    /// Without this, it is shown once in each of these rooms. Which room such a [`Presence`](crate::Presence) names is
    /// arbitrary, so an encoder writes it without the room.
    pub has_changes_once: bool,
    /// The longest input line in bytes, without its terminator; `None` is the limit in [`Limits`].
    pub line_bytes: Option<NonZeroUsize>,
}

/// What a newcomer is told first.
#[derive(Debug, Clone, Copy)]
pub struct Greeting<'a> {
    /// The message of the day, line by line.
    pub motd: &'a [String],
    /// The newcomer's nick.
    pub nick: &'a Nick,
}

/// The answer to a command.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Reply<'a> {
    /// Answers [`Hello`](crate::protocol::Command::Hello): the session has begun.
    Welcome {
        /// The session's nick.
        nick: &'a Nick,
        /// The requested rooms in their order, each with what the session finds there, or why it can't join.
        rooms: &'a [(&'a str, Result<Joined, Refusal>)],
        /// The hub's limits.
        limits: &'a Limits,
        /// The room for newcomers, for a client that has no other room to join.
        lobby: &'a RoomName,
        /// The message of the day, line by line.
        motd: &'a [String],
    },
    /// The peer has proved that it has this account.
    Authenticated(&'a Account),
    /// The session has joined this room. The replay follows.
    Joined {
        /// The session's nick.
        nick: &'a Nick,
        /// What the session finds in the room.
        joined: &'a Joined,
    },
    /// These messages are in the log. Each answers one command.
    Published(&'a Batch),
    /// This message was published before under the same key, and is not published again.
    Duplicate {
        /// The room.
        room: &'a RoomName,
        /// The position of the message in the room's log.
        seq: Seq,
    },
    /// The messages of this many commands are not published.
    Unpublished(usize, &'a Refusal),
    /// An input line is rejected. The line is not a command, so this answers none.
    Rejected(&'a Refusal),
    /// The session has left this room.
    Left(&'a RoomInfo),
    /// The application removed the session from this room. Answers no command.
    Removed {
        /// The room.
        room: &'a RoomName,
        /// The reason; empty if none was given.
        reason: &'a str,
        /// The room is closed: all members were removed.
        is_closed: bool,
    },
    /// The session has this nick now.
    Renamed(&'a Nick),
    /// A direct message was delivered.
    DirectSent {
        /// The recipient.
        to: &'a Nick,
        /// When it was sent.
        at: Timestamp,
        /// The text.
        text: &'a str,
    },
    /// The members of this room.
    Who(&'a RoomInfo),
    /// A part of all members of this room, in the order in which their sessions began.
    Members {
        /// The room.
        room: &'a RoomName,
        /// At most 100 nicks. None if the room has no members, or if the policy hides them.
        nicks: &'a [Nick],
        /// Another part follows.
        has_more: bool,
    },
    /// The members of this room, after the member missed joins or leaves. Answers no command.
    Present(&'a RoomInfo),
    /// A part of the list of rooms, sorted by name.
    Rooms {
        /// The rooms.
        rooms: &'a [RoomSummary],
        /// More rooms follow the last of these.
        has_more: bool,
    },
    /// The topic of this room.
    Topic(&'a RoomInfo),
    /// The requested messages follow as events, if there are any.
    History {
        /// The log has nothing to show.
        is_empty: bool,
    },
    /// The requested messages.
    Page {
        /// The room.
        room: &'a RoomName,
        /// The part of the log that was read.
        span: Span,
        /// The messages.
        page: &'a Page,
    },
    /// The messages that a search found.
    Found {
        /// The room.
        room: &'a RoomName,
        /// The messages, oldest first; there may be older ones.
        page: &'a Page,
    },
    /// Answers a ping.
    Pong,
    /// The request is refused.
    Refused(&'a Refusal),
}

impl Reply<'_> {
    /// Returns whether this is the last reply to the command that was added first of those that are not answered yet.
    /// `false` for a reply that more replies to the same command follow, and for one that answers no command.
    ///
    /// [`Published`](Self::Published) and [`Unpublished`](Self::Unpublished) may complete more than one command, unless
    /// the dialect's echo is [`Echo::Reply`].
    #[must_use]
    pub const fn completes_command(&self) -> bool {
        !matches!(
            self,
            Self::Members { has_more: true, .. }
                | Self::Rejected(_)
                | Self::Present(_)
                | Self::Removed { .. }
        )
    }
}

/// What a session finds in a room that it joined.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Joined {
    /// The members, the topic and the position of the room.
    pub info: RoomInfo,
    /// Whether everything after the requested position is replayed; `None` if no position was requested. If the log
    /// changes during the replay, a gap reports it.
    pub is_recovered: Option<bool>,
    /// Maximum number of bytes about the room that the peer is sent, if it is not known to read lines. The rest is left
    /// out.
    pub bytes_max: Option<usize>,
}

impl Joined {
    /// Creates the result of a join, for tests of a dialect.
    #[must_use]
    pub const fn new(info: RoomInfo, is_recovered: Option<bool>) -> Self {
        Self {
            info,
            is_recovered,
            bytes_max: None,
        }
    }
}
