//! What a connection says: gathered, so that messages that one read brought are published as one batch.

use super::Connection;
use crate::batch::{Drafts, Kind};
use crate::dialect::Reply;
use crate::key::{Claim, Claimed, Key, Said};
use crate::policy::Question;
use crate::refusal::Refusal;
use crate::room::PublishError;
use std::borrow::Cow;
use std::sync::Arc;
use tokio::io::AsyncRead;

/// Messages that wait to be published together, and the member in whose name.
pub(super) struct Waiting {
    member: usize,
    drafts: Drafts,
    claims: Vec<Claim>,
}

/// A message that is about to be drafted.
pub(super) struct Draft<'a> {
    pub(super) kind: Kind,
    pub(super) room: Option<&'a str>,
    pub(super) text: &'a str,
    pub(super) key: Option<&'a str>,
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
            room,
            text,
            key,
        } = draft;
        let key = key.map(Key::parse).transpose()?;
        if let Some(key) = &key
            && let Some(Said { room, seq }) = self.said_under(key)?
        {
            // It was said, whatever has become of the room and of what is allowed since.
            self.publish(waiting).await;
            self.reply(&Reply::Known { room: &room, seq });
            return Ok(());
        }
        let member = self.member(room)?;
        let text = self.members[member].checked(text)?;
        let text = &*self.ask_to_publish(member, kind, text, waiting).await?;
        let text = self.members[member].checked(text)?;
        let batch_bytes = self.hub.limits().batch_bytes.get();
        let fits = |waiting: &Waiting| {
            waiting.member == member && waiting.drafts.bytes() + text.len() <= batch_bytes
        };
        if !waiting.as_ref().is_some_and(fits) {
            self.publish(waiting).await;
        }
        let claim = match &key {
            Some(key) => match self.claim(key, waiting).await? {
                Claimed::New(claim) => Some(claim),
                Claimed::Already(Said { room, seq }) => {
                    self.publish(waiting).await;
                    self.reply(&Reply::Known { room: &room, seq });
                    return Ok(());
                }
                Claimed::Pending => return Err(PublishError::Busy.into()),
            },
            None => None,
        };
        let owner = self.session()?.shared().owner();
        let key = key.as_ref().map(|key| (key, owner));
        let members = &self.members;
        let waiting = waiting.get_or_insert_with(|| Waiting {
            member,
            drafts: members[member].drafts(),
            claims: Vec::new(),
        });
        if !waiting.drafts.add(kind, text, key) {
            return Err(PublishError::Empty.into());
        }
        waiting.claims.extend(claim);
        Ok(())
    }

    /// Asks the policy whether this may be said; gives back what to say.
    async fn ask_to_publish<'a>(
        &mut self,
        member: usize,
        kind: Kind,
        text: &'a str,
        waiting: &mut Option<Waiting>,
    ) -> Result<Cow<'a, str>, Refusal> {
        if self.hub.policy().is_none() {
            return Ok(Cow::Borrowed(text));
        }
        let room = self.members[member].key().to_owned();
        let room = room.as_str();
        let question = match kind {
            Kind::Topic => Question::SetTopic { room, text },
            kind => Question::Say { room, kind, text },
        };
        self.ask(question, text, waiting).await
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
            member,
            drafts,
            claims,
        }) = waiting.take().filter(|waiting| !waiting.drafts.is_empty())
        else {
            return;
        };
        let count = drafts.len();
        match self.members[member].publish(drafts, claims).await {
            Ok(batch) => self.reply(&Reply::Published(&batch)),
            Err(error) => {
                if let PublishError::Journal(error) = &error {
                    self.hub
                        .log_journal_failure(self.members[member].room().as_str(), error);
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
            room,
            text,
            key: None,
        };
        self.draft(draft, waiting).await?;
        // Alone, so that its author can be shown it in its turn, without what it said besides.
        self.publish(waiting).await;
        Ok(())
    }
}
