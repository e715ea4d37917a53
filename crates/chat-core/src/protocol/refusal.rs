//! Refusals: why the hub does not execute a request of a peer.
//!
//! Invariant: a refusal says what was wrong, names no command of any dialect, and contains no control character. Its
//! code is a stable string that programs may rely on. Each dialect names the commands that may help in its own words.

use crate::hub::{HistoryError, InviteError, KickError, NickError, TellError};
use crate::limits::Limits;
use crate::line::Inbound;
use crate::log::{JournalError, KeyError, ModeParseError};
use crate::name::RoomName;
use crate::room::{Denied, JoinError, NotInRoom, PublishError};
use crate::session::{DisconnectError, SessionError};
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// What a peer is told when the hub refuses its request.
///
/// A refusal has no field for the command, nor for the room or nick that the command named. A dialect that must name
/// them remembers them until core replies; see [`Reply::completes_command`](crate::protocol::Reply::completes_command).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The kind of refusal, for programs.
    pub code: Code,
    /// What was wrong with the request, for people. The text names no command of a dialect.
    pub message: String,
    /// What the peer can do next. The dialect adds the name of the command that does this, if the dialect has one.
    pub hint: Option<Hint>,
    /// How long the peer should wait before it repeats the request; `None` if this time is not known.
    pub retry_after: Option<Duration>,
    /// Why a room refuses the request, if the room's modes or the peer's role are the reason.
    pub denied: Option<Denied>,
}

/// What a peer can do after its request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    /// List the rooms, because no room has that name.
    ListRooms,
    /// Join a listed room, because no new room can be opened.
    JoinListed,
    /// List the members, because no member has that nick.
    ListMembers,
}

/// The kind of a refusal, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Code {
    /// The request can't be parsed.
    BadRequest,
    /// The dialect has no such command.
    UnknownCmd,
    /// The room or the nick that the request names does not exist.
    NotFound,
    /// The peer may not make this request, or may not make it in its present state. For example, the peer speaks in a
    /// room that it has not joined.
    Denied,
    /// The nick belongs to another session, or looks like that of another session.
    NickTaken,
    /// The given nick or room name is not valid.
    BadName,
    /// The input is longer than the limit.
    TooLong,
    /// The peer, or all peers of its address together, have asked for too much in a short time.
    RateLimited,
    /// A limit is reached, such as the number of rooms.
    Full,
    /// The server can't execute the request now. A later attempt may succeed.
    Unavailable,
}

impl Code {
    /// Returns the stable name of the code, such as `not_found`, as dialects send it to programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::UnknownCmd => "unknown_cmd",
            Self::NotFound => "not_found",
            Self::Denied => "denied",
            Self::NickTaken => "nick_taken",
            Self::BadName => "bad_name",
            Self::TooLong => "too_long",
            Self::RateLimited => "rate_limited",
            Self::Full => "full",
            Self::Unavailable => "unavailable",
        }
    }
}

impl Refusal {
    /// Creates a refusal without a hint.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
            retry_after: None,
            denied: None,
        }
    }

    /// Sets how long the peer should wait before it repeats the request.
    #[must_use]
    pub const fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Sets the hint, or removes it with `None`.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Option<Hint>>) -> Self {
        self.hint = hint.into();
        self
    }

    /// Creates the refusal of a request that names a room which does not exist, or which the peer may not see.
    #[must_use]
    pub fn no_such_room(room: &str) -> Self {
        let room = crate::text::clean(crate::text::truncate(
            room,
            crate::name::ROOM_NAME_BYTES_MAX,
        ));
        Self::new(Code::NotFound, format!("no such room: {room}")).hint(Hint::ListRooms)
    }

    /// Refuses to publish in a room that does not exist, because the peer did not ask to open it.
    pub(crate) fn missing(room: &RoomName) -> Self {
        let message = format!("no such room: {room} (nobody is in it, and nothing is kept of it)");
        Self::new(Code::NotFound, message)
    }

    /// Refuses a request for a room that the session is not in.
    pub(crate) fn not_in_room() -> Self {
        Self::new(Code::Denied, "you are not in that room: join it first")
    }

    /// Refuses a command that needs a session, because the peer has not registered.
    pub(crate) fn not_registered() -> Self {
        Self::new(Code::Denied, "you have not said who you are: do that first")
    }

    /// Refuses a position that belongs to another epoch of the room's log.
    pub(crate) fn other_epoch() -> Self {
        Self::new(
            Code::NotFound,
            "the room's log began anew since then: join again to see what there is",
        )
    }

    /// Refuses a request because the room's log can't be read. The peer is told only the part of the journal's error
    /// that is meant for peers.
    pub(crate) fn unreadable(error: &JournalError) -> Self {
        if matches!(error, JournalError::TooBroad) {
            return Self::new(Code::BadRequest, error.to_string());
        }
        let aside = error.aside();
        let message = format!("the room's log can't be read now{aside}, try again");
        Self::new(Code::Unavailable, message)
    }

    /// Returns why an input line was rejected; `None` if the line was accepted.
    pub(crate) fn of_line(rejected: &Inbound, line_bytes_max: usize) -> Option<Self> {
        match rejected {
            Inbound::Line(_) => None,
            Inbound::Oversized => Some(Self::new(
                Code::TooLong,
                format!("line too long (limit {line_bytes_max} bytes)"),
            )),
            Inbound::Unfinished => Some(Self::new(
                Code::BadRequest,
                "line dropped: its end did not come in time",
            )),
            Inbound::NotUtf8(None) => {
                Some(Self::new(Code::BadRequest, "not UTF-8: message dropped"))
            }
            Inbound::NotUtf8(Some(charset)) => Some(Self::new(
                Code::BadRequest,
                format!("not UTF-8: message dropped; send UTF-8, this looks like {charset}"),
            )),
        }
    }

    /// Creates a refusal whose message is the error and its causes, in one line.
    fn of_error(code: Code, error: &dyn Error) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        Self::new(code, crate::text::clean(&message))
    }
}

impl Refusal {
    /// Creates the refusal for the reason that the policy gave, cleaned and cut to `Limits::reason_bytes`.
    pub(crate) fn denied(reason: &str, limits: &Limits) -> Self {
        let reason = crate::text::clean(reason);
        let reason = crate::text::truncate(reason.trim(), limits.reason_bytes);
        let reason = if reason.is_empty() {
            "not allowed"
        } else {
            reason
        };
        Self::new(Code::Denied, reason)
    }

    /// Refuses a request because the policy failed or did not answer in time.
    pub(crate) fn undecided() -> Self {
        Self::new(
            Code::Unavailable,
            "whether that is allowed can't be decided now, try again",
        )
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Refusal {}

impl From<NickError> for Refusal {
    fn from(error: NickError) -> Self {
        let code = match error {
            NickError::Name(_) => Code::BadName,
            NickError::Taken(_) | NickError::LooksLike { .. } => Code::NickTaken,
            NickError::Ended => Code::Denied,
            NickError::Unavailable(_) => Code::Unavailable,
        };
        Self::of_error(code, &error)
    }
}

impl From<SessionError> for Refusal {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Nick(error) => error.into(),
            SessionError::Draining => Self::of_error(Code::Unavailable, &error),
        }
    }
}

impl From<JoinError> for Refusal {
    fn from(error: JoinError) -> Self {
        let code = match error {
            JoinError::Name(_) => Code::BadName,
            JoinError::AlreadyIn(_) | JoinError::Ended => Code::Denied,
            JoinError::TooManyRooms(_) | JoinError::TooManyOpened(_) | JoinError::Full(_) => {
                Code::Full
            }
            JoinError::Draining | JoinError::Journal(_) => Code::Unavailable,
            JoinError::Denied(denied) => return denied.into(),
        };
        match error {
            JoinError::AlreadyIn(_) => Self {
                denied: Some(Denied::Unchanged),
                ..Self::of_error(code, &error)
            },
            // The journal's error is for the operator's log, not for the peer.
            JoinError::Journal(_) => Self::new(code, error.to_string()),
            JoinError::Full(_) | JoinError::TooManyOpened(_) => {
                Self::of_error(code, &error).hint(Hint::JoinListed)
            }
            _ => Self::of_error(code, &error),
        }
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        let code = match denied {
            Denied::RoomFull(_) | Denied::ListFull(_) => Code::Full,
            Denied::TargetNotInRoom(_) => Code::NotFound,
            _ => Code::Denied,
        };
        let hint = matches!(denied, Denied::TargetNotInRoom(_)).then_some(Hint::ListMembers);
        Self {
            denied: Some(denied.clone()),
            ..Self::of_error(code, &denied).hint(hint)
        }
    }
}

impl From<KickError> for Refusal {
    fn from(error: KickError) -> Self {
        match error {
            KickError::NotInRoom => Self::not_in_room(),
            KickError::Denied(denied) => denied.into(),
        }
    }
}

impl From<InviteError> for Refusal {
    fn from(error: InviteError) -> Self {
        match error {
            InviteError::NotInRoom => Self::not_in_room(),
            InviteError::Denied(denied) => denied.into(),
            InviteError::Tell(error) => error.into(),
        }
    }
}

impl From<ModeParseError> for Refusal {
    fn from(error: ModeParseError) -> Self {
        Self::of_error(Code::BadRequest, &error)
    }
}

impl From<TellError> for Refusal {
    fn from(error: TellError) -> Self {
        let code = match error {
            TellError::NoSuchNick(_) => Code::NotFound,
            TellError::MailboxFull(_) => Code::Unavailable,
            TellError::TooLong(_) => Code::TooLong,
            TellError::Empty => Code::BadRequest,
        };
        let hint = matches!(error, TellError::NoSuchNick(_)).then_some(Hint::ListMembers);
        Self::of_error(code, &error).hint(hint)
    }
}

impl From<DisconnectError> for Refusal {
    fn from(error: DisconnectError) -> Self {
        match error {
            DisconnectError::NotOperator => Self::new(Code::Denied, error.to_string()),
            DisconnectError::NoSuchNick(error) => error.into(),
        }
    }
}

impl From<KeyError> for Refusal {
    fn from(error: KeyError) -> Self {
        Self::of_error(Code::BadRequest, &error)
    }
}

impl From<NotInRoom> for Refusal {
    fn from(_: NotInRoom) -> Self {
        Self::not_in_room()
    }
}

/// Tells the peer only the part of the journal's error that is meant for peers.
impl From<JournalError> for Refusal {
    fn from(error: JournalError) -> Self {
        Self::unreadable(&error)
    }
}

impl From<HistoryError> for Refusal {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Room(error) => error.into(),
            HistoryError::Journal(error) => error.into(),
        }
    }
}

impl From<PublishError> for Refusal {
    fn from(error: PublishError) -> Self {
        let code = match error {
            PublishError::TooLong(_) => Code::TooLong,
            PublishError::Room(error) => return (*error).into(),
            PublishError::Empty | PublishError::Key(_) => Code::BadRequest,
            PublishError::NotAMember => Code::Denied,
            PublishError::Denied(denied) => return denied.into(),
            PublishError::Draining | PublishError::Busy | PublishError::Journal(_) => {
                Code::Unavailable
            }
        };
        Self::new(code, error.to_string())
    }
}
