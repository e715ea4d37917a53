//! The trait of a dialect, which translates between the bytes of one connection and the commands and replies of the
//! hub.
//!
//! Invariant: a dialect does no I/O, never waits, and has no access to the hub. It turns a line into commands, and an
//! event or a reply into bytes.

use crate::event::{
    CloseReason, Direct, Encoder, EndedSession, MemberInfo, NickStatus, Profile, RoomInfo,
    RoomSummary, Whois,
};
use crate::limits::Limits;
use crate::log::{Account, Batch, Modes, Page, Role, Seq, Span, Timestamp, UserHost};
use crate::name::{Nick, RoomName};
use crate::protocol::command::Command;
use crate::protocol::commands::Commands;
use crate::protocol::framing::Framing;
use crate::protocol::refusal::Refusal;
use crate::room::Echo;
use bytes::BytesMut;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// Translates between one connection's bytes and the hub's commands and replies, and holds the state of that
/// connection.
pub trait Dialect: Send + Sync {
    /// Returns the dialect's name in lower case. A [`Policy`](crate::Policy) sees the name in
    /// [`Visitor::dialect`](crate::policy::Visitor::dialect).
    fn name(&self) -> &'static str;

    /// Returns the encoder that writes the events of this connection's rooms.
    fn encoder(&self) -> Arc<dyn Encoder>;

    /// Returns whether this peer receives the messages that it has published itself, and in which form.
    fn echo(&self) -> Echo;

    /// Returns what the dialect requires of its connection, such as whether a new session joins the lobby at once.
    fn options(&self) -> DialectOptions;

    /// Processes a line. Adds to `commands` the commands that the line asks for, and the bytes with which the dialect
    /// answers by itself, in order.
    ///
    /// If the dialect has a [`framing`](Self::framing), `line` is an item of the framing, and may hold line breaks.
    /// Otherwise it is a line without its terminator. In both cases it is valid UTF-8, not longer than the limit, and
    /// may hold control characters.
    ///
    /// Core cleans the texts of commands. A dialect that itself returns a part of a line to the peer cleans that part
    /// with [`text::clean`](crate::text::clean).
    ///
    /// The first line of the connection, by which the detector has recognised the dialect, is also given to this
    /// method.
    fn receive<'a>(&mut self, line: &'a str, commands: &mut Commands<'a>);

    /// Returns the framing that divides this connection's input into items of at most `item_bytes_max` bytes. The
    /// default returns `None`: the input is divided into lines.
    ///
    /// Core calls this method once, when it has selected this dialect for the connection.
    fn framing(&self, _item_bytes_max: usize) -> Option<Box<dyn Framing>> {
        None
    }

    /// Tells the dialect how the peer's messages are delimited from now on. Core calls this method only for a dialect
    /// with [`silence_ends_text`](DialectOptions::silence_ends_text). The default does nothing.
    fn set_delimiter(&mut self, _ending: Delimiter) {}

    /// Writes the greeting of a peer whose session has just begun without a [`Hello`](crate::protocol::Command::Hello).
    /// If the peer arrives in the lobby, a [`Reply::Joined`] follows. The default writes nothing.
    fn greet(&mut self, _greeting: &Greeting<'_>, _out: &mut BytesMut) {}

    /// Writes a separator between two replayed messages if they are of different days, such as a line with the date.
    /// The default writes nothing.
    ///
    /// `previous` and `next` are the times of the two messages. Before the first replayed message, `previous` is `now`;
    /// after the last one, `next` is `now`.
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
    /// Core answers the commands that [`receive`](Self::receive) has added, in the order in which they were added. Each
    /// command has exactly one reply of its own, with two exceptions: one [`Reply::Published`] or
    /// [`Reply::Unpublished`] may answer several commands, and several [`Reply::Members`] may answer one command. A
    /// [`Quit`](crate::protocol::Command::Quit) is answered by [`goodbye`](Self::goodbye). An
    /// [`OptionsChanged`](crate::protocol::Command::OptionsChanged) is not answered. [`Reply::Rejected`],
    /// [`Reply::Present`] and [`Reply::Removed`] answer no command.
    ///
    /// A *message* is a [`Say`](crate::protocol::Command::Say), [`Act`](crate::protocol::Command::Act) or
    /// [`Publish`](crate::protocol::Command::Publish). Core publishes the messages of lines that arrive together in one
    /// step, so it may pass further lines to `receive` before it answers a message. Core answers every other command,
    /// and all messages before that command, before it passes the next line to `receive`. With [`Echo::Reply`], core
    /// also answers each message before it passes the next line to `receive`.
    fn reply(&mut self, reply: &Reply<'_>, out: &mut BytesMut);

    /// Returns the command that follows the answer to another command. The default returns `None`.
    ///
    /// Core calls this method after each [`reply`](Self::reply) to a command that is not a message, and after each
    /// [`Reply::Present`], before it executes the next command of the line. The dialect thus reads a list page by page,
    /// or reads from a log at a position that it has just found. Core answers the command like any other.
    ///
    /// Such a command is charged to the [rate](Limits::rate) of the connection like a line, and is executed only when the
    /// peer has read most of the answers before it. A dialect must bound how many commands follow one line.
    fn follow_up(&mut self) -> Option<Command<'static>> {
        None
    }

    /// Writes a ping, which asks a silent peer whether it is still there. Any bytes from the peer are an answer. Core
    /// calls this method only for a dialect with [`has_heartbeat`](DialectOptions::has_heartbeat). The default writes
    /// nothing.
    fn ping(&mut self, _out: &mut BytesMut) {}

    /// Writes a direct message that another session has sent to the peer's session.
    fn direct(&mut self, direct: &Direct, out: &mut BytesMut);

    /// Writes that a nick which the session [watches](crate::protocol::Command::Watch) has come or gone. The default
    /// writes nothing.
    fn watched(&mut self, _status: &NickStatus, _out: &mut BytesMut) {}

    /// Writes the last output before the connection is closed: a goodbye with the reason, or nothing if the protocol
    /// has no goodbye.
    fn goodbye(&mut self, reason: &CloseReason, out: &mut BytesMut);
}

/// How the messages of a peer are delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delimiter {
    /// A newline.
    Newline,
    /// A newline or silence. The peer is a program that may end a message without a newline.
    Silence,
}

/// What a dialect requires of its connection, from [`Dialect::options`].
///
/// The default, in which every field is `false` or `None`, suits a dialect for programs: the hub does nothing that the
/// peer has not asked for. Set the fields that differ:
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
    /// The session of a new peer joins the lobby at once, without a command. The session joins the lobby again if the
    /// application removes the session from its last room. The exception: if the last room was the lobby, and the lobby
    /// was not closed, the session does not join again.
    pub arrives_in_lobby: bool,
    /// A new peer registers over several lines: it has no session until the dialect adds a
    /// [`Hello`](crate::protocol::Command::Hello).
    ///
    /// Until then, no nick is claimed and nothing is announced. Core executes `Authenticate`, `SetProfile`, `Ping`,
    /// `Quit` and `OptionsChanged`, and refuses every other command. A peer whose hello is refused may send another
    /// hello, unless core closes the connection, for example because the policy refuses the peer. A peer that has not registered
    /// within [`registration_timeout`](Limits::registration_timeout) is disconnected. Core does not call
    /// [`greet`](Dialect::greet) for such a dialect; the [`Welcome`](Reply::Welcome) has the nick and the message of
    /// the day.
    pub registers: bool,
    /// Silence may end a message of a peer that sends no newline.
    pub silence_ends_text: bool,
    /// The server [pings](Dialect::ping) a silent peer, and disconnects a peer that does not answer.
    pub has_heartbeat: bool,
    /// The peer sees a nick change or the end of a session only once, even if the peer and that session share several
    /// rooms.
    ///
    /// With the default, `false`, the peer sees the change once in each shared room. With `true`, the
    /// [`Presence`](crate::Presence) of the change names an arbitrary one of the shared rooms, so the encoder writes
    /// the change without the room. Joins and leaves of single rooms are not affected.
    pub has_changes_once: bool,
    /// The longest input line in bytes, without its terminator. `None` means [`Limits::line_bytes`].
    pub line_bytes: Option<NonZeroUsize>,
}

/// What [`Dialect::greet`] tells a peer whose session has just begun.
#[derive(Debug, Clone, Copy)]
pub struct Greeting<'a> {
    /// The message of the day, line by line.
    pub motd: &'a [String],
    /// The nick of the peer's session.
    pub nick: &'a Nick,
}

/// The answer to a command, or a notice to one peer that answers no command. [`Dialect::reply`] writes it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Reply<'a> {
    /// Answers [`Hello`](crate::protocol::Command::Hello): the session has begun.
    Welcome {
        /// The session's nick.
        nick: &'a Nick,
        /// The user name and the host of the session, as others see them.
        user_host: &'a UserHost,
        /// The rooms that the hello named, in the same order. An entry holds the room's name as the peer wrote it, and
        /// the result of joining the room: what the session finds there, or why it could not join.
        rooms: &'a [(&'a str, Result<Joined, Refusal>)],
        /// The hub's limits.
        limits: &'a Limits,
        /// The hub's lobby, for a client that has no other room to join. The session is in the lobby only if the hello
        /// named the lobby.
        lobby: &'a RoomName,
        /// The message of the day, line by line.
        motd: &'a [String],
    },
    /// Answers [`Authenticate`](crate::protocol::Command::Authenticate): the peer has proved that it has this account.
    Authenticated(&'a Account),
    /// Answers [`Join`](crate::protocol::Command::Join) and [`Move`](crate::protocol::Command::Move): the session has
    /// joined this room. The messages that the request asked to replay follow as events. If the reply answers no
    /// command, the session has joined the lobby by itself; see [`arrives_in_lobby`](DialectOptions::arrives_in_lobby).
    Joined {
        /// The session's nick.
        nick: &'a Nick,
        /// What the session finds in the room.
        joined: &'a Joined,
    },
    /// The peer's messages in this batch are published: they are in the room's log. The reply answers one command for
    /// each message of the batch, in the same order. A new topic is also a message. It is alone in its batch.
    Published(&'a Batch),
    /// The peer has already published this message under the same key. The message is not published again.
    Duplicate {
        /// The room.
        room: &'a RoomName,
        /// The position of the message in the room's log.
        seq: Seq,
    },
    /// Answers one or more messages of the peer, which could not be published. The number says how many: the oldest
    /// commands that have no answer yet, all of which are messages. The refusal says why.
    Unpublished(usize, &'a Refusal),
    /// Core has rejected a whole input line before the dialect was given it, for example because it is too long or not
    /// UTF-8. Answers no command, because none was read from the line. Compare [`Refused`](Self::Refused).
    Rejected(&'a Refusal),
    /// Answers [`Leave`](crate::protocol::Command::Leave): the session has left this room.
    Left(&'a RoomInfo),
    /// The application removed the session from this room. Answers no command.
    Removed {
        /// The room.
        room: &'a RoomName,
        /// The reason; empty if the application gave none.
        reason: &'a str,
        /// The nick of the operator of the room that removed the session; `None` if the application did.
        by: Option<&'a Nick>,
        /// Whether the application closed the room and so removed all its members.
        is_closed: bool,
    },
    /// Answers [`Nick`](crate::protocol::Command::Nick): the session now has this nick.
    Renamed(&'a Nick),
    /// Answers [`Tell`](crate::protocol::Command::Tell): the direct message is in the mailbox of its recipient.
    DirectSent {
        /// The recipient.
        to: &'a Nick,
        /// The time at which the message was sent.
        at: Timestamp,
        /// The text of the message.
        text: &'a str,
        /// The message that the recipient has left, if the recipient is away.
        away: Option<&'a str>,
    },
    /// Answers [`Who`](crate::protocol::Command::Who) with a summary of this room. The summary lists the nicks of only
    /// the first 100 members.
    Who(&'a RoomInfo),
    /// Answers [`Members`](crate::protocol::Command::Members) with a part of the complete list of a room's members. The
    /// parts follow each other until `has_more` is `false`. The members are in the order in which their sessions began.
    Members {
        /// The room.
        room: &'a RoomName,
        /// At most 100 members. Empty if the room has no members, or if the policy hides them from the peer.
        members: &'a [MemberInfo],
        /// Whether another part follows.
        has_more: bool,
    },
    /// Tells a peer who is in a room now, because the peer lagged and missed joins or leaves. Answers no command. The
    /// value has the nicks of only the first 100 members.
    Present(&'a RoomInfo),
    /// Answers [`Rooms`](crate::protocol::Command::Rooms) with a part of the list of rooms, sorted by name.
    Rooms {
        /// The rooms of this part of the list.
        rooms: &'a [RoomSummary],
        /// Whether more rooms follow the last room of this part. The peer asks for them with another command.
        has_more: bool,
    },
    /// Answers a [`Topic`](crate::protocol::Command::Topic) that has no text. The reply has the topic of this room.
    Topic(&'a RoomInfo),
    /// Answers a [`Mode`](crate::protocol::Command::Mode) without changes.
    Modes {
        /// The room.
        room: &'a RoomName,
        /// The modes. If the peer is not in the room, they are those
        /// that [may be seen from outside](Modes::seen_from_outside).
        modes: &'a Modes,
        /// The peer's role in the room; `None` if it has none.
        role: Option<Role>,
    },
    /// Answers [`Kick`](crate::protocol::Command::Kick): the session with this nick is no longer in the room.
    Kicked {
        /// The room.
        room: &'a RoomName,
        /// The nick of the session, as the session spells it.
        nick: &'a Nick,
        /// Whether the room announces it, so that the peer sees it as the other members do. A big room does not.
        is_announced: bool,
    },
    /// Answers [`Invite`](crate::protocol::Command::Invite): the session with this nick is invited to the room.
    Invited {
        /// The room.
        room: &'a RoomName,
        /// The nick of the session, as the session spells it.
        nick: &'a Nick,
    },
    /// Answers [`History`](crate::protocol::Command::History). The messages follow as events, if there are any.
    History {
        /// Whether there are no messages to show.
        is_empty: bool,
    },
    /// Answers [`Read`](crate::protocol::Command::Read) with messages of a room's log.
    Page {
        /// The room.
        room: &'a RoomName,
        /// The part of the log that the peer asked for.
        span: Span,
        /// The messages, oldest first.
        page: &'a Page,
    },
    /// Answers [`Search`](crate::protocol::Command::Search) with the messages that were found.
    Found {
        /// The room.
        room: &'a RoomName,
        /// The messages, oldest first. The log may hold older messages that match, too.
        page: &'a Page,
    },
    /// Answers [`Ping`](crate::protocol::Command::Ping).
    Pong,
    /// Answers any command that core has refused. Compare [`Rejected`](Self::Rejected), which answers no command.
    Refused(&'a Refusal),
    /// Answers [`Away`](crate::protocol::Command::Away).
    AwaySet {
        /// The message, as others see it; `None` if the session is back.
        message: Option<&'a str>,
    },
    /// Answers [`SetProfile`](crate::protocol::Command::SetProfile) with what is known of the session now.
    ProfileSet(&'a Profile),
    /// Answers [`Whois`](crate::protocol::Command::Whois).
    Whois(&'a Whois),
    /// Answers [`Whowas`](crate::protocol::Command::Whowas).
    Whowas {
        /// The nick, as the peer has written it.
        asked: &'a str,
        /// The sessions that had the nick, the latest first. Empty if none is remembered.
        ended: &'a [EndedSession],
    },
    /// Answers [`Online`](crate::protocol::Command::Online) with the state of each nick, in the order of the command.
    Online(&'a [NickStatus]),
    /// Answers [`Watch`](crate::protocol::Command::Watch).
    Watching {
        /// The nicks that were added, or all nicks that the session watches if the command asked for them, with their
        /// present states. Empty if the command removed nicks.
        nicks: &'a [NickStatus],
        /// The nicks that the session can't watch, because it watches
        /// [`Limits::watched_nicks`](Limits::watched_nicks) already, or because too many sessions watch the nick.
        refused: &'a [String],
    },
    /// Answers [`Operate`](crate::protocol::Command::Operate): the session is a server operator.
    Operating,
    /// Answers [`Disconnect`](crate::protocol::Command::Disconnect): the session with this nick has ended.
    Disconnected(&'a Nick),
}

impl Reply<'_> {
    /// Returns whether this reply completes the oldest command that is not answered yet. Returns `false` for a reply
    /// that is followed by another reply to the same command, and for a kind of reply that never answers a command.
    ///
    /// [`Published`](Self::Published) and [`Unpublished`](Self::Unpublished) may complete more than one command, unless
    /// the dialect's echo is [`Echo::Reply`].
    ///
    /// The result depends only on the kind of the reply. So it is also `true` for the replies that core gives without a
    /// command when a session begins or moves. In a dialect with
    /// [`arrives_in_lobby`](DialectOptions::arrives_in_lobby), core gives a [`Joined`](Self::Joined) or a
    /// [`Refused`](Self::Refused) for the lobby when the peer arrives, and when the application has removed the session
    /// from its last room. In a dialect without [`registers`](DialectOptions::registers), core gives a `Refused` before
    /// the first line if no session can begin. The connection then ends.
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
    /// Whether the replay has all messages after the position that the peer asked to resume from. `None` if the peer
    /// named no position. If the log loses messages during the replay, the peer receives a gap in place of the lost
    /// messages.
    pub is_recovered: Option<bool>,
    /// The role that the session has in the room; `None` if it has none. The founder of a room is its operator.
    pub role: Option<Role>,
    /// The maximum number of bytes that the dialect writes about the room. The dialect leaves out what exceeds the
    /// limit. The limit is for a peer that may be a program that reads only the first bytes. `None` if the peer is
    /// known to send lines or frames: no limit applies.
    pub bytes_max: Option<usize>,
}

impl Joined {
    /// Creates the result of a join, for tests of a dialect. `bytes_max` is `None`.
    #[must_use]
    pub const fn new(info: RoomInfo, is_recovered: Option<bool>) -> Self {
        Self {
            info,
            is_recovered,
            role: None,
            bytes_max: None,
        }
    }
}
