//! What a connection does with the lines that it reads.
//!
//! Invariant: messages that one read brought are published as one batch, and every other command waits until those
//! before it are published, so a connection's commands take effect in the order in which they were sent.

use super::Connection;
use super::replay::Replaying;
use crate::batch::{Batch, Drafts, Kind, Seq};
use crate::command::Command;
use crate::delivery::{Echo, Taste};
use crate::dialect::Reply;
use crate::event::{Broadcast, CloseReason, Moment};
use crate::hub::JoinError;
use crate::line::Inbound;
use crate::refusal::Refusal;
use crate::room::{PublishError, Roll};
use crate::session::Session;
use crate::text;
use bytes::BytesMut;
use std::borrow::Cow;
use std::sync::Arc;
use tokio::io::AsyncRead;
use tokio::time::Instant;

/// Messages that wait to be published together, and the member in whose name.
struct Waiting {
    member: usize,
    drafts: Drafts,
}

/// What a command changes for the connection.
enum Outcome {
    GoOn,
    Close(CloseReason),
}

impl<R: AsyncRead + Send + Unpin> Connection<R> {
    /// Handles the lines that have come, until there are no more or the peer has to wait.
    pub(super) async fn handle_lines(&mut self) -> Option<CloseReason> {
        let mut waiting = None;
        let outcome = loop {
            if self.must_pause() {
                break None;
            }
            let Some(inbound) = self.input.next_line() else {
                self.is_held_up = false;
                break None;
            };
            self.take_token();
            if let Some(reason) = self.handle(inbound, &mut waiting).await {
                break Some(reason);
            }
        };
        self.publish(&mut waiting).await;
        outcome
    }

    /// Handles a text that silence or the end of the stream has ended.
    pub(super) async fn handle_last(&mut self, inbound: Inbound) -> Option<CloseReason> {
        let mut waiting = None;
        self.take_token();
        let outcome = self.handle(inbound, &mut waiting).await;
        self.publish(&mut waiting).await;
        outcome
    }

    /// Whether the peer has to wait: for tokens, until it reads its replies, or until a replay is written.
    fn must_pause(&mut self) -> bool {
        if let Some(bucket) = &self.bucket
            && let Err(until) = bucket.check(Instant::now())
            && !self.input.pending().is_empty()
        {
            self.paused_until = Some(until);
            self.hub.counters().rate_pauses.add(1);
            return true;
        }
        self.must_level() || self.outbound.progress().waiting >= self.waiting_max()
    }

    fn take_token(&mut self) {
        if let Some(bucket) = &mut self.bucket {
            bucket.take(Instant::now());
        }
    }

    async fn handle(
        &mut self,
        inbound: Inbound,
        waiting: &mut Option<Waiting>,
    ) -> Option<CloseReason> {
        let Inbound::Line(line) = inbound else {
            self.publish(waiting).await;
            self.tell_rejected(&inbound);
            return None;
        };
        let dialect = self.dialect.as_mut()?;
        let mut out = BytesMut::new();
        let command = dialect.receive(&line, &mut out);
        if !out.is_empty() {
            self.send(out);
        }
        let done = match command? {
            Command::Say { room, text } => self.draft(Kind::Said, room, &text, waiting).await,
            Command::Act { room, text } => self.draft(Kind::Acted, room, &text, waiting).await,
            Command::Topic {
                room,
                text: Some(text),
            } => self.set_topic(room, &text, waiting).await,
            command => {
                self.publish(waiting).await;
                // Boxed, so that an idle connection does not keep room for it.
                match Box::pin(self.execute(command)).await {
                    Ok(Outcome::Close(reason)) => return Some(reason),
                    Ok(Outcome::GoOn) => Ok(()),
                    Err(refusal) => Err(refusal),
                }
            }
        };
        self.tell_refused(done);
        None
    }

    /// Adds a message to those that wait to be published together.
    async fn draft(
        &mut self,
        kind: Kind,
        room: Option<Cow<'_, str>>,
        text: &str,
        waiting: &mut Option<Waiting>,
    ) -> Result<(), Refusal> {
        let member = self.member(room.as_deref())?;
        let text = self.members[member].checked(text)?;
        let batch_bytes = self.hub.limits().batch_bytes.get();
        let fits = |waiting: &Waiting| {
            waiting.member == member && waiting.drafts.bytes() + text.len() <= batch_bytes
        };
        if !waiting.as_ref().is_some_and(fits) {
            self.publish(waiting).await;
        }
        let members = &self.members;
        let waiting = waiting.get_or_insert_with(|| Waiting {
            member,
            drafts: members[member].drafts(),
        });
        waiting.drafts.push(kind, text);
        Ok(())
    }

    /// Publishes what waits, and tells the peer if that can't be.
    async fn publish(&mut self, waiting: &mut Option<Waiting>) -> Option<Arc<Batch>> {
        let Waiting { member, drafts } = waiting
            .take()
            .filter(|waiting| !waiting.drafts.is_empty())?;
        let published = self.members[member].publish(drafts).await;
        if let Err(PublishError::Journal(error)) = &published {
            self.hub
                .log_journal_failure(self.members[member].room().as_str(), error);
        }
        published
            .map_err(|error| self.reply(&Reply::Refused(&error.into())))
            .ok()
    }

    async fn set_topic(
        &mut self,
        room: Option<Cow<'_, str>>,
        text: &str,
        waiting: &mut Option<Waiting>,
    ) -> Result<(), Refusal> {
        self.publish(waiting).await;
        self.draft(Kind::Topic, room, text, waiting).await?;
        let published = self.publish(waiting).await;
        // A topic is seen by whoever sets it, too, as nothing on its screen shows it yet.
        if let (
            Some(batch),
            Some(Taste {
                form,
                echo: Echo::Exclude,
            }),
        ) = (published, self.taste())
        {
            let mut out = BytesMut::new();
            form.encode(
                &Broadcast::Messages(&batch, 0..batch.len()),
                Moment::Live,
                &mut out,
            );
            self.send(out);
        }
        Ok(())
    }

    async fn execute(&mut self, command: Command<'_>) -> Result<Outcome, Refusal> {
        match command {
            Command::Tell { to, text } => self.tell(&to, &text)?,
            Command::Join { room } => self.join(&room, 0).await?,
            Command::Move { room } => self.move_to(room).await?,
            Command::Leave { room } => self.leave(room.as_deref()).await?,
            Command::Nick { nick } => self.rename(&nick)?,
            Command::Who { room } => {
                let roll = self.roll(room.as_deref())?;
                self.reply(&Reply::Who(&roll));
            }
            Command::Topic { room, .. } => {
                let roll = self.roll(room.as_deref())?;
                self.reply(&Reply::Topic(&roll));
            }
            Command::Rooms => {
                let rooms = self.hub.rooms();
                self.reply(&Reply::Rooms(&rooms));
            }
            Command::History {
                room,
                before,
                limit,
            } => {
                let member = self.member(room.as_deref())?;
                let limits = self.hub.limits();
                let limit = limit.unwrap_or(limits.history).min(limits.history_max);
                if !self
                    .show_history(member, before.unwrap_or(Seq::END), limit)
                    .await?
                {
                    self.reply(&Reply::NoHistory);
                }
            }
            Command::Quit { reason } => {
                let reason = reason.as_deref().map(|reason| self.reason(reason));
                return Ok(Outcome::Close(CloseReason::Quit(
                    reason.filter(|reason| !reason.is_empty()),
                )));
            }
            Command::Retune => self.retune(),
            // Handled where messages are gathered.
            Command::Say { .. } | Command::Act { .. } => {}
        }
        Ok(Outcome::GoOn)
    }

    fn reason(&self, reason: &str) -> Arc<str> {
        let reason = text::clean(reason);
        text::truncate(reason.trim(), self.hub.limits().reason_bytes).into()
    }

    fn tell(&mut self, to: &str, text: &str) -> Result<(), Refusal> {
        let nick = self.session()?.nick();
        let at = self.hub.now();
        let to = self.hub.tell(nick, to, text)?;
        self.reply(&Reply::Told {
            to: &to,
            at,
            text: &text::clean(text),
        });
        Ok(())
    }

    fn rename(&mut self, nick: &str) -> Result<(), Refusal> {
        let nick = self.session()?.rename(nick)?;
        self.reply(&Reply::Renamed(&nick));
        Ok(())
    }

    /// Joins a room: who is there and the latest messages first, then what happens from now on. If that succeeds,
    /// the rooms joined first are left, as many as `leaving` says.
    pub(super) async fn join(&mut self, room: &str, leaving: usize) -> Result<(), Refusal> {
        let taste = self.taste().ok_or_else(Refusal::not_in_room)?;
        let leaving_members = &self.members[..leaving];
        let joined = self
            .session()?
            .join_wire(room, &self.outbound, &taste, leaving_members)
            .await;
        let joined = match joined {
            Ok((roll, member)) => {
                self.leave_first(leaving).await;
                self.members.push(member);
                let nick = self.session()?.nick();
                self.reply(&Reply::Joined {
                    nick: &nick,
                    roll: &roll,
                });
                self.show_history_to_newcomer(roll.position.seq).await
            }
            Err(error) => {
                if let JoinError::Journal(error) = &error {
                    self.hub.log_journal_failure(room, error);
                }
                Err(error.into())
            }
        };
        if self.replaying.is_none() {
            self.outbound.uncork();
        }
        joined
    }

    /// Leaves the rooms joined first, and writes what was said there before.
    async fn leave_first(&mut self, count: usize) {
        for member in 0..count {
            let (replay, echo) = (self.members[member].stop(), self.echo());
            self.write_replay(Replaying {
                member,
                replay,
                echo,
            })
            .await;
        }
        self.members.drain(..count);
    }

    async fn show_history_to_newcomer(&mut self, tail: Seq) -> Result<(), Refusal> {
        let (member, limit) = (self.members.len() - 1, self.hub.limits().history);
        self.show_history(member, tail.next(), limit)
            .await
            .map(drop)
    }

    /// Joins a room and leaves the others; stays where it is if that can't be.
    async fn move_to(&mut self, room: Option<Cow<'_, str>>) -> Result<(), Refusal> {
        let room = room.unwrap_or_else(|| self.hub.lobby().as_str().to_owned().into());
        self.join(&room, self.members.len()).await
    }

    async fn leave(&mut self, room: Option<&str>) -> Result<(), Refusal> {
        let member = self.member(room)?;
        self.members[..=member].rotate_right(1);
        let roll = self.members[0].roll();
        self.leave_first(1).await;
        self.reply(&Reply::Left(&roll));
        Ok(())
    }

    fn session(&self) -> Result<&Session, Refusal> {
        self.session.as_ref().ok_or_else(Refusal::not_in_room)
    }

    /// Who is in this room, or in the session's own.
    fn roll(&self, room: Option<&str>) -> Result<Roll, Refusal> {
        match room {
            Some(room) => self
                .hub
                .roll(room)
                .ok_or_else(|| Refusal::no_such_room(room)),
            None => Ok(self.members[self.member(None)?].roll()),
        }
    }

    /// The session's member in this room, or in the room that it joined last.
    fn member(&self, room: Option<&str>) -> Result<usize, Refusal> {
        let found = match room {
            Some(room) => {
                let key = self.hub.fold(room);
                self.members.iter().position(|member| member.key() == key)
            }
            None => self.members.len().checked_sub(1),
        };
        found.ok_or_else(Refusal::not_in_room)
    }
}
