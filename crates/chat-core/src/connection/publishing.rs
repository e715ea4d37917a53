//! What a connection says: gathered, so that messages that one read brought are published as one batch.

use crate::connection::connection::Connection;
use crate::hub::{IfMissing, Question, Visit};
use crate::log::{Appended, Claim, Claimed, Drafts, Key, Kind, Said};
use crate::protocol::{Refusal, Reply};
use crate::room::{JoinError, PublishError};
use std::borrow::Cow;
use std::sync::Arc;
use tokio::io::AsyncRead;

/// Messages that wait to be published together, and where.
pub(super) struct Waiting {
    target: Target,
    drafts: Drafts,
    claims: Vec<Claim>,
}

/// A message that is about to be drafted.
pub(super) struct Draft<'a> {
    pub(super) kind: Kind,
    pub(super) place: Place<'a>,
    pub(super) text: &'a str,
    pub(super) key: Option<&'a str>,
}

/// Where a message is to be said.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'a> {
    /// In this room, which the session must be in; `None`: in the room that it joined last.
    Joined(Option<&'a str>),
    /// In this room, whether the session is in it or not.
    Any {
        room: &'a str,
        if_missing: IfMissing,
    },
}

/// Where messages are published.
enum Target {
    /// In the room of this member of the session.
    Member(usize),
    /// In a room that the session is not in.
    Outside(Visit),
}

impl<R: AsyncRead + Send + Unpin> Connection<R> {
    /// Adds a message to those that wait to be published together.
    pub(super) async fn draft(
        &mut self,
        draft: Draft<'_>,
        waiting: &mut Option<Waiting>,
    ) -> Result<(), Refusal> {
        let Draft {
            kind,
            place,
            text,
            key,
        } = draft;
        let key = key.map(Key::parse).transpose()?;
        if let Some(key) = &key
            && let Some(Said { room, seq }) = self.said_under(key)?
        {
            // It was said, whatever has become of the room and of what is allowed since.
            self.publish(waiting).await;
            self.reply(&Reply::Duplicate { room: &room, seq });
            return Ok(());
        }
        let target = match place {
            Place::Joined(room) => Target::Member(self.member(room)?),
            Place::Any { room, if_missing } => {
                self.hub.checked(text)?;
                // Boxed, so that an idle connection does not keep room for it.
                Box::pin(self.target(room, if_missing, waiting)).await?
            }
        };
        let text = self.hub.checked(text)?;
        let text = &*self.ask_to_publish(&target, kind, text, waiting).await?;
        let text = self.hub.checked(text)?;
        let batch_bytes = self.hub.limits().batch_bytes.get();
        let is_alone = key.is_some() && self.is_shared(&target);
        let fits = |waiting: &Waiting| {
            waiting.target.is(&target)
                && waiting.drafts.bytes() + text.len() <= batch_bytes
                && !is_alone
        };
        if !waiting.as_ref().is_some_and(fits) {
            self.publish(waiting).await;
        }
        let claim = match &key {
            Some(key) => match self.claim(key, waiting).await? {
                Claimed::New(claim) => Some(claim),
                Claimed::Already(Said { room, seq }) => {
                    self.publish(waiting).await;
                    self.reply(&Reply::Duplicate { room: &room, seq });
                    return Ok(());
                }
                Claimed::Pending => return Err(PublishError::Busy.into()),
            },
            None => None,
        };
        let now = self.hub.now();
        let session = self.session()?.shared();
        let owner = session.owner();
        let key = key.as_ref().map(|key| (key, owner));
        let with = waiting.get_or_insert_with(|| Waiting {
            target,
            drafts: session.drafts(now),
            claims: Vec::new(),
        });
        if !with.drafts.add(kind, text, key) {
            return Err(PublishError::Empty.into());
        }
        with.claims.extend(claim);
        if is_alone {
            self.publish(waiting).await;
        }
        Ok(())
    }

    /// Finds the room that is to be published in, opened if need be.
    ///
    /// The policy is asked whether the session may join it, unless the session is in it: who may not come in may not
    /// speak from outside either.
    async fn target(
        &mut self,
        asked: &str,
        if_missing: IfMissing,
        waiting: &mut Option<Waiting>,
    ) -> Result<Target, Refusal> {
        let (mut name, mut key) = self.hub.room_name(asked).map_err(JoinError::Name)?;
        let member = |connection: &Self, key: &str| {
            let mut members = connection.members.iter();
            members.position(|member| member.key() == key)
        };
        if let Some(member) = member(self, &key) {
            return Ok(Target::Member(member));
        }
        if self.hub.policy().is_some() {
            let room = self
                .ask(Question::Join { room: &key }, asked, waiting)
                .await?;
            (name, key) = self.hub.room_name(&room).map_err(JoinError::Name)?;
            if let Some(member) = member(self, &key) {
                return Ok(Target::Member(member));
            }
        }
        let is_next = |waiting: &Waiting| waiting.target.is_outside(&key);
        if !waiting.as_ref().is_some_and(is_next) {
            // Nothing that was asked before waits for a room that is opened.
            self.publish(waiting).await;
        }
        let is_hidden = if_missing == IfMissing::Refuse && !self.sees()(&key);
        if is_hidden || self.hub.find(&key).is_none() {
            self.charge_opening()?;
        }
        if is_hidden {
            return Err(Refusal::missing(&name));
        }
        match self.session()?.visit(&name, &key, if_missing).await {
            Ok(Some(visit)) => Ok(Target::Outside(visit)),
            Ok(None) => Err(Refusal::missing(&name)),
            Err(error) => {
                if let JoinError::Journal(error) = &error {
                    self.hub.log_journal_failure(name.as_str(), error);
                }
                Err(error.into())
            }
        }
    }

    /// Asks the policy whether this may be said; gives back what to say.
    async fn ask_to_publish<'a>(
        &mut self,
        target: &Target,
        kind: Kind,
        text: &'a str,
        waiting: &mut Option<Waiting>,
    ) -> Result<Cow<'a, str>, Refusal> {
        if self.hub.policy().is_none() {
            return Ok(Cow::Borrowed(text));
        }
        let room = match target {
            Target::Member(member) => self.members[*member].key(),
            Target::Outside(visit) => &visit.key,
        };
        let room = room.to_owned();
        let room = room.as_str();
        let question = match kind {
            Kind::Topic => Question::SetTopic { room, text },
            kind => Question::Say { room, kind, text },
        };
        self.ask(question, text, waiting).await
    }

    /// Whether a message with a key is published alone: other hubs append to the room's log, too, and it knows keys itself.
    fn is_shared(&self, target: &Target) -> bool {
        match target {
            Target::Member(member) => self.members[*member].is_shared(),
            Target::Outside(visit) => visit.is_shared(),
        }
    }

    /// What the client has said under a key.
    fn said_under(&self, key: &Key) -> Result<Option<Said>, Refusal> {
        let owner = self.session()?.shared().owner();
        Ok(self.hub.keys().said(owner, key))
    }

    /// Claims a key for the message that is drafted next. While the same is being said already, it waits to see
    /// what becomes of that.
    async fn claim(
        &mut self,
        key: &Key,
        waiting: &mut Option<Waiting>,
    ) -> Result<Claimed, Refusal> {
        let owner = self.session()?.shared().owner();
        let keys = Arc::clone(self.hub.keys());
        loop {
            let index = waiting.as_ref().map_or(0, |waiting| waiting.drafts.len());
            match keys.claim(owner, key, index) {
                Claimed::Pending => {
                    // It may be one of these.
                    self.publish(waiting).await;
                    keys.settled(|| keys.is_pending(owner, key)).await;
                }
                claimed => return Ok(claimed),
            }
        }
    }

    /// Publishes what waits, and tells the peer if that can't be.
    pub(super) async fn publish(&mut self, waiting: &mut Option<Waiting>) {
        let Some(Waiting {
            target,
            drafts,
            claims,
        }) = waiting.take().filter(|waiting| !waiting.drafts.is_empty())
        else {
            return;
        };
        let count = drafts.len();
        let published = match (&target, &self.session) {
            (Target::Member(member), _) => self.members[*member].publish(drafts, claims).await,
            (Target::Outside(visit), Some(session)) => {
                visit.publish_as(session.shared(), drafts, claims).await
            }
            (Target::Outside(_), None) => Err(PublishError::NotAMember),
        };
        match published {
            Ok(Appended::Batch(batch)) => self.reply(&Reply::Published(&batch)),
            Ok(Appended::Duplicate(seq)) => {
                let room = match &target {
                    Target::Member(member) => self.members[*member].room().clone(),
                    Target::Outside(visit) => visit.name.clone(),
                };
                for _ in 0..count {
                    self.reply(&Reply::Duplicate { room: &room, seq });
                }
            }
            Err(error) => {
                if let PublishError::Journal(error) = &error {
                    let room = match &target {
                        Target::Member(member) => self.members[*member].room(),
                        Target::Outside(visit) => &visit.name,
                    };
                    self.hub.log_journal_failure(room.as_str(), error);
                }
                self.reply(&Reply::Unpublished(count, &error.into()));
            }
        }
    }

    pub(super) async fn set_topic(
        &mut self,
        room: Option<&str>,
        text: &str,
        waiting: &mut Option<Waiting>,
    ) -> Result<(), Refusal> {
        self.publish(waiting).await;
        let draft = Draft {
            kind: Kind::Topic,
            place: Place::Joined(room),
            text,
            key: None,
        };
        self.draft(draft, waiting).await?;
        // Alone, so that its author can be shown it in its turn, without what it said besides.
        self.publish(waiting).await;
        Ok(())
    }
}

impl Target {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Member(one), Self::Member(other)) => one == other,
            (one, Self::Outside(other)) => one.is_outside(&other.key),
            _ => false,
        }
    }

    /// Whether it is the room with this folded name, from outside.
    fn is_outside(&self, key: &str) -> bool {
        matches!(self, Self::Outside(visit) if *visit.key == *key)
    }
}
