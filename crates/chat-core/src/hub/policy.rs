//! Deciding what peers may do, before the hub acts.
//!
//! Invariant: a policy can only refuse or change a request, and can delay only the peer that sent the request. If the
//! policy panics or does not answer in time, the request is refused.

use crate::log::{Account, Kind, SessionId};
use crate::name::Nick;
use crate::peer::Peer;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::fmt;
use std::future::{Future, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Decides what peers over a connection, and [guests](crate::Guest), may do. Install a policy with
/// [`HubBuilder::policy`](crate::HubBuilder::policy).
///
/// Several policies may be installed. The hub asks them in the order in which they were installed. If a policy refuses,
/// the request is refused and no further policy is asked. If a policy changes the request, the next policy is asked
/// about the changed request.
///
/// Each method has a default, which allows the request. The hub checks that a request is well-formed, asks the policy,
/// and then acts. The text of a [`Decision::Change`] is checked in the same way as a peer's input. The hub does not ask
/// about the requests of sessions in process, because these belong to the program.
///
/// # Overload
///
/// The peer's next command waits until the policy has answered. No other peer waits, and the peer continues to receive
/// what its rooms deliver. If a policy panics, or does not answer within
/// [`Limits::policy_timeout`](crate::Limits::policy_timeout), the request is refused, and the failure is logged once a
/// second at most. A future that blocks its thread can't be interrupted: it occupies a worker of the runtime.
///
/// # Cancel safety
///
/// A future is dropped when it times out or its peer's session ends. The future must not leave anything half done.
///
/// # Examples
///
/// ```
/// use chat_core::policy::{Decision, Policy, Visitor};
/// use chat_core::{Hub, Kind};
///
/// struct Quiet;
///
/// impl Policy for Quiet {
///     async fn say(&self, _who: &Visitor, room: &str, _kind: Kind, text: &str) -> Decision {
///         match room {
///             "news" => Decision::refuse("only the newsroom speaks here"),
///             _ => Decision::Change(text.to_lowercase()),
///         }
///     }
/// }
///
/// let hub = Hub::builder().policy(Quiet).build();
/// ```
pub trait Policy: Send + Sync + 'static {
    /// Decides whether the peer may connect. [`Decision::Change`] gives the peer another nick.
    ///
    /// `nick` is the nick that the peer asks for, if the peer's dialect sends a nick in the first line. If the server
    /// greets a peer as a person and then recognises a program, the policy is asked a second time. A peer that is
    /// refused receives the reason and is disconnected.
    fn connect(&self, who: &Visitor, nick: Option<&str>) -> impl Future<Output = Decision> + Send {
        let _ = (who, nick);
        ready(Decision::Allow)
    }

    /// Decides whether the peer may join this room. With [`Decision::Change`], the peer joins another room instead.
    ///
    /// The hub also calls this method before the peer publishes in a room that it is not in
    /// ([`Command::Publish`](crate::protocol::Command::Publish)). If the answer allows the join, the hub then calls
    /// [`say`](Self::say).
    fn join(&self, who: &Visitor, room: &str) -> impl Future<Output = Decision> + Send {
        let _ = (who, room);
        ready(Decision::Allow)
    }

    /// Decides whether the peer may publish this text in a room, as a message of [`Kind::Said`], [`Kind::Acted`] or
    /// [`Kind::Notice`]. [`Decision::Change`] replaces the text.
    fn say(
        &self,
        who: &Visitor,
        room: &str,
        kind: Kind,
        text: &str,
    ) -> impl Future<Output = Decision> + Send {
        let _ = (who, room, kind, text);
        ready(Decision::Allow)
    }

    /// Decides whether the peer may send this direct message to the nick `to`. [`Decision::Change`] replaces the text.
    fn tell(&self, who: &Visitor, to: &str, text: &str) -> impl Future<Output = Decision> + Send {
        let _ = (who, to, text);
        ready(Decision::Allow)
    }

    /// Decides whether the peer may take this nick. With [`Decision::Change`], the peer takes another nick instead.
    fn rename(&self, who: &Visitor, nick: &str) -> impl Future<Output = Decision> + Send {
        let _ = (who, nick);
        ready(Decision::Allow)
    }

    /// Decides whether the peer may set the room's topic to this text. An empty text removes the topic.
    /// [`Decision::Change`] replaces the text.
    fn set_topic(
        &self,
        who: &Visitor,
        room: &str,
        text: &str,
    ) -> impl Future<Output = Decision> + Send {
        let _ = (who, room, text);
        ready(Decision::Allow)
    }

    /// Decides whether the peer may make these changes of the room's modes; [`ModeChange`](crate::rooms::ModeChange) has
    /// their grammar. They may set the key of the room, and hold texts that all members see. [`Decision::Change`] has no
    /// effect. The room decides afterwards whether the peer has the role for them.
    fn set_modes(
        &self,
        who: &Visitor,
        room: &str,
        changes: &str,
    ) -> impl Future<Output = Decision> + Send {
        let _ = (who, room, changes);
        ready(Decision::Allow)
    }

    /// Decides whether the peer may take the sessions with this nick out of the room, for this reason, which the members
    /// see. [`Decision::Change`] replaces the reason. The room decides afterwards whether the peer has the role for it.
    fn kick(
        &self,
        who: &Visitor,
        room: &str,
        nick: &str,
        reason: &str,
    ) -> impl Future<Output = Decision> + Send {
        let _ = (who, room, nick, reason);
        ready(Decision::Allow)
    }

    /// Decides whether the peer may invite the sessions with this nick to the room. [`Decision::Change`] has no effect.
    fn invite(
        &self,
        who: &Visitor,
        room: &str,
        nick: &str,
    ) -> impl Future<Output = Decision> + Send {
        let _ = (who, room, nick);
        ready(Decision::Allow)
    }

    /// Returns whether the peer may learn that this room exists. If not, lists of rooms do not name the room, and a
    /// request for its members or its topic is answered as if the room did not exist.
    ///
    /// The hub calls this method for many rooms at once, and it is not async: an implementation must answer from
    /// memory. A session sees the rooms that it is in, whatever this method returns. A peer sees a room that
    /// [`join`](Self::join) would refuse, unless this method returns `false`.
    fn may_see(&self, who: &Visitor, room: &str) -> bool {
        let _ = (who, room);
        true
    }

    /// Returns whether the peer may see the names of this room's members: in answers that list members, and when the
    /// peer joins. If not, the peer only learns how many members there are, and what is known of a member names the room
    /// only to a peer that is in the room. Messages and changes of presence still show nicks.
    ///
    /// No policy covers whether a nick is online: [`Command::Online`](crate::protocol::Command::Online),
    /// [`Command::Watch`](crate::protocol::Command::Watch) and [`Command::Whowas`](crate::protocol::Command::Whowas)
    /// answer every peer that has a session.
    ///
    /// The hub calls this method while it writes an answer, and it is not async: an implementation must answer from
    /// memory.
    fn may_see_members(&self, who: &Visitor, room: &str) -> bool {
        let _ = (who, room);
        true
    }

    /// Decides whether the peer may read the history of this room. The hub asks when the peer requests history, and
    /// when the peer joins the room.
    ///
    /// [`Decision::Change`] has no effect. A peer that may join but not read the history receives no earlier messages
    /// when it joins. If its join request names a position, the messages after that position are reported as a gap.
    fn history(&self, who: &Visitor, room: &str) -> impl Future<Output = Decision> + Send {
        let _ = (who, room);
        ready(Decision::Allow)
    }

    /// Decides whether the peer may search this room for this text. [`Decision::Change`] replaces the text.
    fn search(
        &self,
        who: &Visitor,
        room: &str,
        text: &str,
    ) -> impl Future<Output = Decision> + Send {
        let _ = (who, room, text);
        ready(Decision::Allow)
    }

    /// Decides whether the peer may give this reason when it ends its session. The members of its rooms see the reason.
    /// [`Decision::Change`] replaces the reason. With [`Decision::Refuse`], the session ends without a reason.
    fn quit(&self, who: &Visitor, reason: &str) -> impl Future<Output = Decision> + Send {
        let _ = (who, reason);
        ready(Decision::Allow)
    }

    /// Decides whether the peer may leave this message for others while it is away. [`Decision::Change`] replaces the
    /// message. The hub does not ask when the peer comes back.
    fn set_away(&self, who: &Visitor, message: &str) -> impl Future<Output = Decision> + Send {
        let _ = (who, message);
        ready(Decision::Allow)
    }

    /// Decides whether the peer may have this real name, which may be empty. [`Decision::Change`] replaces the name. The
    /// peer may set it before it is admitted.
    fn set_real_name(&self, who: &Visitor, name: &str) -> impl Future<Output = Decision> + Send {
        let _ = (who, name);
        ready(Decision::Allow)
    }
}

/// The peer that a request comes from.
///
/// The methods of a policy receive the names of rooms in folded form ([`NameRules`](crate::name::NameRules)). A rule
/// should compare a folded name with a name in lower case, so that no spelling bypasses the rule.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Visitor {
    /// What the program knows of the peer.
    pub peer: Arc<Peer>,
    /// The name of the peer's dialect, such as `plain` or `json`.
    pub dialect: &'static str,
    /// The account that the peer has proved; `None` if the peer has proved none.
    pub account: Option<Account>,
    /// The peer's session; `None` before the peer is admitted, and if the peer is a [`Guest`](crate::Guest).
    pub session: Option<SessionId>,
    /// The peer's nick; `None` before the peer is admitted. A [`Guest`](crate::Guest) has a nick only while it
    /// publishes.
    pub nick: Option<Nick>,
    /// Whether the peer's session is a server operator.
    pub is_operator: bool,
}

/// The answer of a [`Policy`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// Allows the request unchanged.
    Allow,
    /// Allows a changed request. The string replaces the nick, the room or the text that the peer asked for. The
    /// documentation of each method of [`Policy`] says which of them the string replaces.
    Change(String),
    /// Refuses the request. The peer receives the text, which should say what was wrong and what the peer can do.
    /// Control characters are removed from the text.
    Refuse(String),
}

impl Decision {
    /// Refuses the request with this reason.
    #[must_use]
    pub fn refuse(reason: impl Into<String>) -> Self {
        Self::Refuse(reason.into())
    }
}

/// A question to a policy.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Question<'a> {
    Connect {
        nick: Option<&'a str>,
    },
    Join {
        room: &'a str,
    },
    Say {
        room: &'a str,
        kind: Kind,
        text: &'a str,
    },
    Tell {
        to: &'a str,
        text: &'a str,
    },
    Rename {
        nick: &'a str,
    },
    SetTopic {
        room: &'a str,
        text: &'a str,
    },
    SetModes {
        room: &'a str,
        changes: &'a str,
    },
    Kick {
        room: &'a str,
        nick: &'a str,
        reason: &'a str,
    },
    Invite {
        room: &'a str,
        nick: &'a str,
    },
    History {
        room: &'a str,
    },
    Search {
        room: &'a str,
        text: &'a str,
    },
    Quit {
        reason: &'a str,
    },
    Away {
        message: &'a str,
    },
    RealName {
        name: &'a str,
    },
}

impl<'a> Question<'a> {
    /// Returns the question with `to` in place of the part that a policy may change. A question that can't be changed
    /// stays as it is.
    fn changed(self, to: &'a str) -> Self {
        match self {
            Self::Connect { .. } => Self::Connect { nick: Some(to) },
            Self::Join { .. } => Self::Join { room: to },
            Self::Say { room, kind, .. } => Self::Say {
                room,
                kind,
                text: to,
            },
            Self::Tell { to: nick, .. } => Self::Tell { to: nick, text: to },
            Self::Rename { .. } => Self::Rename { nick: to },
            Self::SetTopic { room, .. } => Self::SetTopic { room, text: to },
            Self::SetModes { .. } | Self::Invite { .. } | Self::History { .. } => self,
            Self::Kick { room, nick, .. } => Self::Kick {
                room,
                nick,
                reason: to,
            },
            Self::Search { room, .. } => Self::Search { room, text: to },
            Self::Quit { .. } => Self::Quit { reason: to },
            Self::Away { .. } => Self::Away { message: to },
            Self::RealName { .. } => Self::RealName { name: to },
        }
    }
}

/// A [`Policy`] behind dynamic dispatch.
pub(crate) trait DynPolicy: Send + Sync {
    /// Asks the policy a question. Returns `None` if the policy panicked.
    fn decide<'a>(
        self: Arc<Self>,
        who: Visitor,
        question: Question<'a>,
    ) -> BoxFuture<'a, Option<Decision>>;

    /// Returns whether the visitor may see the room; `None` if the policy panicked.
    fn may_see(&self, who: &Visitor, room: &str) -> Option<bool>;

    /// Returns whether the visitor may see the names of the room's members; `None` if the policy panicked.
    fn may_see_members(&self, who: &Visitor, room: &str) -> Option<bool>;
}

/// Several policies, asked one after the other.
pub(crate) struct InOrder {
    pub(crate) policies: Vec<Arc<dyn DynPolicy>>,
    pub(crate) fold: fn(&str) -> String,
}

impl DynPolicy for InOrder {
    fn decide<'a>(
        self: Arc<Self>,
        who: Visitor,
        question: Question<'a>,
    ) -> BoxFuture<'a, Option<Decision>> {
        Box::pin(async move {
            let mut changed: Option<String> = None;
            for policy in &self.policies {
                let question = changed
                    .as_deref()
                    .map_or(question, |to| question.changed(to));
                match Arc::clone(policy).decide(who.clone(), question).await? {
                    Decision::Allow => {}
                    // Policies receive the folded names of rooms.
                    Decision::Change(to) if matches!(question, Question::Join { .. }) => {
                        changed = Some((self.fold)(&to));
                    }
                    Decision::Change(to) => changed = Some(to),
                    refused @ Decision::Refuse(_) => return Some(refused),
                }
            }
            Some(changed.map_or(Decision::Allow, Decision::Change))
        })
    }

    fn may_see(&self, who: &Visitor, room: &str) -> Option<bool> {
        self.all(|policy| policy.may_see(who, room))
    }

    fn may_see_members(&self, who: &Visitor, room: &str) -> Option<bool> {
        self.all(|policy| policy.may_see_members(who, room))
    }
}

impl InOrder {
    /// Returns whether all policies answer yes. Stops at the first policy that does not.
    fn all(&self, ask: impl Fn(&dyn DynPolicy) -> Option<bool>) -> Option<bool> {
        for policy in &self.policies {
            if !ask(policy.as_ref())? {
                return Some(false);
            }
        }
        Some(true)
    }
}

impl<P: Policy> DynPolicy for P {
    fn decide<'a>(
        self: Arc<Self>,
        who: Visitor,
        question: Question<'a>,
    ) -> BoxFuture<'a, Option<Decision>> {
        let decision = async move {
            match question {
                Question::Connect { nick } => self.connect(&who, nick).await,
                Question::Join { room } => self.join(&who, room).await,
                Question::Say { room, kind, text } => self.say(&who, room, kind, text).await,
                Question::Tell { to, text } => self.tell(&who, to, text).await,
                Question::Rename { nick } => self.rename(&who, nick).await,
                Question::SetTopic { room, text } => self.set_topic(&who, room, text).await,
                Question::SetModes { room, changes } => self.set_modes(&who, room, changes).await,
                Question::Kick { room, nick, reason } => self.kick(&who, room, nick, reason).await,
                Question::Invite { room, nick } => self.invite(&who, room, nick).await,
                Question::History { room } => self.history(&who, room).await,
                Question::Search { room, text } => self.search(&who, room, text).await,
                Question::Quit { reason } => self.quit(&who, reason).await,
                Question::Away { message } => self.set_away(&who, message).await,
                Question::RealName { name } => self.set_real_name(&who, name).await,
            }
        };
        Box::pin(AssertUnwindSafe(decision).catch_unwind().map(Result::ok))
    }

    fn may_see(&self, who: &Visitor, room: &str) -> Option<bool> {
        catch_unwind(AssertUnwindSafe(|| Policy::may_see(self, who, room))).ok()
    }

    fn may_see_members(&self, who: &Visitor, room: &str) -> Option<bool> {
        catch_unwind(AssertUnwindSafe(|| {
            Policy::may_see_members(self, who, room)
        }))
        .ok()
    }
}

impl fmt::Debug for dyn DynPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Policy")
    }
}
