//! Deciding what peers may do, before the hub acts.
//!
//! Invariant: a policy can only refuse or change a request, and can delay only the peer that the request comes from. A
//! policy that panics or does not answer in time refuses.

use crate::log::{Account, Kind, SessionId};
use crate::name::Nick;
use crate::peer::Peer;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::fmt;
use std::future::{Future, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Decides what peers over a connection may do; install it with [`HubBuilder::policy`](crate::HubBuilder::policy).
///
/// Several policies may be installed. They are asked in the order of their installation. The first one that refuses
/// decides. If one changes the request, the next one is asked about the changed request.
///
/// Each question has a default answer: [`Decision::Allow`]. The hub asks when a request is well-formed and before it
/// acts on it. What [`Decision::Change`] holds is checked like a peer's input. Sessions in process belong to the
/// program and are never asked about.
///
/// # Overload
///
/// A peer's next command waits for the answer to the previous one. No other peer waits, and the peer continues to
/// receive what its rooms deliver. A policy that panics, or does not answer within
/// [`Limits::policy_timeout`](crate::Limits), refuses; this is logged once a second at most. A future that blocks its
/// thread can't be interrupted: it occupies a worker of the runtime.
///
/// # Cancel safety
///
/// A future is dropped when it times out or its peer's session ends. It must not leave anything half done.
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
    /// Decides whether the peer may connect. A change is the nick that it gets.
    ///
    /// `nick` is the nick that the peer asks for, if its dialect sends it in the first line. A peer that was greeted as
    /// a person and then turns out to be a program is asked about again. A peer that is refused receives the reason and
    /// is disconnected.
    fn connect(&self, who: &Visitor, nick: Option<&str>) -> impl Future<Output = Decision> + Send {
        let _ = (who, nick);
        ready(Decision::Allow)
    }

    /// Decides whether the peer may join this room. A change is the room that it joins instead.
    ///
    /// Also asked before the peer publishes in a room that it is not in
    /// ([`Command::Publish`](crate::protocol::Command::Publish)). Then [`say`](Self::say) is asked next.
    fn join(&self, who: &Visitor, room: &str) -> impl Future<Output = Decision> + Send {
        let _ = (who, room);
        ready(Decision::Allow)
    }

    /// Decides whether the peer may say this in a room ([`Kind::Said`], [`Kind::Acted`] or [`Kind::Notice`]). A change
    /// is the text.
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

    /// Decides whether the peer may send this direct message. A change is the text.
    fn tell(&self, who: &Visitor, to: &str, text: &str) -> impl Future<Output = Decision> + Send {
        let _ = (who, to, text);
        ready(Decision::Allow)
    }

    /// Decides whether the peer may take this nick. A change is the nick that it gets.
    fn rename(&self, who: &Visitor, nick: &str) -> impl Future<Output = Decision> + Send {
        let _ = (who, nick);
        ready(Decision::Allow)
    }

    /// Decides whether the peer may set this topic, or remove it if the text is empty. A change is the text.
    fn set_topic(
        &self,
        who: &Visitor,
        room: &str,
        text: &str,
    ) -> impl Future<Output = Decision> + Send {
        let _ = (who, room, text);
        ready(Decision::Allow)
    }

    /// Returns whether the peer may see that this room exists: in a list of rooms, its members, its topic. For a room
    /// that it may not see, the peer gets the same answers as for a room that does not exist.
    ///
    /// Called for many rooms at once and not async: answer from memory. A session sees the rooms that it is in,
    /// whatever the answer. A peer that may not join a room may still see it, unless this returns `false`.
    fn may_see(&self, who: &Visitor, room: &str) -> bool {
        let _ = (who, room);
        true
    }

    /// Returns whether the peer may see the names of this room's members: in answers that list members, and when it
    /// joins. Otherwise it only learns how many members there are. Messages and presence still name their authors.
    ///
    /// Called while an answer is written and not async: answer from memory.
    fn may_see_members(&self, who: &Visitor, room: &str) -> bool {
        let _ = (who, room);
        true
    }

    /// Decides whether the peer may read the history of this room, on request and when it joins. A change has no
    /// effect. A peer that may join but not read the history joins without it; if it named a position, a gap is
    /// reported.
    fn history(&self, who: &Visitor, room: &str) -> impl Future<Output = Decision> + Send {
        let _ = (who, room);
        ready(Decision::Allow)
    }

    /// Decides whether the peer may search this room. A change is the text that is searched for.
    fn search(
        &self,
        who: &Visitor,
        room: &str,
        text: &str,
    ) -> impl Future<Output = Decision> + Send {
        let _ = (who, room, text);
        ready(Decision::Allow)
    }

    /// Decides whether the peer may leave with this reason, which its rooms see. A change is the reason. If refused,
    /// the peer leaves without a reason.
    fn quit(&self, who: &Visitor, reason: &str) -> impl Future<Output = Decision> + Send {
        let _ = (who, reason);
        ready(Decision::Allow)
    }
}

/// The peer that a request comes from.
///
/// Policies receive the folded names of rooms ([`NameRules`](crate::name::NameRules)). Compare them with lower-case
/// names, so that no spelling bypasses a rule.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Visitor {
    /// What the program knows of the peer.
    pub peer: Arc<Peer>,
    /// The peer's dialect: `plain`, `json`.
    pub dialect: &'static str,
    /// The account that the peer has proved; `None` if it is unknown.
    pub account: Option<Account>,
    /// The peer's session; `None` before it is admitted.
    pub session: Option<SessionId>,
    /// The peer's nick; `None` before it is admitted.
    pub nick: Option<Nick>,
}

/// The answer of a [`Policy`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// Allows the request as it is.
    Allow,
    /// Allows the request with this in place of what was asked for.
    Change(String),
    /// Refuses the request, with a text for the peer: what was wrong and what to do. Control characters are removed.
    Refuse(String),
}

impl Decision {
    /// Refuses with this reason.
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
}

impl<'a> Question<'a> {
    /// The same question about what a policy has changed it to. A question that has no change stays as it is.
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
            Self::History { room } => Self::History { room },
            Self::Search { room, .. } => Self::Search { room, text: to },
            Self::Quit { .. } => Self::Quit { reason: to },
        }
    }
}

/// A [`Policy`] behind dynamic dispatch.
pub(crate) trait DynPolicy: Send + Sync {
    /// Returns `None` if the policy panicked.
    fn decide<'a>(
        self: Arc<Self>,
        who: Visitor,
        question: Question<'a>,
    ) -> BoxFuture<'a, Option<Decision>>;

    /// Returns `None` if the policy panicked.
    fn may_see(&self, who: &Visitor, room: &str) -> Option<bool>;

    /// Returns `None` if the policy panicked.
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
    /// Whether all policies answer yes. Stops at the first that does not.
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
                Question::History { room } => self.history(&who, room).await,
                Question::Search { room, text } => self.search(&who, room, text).await,
                Question::Quit { reason } => self.quit(&who, reason).await,
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
