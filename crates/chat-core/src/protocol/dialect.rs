//! How one connection talks: the seam between bytes and meaning.
//!
//! Invariant: a dialect does no I/O and never waits. A line goes in and commands come out; an event or a reply
//! goes in and bytes come out. It knows nothing of the hub.

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

/// One connection's way of talking, and what it has to remember for that.
pub trait Dialect: Send + Sync {
    /// What it is called, in lower case: for a [`Policy`](crate::Policy) to go by.
    fn name(&self) -> &'static str;

    /// How this connection is written the events of its rooms.
    fn encoder(&self) -> Arc<dyn Encoder>;

    /// Whether this connection gets its own messages back.
    fn echo(&self) -> Echo;

    /// Whether a newcomer is put in the lobby, and whether silence may end a text, and so on.
    fn options(&self) -> DialectOptions;

    /// Takes a line; adds to `commands` what it asks for, and what the dialect answers by itself, in order.
    fn receive<'a>(&mut self, line: &'a str, commands: &mut Commands<'a>);

    /// How this connection's input is divided into items of at most `item_bytes_max` bytes; `None`, the default: by
    /// lines. Asked once, when the connection has turned out to speak this dialect.
    fn framing(&self, _item_bytes_max: usize) -> Option<Box<dyn Framing>> {
        None
    }

    /// From now on the peer's texts end in this way.
    fn set_delimiter(&mut self, _ending: Delimiter) {}

    /// Writes what a newcomer is told first. Whom it meets follows as [`Reply::Joined`].
    fn greet(&mut self, greeting: &Greeting<'_>, out: &mut BytesMut);

    /// Writes what goes between two messages that are shown again, if it is another day. Before the first of them
    /// `previous` is now, and after the last one `next` is.
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
    /// Each command that [`receive`](Self::receive) has added is answered once, in the order in which they came:
    /// by one reply each, but that [`Reply::Published`] and [`Reply::Unpublished`] answer several. A
    /// [`Quit`](crate::protocol::Command::Quit) is answered by [`goodbye`](Self::goodbye), an
    /// [`OptionsChanged`](crate::protocol::Command::OptionsChanged) not at all, and
    /// [`Reply::Rejected`], [`Reply::Present`] and [`Reply::Removed`] answer nothing.
    fn reply(&mut self, reply: &Reply<'_>, out: &mut BytesMut);

    /// Writes the question whether the peer is there, to which any line is an answer.
    fn ping(&mut self, _out: &mut BytesMut) {}

    /// Writes a message to this session alone.
    fn direct(&mut self, direct: &Direct, out: &mut BytesMut);

    /// Writes the last words to this peer; nothing if it needs none.
    fn goodbye(&mut self, reason: &CloseReason, out: &mut BytesMut);
}

/// What ends a peer's texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delimiter {
    /// A newline.
    Newline,
    /// A newline, or silence: the peer is a program that sends none.
    Silence,
}

/// What a dialect expects of the connection it is spoken on.
///
/// The default is a program's dialect: nothing is done unasked. Set the fields that differ:
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
    /// A newcomer is put in the lobby without asking.
    pub arrives_in_lobby: bool,
    /// A newcomer says over several lines who it is. Until the dialect gives a [`Hello`](crate::protocol::Command::Hello)
    /// it has no session: no nick is claimed, nothing is announced, and of other commands only `Ping`, `Quit` and
    /// `OptionsChanged` are done. A refused hello leaves it so, to try again. It has
    /// [`registration_timeout`](Limits::registration_timeout) for that. It is not [greeted](Dialect::greet): the
    /// [`Welcome`](Reply::Welcome) says as much.
    pub registers: bool,
    /// Silence may end the text of a peer that sends no newline.
    pub silence_ends_text: bool,
    /// A silent peer is asked whether it is there, and disconnected if it doesn't answer.
    pub has_heartbeat: bool,
    /// Another nick or the end of a session is shown once, however many rooms the peer shares with it; without this, once
    /// in each of them. Which of the rooms such a [`Presence`](crate::Presence) names is up to chance, so an encoder writes it
    /// without the room.
    pub has_changes_once: bool,
    /// The longest input line in bytes, its terminator not counted; `None`: as [`Limits`] has it.
    pub line_bytes: Option<NonZeroUsize>,
}

/// What a newcomer is told first.
#[derive(Debug, Clone, Copy)]
pub struct Greeting<'a> {
    /// The operator's words, line by line.
    pub motd: &'a [String],
    /// The nick that the newcomer was given.
    pub nick: &'a Nick,
}

/// The answer to a command.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Reply<'a> {
    /// The session has begun: to [`Hello`](crate::protocol::Command::Hello).
    Welcome {
        /// The session's own nick.
        nick: &'a Nick,
        /// The rooms that it asked for, in that order: what it finds there, or why it can't join.
        rooms: &'a [(&'a str, Result<Joined, Refusal>)],
        /// What the hub allows.
        limits: &'a Limits,
        /// The room that newcomers are put in, for a client that was not told which to join.
        lobby: &'a RoomName,
        /// The operator's words, line by line.
        motd: &'a [String],
    },
    /// The peer has proved that it has this account.
    Authenticated(&'a Account),
    /// The session is in this room now. What is replayed follows.
    Joined {
        /// The session's own nick.
        nick: &'a Nick,
        /// What it finds there.
        joined: &'a Joined,
    },
    /// These messages are in the log, each in answer to one command.
    Published(&'a Batch),
    /// This was said before under the same key, and is not said again.
    Duplicate {
        /// Where.
        room: &'a RoomName,
        /// Its place in the room's log.
        seq: Seq,
    },
    /// So many commands' messages are not published.
    Unpublished(usize, &'a Refusal),
    /// A line could not be used. It is no command, so this is not an answer to one.
    Rejected(&'a Refusal),
    /// The session has left this room.
    Left(&'a RoomInfo),
    /// The application took the session out of this room, unasked and no answer.
    Removed {
        /// Which.
        room: &'a RoomName,
        /// Why; empty if it gave no reason.
        reason: &'a str,
        /// Everybody was taken out: the room is closed.
        is_closed: bool,
    },
    /// The session has this nick now.
    Renamed(&'a Nick),
    /// A direct message was delivered.
    DirectSent {
        /// To whom.
        to: &'a Nick,
        /// When.
        at: Timestamp,
        /// What.
        text: &'a str,
    },
    /// Who is in this room.
    Who(&'a RoomInfo),
    /// Who is in this room, unasked and no answer: the member has missed who came and went.
    Present(&'a RoomInfo),
    /// Which rooms there are: some of them, by name.
    Rooms {
        /// The rooms.
        rooms: &'a [RoomSummary],
        /// There are more, after the last of these.
        has_more: bool,
    },
    /// The topic of this room.
    Topic(&'a RoomInfo),
    /// The messages that were asked for follow as events, if there are any.
    History {
        /// There is nothing in the log to show.
        is_empty: bool,
    },
    /// The messages that were asked for.
    Page {
        /// Where.
        room: &'a RoomName,
        /// Which part of the log was read.
        span: Span,
        /// The messages.
        page: &'a Page,
    },
    /// The messages that were searched for.
    Found {
        /// Where.
        room: &'a RoomName,
        /// The messages, oldest first; there may be older ones.
        page: &'a Page,
    },
    /// The hub is there.
    Pong,
    /// The peer can't have what it asked for.
    Refused(&'a Refusal),
}

/// What a session finds in a room that it joined.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Joined {
    /// Whom and what it finds there.
    pub info: RoomInfo,
    /// Whether all that followed the place it named is replayed; `None` if it named none. Should the log change
    /// meanwhile, a gap says so.
    pub is_recovered: Option<bool>,
    /// How many bytes the peer can take of what it is told about the room, if it is not known to read lines. What does
    /// not fit is left out.
    pub bytes_max: Option<usize>,
}

impl Joined {
    /// Creates what a session would find, for whoever tests a dialect.
    #[must_use]
    pub const fn new(info: RoomInfo, is_recovered: Option<bool>) -> Self {
        Self {
            info,
            is_recovered,
            bytes_max: None,
        }
    }
}
