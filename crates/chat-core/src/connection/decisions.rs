//! Asks the policy whether a command may be executed.
//!
//! Invariant: while the policy decides, the connection continues to write output, and can end. Messages that the policy
//! has already allowed do not wait for the decision.

use crate::connection::connection::Connection;
use crate::event::RoomInfo;
use crate::hub::{Decision, Question, Visitor};
use crate::log::Account;
use crate::name::RoomName;
use crate::protocol::Refusal;
use crate::request;
use crate::session::Session;
use futures::future::BoxFuture;
use std::borrow::Cow;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::io::AsyncRead;

impl<R: AsyncRead + Send + Unpin> Connection<R> {
    /// Asks the policy the given question. Returns `asked` if the policy allows the request, or the text that the
    /// policy puts in the place of `asked`.
    pub(super) async fn ask<'a>(
        &mut self,
        question: Question<'_>,
        asked: &'a str,
    ) -> Result<Cow<'a, str>, Refusal> {
        match self.ask_in(self.dialect_name(), question).await? {
            None => Ok(Cow::Borrowed(asked)),
            Some(change) => Ok(Cow::Owned(change)),
        }
    }

    /// Returns the name of the peer's dialect; empty while the dialect is not known.
    pub(super) fn dialect_name(&self) -> &'static str {
        let dialect = self.conversation.dialect();
        dialect.map_or("", |dialect| dialect.name())
    }

    /// As [`ask`](Self::ask), with `dialect` as the name of the peer's dialect. Returns the policy's change; `None` if
    /// the policy changes nothing.
    pub(super) async fn ask_in(
        &mut self,
        dialect: &'static str,
        question: Question<'_>,
    ) -> Result<Option<String>, Refusal> {
        let (Some(policy), Some(who)) = (self.hub.policy(), self.visitor(dialect)) else {
            return Ok(None);
        };
        let mut decision = Arc::clone(policy).decide(who, question);
        let at_once = poll_fn(|cx| Poll::Ready(decision.as_mut().poll(cx))).await;
        let decided = match at_once {
            Poll::Ready(decided) => decided,
            Poll::Pending => {
                // These futures are boxed, so that they use no memory if the policy answers at once.
                Box::pin(self.publish_waiting()).await;
                Box::pin(self.wait_for(decision)).await
            }
        };
        request::decided(&self.hub, decided)
    }

    /// Returns what the policy is told about the peer; `None` if the connection keeps no [`Peer`](crate::Peer), because
    /// there is no policy.
    fn visitor(&self, dialect: &'static str) -> Option<Visitor> {
        Some(Visitor {
            peer: Arc::clone(self.peer.as_ref()?),
            dialect,
            account: match &self.session {
                Some(session) => session.account(),
                None => self.peer.as_ref()?.get::<Account>().cloned(),
            },
            session: self.session.as_ref().map(Session::id),
            nick: self.session.as_ref().map(Session::nick),
            is_operator: self.session.as_ref().is_some_and(Session::is_operator),
        })
    }

    /// Returns a function that tells whether the peer may see the room with a given key. The peer may see the rooms
    /// that its session is in, and those that the policy allows. Only the members of a secret room see it.
    pub(super) fn sees(&self) -> impl Fn(&str) -> bool {
        let who = self.visitor_of_policy();
        move |room| {
            let may_see = |who| request::may_see(&self.hub, who, room);
            self.member_in(room).is_some()
                || !self.hub.is_secret(room) && who.as_ref().is_none_or(may_see)
        }
    }

    /// Returns a function that tells whether the peer may learn that a session is in the room with a given key. The peer
    /// may do so for the rooms that its session is in, and for those of which it may see the room and the members.
    pub(super) fn sees_who_is_in(&self) -> impl Fn(&str) -> bool {
        let (sees, who) = (self.sees(), self.visitor_of_policy());
        move |room| {
            let may_see_members = |who| request::may_see_members(&self.hub, who, room);
            sees(room)
                && (self.member_in(room).is_some() || who.as_ref().is_none_or(may_see_members))
        }
    }

    /// Returns what the policy is told about the peer; `None` if there is no policy.
    fn visitor_of_policy(&self) -> Option<Visitor> {
        self.hub.policy()?;
        self.visitor(self.dialect_name())
    }

    /// Asks the policy whether the peer may read a room's history. `member` is the index of the session's member in the
    /// room.
    pub(super) async fn ask_for_history(&mut self, member: usize) -> Result<(), Refusal> {
        let room = Arc::clone(&self.members[member].room().key);
        let question = Question::History { room: &room };
        self.ask(question, "").await.map(drop)
    }

    /// Asks the policy whether the peer may search a room. `member` is the index of the session's member in the room.
    /// Returns the text to search for, which the policy may have changed.
    pub(super) async fn ask_to_search<'a>(
        &mut self,
        member: usize,
        text: &'a str,
    ) -> Result<Cow<'a, str>, Refusal> {
        let room = Arc::clone(&self.members[member].room().key);
        let question = Question::Search { room: &room, text };
        self.ask(question, text).await
    }

    /// Removes the members' names from the room's information, if the policy hides them from the peer.
    pub(super) fn seen(&self, mut info: RoomInfo) -> RoomInfo {
        if !self.sees_members(&info.room) {
            info.nicks = Vec::new();
            info.roles = Vec::new();
            info.away = Vec::new();
        }
        info
    }

    /// Returns whether the policy lets the peer see the members of a room.
    pub(super) fn sees_members(&self, room: &RoomName) -> bool {
        let Some(who) = self.visitor_of_policy() else {
            return true;
        };
        request::may_see_members(&self.hub, &who, &self.hub.fold(room.as_str()))
    }

    /// Waits for the policy's answer, and writes the connection's output while it waits. Returns `None` if the policy
    /// fails or does not answer within `Limits::policy_timeout`.
    ///
    /// Returns a refusal if the session must end before the policy answers. The refusal does not say why: the
    /// connection finds the reason in its next wait.
    async fn wait_for(
        &mut self,
        mut decision: BoxFuture<'_, Option<Decision>>,
    ) -> Option<Decision> {
        let mut timeout = pin!(tokio::time::sleep(self.hub.limits().policy_timeout));
        let mut draining = pin!(self.hub.draining());
        let (outbound, session) = (self.transport.outbound(), self.session.as_ref());
        poll_fn(|cx| {
            if let Poll::Ready(decided) = decision.as_mut().poll(cx) {
                return Poll::Ready(decided);
            }
            let is_broken = outbound.poll_flush(cx).broken;
            let is_closing = session.is_some_and(|session| session.poll_closing(cx).is_ready());
            if is_broken || is_closing || draining.as_mut().poll(cx).is_ready() {
                let reason = "not done: the session ends".to_owned();
                return Poll::Ready(Some(Decision::Refuse(reason)));
            }
            timeout.as_mut().poll(cx).map(|()| None)
        })
        .await
    }
}
