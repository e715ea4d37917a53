//! A member of a room in this process: the API for embedders.
//!
//! Invariant: a member receives, in order, every message since it joined. If messages are missing, it receives an
//! explicit gap in their place.

use crate::event::Event;
use crate::log::SessionId;
use crate::room::{Echo, JoinedAt, Plan, Reader, Resume, Room, Subscription, Viewer};
use crate::session::handle::{MemberHandle, Seat};
use std::ops::Deref;
use std::sync::Arc;

/// Represents a session's presence in one room. Dropping the member leaves the room.
///
/// A member dereferences to its [`MemberHandle`], which publishes in the room and reads its log: `member.say("hello")`.
/// `MemberHandle::clone(&member)` is a handle for other tasks to use while this task waits in [`next`](Self::next).
///
/// # Ordering
///
/// All members of a room receive its messages in the same order.
///
/// # Lagging
///
/// A room never waits for a member. A member lags if more than [`Limits::ring_batches`](crate::Limits::ring_batches)
/// events of the room wait for it. [`next`](Self::next) then reads the messages that the member missed from the room's
/// log. Messages that the log no longer holds, or that can't be read, are reported as an [`Event::Gap`]: no message is
/// missing silently. Changes of presence are not in the log. If the member missed changes of presence, it receives the
/// present members of the room with [`Event::Present`]. If the room is closed in the meantime, the member receives the
/// remaining messages or an [`Event::Gap`], and then [`Event::Closed`].
#[derive(Debug)]
pub struct Member {
    seat: Seat,
    reader: Reader,
    /// Which earlier messages the member asked for, and the room's position at the join; `None` once their replay
    /// begins.
    resume: Option<Box<(Resume, JoinedAt)>>,
}

impl Member {
    pub(crate) fn new(
        seat: Seat,
        subscription: Subscription,
        resume: Resume,
        joined: JoinedAt,
    ) -> Self {
        let has_plan = !resume.is_empty() || joined.is_lost;
        Self {
            reader: Reader::new(subscription, &seat),
            seat,
            resume: has_plan.then(|| Box::new((resume, joined))),
        }
    }

    /// Sets whether this member receives its own messages. The default is [`Echo::Exclude`].
    pub const fn set_echo(&mut self, echo: Echo) {
        self.reader.set_echo(echo);
    }

    /// Waits for the next event of the room.
    ///
    /// The member does not receive its own messages, unless [`set_echo`](Self::set_echo) was called with
    /// [`Echo::Include`]. It does not receive its own changes of presence, except
    /// [`PresenceChange::Removed`](crate::PresenceChange::Removed).
    ///
    /// A member that asked for earlier messages when it joined receives them first, as [`Event::Replayed`]. A lagging
    /// member receives the messages that it missed, as [`Event::Message`]. Messages that the log no longer holds, or
    /// that can't be read, are reported as an [`Event::Gap`]; later calls return what follows the gap.
    ///
    /// Returns `None` once the session has ended, the member was removed, the room is closed or the hub drains, and all
    /// earlier messages have been returned.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future loses no event.
    pub async fn next(&mut self) -> Option<Event> {
        if let Some((resume, joined)) = self.resume.as_deref().copied() {
            let Plan { catch_up, .. } = resume.plan(self.seat.room(), joined).await;
            self.resume = None;
            self.reader.replay(catch_up);
        }
        self.reader.next(&self.seat).await
    }

    /// Leaves the room. The room announces the leave to the other members.
    pub fn leave(self) {
        drop(self);
    }
}

impl Viewer for Seat {
    fn room(&self) -> &Arc<Room> {
        Self::room(self)
    }

    fn session(&self) -> Option<SessionId> {
        Some(Self::session(self))
    }

    fn is_ending(&self) -> bool {
        Self::is_ending(self)
    }
}

impl Deref for Member {
    type Target = MemberHandle;

    fn deref(&self) -> &MemberHandle {
        self.seat.handle()
    }
}
