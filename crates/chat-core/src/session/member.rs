//! A session's presence in one room, in process: what an embedder holds.
//!
//! Invariant: a member is given every message from its join on, in order, or an explicit gap.

use crate::event::{Event, PresenceChange, RoomInfo};
use crate::hub::Hub;
use crate::log::{
    Appended, Batch, BatchSlice, Claim, Drafts, JournalError, Kind, Message, Page, Seq, Span,
};
use crate::name::RoomName;
use crate::room::{
    Backlog, Body, Cursor, Echo, Item, Participant, PublishError, Room, SeatNumber, Standing, Step,
    Subscription,
};
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

/// A session's presence in one room; dropping it leaves the room.
///
/// # Ordering
///
/// All members of a room see its messages in the same order (promise 1).
///
/// # Lagging
///
/// A room never waits for a member (promise 3). One that falls further behind than the room's broadcast ring reads
/// what it missed from the journal, which [`next`](Self::next) does by itself; what the journal no longer holds, or
/// can't be read, is reported as one [`Event::Gap`] (promise 2: never a silent hole). Changes of presence are in no log: a member that
/// missed some is told who is in the room now, once, with [`Event::Present`].
#[derive(Debug)]
pub struct Member {
    seat: Seat,
    rx: broadcast::Receiver<Arc<Item>>,
    cursor: Cursor,
    echo: Echo,
    /// The session ends or the hub drains: what has been said is handed out, and that is all.
    is_ending: bool,
    /// It is in the room no more: what comes after its leaving is not for it.
    is_over: bool,
    /// What has been taken from the room and not been handed out yet.
    current: Option<(Arc<Batch>, Range<usize>)>,
    /// What it missed and is being given.
    backlog: Option<Backlog>,
    /// Who is in the room, if this member has missed changes of presence and is not told yet.
    missed_presence: Option<Box<RoomInfo>>,
}

/// The ring went on without this member.
struct Lagged;

impl Member {
    pub(crate) fn new(seat: Seat, subscription: Subscription) -> Self {
        let Subscription { rx, cursor } = subscription;
        // Looked at after subscribing: whatever ends the session later sends an item.
        let is_ending = seat.is_ending();
        Self {
            is_ending,
            is_over: false,
            seat,
            rx,
            cursor,
            echo: Echo::Exclude,
            current: None,
            backlog: None,
            missed_presence: None,
        }
    }

    /// The room.
    #[must_use]
    pub fn room(&self) -> &RoomName {
        &self.seat.room.name
    }

    /// Who is in the room, its topic, and the end of its log.
    #[must_use]
    pub fn info(&self) -> RoomInfo {
        self.seat.room.info()
    }

    /// Sets whether this member gets its own messages back; it doesn't until this is called.
    pub const fn set_echo(&mut self, echo: Echo) {
        self.echo = echo;
    }

    /// Says something, and returns its place in the log once the log has it.
    ///
    /// Control characters are removed. The room delivers to everybody else without waiting for anybody.
    ///
    /// # Errors
    ///
    /// See [`PublishError`]; the message is not delivered.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not take the message back: it may be delivered all the same.
    pub async fn say(&self, text: &str) -> Result<Seq, PublishError> {
        self.publish(Kind::Said, text).await
    }

    /// Does something: `act("waves")` is shown as "alice waves". Otherwise as [`say`](Self::say).
    ///
    /// # Errors
    ///
    /// See [`PublishError`].
    ///
    /// # Cancel safety
    ///
    /// As [`say`](Self::say).
    pub async fn act(&self, text: &str) -> Result<Seq, PublishError> {
        self.publish(Kind::Acted, text).await
    }

    /// Says something that no program should answer automatically. Otherwise as [`say`](Self::say).
    ///
    /// # Errors
    ///
    /// See [`PublishError`].
    ///
    /// # Cancel safety
    ///
    /// As [`say`](Self::say).
    pub async fn notice(&self, text: &str) -> Result<Seq, PublishError> {
        self.publish(Kind::Notice, text).await
    }

    /// Sets the room's topic, or takes it away if the text is empty.
    ///
    /// # Errors
    ///
    /// See [`PublishError`].
    ///
    /// # Cancel safety
    ///
    /// As [`say`](Self::say).
    pub async fn set_topic(&self, text: &str) -> Result<Seq, PublishError> {
        self.publish(Kind::Topic, text).await
    }

    /// Reads at most `limit` messages of the room's log, oldest first.
    ///
    /// # Errors
    ///
    /// The journal can't be read now.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn history(&self, span: Span, limit: usize) -> Result<Page, JournalError> {
        self.seat.room.read(span, limit).await
    }

    /// Finds at most `limit` messages of the room's log that hold all the words of `text`, the latest before a place,
    /// oldest first; see [`Log::search`](crate::log::Log::search).
    ///
    /// # Errors
    ///
    /// The journal can't be read now.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn search(
        &self,
        text: &str,
        before: Seq,
        limit: usize,
    ) -> Result<Page, JournalError> {
        self.seat.room.search(text, before, limit).await.page
    }

    /// Waits for what happens next in the room.
    ///
    /// The member's own messages are left out unless [`set_echo`](Self::set_echo) says otherwise; its own changes of
    /// presence always, but that it was removed.
    /// A member that fell behind is given what it missed; what the log no longer holds, and what can't be read, is an
    /// [`Event::Gap`], and the member goes on after it.
    /// Returns `None` once the session has ended, the member was removed, the room is closed or the hub drains, and
    /// everything said before has been handed out.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future loses no event.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(message) = self.next_of_current() {
                return Some(Event::Message(message));
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

    /// Leaves the room; the others are told.
    pub fn leave(self) {
        drop(self);
    }

    async fn publish(&self, kind: Kind, text: &str) -> Result<Seq, PublishError> {
        let mut drafts = self.seat.drafts();
        drafts.push(kind, self.seat.hub.checked(text)?);
        if drafts.is_empty() {
            return Err(PublishError::Empty);
        }
        Ok(self.seat.publish(drafts, Vec::new()).await?.last())
    }

    fn next_of_current(&mut self) -> Option<Message> {
        let (batch, range) = self.current.as_mut()?;
        let index = range.next()?;
        if range.start < range.end {
            return Some(Message::new(Arc::clone(batch), index));
        }
        // The last one takes the batch along.
        let (batch, _) = self.current.take()?;
        Some(Message::new(batch, index))
    }

    /// The next item of the broadcast; `None` once the session is ending and there is no more.
    async fn receive(&mut self) -> Option<Result<Arc<Item>, Lagged>> {
        if self.is_over {
            return None;
        }
        while self.is_ending {
            // Looked at first: what the journal still has to take is yet to come.
            let is_settled = self.seat.room.is_settled();
            match self.rx.try_recv() {
                Ok(item) => return Some(Ok(item)),
                Err(TryRecvError::Lagged(_)) => return Some(Err(Lagged)),
                Err(TryRecvError::Empty) if !is_settled => self.seat.room.settled().await,
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
        self.cursor = Cursor {
            next: item.number + 1,
            seq: item.tail,
            presences: item.presences,
        };
        let is_own = item.author == self.seat.session.id();
        match &item.body {
            Body::Nudge => {
                self.is_over |= is_own;
                self.is_ending = self.seat.is_ending();
                None
            }
            Body::Count(..) => None,
            Body::Missed(_, missed) => Some(Event::Gap(*missed)),
            Body::Closed(reason) => {
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
            Body::Messages(_) if is_own && self.echo == Echo::Exclude => None,
            Body::Messages(batch) => {
                self.current = Some((Arc::clone(batch), 0..batch.len()));
                self.next_of_current().map(Event::Message)
            }
        }
    }

    /// Goes to the live end, and notes what lies between as to be read from the log.
    fn fall_behind(&mut self) {
        let room = &self.seat.room;
        let (Subscription { rx, cursor }, info) = room.subscribe_anew(self.cursor.presences);
        self.missed_presence = info.map(Box::new);
        self.rx = rx;
        self.is_ending = self.seat.is_ending();
        let was = std::mem::replace(&mut self.cursor, cursor);
        self.backlog = Some(Backlog::new(&self.seat.room, was, cursor.seq));
    }

    /// One step of catching up: a slice that was read, or a new page, which may begin with a gap.
    async fn read_on(&mut self) -> Option<Event> {
        let backlog = self.backlog.as_mut()?;
        match backlog.step(&self.seat.room).await {
            Step::Slice(BatchSlice { batch, range }) => {
                if batch.author() != self.seat.session.id() || self.echo == Echo::Include {
                    self.current = Some((batch, range));
                }
            }
            Step::Missed(missed) => return Some(Event::Gap(missed)),
            Step::GoOn => {}
            Step::Done => self.backlog = None,
        }
        None
    }
}

/// A place in a room that is given up on drop: the part that members in process and over a wire share.
#[derive(Debug)]
pub(crate) struct Seat {
    room: Arc<Room>,
    session: Arc<Participant>,
    number: SeatNumber,
    hub: Hub,
}

impl Seat {
    pub(crate) const fn new(
        room: Arc<Room>,
        session: Arc<Participant>,
        number: SeatNumber,
        hub: Hub,
    ) -> Self {
        Self {
            room,
            session,
            number,
            hub,
        }
    }

    pub(crate) const fn number(&self) -> SeatNumber {
        self.number
    }

    /// Whether it is this seat in this room.
    pub(crate) fn is(&self, room: &Arc<Room>, number: SeatNumber) -> bool {
        Arc::ptr_eq(&self.room, room) && self.number == number
    }

    /// Whether its session is in the room no more, or about to end.
    fn is_ending(&self) -> bool {
        self.session.is_closing() || !self.room.has(self.session.id())
    }

    pub(crate) const fn room(&self) -> &Arc<Room> {
        &self.room
    }

    /// Starts a batch of this member's messages.
    fn drafts(&self) -> Drafts {
        self.session.drafts(self.hub.now())
    }

    pub(crate) async fn publish(
        &self,
        drafts: Drafts,
        claims: Vec<Claim>,
    ) -> Result<Appended, PublishError> {
        self.room.publish(drafts, claims, Standing::Member).await
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.hub.leave(&self.session, &self.room, self.number);
    }
}
