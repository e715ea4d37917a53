//! The trait through which hubs on several nodes share two facts: which session owns each nick, and which rooms each
//! session is in.
//!
//! Invariant: one nick, one owner. Nicks that compare equal have the same folded key, and nicks that look alike have
//! the same shape. A nick is claimed under both its key and its shape, or under neither. So no two owners have nicks
//! that compare equal or look alike.

use crate::event::{CloseReason, Direct, Profile};
use crate::log::{Account, SessionId, Timestamp, TokenDigest, UserHost};
use crate::name::{NameRules, Nick, RoomName};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Knows which session owns each nick, and which rooms each session is in, over all nodes.
///
/// A node is a hub that shares its sessions with other hubs. A hub has one roster. The default is
/// [`LocalRoster`](crate::roster::LocalRoster), which knows the sessions of its own hub only and answers at once. Test
/// an implementation of your own with `chat_testkit::conformance::roster`.
pub trait Roster: Send + Sync + 'static {
    /// Returns the incarnation of this node: a number of at most 20 bits that is a part of each [`SessionId`] of the
    /// hub. No two nodes have the same incarnation at the same time, and a node that restarts gets another incarnation.
    /// With 0, the default, the hub takes [`HubBuilder::incarnation`](crate::HubBuilder::incarnation).
    fn incarnation(&self) -> u32 {
        0
    }

    /// Gives a session a nick, in addition to the nick that the session has.
    ///
    /// The claim succeeds if the nick is free or the session has it already. It also succeeds if the owner of the nick
    /// has the same account: the two sessions then share the nick. If the claim [takes over](IfTaken::TakeOver), older
    /// sessions with the same token lose the nick in the same step, so that the nick is never free in between.
    ///
    /// If the hub drops the future of a claim, the hub [releases](Self::release) the nick afterwards.
    ///
    /// # Errors
    ///
    /// Returns an error if another session has the nick or a nick that looks like it, or if the roster can't be reached
    /// now.
    fn claim(&self, claim: NickClaim) -> impl Future<Output = Result<Claimed, NickError>> + Send;

    /// Takes a nick from a session. Does nothing if the session has already lost the nick.
    fn release(&self, who: SessionId, nick: &NickKeys);

    /// Publishes to the other nodes which nick a session has now and which rooms it is in. `Err` says that the session
    /// has ended, and why.
    fn publish(&self, who: SessionId, now: Result<SessionPresence, CloseReason>) {
        drop((who, now));
    }

    /// Returns the sessions that have the nick with this folded key, on all nodes.
    fn find(&self, key: &str) -> Vec<SessionId>;

    /// Sends a command to the node that has the session `to`. That node performs the command. Returns the nick of the
    /// session.
    ///
    /// # Errors
    ///
    /// Returns an error if the session has ended, or its node could not be asked.
    fn send(
        &self,
        to: SessionId,
        command: RosterCommand,
    ) -> impl Future<Output = Result<Nick, TellError>> + Send;

    /// Returns the events of other nodes; `None` if the sessions are not shared. The hub calls this once, when it is
    /// built.
    fn follow(&self) -> Option<BoxStream<'static, RosterEvent>> {
        None
    }
}

/// The keys by which a nick is compared.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NickKeys {
    /// The folded nick. Two nicks with the same key are the same nick.
    pub key: Arc<str>,
    /// The shape of the nick. Two nicks with the same shape look alike.
    pub shape: Arc<str>,
}

/// A session's request for a nick.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NickClaim {
    /// The session that claims the nick.
    pub who: SessionId,
    /// The nick, as the session spells it.
    pub nick: Nick,
    /// The keys by which the nick is compared.
    pub keys: NickKeys,
    /// The account of the session; `None` if it has none.
    pub account: Option<Account>,
    /// The digest of the client's token; `None` if the client has none.
    pub token: Option<TokenDigest>,
    /// What the claim does if a session with the same token has the nick.
    pub if_taken: IfTaken,
}

/// What a claim does if an earlier session of the same client has the nick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfTaken {
    /// Refuses the claim.
    Refuse,
    /// Takes the nick from older sessions with the same token. The hub ends those sessions.
    TakeOver,
}

/// The result of a successful claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The nick, in the spelling of its first owner.
    pub nick: Nick,
    /// The sessions that have lost the nick. The hub must end them.
    pub replaced: Vec<SessionId>,
}

/// The nick and the rooms of a session, and what else other nodes know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionPresence {
    /// The session's nick.
    pub nick: Nick,
    /// The session's account, its user name and host, whether it is away, and what else it shows to others.
    pub profile: Profile,
    /// The session's rooms.
    pub rooms: Vec<RoomName>,
}

/// What one node asks another node to do with a session.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RosterCommand {
    /// Delivers a direct message to the session.
    Tell(Direct),
    /// Ends the session, for this reason.
    End(CloseReason),
    /// Takes the session out of a room.
    Remove {
        /// The room.
        room: RoomName,
        /// The reason; empty if none was given.
        reason: Arc<str>,
        /// The nick of the operator of the room that takes the session out; `None` if the application does.
        by: Option<Nick>,
    },
    /// Invites the session to a room: delivers the invitation.
    Invite {
        /// The room.
        room: RoomName,
        /// The nick of the member that invites the session.
        by: Nick,
        /// The user name and the host of that member; `None` if they are unknown.
        user_host: Option<UserHost>,
        /// Whether the invitation lets the session join although the room is invite-only: the room was invite-only when
        /// an operator invited the session.
        admits: bool,
        /// The time at which the hub accepted the invitation.
        at: Timestamp,
    },
}

/// News about another node, or a command from another node.
#[derive(Debug)]
#[non_exhaustive]
pub enum RosterEvent {
    /// This session is now in these rooms, under this nick.
    Present(SessionId, SessionPresence),
    /// This session has ended, for this reason.
    Ended(SessionId, CloseReason),
    /// The node with this incarnation is gone, together with its sessions.
    NodeGone(u32),
    /// Another node asks this node to perform a command for a session.
    Command {
        /// The session, which belongs to this node.
        to: SessionId,
        /// What this node does with the session.
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
    /// Another session has the nick. The value is the nick as that session spells it.
    Taken(Nick),
    /// The requested nick looks like the nick of another session.
    LooksLike {
        /// The requested nick.
        nick: Nick,
        /// The nick that the other session has.
        taken: Nick,
    },
    /// The session has ended.
    Ended,
    /// The roster can't be reached now. The text gives the reason in a few words; peers may see it.
    Unavailable(Cow<'static, str>),
}

impl NickKeys {
    /// Creates the keys of a nick, according to these rules.
    #[must_use]
    pub fn new(names: &NameRules, nick: &Nick) -> Self {
        // Equal texts are stored once, because most nicks are their own key and their own shape.
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
    /// Creates a claim that has no account and no token, with [`IfTaken::Refuse`]. To change these values, set the
    /// fields.
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
    /// No session has this nick.
    NoSuchNick(String),
    /// [`Limits::mailbox`](crate::Limits::mailbox) messages wait for the session with this nick already.
    MailboxFull(Nick),
    /// The text is longer than the limit, which is this many bytes.
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
