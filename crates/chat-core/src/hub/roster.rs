//! Who owns which nick and who is where, over all nodes: the seam for hubs that share their sessions.
//!
//! Invariant: one nick, one owner. A nick is claimed under its folded key and under its shape, both or neither, so
//! that no two owners have nicks that compare equal or look alike.

use crate::event::{CloseReason, Direct};
use crate::log::{Account, SessionId, TokenDigest};
use crate::name::{NameRules, Nick, RoomName};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use tokio::sync::oneshot;

/// The owners of nicks, and who is in which room, over all nodes.
///
/// A hub has one; [`LocalRoster`](crate::roster::LocalRoster) by default, which knows this process alone and answers at
/// once. To write another one, run it through `chat_testkit::conformance::roster`.
pub trait Roster: Send + Sync + 'static {
    /// Which life of which node this is, at most 20 bits: a part of the id of each session of the hub. No two nodes have
    /// the same at the same time, and one that comes back has another.
    fn incarnation(&self) -> u32 {
        0
    }

    /// Gives a session a nick, besides the one that it has.
    ///
    /// The nick is free, or is the session's own, or its owner has the same account: then the two share it. If the claim
    /// [takes over](IfTaken::TakeOver), owners with the same token lose it in the same step: it is never free in between.
    ///
    /// A hub that gives up on a claim [releases](Self::release) the nick afterwards.
    ///
    /// # Errors
    ///
    /// Another session has the nick, or one that looks like it; or the roster can't be reached now.
    fn claim(&self, claim: NickClaim) -> impl Future<Output = Result<Claimed, NickError>> + Send;

    /// Takes a nick from a session; nothing if it has lost the nick already.
    fn release(&self, who: SessionId, nick: &NickKeys);

    /// Publishes where a session is now, for the other nodes; `None` when it has ended, and why.
    fn publish(&self, who: SessionId, now: Result<SessionPresence, CloseReason>) {
        drop((who, now));
    }

    /// The sessions that have the nick with this folded key, on whichever node.
    fn find(&self, key: &str) -> Vec<SessionId>;

    /// Has another node do something with one of its sessions; gives back the nick that the session has.
    ///
    /// # Errors
    ///
    /// The session is gone, or could not be asked.
    fn send(
        &self,
        to: SessionId,
        command: RosterCommand,
    ) -> impl Future<Output = Result<Nick, TellError>> + Send;

    /// What happens on other nodes. `None` if there are none. Asked once, when the hub has its first session.
    fn follow(&self) -> Option<BoxStream<'static, RosterEvent>> {
        None
    }
}

/// What a nick is compared by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NickKeys {
    /// The nick, folded.
    pub key: Arc<str>,
    /// What the nick looks like.
    pub shape: Arc<str>,
}

/// A session asks for a nick.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NickClaim {
    /// The session.
    pub who: SessionId,
    /// The nick, as it is spelled.
    pub nick: Nick,
    /// What the nick is compared by.
    pub keys: NickKeys,
    /// Who the session provably is.
    pub account: Option<Account>,
    /// By what its client is known again.
    pub token: Option<TokenDigest>,
    /// What to do about an owner with the same token.
    pub if_taken: IfTaken,
}

/// What a claim does about an earlier session of the same client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfTaken {
    /// The claim is refused.
    Refuse,
    /// The nick is taken from owners with the same token, which are ended.
    TakeOver,
}

/// A session has a nick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The nick, as its first owner spells it.
    pub nick: Nick,
    /// The sessions that have lost it, to be ended.
    pub replaced: Vec<SessionId>,
}

/// Where a session is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionPresence {
    /// Its nick.
    pub nick: Nick,
    /// Who it provably is.
    pub account: Option<Account>,
    /// Its rooms.
    pub rooms: Vec<RoomName>,
}

/// What one node has another one do with a session.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RosterCommand {
    /// Deliver a message to it alone.
    Tell(Direct),
    /// End it.
    End(CloseReason),
    /// Take it out of a room.
    Remove {
        /// Which room.
        room: RoomName,
        /// Why.
        reason: Arc<str>,
    },
}

/// What happened on another node.
#[derive(Debug)]
#[non_exhaustive]
pub enum RosterEvent {
    /// A session is in these rooms now, under this nick.
    Present(SessionId, SessionPresence),
    /// A session has ended.
    Ended(SessionId, CloseReason),
    /// A node is gone, and its sessions with it.
    NodeGone(u32),
    /// Another node has this one do something with one of its sessions.
    Command {
        /// The session.
        to: SessionId,
        /// What is to be done.
        command: RosterCommand,
        /// Takes the nick that the session has, or why it could not be done.
        answer: oneshot::Sender<Result<Nick, TellError>>,
    },
}

/// Why a session can't have a nick.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NickError {
    /// It is no name.
    Name(crate::name::NameError),
    /// Another session has it.
    Taken(Nick),
    /// A reader could not tell it from the nick of another session.
    LooksLike {
        /// The nick that was asked for.
        nick: Nick,
        /// The nick that is taken.
        taken: Nick,
    },
    /// The session has ended: it has no nick any more.
    Ended,
    /// The roster can't be reached now: why, in a few words that peers may be told.
    Unavailable(Cow<'static, str>),
}

impl NickKeys {
    /// What a nick is compared by, under these rules.
    #[must_use]
    pub fn new(names: &NameRules, nick: &Nick) -> Self {
        // The same text is kept once: most nicks are their own key and shape.
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
    /// Creates a claim of a session without account and token, which takes nothing over; set the fields for that.
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
    /// Nobody has that nick.
    NoSuchNick(String),
    /// Too much waits for that session already.
    MailboxFull(Nick),
    /// The text is longer than this many bytes.
    TooLong(usize),
    /// Nothing visible is left of the text.
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
    /// Nobody has this nick, which a peer has typed.
    pub(crate) fn no_such_nick(typed: &str) -> Self {
        Self::NoSuchNick(crate::text::clean(crate::text::truncate(typed, 64)).into_owned())
    }
}

/// A [`Roster`] whose type is forgotten, so that the hub carries no type parameter.
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
