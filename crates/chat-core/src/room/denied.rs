//! Why a room does not let a session do something.

use crate::name::Nick;
use std::fmt;
use std::num::NonZeroU32;

/// Why a room refuses a session, according to the room's modes and the session's role.
///
/// A dialect translates the reason into its own terms, such as the numerics of IRC. It finds the reason in
/// [`Refusal::denied`](field@crate::protocol::Refusal::denied).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Denied {
    /// The room is invite-only, and the session was not invited.
    InviteOnly,
    /// A mask of the room's bans stands for the session, which wants to join.
    Banned,
    /// The room has a key, and the session named none or another one.
    BadKey,
    /// The room has this many members, which is its limit.
    RoomFull(NonZeroU32),
    /// The room is moderated, and the session has no role in it.
    Moderated,
    /// A mask of the room's bans or quiets stands for the session, which wants to speak.
    Quieted,
    /// The session is not in the room, and the room accepts messages from its members only.
    NoExternal,
    /// Only operators set the topic of the room.
    TopicLocked,
    /// The request needs the role of an operator.
    NotOperator,
    /// The request needs the role of an owner.
    NotOwner,
    /// The member has a higher role than the session.
    OutranksYou(Nick),
    /// No session with this nick is in the room.
    TargetNotInRoom(String),
    /// The invited session is in the room already.
    AlreadyInRoom(Nick),
    /// The list has this many entries, which is the limit.
    ListFull(usize),
    /// The room has these modes already, or the session is in the room already, so the request would change nothing.
    Unchanged,
}

impl Denied {
    pub(crate) fn target_not_in_room(typed: &str) -> Self {
        let nick = crate::text::clean(crate::text::truncate(typed, 64));
        Self::TargetNotInRoom(nick.into_owned())
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InviteOnly => f.write_str("that room is invite-only, and you are not invited"),
            Self::Banned => f.write_str("you are banned from that room"),
            Self::BadKey => f.write_str("that room has a key: name the right one to join"),
            Self::RoomFull(limit) => write!(f, "that room is full: its limit is {limit} members"),
            Self::Moderated => {
                f.write_str("not delivered: the room is moderated, and you have no voice")
            }
            Self::Quieted => f.write_str("not delivered: you may not speak in that room"),
            Self::NoExternal => f.write_str(
                "not delivered: that room accepts messages from its members only: join it first",
            ),
            Self::TopicLocked => f.write_str("only operators of the room set its topic"),
            Self::NotOperator => f.write_str("only operators of the room may do that"),
            Self::NotOwner => f.write_str("only owners of the room may do that"),
            Self::OutranksYou(nick) => write!(f, "{nick} has a higher role than you"),
            Self::TargetNotInRoom(nick) => write!(f, "{nick} is not in that room"),
            Self::AlreadyInRoom(nick) => write!(f, "{nick} is in that room already"),
            Self::ListFull(limit) => {
                write!(
                    f,
                    "the list is full: it has {limit} entries, remove one first"
                )
            }
            Self::Unchanged => f.write_str("nothing to change: it is so already"),
        }
    }
}

impl std::error::Error for Denied {}
