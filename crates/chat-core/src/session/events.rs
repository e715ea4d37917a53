//! Everything that one session is told, from one source: for programs with a transport of their own.
//!
//! Invariant: rooms take turns, and no event is lost when a wait is given up: each room's member is polled where it is.

use crate::event::{Direct, Event};
use crate::name::RoomName;
use crate::room::{Echo, JoinError};
use crate::session::join_request::JoinRequest;
use crate::session::member::{Member, MemberHandle};
use crate::session::session::Session;
use futures::stream::{AbortHandle, Abortable, BoxStream, SelectAll, Stream, StreamExt};
use std::fmt;
use std::task::{Context, Poll};

/// A session with all its rooms and its direct messages, polled as one; from [`Session::into_events`].
///
/// Made for a WebSocket handler or any other transport of your own: one call waits for all. The session's end leaves
/// all its rooms. Bounded by [`Limits::rooms_per_session`](crate::Limits::rooms_per_session); no room waits for it.
///
/// # Examples
///
/// ```
/// use chat_core::{Event, Hub, SessionEvent};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hub = Hub::default();
/// let mut kim = hub.session(Some("kim")).await?.into_events();
/// kim.join("lobby").await?;
/// kim.join("ops").await?;
///
/// let ci = hub.session(Some("ci")).await?;
/// ci.publish("ops", "build 12 failed").await?;
/// ci.tell("kim", "look at ops").await?;
///
/// let mut seen = Vec::new();
/// for _ in 0..2 {
///     match kim.next().await.ok_or("an event")? {
///         SessionEvent::Room(room, Event::Message(message)) => seen.push(format!("{room}: {}", message.text())),
///         SessionEvent::Direct(direct) => seen.push(format!("{}: {}", direct.from, direct.text)),
///         _ => {}
///     }
/// }
/// seen.sort();
/// assert_eq!(seen, ["ci: look at ops", "ops: build 12 failed"]);
/// # Ok(())
/// # }
/// ```
pub struct SessionEvents {
    session: Session,
    echo: Echo,
    rooms: Vec<Joined>,
    events: SelectAll<BoxStream<'static, (u64, Option<Event>)>>,
    /// Numbers the rooms that are joined, one after the other.
    next_number: u64,
    /// Whose turn it is: direct messages come first every other time.
    is_direct_first: bool,
}

/// What a session is told.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SessionEvent {
    /// Something happened in a room.
    Room(RoomName, Event),
    /// Another session sent a message to this one alone.
    Direct(Direct),
}

/// A room whose events are among those of the session.
struct Joined {
    number: u64,
    handle: MemberHandle,
    leaving: AbortHandle,
}

impl SessionEvents {
    pub(crate) fn new(session: Session) -> Self {
        Self {
            session,
            echo: Echo::Exclude,
            rooms: Vec::new(),
            events: SelectAll::new(),
            next_number: 0,
            is_direct_first: false,
        }
    }

    /// Sets whether the session gets its own messages back from the rooms that it joins from now on.
    pub const fn set_echo(&mut self, echo: Echo) {
        self.echo = echo;
    }

    /// The session: its nick, and what it can do without a room.
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// Joins a room, whose events are among those of [`next`](Self::next) from now on; see [`Session::join`].
    ///
    /// # Errors
    ///
    /// See [`JoinError`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future before it is ready joins nothing.
    pub async fn join<'a>(
        &mut self,
        request: impl Into<JoinRequest<'a>> + Send,
    ) -> Result<MemberHandle, JoinError> {
        let mut member = self.session.join(request).await?;
        member.set_echo(self.echo);
        let handle = member.handle().clone();
        let number = self.next_number;
        self.next_number += 1;
        let (leaving, registration) = AbortHandle::new_pair();
        let events = Abortable::new(events(number, member), registration);
        self.events.push(events.boxed());
        self.rooms.push(Joined {
            number,
            handle: handle.clone(),
            leaving,
        });
        Ok(handle)
    }

    /// Leaves a room; the other members are told. Returns whether the session was in it.
    pub fn leave(&mut self, room: &str) -> bool {
        let Some(at) = self.position(room) else {
            return false;
        };
        let left = self.rooms.swap_remove(at);
        left.leaving.abort();
        // The member is dropped when its stream is polled next; its leaving is announced now.
        left.handle.leave_now();
        true
    }

    /// Speaks in a room and reads its log; `None` if the session is not in it.
    #[must_use]
    pub fn room(&self, room: &str) -> Option<&MemberHandle> {
        self.position(room).map(|at| &self.rooms[at].handle)
    }

    /// The rooms that the session is in.
    pub fn rooms(&self) -> impl Iterator<Item = &MemberHandle> {
        self.rooms.iter().map(|joined| &joined.handle)
    }

    /// Waits for what the session is told next, in any of its rooms or alone.
    ///
    /// Rooms take turns. A room that is closed, or from which the session was removed, tells that last, and is left.
    /// Returns `None` once the session was ended or the hub drains, and everything said before has been handed out.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future loses no event.
    pub async fn next(&mut self) -> Option<SessionEvent> {
        std::future::poll_fn(|cx| self.poll_event(cx)).await
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<SessionEvent>> {
        // Registers the waker for direct messages, too.
        let is_closing = self.session.poll_closing(cx).is_ready();
        self.is_direct_first = !self.is_direct_first;
        if self.is_direct_first
            && let Some(direct) = self.session.take_direct()
        {
            return Poll::Ready(Some(SessionEvent::Direct(direct)));
        }
        while let Poll::Ready(Some((number, event))) = self.events.poll_next_unpin(cx) {
            let at = self.rooms.iter().position(|room| room.number == number);
            match (at, event) {
                (Some(at), Some(event)) => {
                    let room = self.rooms[at].handle.room().clone();
                    return Poll::Ready(Some(SessionEvent::Room(room, event)));
                }
                (Some(at), None) => drop(self.rooms.swap_remove(at)),
                // It was left.
                (None, _) => {}
            }
        }
        if let Some(direct) = self.session.take_direct() {
            return Poll::Ready(Some(SessionEvent::Direct(direct)));
        }
        if is_closing && self.events.is_empty() {
            return Poll::Ready(None);
        }
        Poll::Pending
    }

    fn position(&self, room: &str) -> Option<usize> {
        let key = self.session.room_key(room)?;
        let mut rooms = self.rooms.iter();
        rooms.position(|joined| joined.handle.is_in(&key))
    }
}

/// The events of a member, and `None` at their end.
fn events(number: u64, member: Member) -> impl Stream<Item = (u64, Option<Event>)> + Send {
    futures::stream::unfold(Some(member), move |member| async move {
        let mut member = member?;
        let event = member.next().await;
        let member = event.is_some().then_some(member);
        Some(((number, event), member))
    })
}

impl fmt::Debug for SessionEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionEvents")
            .field("session", &self.session)
            .field("rooms", &self.rooms.len())
            .finish_non_exhaustive()
    }
}
