//! A session's presence in one room, in process: what an embedder holds.
//!
//! Invariant: a member is given every message from its join on, in order, or an explicit gap.

use crate::event::{Event, PresenceChange, RoomInfo};
use crate::hub::Hub;
use crate::log::{
    Appended, Batch, BatchSlice, Claim, Claimed, Drafts, JournalError, Key, Kind, Message, Page,
    Said, Seq, Span,
};
use crate::name::RoomName;
use crate::room::{
    Backlog, Body, Cursor, Echo, Item, Participant, Plan, PublishError, Resume, Room, SeatNumber,
    Standing, Step, Subscription,
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
    /// What it asked for of what was said before it joined, and where the room was when it joined.
    resume: Option<Box<(Resume, Cursor)>>,
    /// What it is being given was said before it joined.
    is_replaying: bool,
    /// What it missed and is being given.
    backlog: Option<Backlog>,
    /// Who is in the room, if this member has missed changes of presence and is not told yet.
    missed_presence: Option<Box<RoomInfo>>,
}

/// The ring went on without this member.
struct Lagged;

impl Member {
    pub(crate) fn new(seat: Seat, subscription: Subscription, resume: Resume) -> Self {
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
            resume: (!resume.is_empty()).then(|| Box::new((resume, cursor))),
            is_replaying: false,
            backlog: None,
            missed_presence: None,
        }
    }

    /// The room.
    #[must_use]
    pub fn room(&self) -> &RoomName {
        &self.seat.room().name
    }

    /// Who is in the room, its topic, and the end of its log.
    #[must_use]
    pub fn info(&self) -> RoomInfo {
        self.seat.room().info()
    }

    /// Sets whether this member gets its own messages back; it doesn't until this is called.
    pub const fn set_echo(&mut self, echo: Echo) {
        self.echo = echo;
    }

    /// Speaks in the room and reads its log, also while another task waits for what happens next.
    #[must_use]
    pub fn handle(&self) -> &MemberHandle {
        &self.seat.handle
    }

    /// Says something; see [`MemberHandle::say`].
    ///
    /// # Errors
    ///
    /// See [`PublishError`]; the message is not delivered.
    ///
    /// # Cancel safety
    ///
    /// As [`MemberHandle::say`].
    pub async fn say(&self, text: &str) -> Result<Seq, PublishError> {
        self.handle().say(text).await
    }

    /// Says something under a key; see [`MemberHandle::say_once`].
    ///
    /// # Errors
    ///
    /// See [`PublishError`].
    ///
    /// # Cancel safety
    ///
    /// As [`MemberHandle::say_once`].
    pub async fn say_once(&self, key: &str, text: &str) -> Result<Published, PublishError> {
        self.handle().say_once(key, text).await
    }

    /// Does something; see [`MemberHandle::act`].
    ///
    /// # Errors
    ///
    /// See [`PublishError`].
    ///
    /// # Cancel safety
    ///
    /// As [`MemberHandle::say`].
    pub async fn act(&self, text: &str) -> Result<Seq, PublishError> {
        self.handle().act(text).await
    }

    /// Notes something; see [`MemberHandle::notice`].
    ///
    /// # Errors
    ///
    /// See [`PublishError`].
    ///
    /// # Cancel safety
    ///
    /// As [`MemberHandle::say`].
    pub async fn notice(&self, text: &str) -> Result<Seq, PublishError> {
        self.handle().notice(text).await
    }

    /// Sets the room's topic; see [`MemberHandle::set_topic`].
    ///
    /// # Errors
    ///
    /// See [`PublishError`].
    ///
    /// # Cancel safety
    ///
    /// As [`MemberHandle::say`].
    pub async fn set_topic(&self, text: &str) -> Result<Seq, PublishError> {
        self.handle().set_topic(text).await
    }

    /// Reads the room's log; see [`MemberHandle::history`].
    ///
    /// # Errors
    ///
    /// The journal can't be read now.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn history(&self, span: Span, limit: usize) -> Result<Page, JournalError> {
        self.handle().history(span, limit).await
    }

    /// Searches the room's log; see [`MemberHandle::search`].
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
        self.handle().search(text, before, limit).await
    }

    /// Waits for what happens next in the room.
    ///
    /// The member's own messages are left out unless [`set_echo`](Self::set_echo) says otherwise; its own changes of
    /// presence always, but that it was removed.
    /// A member that asked for it when it joined is first given what was said before, as [`Event::Replayed`].
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
                return Some(if self.is_replaying {
                    Event::Replayed(message)
                } else {
                    Event::Message(message)
                });
            }
            if let Some((resume, joined)) = self.resume.as_deref().copied() {
                let Plan { missed, catch_up } = resume.plan(self.seat.room(), joined).await;
                self.resume = None;
                self.is_replaying = true;
                self.backlog = Some(Backlog::of(catch_up));
                if let Some(missed) = missed {
                    return Some(Event::Gap(missed));
                }
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
        self.cursor = Cursor {
            next: item.number + 1,
            seq: item.tail,
            presences: item.presences,
        };
        let is_own = item.author == self.seat.handle.session.id();
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
        let room = self.seat.room();
        let (Subscription { rx, cursor }, info) = room.subscribe_anew(self.cursor.presences);
        self.missed_presence = info.map(Box::new);
        self.rx = rx;
        self.is_ending = self.seat.is_ending();
        let was = std::mem::replace(&mut self.cursor, cursor);
        self.backlog = Some(Backlog::new(self.seat.room(), was, cursor.seq));
    }

    /// One step of catching up: a slice that was read, or a new page, which may begin with a gap.
    async fn read_on(&mut self) -> Option<Event> {
        let backlog = self.backlog.as_mut()?;
        match backlog.step(self.seat.room()).await {
            Step::Slice(BatchSlice { batch, range }) => {
                let is_own = batch.author() == self.seat.handle.session.id();
                if self.is_replaying || !is_own || self.echo == Echo::Include {
                    self.current = Some((batch, range));
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

/// Speaks in one room in the name of a session, and reads the room's log; cheap to clone, for any task.
///
/// It does not keep the session in the room: [`Member`] or [`SessionEvents`](crate::SessionEvents) does. Once the session
/// has left, what is said is refused.
#[derive(Debug, Clone)]
pub struct MemberHandle {
    room: Arc<Room>,
    session: Arc<Participant>,
    seat: SeatNumber,
    hub: Hub,
}

/// What became of a message that was said under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Published {
    /// It was said now, and has this place in the room's log.
    New(Seq),
    /// It had been said before: it is not said again.
    Duplicate {
        /// The room in which it was said.
        room: RoomName,
        /// The place that it has there.
        seq: Seq,
    },
}

impl MemberHandle {
    /// The room.
    #[must_use]
    pub fn room(&self) -> &RoomName {
        &self.room.name
    }

    /// Who is in the room, its topic, and the end of its log.
    #[must_use]
    pub fn info(&self) -> RoomInfo {
        self.room.info()
    }

    /// Says something, and returns its place in the log once the log has it.
    ///
    /// Control characters are removed. The room delivers to all other members without waiting for any of them.
    ///
    /// # Errors
    ///
    /// See [`PublishError`]; the message is not delivered.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not take the message back: it may be delivered.
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
        self.room.read(span, limit).await
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
        self.room.search(text, before, limit).await.page
    }

    /// Says something under a key: repeated under the same key by the same client, it is not said again. Waits for a
    /// message that is being said under the key.
    ///
    /// A key has 1 to 64 bytes and no control character. It belongs to the session, or to the client's token
    /// ([`Session::set_token`](crate::Session::set_token)), and is remembered for
    /// [`Limits::key_lifetime`](crate::Limits::key_lifetime).
    ///
    /// # Errors
    ///
    /// See [`PublishError`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not take the message back: say it again under the same key to learn what became of it.
    pub async fn say_once(&self, key: &str, text: &str) -> Result<Published, PublishError> {
        let key = Key::parse(key).map_err(PublishError::Key)?;
        let text = self.hub.checked(text)?;
        let (owner, keys) = (self.session.owner(), self.hub.keys());
        let claim = loop {
            match keys.claim(owner, &key, 0) {
                Claimed::New(claim) => break claim,
                Claimed::Already(Said { room, seq }) => {
                    return Ok(Published::Duplicate { room, seq });
                }
                Claimed::Pending => keys.settled(|| keys.is_pending(owner, &key)).await,
            }
        };
        let mut drafts = self.drafts();
        if !drafts.add(Kind::Said, text, Some((&key, owner))) {
            return Err(PublishError::Empty);
        }
        Ok(match self.append(drafts, vec![claim]).await? {
            Appended::Batch(batch) => Published::New(batch.last()),
            Appended::Duplicate(seq) => Published::Duplicate {
                room: self.room.name.clone(),
                seq,
            },
        })
    }

    async fn publish(&self, kind: Kind, text: &str) -> Result<Seq, PublishError> {
        let mut drafts = self.drafts();
        drafts.push(kind, self.hub.checked(text)?);
        if drafts.is_empty() {
            return Err(PublishError::Empty);
        }
        Ok(self.append(drafts, Vec::new()).await?.last())
    }

    /// Takes the session out of the room, unless it has left and come back.
    pub(crate) fn leave_now(&self) {
        self.hub.leave(&self.session, &self.room, self.seat);
    }

    /// Whether it is the room with this folded name.
    pub(crate) fn is_in(&self, key: &str) -> bool {
        *self.room.key == *key
    }

    /// Starts a batch of this member's messages.
    fn drafts(&self) -> Drafts {
        self.session.drafts(self.hub.now())
    }

    async fn append(&self, drafts: Drafts, claims: Vec<Claim>) -> Result<Appended, PublishError> {
        self.room.publish(drafts, claims, Standing::Member).await
    }
}

impl Published {
    /// The place of the message, wherever it was said first.
    #[must_use]
    pub const fn seq(&self) -> Seq {
        match self {
            Self::New(seq) | Self::Duplicate { seq, .. } => *seq,
        }
    }
}

/// A place in a room that is given up on drop: the part that members in process and over a wire share.
#[derive(Debug)]
pub(crate) struct Seat {
    handle: MemberHandle,
}

impl Seat {
    pub(crate) const fn new(
        room: Arc<Room>,
        session: Arc<Participant>,
        number: SeatNumber,
        hub: Hub,
    ) -> Self {
        Self {
            handle: MemberHandle {
                room,
                session,
                seat: number,
                hub,
            },
        }
    }

    pub(crate) const fn number(&self) -> SeatNumber {
        self.handle.seat
    }

    /// Whether it is this seat in this room.
    pub(crate) fn is(&self, room: &Arc<Room>, number: SeatNumber) -> bool {
        Arc::ptr_eq(&self.handle.room, room) && self.handle.seat == number
    }

    /// Whether its session is in the room no more, or about to end.
    fn is_ending(&self) -> bool {
        let session = &self.handle.session;
        session.is_closing() || !self.handle.room.has(session.id())
    }

    pub(crate) const fn room(&self) -> &Arc<Room> {
        &self.handle.room
    }

    pub(crate) async fn publish(
        &self,
        drafts: Drafts,
        claims: Vec<Claim>,
    ) -> Result<Appended, PublishError> {
        self.handle.append(drafts, claims).await
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.handle.leave_now();
    }
}
