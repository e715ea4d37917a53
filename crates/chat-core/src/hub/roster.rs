//! The owners of nicks and the rooms of sessions over all nodes: the port for hubs that share their sessions.
//!
//! Invariant: one nick, one owner. A nick is claimed under its folded key and under its shape, both or neither. So no
//! two owners have nicks that compare equal or look alike.

use crate::event::{CloseReason, Direct};
use crate::log::{Account, SessionId, TokenDigest};
use crate::name::{NameRules, Nick, RoomName};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Keeps the owners of nicks, and which session is in which room, over all nodes.
///
/// A hub has one roster. The default is [`LocalRoster`](crate::roster::LocalRoster), which knows this process only and
/// answers at once. To write another one, test it with `chat_testkit::conformance::roster`.
pub trait Roster: Send + Sync + 'static {
    /// Returns the incarnation of this node, at most 20 bits: a part of the id of each session of the hub. No two nodes
    /// have the same incarnation at the same time, and a node that restarts gets another one.
    fn incarnation(&self) -> u32 {
        0
    }

    /// Gives a session a nick, in addition to the one that it has.
    ///
    /// The claim succeeds if the nick is free, if the session has it already, or if its owner has the same account:
    /// then the two sessions share it. If the claim [takes over](IfTaken::TakeOver), owners with the same token lose
    /// the nick in the same step, so that it is never free in between.
    ///
    /// A hub that abandons a claim [releases](Self::release) the nick afterwards.
    ///
    /// # Errors
    ///
    /// Returns an error if another session has the nick or one that looks like it, or if the roster can't be reached
    /// now.
    fn claim(&self, claim: NickClaim) -> impl Future<Output = Result<Claimed, NickError>> + Send;

    /// Takes a nick from a session. Does nothing if the session has already lost the nick.
    fn release(&self, who: SessionId, nick: &NickKeys);

    /// Publishes to the other nodes where a session is now; `Err` if it has ended, and why.
    fn publish(&self, who: SessionId, now: Result<SessionPresence, CloseReason>) {
        drop((who, now));
    }

    /// Returns the sessions that have the nick with this folded key, on all nodes.
    fn find(&self, key: &str) -> Vec<SessionId>;

    /// Sends a command to the node of a session, which performs it. Returns the nick of the session.
    ///
    /// # Errors
    ///
    /// Returns an error if the session has ended, or its node could not be asked.
    fn send(
        &self,
        to: SessionId,
        command: RosterCommand,
    ) -> impl Future<Output = Result<Nick, TellError>> + Send;

    /// Returns the events of other nodes; `None` if there are no other nodes. Called once, when the hub is built.
    fn follow(&self) -> Option<BoxStream<'static, RosterEvent>> {
        None
    }
}

/// The keys by which a nick is compared.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NickKeys {
    /// The folded nick.
    pub key: Arc<str>,
    /// What the nick looks like.
    pub shape: Arc<str>,
}

/// A session's request for a nick.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NickClaim {
    /// The session.
    pub who: SessionId,
    /// The nick, as it is spelled.
    pub nick: Nick,
    /// The keys by which the nick is compared.
    pub keys: NickKeys,
    /// The account that the session has proved, if any.
    pub account: Option<Account>,
    /// The digest of the client's token, if it has one.
    pub token: Option<TokenDigest>,
    /// What to do if an owner with the same token has the nick.
    pub if_taken: IfTaken,
}

/// What a claim does if an earlier session of the same client has the nick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfTaken {
    /// Refuses the claim.
    Refuse,
    /// Takes the nick from owners with the same token, and ends them.
    TakeOver,
}

/// The result of a successful claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The nick, as its first owner spells it.
    pub nick: Nick,
    /// The sessions that have lost the nick and must be ended.
    pub replaced: Vec<SessionId>,
}

/// The nick and the rooms of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionPresence {
    /// The session's nick.
    pub nick: Nick,
    /// The account that the session has proved, if any.
    pub account: Option<Account>,
    /// The session's rooms.
    pub rooms: Vec<RoomName>,
}

/// What one node asks another one to do with a session.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RosterCommand {
    /// Delivers a direct message to the session.
    Tell(Direct),
    /// Ends the session.
    End(CloseReason),
    /// Takes the session out of a room.
    Remove {
        /// The room.
        room: RoomName,
        /// The reason.
        reason: Arc<str>,
    },
}

/// An event on another node.
#[derive(Debug)]
#[non_exhaustive]
pub enum RosterEvent {
    /// A session is now in these rooms, under this nick.
    Present(SessionId, SessionPresence),
    /// A session has ended.
    Ended(SessionId, CloseReason),
    /// A node is gone, together with its sessions.
    NodeGone(u32),
    /// Another node asks this one to do something with one of its sessions.
    Command {
        /// The session.
        to: SessionId,
        /// What to do.
        command: RosterCommand,
        /// Receives the nick of the session, or why the command failed.
        answer: oneshot::Sender<Result<Nick, TellError>>,
    },
}

/// Why a session can't have a nick.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NickError {
    /// The text is not a nick.
    Name(crate::name::NameError),
    /// Another session has the nick.
    Taken(Nick),
    /// The nick looks like that of another session.
    LooksLike {
        /// The requested nick.
        nick: Nick,
        /// The nick that is taken.
        taken: Nick,
    },
    /// The session has ended.
    Ended,
    /// The roster can't be reached now. The reason is short, and peers may see it.
    Unavailable(Cow<'static, str>),
}

impl NickKeys {
    /// Creates the keys of a nick, under these rules.
    #[must_use]
    pub fn new(names: &NameRules, nick: &Nick) -> Self {
        // Equal texts are stored once: most nicks are their own key and shape.
        let share = |key: String| {
            if key == nick.as_str() {
                nick.shared()
            } else {
                key.into()
            }
        };
        let key: Arc<str> = share((names.fold)(nick.as_str()));
        let shape = (names.skeleton)(nick.as_str());
        let shape = if *shape == *key {
            Arc::clone(&key)
        } else {
            share(shape)
        };
        Self { key, shape }
    }
}

impl NickClaim {
    /// Creates a claim without account and token, which takes nothing over; set the fields for that.
    #[must_use]
    pub const fn new(who: SessionId, nick: Nick, keys: NickKeys) -> Self {
        Self {
            who,
            nick,
            keys,
            account: None,
            token: None,
            if_taken: IfTaken::Refuse,
        }
    }
}

impl fmt::Display for NickError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(_) => f.write_str("that can't be a nick"),
            Self::Ended => f.write_str("the session has ended"),
            Self::Taken(nick) => write!(f, "{nick} is taken: choose another nick"),
            Self::LooksLike { nick, taken } => {
                write!(
                    f,
                    "{nick} looks like {taken}, which is taken: choose another nick"
                )
            }
            Self::Unavailable(reason) => {
                let reason = crate::text::clean(reason);
                write!(f, "nicks can't be claimed now ({reason}), try again")
            }
        }
    }
}

impl std::error::Error for NickError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Name(source) => Some(source),
            _ => None,
        }
    }
}

/// Why a direct message was not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TellError {
    /// No session has that nick.
    NoSuchNick(String),
    /// Too many messages wait for that session already.
    MailboxFull(Nick),
    /// The text is longer than this many bytes.
    TooLong(usize),
    /// The text has no visible characters.
    Empty,
}

impl fmt::Display for TellError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchNick(nick) => write!(f, "nobody here is called {nick}"),
            Self::MailboxFull(nick) => {
                write!(f, "{nick} is not reading: not delivered, try again later")
            }
            Self::Empty => f.write_str("nothing visible to say"),
            Self::TooLong(limit) => write!(f, "message too long (limit {limit} bytes)"),
        }
    }
}

impl std::error::Error for TellError {}

impl TellError {
    /// Creates the error for a nick that a peer has typed and no session has.
    pub(crate) fn no_such_nick(typed: &str) -> Self {
        Self::NoSuchNick(crate::text::clean(crate::text::truncate(typed, 64)).into_owned())
    }
}

/// A [`Roster`] behind dynamic dispatch, so that the hub carries no type parameter.
pub(crate) trait DynRoster: Send + Sync {
    fn incarnation(&self) -> u32;
    fn claim(&self, claim: NickClaim) -> BoxFuture<'_, Result<Claimed, NickError>>;
    fn release(&self, who: SessionId, nick: &NickKeys);
    fn publish(&self, who: SessionId, now: Result<SessionPresence, CloseReason>);
    fn find(&self, key: &str) -> Vec<SessionId>;
    fn send(&self, to: SessionId, command: RosterCommand)
    -> BoxFuture<'_, Result<Nick, TellError>>;
    fn follow(&self) -> Option<BoxStream<'static, RosterEvent>>;
}

impl<R: Roster> DynRoster for R {
    fn incarnation(&self) -> u32 {
        Roster::incarnation(self)
    }

    fn claim(&self, claim: NickClaim) -> BoxFuture<'_, Result<Claimed, NickError>> {
        Box::pin(Roster::claim(self, claim))
    }

    fn release(&self, who: SessionId, nick: &NickKeys) {
        Roster::release(self, who, nick);
    }

    fn publish(&self, who: SessionId, now: Result<SessionPresence, CloseReason>) {
        Roster::publish(self, who, now);
    }

    fn find(&self, key: &str) -> Vec<SessionId> {
        Roster::find(self, key)
    }

    fn send(
        &self,
        to: SessionId,
        command: RosterCommand,
    ) -> BoxFuture<'_, Result<Nick, TellError>> {
        Box::pin(Roster::send(self, to, command))
    }

    fn follow(&self) -> Option<BoxStream<'static, RosterEvent>> {
        Roster::follow(self)
    }
}
