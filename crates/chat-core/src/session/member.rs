//! A session's presence in one room, in process: the API for embedders.
//!
//! Invariant: a member receives every message since it joined, in order, or an explicit gap.

use crate::event::{Event, PresenceChange, RoomInfo};
use crate::log::BatchSlice;
use crate::room::{Backlog, Body, Cursor, Echo, Item, JoinedAt, Plan, Resume, Step, Subscription};
use crate::session::handle::{MemberHandle, Seat};
use std::ops::Deref;
use std::sync::Arc;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

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
/// missing silently. Changes of presence are not in the log. If the member missed some, it receives the present members
/// of the room with [`Event::Present`]. If the room is closed in the meantime, the member receives the remaining messages
/// or an [`Event::Gap`], and then [`Event::Closed`].
#[derive(Debug)]
pub struct Member {
    seat: Seat,
    rx: broadcast::Receiver<Arc<Item>>,
    cursor: Cursor,
    echo: Echo,
    /// Whether the session is ending or the hub drains. `next` then returns only the events from before the end.
    is_ending: bool,
    /// Whether the member has left the room, so that it receives no further events.
    is_over: bool,
    /// The received messages that were not returned yet.
    current: Option<BatchSlice>,
    /// Which earlier messages the member asked for, and the room's position at the join; `None` once their replay
    /// begins.
    resume: Option<Box<(Resume, JoinedAt)>>,
    /// Whether the messages that are returned now were published before the member joined.
    is_replaying: bool,
    /// The part of the log that the member missed and has not received yet.
    backlog: Option<Backlog>,
    /// The room's present members, which `next` returns because this member missed changes of presence.
    missed_presence: Option<Box<RoomInfo>>,
}

/// The room's broadcast ring has dropped events that this member had not received.
struct Lagged;

impl Member {
    pub(crate) fn new(
        seat: Seat,
        subscription: Subscription,
        resume: Resume,
        joined: JoinedAt,
    ) -> Self {
        let Subscription { rx, cursor } = subscription;
        // Checked after subscribing: if the session ends after this check, the room sends an item that makes the member
        // check again.
        let is_ending = seat.is_ending();
        let has_plan = !resume.is_empty() || joined.is_lost;
        Self {
            is_ending,
            is_over: false,
            seat,
            rx,
            cursor,
            echo: Echo::Exclude,
            current: None,
            resume: has_plan.then(|| Box::new((resume, joined))),
            is_replaying: false,
            backlog: None,
            missed_presence: None,
        }
    }

    /// Sets whether this member receives its own messages. The default is [`Echo::Exclude`].
    pub const fn set_echo(&mut self, echo: Echo) {
        self.echo = echo;
    }

    /// Waits for the next event of the room.
    ///
    /// The member does not receive its own messages, unless [`set_echo`](Self::set_echo) was called with
    /// [`Echo::Include`]. It does not receive its own changes of presence, except [`PresenceChange::Removed`].
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
        loop {
            if let Some(message) = BatchSlice::take_first(&mut self.current) {
                return Some(if self.is_replaying {
                    Event::Replayed(message)
                } else {
                    Event::Message(message)
                });
            }
            if let Some((resume, joined)) = self.resume.as_deref().copied() {
                let Plan { catch_up, .. } = resume.plan(self.seat.room(), joined).await;
                self.resume = None;
                self.is_replaying = true;
                self.backlog = Some(Backlog::new(catch_up));
            }
            if let Some(info) = self.missed_presence.take() {
                return Some(Event::Present(info));
            }
            if self.backlog.is_some() {
                if let Some(event) = self.read_on().await {
                    return Some(event);
                }
                continue;
            }
            match self.receive().await? {
                Ok(item) => {
                    if let Some(event) = self.take(&item) {
                        return Some(event);
                    }
                }
                Err(Lagged) => self.fall_behind(),
            }
        }
    }

    /// Leaves the room, which announces that to the other members.
    pub fn leave(self) {
        drop(self);
    }

    /// Receives the next item of the room's broadcast. Returns `None` once the session is ending and no item is left.
    async fn receive(&mut self) -> Option<Result<Arc<Item>, Lagged>> {
        if self.is_over {
            return None;
        }
        while self.is_ending {
            // Checked before the ring is read: if the journal is still storing messages, they are delivered later.
            let is_settled = self.seat.room().is_settled();
            match self.rx.try_recv() {
                Ok(item) => return Some(Ok(item)),
                Err(TryRecvError::Lagged(_)) => return Some(Err(Lagged)),
                Err(TryRecvError::Empty) if !is_settled => self.seat.room().settled().await,
                Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
            }
        }
        match self.rx.recv().await {
            Ok(item) => Some(Ok(item)),
            Err(RecvError::Lagged(_)) => Some(Err(Lagged)),
            Err(RecvError::Closed) => None,
        }
    }

    fn take(&mut self, item: &Item) -> Option<Event> {
        if item.number < self.cursor.next {
            return None;
        }
        if item.number > self.cursor.next {
            self.fall_behind();
            return None;
        }
        self.cursor = item.end;
        let is_own = item.author == self.seat.session();
        match &item.body {
            Body::Nudge => {
                self.is_over |= is_own;
                self.is_ending = self.seat.is_ending();
                None
            }
            Body::Count(..) => None,
            Body::Missed(_, missed) => Some(Event::Gap(*missed)),
            Body::Closed(_, reason) => {
                self.is_over = true;
                Some(Event::Closed(Arc::clone(reason)))
            }
            Body::Presence(presence) if is_own => {
                self.is_over = !matches!(presence.change, PresenceChange::Renamed { .. });
                self.is_ending = self.seat.is_ending();
                let is_told = matches!(presence.change, PresenceChange::Removed { .. });
                is_told.then(|| Event::Presence(Arc::clone(presence)))
            }
            Body::Presence(presence) => Some(Event::Presence(Arc::clone(presence))),
            Body::Messages(_) if is_own && self.echo != Echo::Include => None,
            Body::Messages(batch) => {
                self.current = Some(BatchSlice {
                    batch: Arc::clone(batch),
                    range: 0..batch.len(),
                });
                BatchSlice::take_first(&mut self.current).map(Event::Message)
            }
        }
    }

    /// Subscribes again to the room's later events. `next` then reads the messages that the member missed from the log.
    fn fall_behind(&mut self) {
        let (subscription, catch_up, info) = self.seat.room().subscribe_anew(self.cursor);
        self.missed_presence = info.map(Box::new);
        Subscription {
            rx: self.rx,
            cursor: self.cursor,
        } = subscription;
        self.is_ending = self.seat.is_ending();
        self.backlog = Some(Backlog::new(catch_up));
    }

    /// Takes one step of catching up from the log. Returns a gap if messages are missing there; messages go to
    /// `current`.
    async fn read_on(&mut self) -> Option<Event> {
        let backlog = self.backlog.as_mut()?;
        match backlog.step(self.seat.room()).await {
            Step::Slice(slice) => {
                let is_own = slice.batch.author() == self.seat.session();
                if self.is_replaying || !is_own || self.echo == Echo::Include {
                    self.current = Some(slice);
                }
            }
            Step::Missed(missed) => return Some(Event::Gap(missed)),
            Step::GoOn => {}
            Step::Done => {
                self.backlog = None;
                self.is_replaying = false;
            }
        }
        None
    }
}

impl Deref for Member {
    type Target = MemberHandle;

    fn deref(&self) -> &MemberHandle {
        self.seat.handle()
    }
}
