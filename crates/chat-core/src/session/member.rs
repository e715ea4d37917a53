//! A session's presence in one room, in process: the API for embedders.
//!
//! Invariant: a member receives every message since it joined, in order, or an explicit gap.

use crate::event::{Event, PresenceChange, RoomInfo};
use crate::hub::Hub;
use crate::log::{
    Appended, Batch, BatchSlice, Claim, Claimed, Drafts, JournalError, Key, Kind, Message, Page,
    Said, Seq, Span,
};
use crate::name::RoomName;
use crate::room::{
    Backlog, Body, Cursor, Echo, Item, JoinedAt, Participant, Plan, PublishError, Resume, Room,
    SeatNumber, Standing, Step, Subscription,
};
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

/// Represents a session's presence in one room. Dropping the member leaves the room.
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
/// of the room with [`Event::Present`].
#[derive(Debug)]
pub struct Member {
    seat: Seat,
    rx: broadcast::Receiver<Arc<Item>>,
    cursor: Cursor,
    echo: Echo,
    /// The session ends or the hub drains: the member returns what was said before, and nothing more.
    is_ending: bool,
    /// The member is no longer in the room: it receives nothing after its leaving.
    is_over: bool,
    /// What was received and not returned yet.
    current: Option<(Arc<Batch>, Range<usize>)>,
    /// Which earlier messages the member asked for, and where the room was when it joined.
    resume: Option<Box<(Resume, JoinedAt)>>,
    /// The messages being returned were said before it joined.
    is_replaying: bool,
    /// What the member missed and has not received yet.
    backlog: Option<Backlog>,
    /// The present members, if this member missed changes of presence and has not received them yet.
    missed_presence: Option<Box<RoomInfo>>,
}

/// The ring overtook this member.
struct Lagged;

impl Member {
    pub(crate) fn new(
        seat: Seat,
        subscription: Subscription,
        resume: Resume,
        joined: JoinedAt,
    ) -> Self {
        let Subscription { rx, cursor } = subscription;
        // Checked after subscribing: whatever ends the session later also sends an item.
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

    /// Returns the room's name.
    #[must_use]
    pub fn room(&self) -> &RoomName {
        &self.seat.room().name
    }

    /// Returns the room's members, its topic, and the end of its log, as they are now. The member may not have received
    /// the log's last messages yet.
    #[must_use]
    pub fn info(&self) -> RoomInfo {
        self.seat.room().info()
    }

    /// Sets whether this member receives its own messages. The default is [`Echo::Exclude`].
    pub const fn set_echo(&mut self, echo: Echo) {
        self.echo = echo;
    }

    /// Returns a handle that publishes in the room and reads its log. Other tasks can use a clone of it while this task
    /// waits in [`next`](Self::next).
    #[must_use]
    pub fn handle(&self) -> &MemberHandle {
        &self.seat.handle
    }

    /// Publishes a message; see [`MemberHandle::say`].
    ///
    /// # Errors
    ///
    /// See [`PublishError`]. The message is not delivered, except perhaps after [`JournalError::Uncertain`] or
    /// [`JournalError::Gone`].
    ///
    /// # Cancel safety
    ///
    /// The same as for [`MemberHandle::say`].
    pub async fn say(&self, text: &str) -> Result<Seq, PublishError> {
        self.handle().say(text).await
    }

    /// Publishes a message under a key; see [`MemberHandle::say_once`].
    ///
    /// # Errors
    ///
    /// See [`PublishError`].
    ///
    /// # Cancel safety
    ///
    /// The same as for [`MemberHandle::say_once`].
    pub async fn say_once(&self, key: &str, text: &str) -> Result<Published, PublishError> {
        self.handle().say_once(key, text).await
    }

    /// Publishes an action; see [`MemberHandle::act`].
    ///
    /// # Errors
    ///
    /// See [`PublishError`].
    ///
    /// # Cancel safety
    ///
    /// The same as for [`MemberHandle::say`].
    pub async fn act(&self, text: &str) -> Result<Seq, PublishError> {
        self.handle().act(text).await
    }

    /// Publishes a notice; see [`MemberHandle::notice`].
    ///
    /// # Errors
    ///
    /// See [`PublishError`].
    ///
    /// # Cancel safety
    ///
    /// The same as for [`MemberHandle::say`].
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
    /// The same as for [`MemberHandle::say`].
    pub async fn set_topic(&self, text: &str) -> Result<Seq, PublishError> {
        self.handle().set_topic(text).await
    }

    /// Reads the room's log; see [`MemberHandle::history`].
    ///
    /// # Errors
    ///
    /// Returns an error if the journal can't be read now.
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
    /// Returns an error if the journal can't be read now.
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
            if let Some(message) = self.next_of_current() {
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

    fn next_of_current(&mut self) -> Option<Message> {
        let (batch, range) = self.current.as_mut()?;
        let index = range.next()?;
        if range.start < range.end {
            return Some(Message::new(Arc::clone(batch), index));
        }
        // The last message takes the batch itself, without a clone.
        let (batch, _) = self.current.take()?;
        Some(Message::new(batch, index))
    }

    /// Receives the next item of the broadcast; `None` once the session is ending and there are no more.
    async fn receive(&mut self) -> Option<Result<Arc<Item>, Lagged>> {
        if self.is_over {
            return None;
        }
        while self.is_ending {
            // Checked before the ring is read: what the journal has yet to take will be delivered later.
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
            Body::Messages(_) if is_own && self.echo != Echo::Include => None,
            Body::Messages(batch) => {
                self.current = Some((Arc::clone(batch), 0..batch.len()));
                self.next_of_current().map(Event::Message)
            }
        }
    }

    /// Goes to the live end. What lies in between is to be read from the log.
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

    /// Takes one step of catching up: yields a slice, or reads a new page, which may begin with a gap.
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

/// Publishes in one room in the name of a session, and reads the room's log. A handle is cheap to clone, and any task
/// can use it.
///
/// A handle does not keep the session in the room: the [`Member`] or [`SessionEvents`](crate::SessionEvents) does. Once
/// the session has left the room, the handle can only read: publishing fails with [`PublishError::NotAMember`].
#[derive(Debug, Clone)]
pub struct MemberHandle {
    room: Arc<Room>,
    session: Arc<Participant>,
    seat: SeatNumber,
    hub: Hub,
}

/// The result of publishing a message under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Published {
    /// This call published the message, at this position of the room's log.
    New(Seq),
    /// An earlier call with the same key published a message. This call published nothing.
    Duplicate {
        /// The room in which the earlier message was published.
        room: RoomName,
        /// The position of the earlier message in that room's log.
        seq: Seq,
    },
}

impl MemberHandle {
    /// Returns the room's name.
    #[must_use]
    pub fn room(&self) -> &RoomName {
        &self.room.name
    }

    /// Returns the room's members, its topic, and the end of its log, as they are now. The member may not have received
    /// the log's last messages yet.
    #[must_use]
    pub fn info(&self) -> RoomInfo {
        self.room.info()
    }

    /// Publishes a message. Returns its position in the room's log once the log holds the message.
    ///
    /// Control characters are removed from the text. The room delivers the message to all members without waiting for
    /// any of them.
    ///
    /// # Errors
    ///
    /// See [`PublishError`]. The message is not delivered, except perhaps after [`JournalError::Uncertain`] or
    /// [`JournalError::Gone`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not withdraw the message: it may still be delivered.
    pub async fn say(&self, text: &str) -> Result<Seq, PublishError> {
        self.publish(Kind::Said, text).await
    }

    /// Publishes an action: `act("waves")` is shown as "alice waves". In all else it works as [`say`](Self::say).
    ///
    /// # Errors
    ///
    /// See [`PublishError`].
    ///
    /// # Cancel safety
    ///
    /// The same as for [`say`](Self::say).
    pub async fn act(&self, text: &str) -> Result<Seq, PublishError> {
        self.publish(Kind::Acted, text).await
    }

    /// Publishes a notice, which no program should answer automatically. In all else it works as [`say`](Self::say).
    ///
    /// # Errors
    ///
    /// See [`PublishError`].
    ///
    /// # Cancel safety
    ///
    /// The same as for [`say`](Self::say).
    pub async fn notice(&self, text: &str) -> Result<Seq, PublishError> {
        self.publish(Kind::Notice, text).await
    }

    /// Sets the room's topic, or removes it if the text is empty.
    ///
    /// # Errors
    ///
    /// See [`PublishError`].
    ///
    /// # Cancel safety
    ///
    /// The same as for [`say`](Self::say).
    pub async fn set_topic(&self, text: &str) -> Result<Seq, PublishError> {
        self.publish(Kind::Topic, text).await
    }

    /// Reads at most `limit` messages of the room's log, oldest first: those nearest to the position that `span` names.
    /// If the log no longer holds some of them, [`Page::gap`] says so.
    ///
    /// # Errors
    ///
    /// Returns an error if the journal can't be read now.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn history(&self, span: Span, limit: usize) -> Result<Page, JournalError> {
        self.room.read(span, limit).await
    }

    /// Finds messages before the position `before` that hold all the words of `text`: the latest ones, at most `limit`,
    /// oldest first; see [`Log::search`](crate::log::Log::search).
    ///
    /// # Errors
    ///
    /// Returns an error if the journal can't be read now.
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

    /// Publishes a message under a key. A repetition under the same key publishes nothing: it returns
    /// [`Published::Duplicate`].
    ///
    /// If another call is publishing a message under the key, this call waits for the result of that call. Texts are
    /// not compared. A key that was used in one room counts as used in all rooms of the hub.
    ///
    /// A key has 1 to 64 bytes and no control character. It belongs to the client's token if the session has one
    /// ([`Session::set_token`](crate::Session::set_token)), otherwise to the session: two clients may use the same key.
    /// The hub remembers a key for [`Limits::key_lifetime`](crate::Limits::key_lifetime), but only the last
    /// [`Limits::keys_per_nick`](crate::Limits::keys_per_nick) of one owner.
    ///
    /// # Errors
    ///
    /// See [`PublishError`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not withdraw the message. Repeat the call with the same key to learn whether the
    /// message was published.
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

    /// Takes the session out of the room, unless it has left and joined again.
    pub(crate) fn leave_now(&self) {
        self.hub.leave(&self.session, &self.room, self.seat);
    }

    /// Whether this is the room with this folded name.
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
    /// Returns the position of the message in the log of the room in which it was first published.
    #[must_use]
    pub const fn seq(&self) -> Seq {
        match self {
            Self::New(seq) | Self::Duplicate { seq, .. } => *seq,
        }
    }
}

/// A place in a room that is given up on drop; shared by members in process and over connections.
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

    /// Whether this is that seat in that room.
    pub(crate) fn is(&self, room: &Arc<Room>, number: SeatNumber) -> bool {
        Arc::ptr_eq(&self.handle.room, room) && self.handle.seat == number
    }

    /// Whether the session is no longer in the room, or about to end.
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
