//! What the application lets peers do: asked before the hub acts.
//!
//! Invariant: a policy can only refuse or change; it can't hold up anybody but the peer that it is asked about. One
//! that panics, or has not answered in time, refuses.

use crate::log::{Account, Kind, SessionId};
use crate::name::Nick;
use crate::peer::Peer;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::fmt;
use std::future::{Future, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Decides what peers over a wire may do; install it with [`HubBuilder::policy`](crate::HubBuilder::policy).
///
/// Several policies may be installed. They are asked in that order: the first one that refuses decides, and what one puts in
/// place of the request is what the next one is asked about.
///
/// Each question has an answer by default: [`Decision::Allow`]. A question is asked when the request is well-formed
/// and before the hub does anything about it; what [`Decision::Change`] puts in its place is checked like what a peer
/// sends. Sessions in process are the program's own: for them nobody is asked.
///
/// # Overload
///
/// A peer's next command waits for the answer to the one before; nobody else does, and what its rooms say goes on
/// being delivered to it. A policy that has not answered within [`Limits::policy_timeout`](crate::Limits) or panics
/// has refused, which is logged once a second at most. A future that blocks its thread instead of waiting can't be
/// helped: it stops a worker of the runtime.
///
/// # Cancel safety
///
/// A future is dropped when its time is over, or its peer's session ends: it must not leave anything half done.
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
    /// May it come in? A change is the nick that it gets.
    ///
    /// `nick` is the one that it asks for, if its dialect asks with the first line. A peer that was greeted as a
    /// person, and then turns out to be a program, is asked about again. One that is refused is told why and
    /// disconnected.
    fn connect(&self, who: &Visitor, nick: Option<&str>) -> impl Future<Output = Decision> + Send {
        let _ = (who, nick);
        ready(Decision::Allow)
    }

    /// May it join this room? A change is the room that it joins instead.
    ///
    /// Asked, too, before it publishes in a room that it is not in ([`Command::Publish`](crate::protocol::Command::Publish)):
    /// then [`say`](Self::say) is asked next.
    fn join(&self, who: &Visitor, room: &str) -> impl Future<Output = Decision> + Send {
        let _ = (who, room);
        ready(Decision::Allow)
    }

    /// May it say this in a room ([`Kind::Said`], [`Kind::Acted`] or [`Kind::Notice`])? A change is the text.
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

    /// May it say this to one session alone? A change is the text.
    fn tell(&self, who: &Visitor, to: &str, text: &str) -> impl Future<Output = Decision> + Send {
        let _ = (who, to, text);
        ready(Decision::Allow)
    }

    /// May it take this nick? A change is the nick that it gets.
    fn rename(&self, who: &Visitor, nick: &str) -> impl Future<Output = Decision> + Send {
        let _ = (who, nick);
        ready(Decision::Allow)
    }

    /// May it set this topic, or take it away if the text is empty? A change is the text.
    fn set_topic(
        &self,
        who: &Visitor,
        room: &str,
        text: &str,
    ) -> impl Future<Output = Decision> + Send {
        let _ = (who, room, text);
        ready(Decision::Allow)
    }

    /// May it see that this room is there: in a list of rooms, its members, its topic? It is told of one that it may not
    /// see what it is told of one that does not exist.
    ///
    /// Asked for many rooms at once, so it can't wait: answer from memory. A session sees the rooms that it is in, whatever
    /// the answer. One that may not join a room may see it unless this says otherwise.
    fn may_see(&self, who: &Visitor, room: &str) -> bool {
        let _ = (who, room);
        true
    }

    /// May it see who the members of this room are: in answers that list members, and when it joins? A peer that may not
    /// is told how many there are. Messages and presence go on naming those who cause them.
    ///
    /// Asked while an answer is written, so it can't wait: answer from memory.
    fn may_see_members(&self, who: &Visitor, room: &str) -> bool {
        let _ = (who, room);
        true
    }

    /// May it read the history of this room: on request, and what was said before it joins? There is no change. A peer
    /// that joins and may not read the history joins without; if it named a position, it is told of a gap.
    fn history(&self, who: &Visitor, room: &str) -> impl Future<Output = Decision> + Send {
        let _ = (who, room);
        ready(Decision::Allow)
    }

    /// May it search this room? A change is the text that is searched for.
    fn search(
        &self,
        who: &Visitor,
        room: &str,
        text: &str,
    ) -> impl Future<Output = Decision> + Send {
        let _ = (who, room, text);
        ready(Decision::Allow)
    }

    /// May it leave with this reason, which its rooms are shown? A change is the reason; one that is refused is left
    /// out, and it leaves without.
    fn quit(&self, who: &Visitor, reason: &str) -> impl Future<Output = Decision> + Send {
        let _ = (who, reason);
        ready(Decision::Allow)
    }
}

/// Whom a [`Policy`] is asked about.
///
/// Rooms are named to a policy by their folded names ([`NameRules`](crate::name::NameRules)): compare with a lower-case
/// name, and no spelling gets around the rule.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Visitor {
    /// What the program knows of it.
    pub peer: Arc<Peer>,
    /// How it talks: `plain`, `json`.
    pub dialect: &'static str,
    /// Who it provably is; `None` if that is not known.
    pub account: Option<Account>,
    /// Its session; `None` before it was let in.
    pub session: Option<SessionId>,
    /// The nick that it has; `None` before it was let in.
    pub nick: Option<Nick>,
}

/// What a [`Policy`] answers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// As it was asked.
    Allow,
    /// With this in place of what was asked for.
    Change(String),
    /// Not at all, and this is what the peer is told: what was wrong and what to do. Control characters are removed.
    Refuse(String),
}

impl Decision {
    /// Refuses with this reason.
    #[must_use]
    pub fn refuse(reason: impl Into<String>) -> Self {
        Self::Refuse(reason.into())
    }
}

/// What a policy is asked.
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
    /// The question about what a policy has put in place of what was asked. One that knows no change stays as it is.
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

/// A policy whose type is forgotten.
pub(crate) trait DynPolicy: Send + Sync {
    /// `None`: the policy panicked.
    fn decide<'a>(
        self: Arc<Self>,
        who: Visitor,
        question: Question<'a>,
    ) -> BoxFuture<'a, Option<Decision>>;

    /// `None`: the policy panicked.
    fn may_see(&self, who: &Visitor, room: &str) -> Option<bool>;

    /// `None`: the policy panicked.
    fn may_see_members(&self, who: &Visitor, room: &str) -> Option<bool>;
}

/// Several policies, which are asked one after the other.
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
                    // Policies are asked about folded names of rooms.
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
    /// Whether all say yes; asks until one does not.
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
