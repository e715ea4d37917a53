//! Publishes the messages of a peer. Messages from one read are gathered and published as one batch.

use crate::connection::connection::Connection;
use crate::connection::conversation::{Draft, Place, Target, Waiting};
use crate::connection::owed::Owed;
use crate::hub::{IfMissing, Question};
use crate::log::{Appended, Claimed, Key, Kind, Said};
use crate::protocol::{Refusal, Reply};
use crate::request;
use crate::room::{Echo, JoinError, PublishError, Room, Standing};
use std::borrow::Cow;
use std::sync::Arc;
use tokio::io::AsyncRead;
use tokio::time::Instant;

impl<R: AsyncRead + Send + Unpin> Connection<R> {
    /// Adds a message to the waiting messages. The connection publishes the waiting messages as one batch.
    pub(super) async fn draft(&mut self, draft: Draft<'_>) -> Result<(), Refusal> {
        let Draft {
            kind,
            place,
            text,
            key,
        } = draft;
        let key = key.as_deref().map(Key::parse).transpose()?;
        if let Some(key) = &key
            && let Some(said) = self.said_under(key)?
        {
            // The message was published earlier. It is a duplicate even if the room or the policy has changed in the
            // meantime.
            self.tell_said(&said).await;
            return Ok(());
        }
        let target = match place {
            Place::Joined(room) => Target::Member(self.member(room.as_deref())?),
            Place::Any { room, if_missing } => {
                self.hub.checked(&text)?;
                // The future is boxed, so that an idle connection keeps no memory for it.
                Box::pin(self.target(&room, if_missing)).await?
            }
        };
        let text = self.hub.checked(&text)?;
        let text = &*self.ask_to_publish(&target, kind, text).await?;
        let text = self.hub.checked(text)?;
        let limits = self.hub.limits();
        let is_alone = key.is_some() && self.room(&target).is_shared();
        if is_alone || !self.conversation.has_space_for(&target, text, limits) {
            self.publish_waiting().await;
        }
        let claim = match &key {
            Some(key) => match self.claim(key).await? {
                Claimed::New(claim) => Some(claim),
                Claimed::Already(said) => {
                    self.tell_said(&said).await;
                    return Ok(());
                }
                Claimed::Pending => return Err(PublishError::Busy.into()),
            },
            None => None,
        };
        let session = self.session.as_ref().ok_or_else(Refusal::not_in_room)?;
        let session = session.shared();
        let key = key.as_ref().map(|key| (key, session.owner()));
        let hub = &self.hub;
        let with = self
            .conversation
            .batch_for(target, || session.drafts(hub.now()));
        if !with.drafts.add(kind, text, key) {
            return Err(PublishError::Empty.into());
        }
        with.claims.extend(claim);
        if is_alone {
            self.publish_waiting().await;
        }
        Ok(())
    }

    /// Publishes the waiting messages, and then tells the peer that it has already published the message `said`.
    async fn tell_said(&mut self, said: &Said) {
        self.publish_waiting().await;
        let Said { room, seq } = said;
        self.reply(&Reply::Duplicate { room, seq: *seq });
    }

    /// Finds the room to publish in, and opens it if needed.
    ///
    /// If the session is not in the room, the policy is asked whether it may join: a session that may not join a room
    /// may not publish in it from outside either.
    async fn target(&mut self, asked: &str, if_missing: IfMissing) -> Result<Target, Refusal> {
        let (mut name, mut key) = self.hub.room_name(asked).map_err(JoinError::Name)?;
        if let Some(member) = self.member_in(&key) {
            return Ok(Target::Member(member));
        }
        if self.hub.policy().is_some() {
            let room = self.ask(Question::Join { room: &key }, asked).await?;
            (name, key) = self.hub.room_name(&room).map_err(JoinError::Name)?;
            if let Some(member) = self.member_in(&key) {
                return Ok(Target::Member(member));
            }
        }
        let is_next = |waiting: &Waiting| waiting.target.is_outside(&key);
        if !self.conversation.waiting().is_some_and(is_next) {
            // The waiting messages are for another room, and must not wait until this room is open.
            self.publish_waiting().await;
        }
        let is_hidden = if_missing == IfMissing::Refuse && !self.sees()(&key);
        self.charge_opening(&key, is_hidden)?;
        if is_hidden {
            return Err(Refusal::missing(&name));
        }
        let opener = self.session()?.opener();
        let visit = request::visit(&self.hub, opener, &name, &key, if_missing).await?;
        Ok(Target::Outside(visit))
    }

    /// Asks the policy whether the peer may publish a message. Returns the text to publish, which the policy may have
    /// changed.
    async fn ask_to_publish<'a>(
        &mut self,
        target: &Target,
        kind: Kind,
        text: &'a str,
    ) -> Result<Cow<'a, str>, Refusal> {
        if self.hub.policy().is_none() {
            return Ok(Cow::Borrowed(text));
        }
        let room = Arc::clone(&self.room(target).key);
        let room = &*room;
        let question = match kind {
            Kind::Mode => {
                let changes = text;
                self.ask(Question::SetModes { room, changes }, "").await?;
                return Ok(Cow::Borrowed(text));
            }
            Kind::Topic => Question::SetTopic { room, text },
            kind => Question::Say { room, kind, text },
        };
        self.ask(question, text).await
    }

    fn room<'a>(&'a self, target: &'a Target) -> &'a Arc<Room> {
        match target {
            Target::Member(member) => self.members[*member].room(),
            Target::Outside(visit) => visit,
        }
    }

    /// Returns the message that the client has published under a key; `None` if the hub remembers none.
    fn said_under(&self, key: &Key) -> Result<Option<Said>, Refusal> {
        let owner = self.session()?.shared().owner();
        Ok(self.hub.keys().said(owner, key))
    }

    /// Reserves a key for the next message. If a message with that key is being published, waits for the result.
    async fn claim(&mut self, key: &Key) -> Result<Claimed, Refusal> {
        let owner = self.session()?.shared().owner();
        let keys = Arc::clone(self.hub.keys());
        loop {
            let waiting = self.conversation.waiting();
            let index = waiting.map_or(0, |waiting| waiting.drafts.len());
            match keys.claim(owner, key, index) {
                Claimed::Pending => {
                    // The pending message may itself wait on this connection to be published. It is published first,
                    // because otherwise the wait for its result would never end.
                    self.publish_waiting().await;
                    keys.settled(|| keys.is_pending(owner, key)).await;
                }
                claimed => return Ok(claimed),
            }
        }
    }

    /// Publishes waiting messages and writes the replies. With [`Echo::Reply`], the reply is written later, when
    /// delivery reaches the message.
    pub(super) async fn publish(&mut self, waiting: Waiting) {
        let Waiting {
            target,
            drafts,
            claims,
        } = waiting;
        if drafts.is_empty() {
            return;
        }
        let count = drafts.len();
        let epoch = match &target {
            Target::Member(member) if self.members[*member].echo() == Echo::Reply => {
                Some(self.room(&target).epoch())
            }
            _ => None,
        };
        let published = match (&target, &self.session) {
            (Target::Member(_), _) => {
                let room = self.room(&target);
                room.publish(drafts, claims, Standing::Member).await
            }
            (Target::Outside(visit), Some(session)) => {
                visit.publish_as(session.shared(), drafts, claims).await
            }
            (Target::Outside(_), None) => Err(PublishError::NotAMember),
        };
        match published {
            Ok(Appended::Batch(batch)) => match epoch {
                // The reply is written when delivery reaches the message in the room.
                Some(epoch) => self.conversation.owe(Owed {
                    batch,
                    epoch,
                    since: Instant::now(),
                }),
                None => self.reply(&Reply::Published(&batch)),
            },
            Ok(Appended::Duplicate(seq)) => {
                let room = Arc::clone(self.room(&target));
                for _ in 0..count {
                    let room = &room.name;
                    self.reply(&Reply::Duplicate { room, seq });
                }
            }
            Err(error) => {
                if let PublishError::Journal(error) = &error {
                    self.room(&target).log_failure(error);
                }
                self.reply(&Reply::Unpublished(count, &error.into()));
            }
        }
    }
}
