//! All events of one session from one source, for programs with their own transport.
//!
//! Invariant: the rooms of the session take turns. Dropping a call to `next` loses no event, because the streams of the
//! rooms keep their state between calls.

use crate::event::{CloseReason, Direct, Event, NickStatus, RoomInfo};
use crate::name::RoomName;
use crate::room::{Echo, JoinError, NotInRoom};
use crate::session::handle::MemberHandle;
use crate::session::join_request::JoinRequest;
use crate::session::member::Member;
use crate::session::session::Session;
use futures::stream::{AbortHandle, Abortable, BoxStream, SelectAll, Stream, StreamExt};
use std::fmt;
use std::task::{Context, Poll};

/// Yields the events of all rooms of a session, and its direct messages. [`Session::into_events`] creates it.
///
/// Use it in a WebSocket handler or any other transport of your own: one call of [`next`](Self::next) waits for all
/// rooms and for direct messages. A session is in at most
/// [`Limits::rooms_per_session`](crate::Limits::rooms_per_session) rooms. No room waits for the caller: messages that
/// the session missed are read from the room's log. Dropping this value ends the session, which leaves all its rooms.
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
    /// The number of the room that is joined next. Rooms are numbered in the order of their joins.
    next_number: u64,
    /// Whether a direct message comes before an event of a room. The value changes with each poll.
    is_direct_first: bool,
}

/// An event that a session receives.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SessionEvent {
    /// An event of the room with this name.
    Room(RoomName, Event),
    /// Another session sent a direct message.
    Direct(Direct),
    /// A nick that the session [watches](Session::watch) has come or gone. If it came and went before the program read
    /// this, the program is told only of its last state.
    Watched(NickStatus),
}

/// A room that the session is in.
struct Joined {
    number: u64,
    handle: MemberHandle,
    /// Ends the stream of the room's events.
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

    /// Sets whether the session receives its own messages in the rooms that it joins after this call.
    pub const fn set_echo(&mut self, echo: Echo) {
        self.echo = echo;
    }

    /// Returns the session. The session has the nick. It can publish and send direct messages without joining a room.
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// Joins a room. From then on, [`next`](Self::next) also returns the events of this room. See [`Session::join`].
    ///
    /// Returns the room's members, topic and position at the join. A client that has received no message of the room
    /// resumes from this position; afterwards it resumes from the position of the last message that it has received.
    /// [`room`](Self::room) returns the handle to publish with.
    ///
    /// # Errors
    ///
    /// See [`JoinError`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: if the future is dropped before it is ready, the session is not in the room.
    pub async fn join<'a>(
        &mut self,
        request: impl Into<JoinRequest<'a>> + Send,
    ) -> Result<RoomInfo, JoinError> {
        let (mut member, info) = self.session.join_as(&request.into()).await?;
        member.set_echo(self.echo);
        let handle = MemberHandle::clone(&member);
        let number = self.next_number;
        self.next_number += 1;
        let (leaving, registration) = AbortHandle::new_pair();
        let events = Abortable::new(events(number, member), registration);
        self.events.push(events.boxed());
        self.rooms.push(Joined {
            number,
            handle,
            leaving,
        });
        Ok(info)
    }

    /// Leaves a room, and the room announces the leave. Events of the room that were not returned yet are dropped.
    /// Returns `false` if the session was not in the room.
    pub fn leave(&mut self, room: &str) -> bool {
        let Some(at) = self.position(room) else {
            return false;
        };
        let left = self.rooms.swap_remove(at);
        left.leaving.abort();
        // The aborted stream keeps the room's member until the stream is polled again. So this call makes the session
        // leave at once.
        left.handle.leave_now();
        true
    }

    /// Returns the handle of a joined room.
    ///
    /// # Errors
    ///
    /// Returns an error if the session is not in a room of this name.
    pub fn room(&self, room: &str) -> Result<&MemberHandle, NotInRoom> {
        let at = self.position(room).ok_or(NotInRoom)?;
        Ok(&self.rooms[at].handle)
    }

    /// Returns the handles of all rooms that the session is in.
    pub fn rooms(&self) -> impl Iterator<Item = &MemberHandle> {
        self.rooms.iter().map(|joined| &joined.handle)
    }

    /// Waits for the next event of any room, or for the next direct message.
    ///
    /// Rooms take turns. If a room is closed, or the session is removed from it, the last event of the room reports
    /// this.
    ///
    /// Returns `None` once the session was ended or the hub drains, and all earlier events have been returned.
    /// [`end_reason`](Self::end_reason) then tells why. The caller must drop this value after a `None`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future loses no event.
    pub async fn next(&mut self) -> Option<SessionEvent> {
        std::future::poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Returns why the hub ends the session: the hub drains, or the application has ended the session. `None` while the
    /// session goes on.
    ///
    /// Earlier events may still wait when this method returns the reason. All of them have been returned when
    /// [`next`](Self::next) returns `None`.
    #[must_use]
    pub fn end_reason(&self) -> Option<CloseReason> {
        self.session.closing()
    }

    /// Ends the session with a reason that the other members see. If this value is dropped instead, they see
    /// [`CloseReason::Dropped`].
    pub fn close(self, reason: &CloseReason) {
        self.session.end(reason);
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<SessionEvent>> {
        // `poll_closing` also registers the waker for direct messages.
        let is_closing = self.session.poll_closing(cx).is_ready();
        self.is_direct_first = !self.is_direct_first;
        if self.is_direct_first
            && let Some(direct) = self.session.take_direct()
        {
            return Poll::Ready(Some(SessionEvent::Direct(direct)));
        }
        if let Some(status) = self.session.take_watched() {
            return Poll::Ready(Some(SessionEvent::Watched(status)));
        }
        while let Poll::Ready(Some((number, event))) = self.events.poll_next_unpin(cx) {
            let at = self.rooms.iter().position(|room| room.number == number);
            match (at, event) {
                (Some(at), Some(event)) => {
                    let room = self.rooms[at].handle.room().clone();
                    return Poll::Ready(Some(SessionEvent::Room(room, event)));
                }
                (Some(at), None) => drop(self.rooms.swap_remove(at)),
                // The session has left the room, so the event is dropped.
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

/// Returns a stream of the member's events. Each item also holds `number`. After the last event, the stream yields one
/// item with `None` in place of an event, and ends.
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
