//! One participant: its nick, its rooms, its direct messages, and its end.
//!
//! Invariant: however a session ends, it leaves each of its rooms with one announcement, and its nick is free again.

use crate::batch::{Drafts, Kind, Seq, SessionId, Timestamp};
use crate::command::IfMissing;
use crate::delivery::DeliveryOptions;
use crate::event::{CloseReason, Direct};
use crate::hub::{Hub, JoinError, Opener, Visit};
use crate::key::{Owner, TokenDigest};
use crate::member::{Member, Seat};
use crate::name::{Nick, RoomName};
use crate::outbound::Outbound;
use crate::room::{PublishError, Room, RoomInfo, SeatNumber, Standing};
use crate::roster::NickError;
use crate::sync::Mutex;
use crate::wire_member::WireMember;
use futures::task::AtomicWaker;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

/// One participant of a hub, with or without a wire.
///
/// Dropping a session ends it: it leaves all its rooms, which is announced, and its nick is free (promise 5: one
/// nick, one owner; one goodbye). [`Member`]s that outlive it see nothing more and can say nothing.
#[derive(Debug)]
pub struct Session {
    shared: Arc<Shared>,
    hub: Hub,
    /// Whom the rooms that it opens are counted for.
    opener: Opener,
}

/// What others may touch of a session.
pub(crate) struct Shared {
    id: SessionId,
    nick: Mutex<Nick>,
    /// Held while a nick changes hands or is carried into a room, so that the two don't cross.
    naming: Mutex<()>,
    mail: Mutex<Mail>,
    waker: AtomicWaker,
    rooms: Mutex<Rooms>,
    /// Numbers the seats that it takes.
    seats: AtomicU64,
    is_closing: AtomicBool,
    /// The digest of its client's token, if it has one.
    token: Mutex<Option<TokenDigest>>,
}

#[derive(Default)]
struct Mail {
    direct: VecDeque<Direct>,
    /// Rooms that it was taken out of; its connection tells the peer.
    removals: Vec<Removal>,
    close: Option<CloseReason>,
}

/// A session was taken out of a room.
#[derive(Debug, Clone)]
pub(crate) struct Removal {
    pub(crate) room: Arc<Room>,
    pub(crate) seat: SeatNumber,
    pub(crate) reason: Arc<str>,
    /// The room was closed, and everybody taken out.
    pub(crate) is_closed: bool,
}

#[derive(Default)]
struct Rooms {
    joined: Vec<Joined>,
    ended: bool,
}

/// A room that a session is in, or about to be.
struct Joined {
    room: Arc<Room>,
    seat: SeatNumber,
}

/// Why a direct message was not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TellError {
    /// Nobody has that nick.
    NoSuchNick(String),
    /// Too much waits for that session already.
    MailboxFull(Nick),
    /// The text is longer than this many bytes.
    TooLong(usize),
    /// Nothing visible is left of the text.
    Empty,
}

impl Session {
    pub(crate) const fn new(shared: Arc<Shared>, hub: Hub) -> Self {
        Self {
            shared,
            hub,
            opener: None,
        }
    }

    /// Counts the rooms that it opens for an address.
    pub(crate) const fn with_opener(mut self, opener: Opener) -> Self {
        self.opener = opener;
        self
    }

    /// This session's identity within its hub.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.shared.id
    }

    /// The nick under which it speaks.
    #[must_use]
    pub fn nick(&self) -> Nick {
        self.shared.nick()
    }

    /// Takes another nick and announces it in all its rooms.
    ///
    /// # Errors
    ///
    /// The text is no name, or the nick is taken, or looks like one that is taken; the old one stays.
    pub fn rename(&self, nick: &str) -> Result<Nick, NickError> {
        let nick = self.hub.names().nick(nick).map_err(NickError::Name)?;
        let _naming = self.shared.naming.lock();
        if self.shared.has_ended() {
            return Err(NickError::Ended);
        }
        let had = self.nick();
        if nick == had {
            return Ok(nick);
        }
        self.hub.roster().claim(&self.shared, &nick, Some(&had))?;
        *self.shared.nick.lock() = nick.clone();
        let rooms = self.shared.rooms();
        rooms.iter().for_each(|room| room.rename(self.id(), &nick));
        Ok(nick)
    }

    /// Takes note of the client's token, before anything is said.
    pub(crate) fn set_token(&self, token: TokenDigest) {
        *self.shared.token.lock() = Some(token);
    }

    /// Takes another nick; if a session with the same token has it, which is what is left of an earlier connection of
    /// the same client, that session ends first.
    pub(crate) fn take_nick(&self, nick: &str) -> Result<Nick, NickError> {
        match self.rename(nick) {
            Err(NickError::Taken(taken) | NickError::LooksLike { taken, .. })
                if self.ends_ghost(&taken) =>
            {
                self.rename(nick)
            }
            outcome => outcome,
        }
    }

    /// Ends the session of this nick if its client has the same token.
    fn ends_ghost(&self, nick: &Nick) -> bool {
        let Some(ghost) = self.hub.roster().find(nick.as_str()) else {
            return false;
        };
        let is_own = match ghost.owner() {
            Owner::Token(token) => self.shared.owner() == Owner::Token(token),
            Owner::Session(_) => false,
        };
        // Only an earlier session: the hello of a connection that had to wait does not end the one after it.
        if is_own && ghost.id < self.id() {
            // Asked first, so that its connection knows why it ends.
            ghost.ask_to_close(CloseReason::TakenOver);
            ghost.end(&CloseReason::TakenOver, &self.hub);
            return true;
        }
        false
    }

    /// Joins a room, which is opened if need be, and announces it there.
    ///
    /// # Errors
    ///
    /// See [`JoinError`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future before it is ready joins nothing.
    pub async fn join(&self, room: &str) -> Result<Member, JoinError> {
        loop {
            let seat = self.take_seat(room, 0).await?;
            let joined = {
                let _naming = self.shared.naming.lock();
                if self.shared.has_ended() {
                    return Err(JoinError::Ended);
                }
                seat.room().join(&self.shared, seat.number())
            };
            if let Some(subscription) = joined {
                return Ok(Member::new(seat, subscription));
            }
        }
    }

    /// Joins a room whose items are written to `outbound`, which is corked when this is done. The caller is about to
    /// leave the rooms of `leaving`: nothing of theirs is delivered once the new room is.
    pub(crate) async fn join_wire(
        &self,
        room: &str,
        outbound: &Arc<Outbound>,
        options: &DeliveryOptions,
        leaving: &[WireMember],
    ) -> Result<(RoomInfo, WireMember), JoinError> {
        loop {
            let seat = self.take_seat(room, leaving.len()).await?;
            // Nothing is awaited from here on. Should the join fail, these are behind, and will be levelled.
            leaving.iter().for_each(WireMember::pause);
            outbound.cork();
            let outbound = Arc::clone(outbound);
            let joined = {
                let _naming = self.shared.naming.lock();
                if self.shared.has_ended() {
                    return Err(JoinError::Ended);
                }
                seat.room()
                    .join_wire(&self.shared, seat.number(), outbound, options.clone())
            };
            if let Some((info, tail, place)) = joined {
                return Ok((info, WireMember::new(seat, tail, place)));
            }
        }
    }

    /// Says something in a room without being in it: nobody is told of a coming or going. Returns its place in the log
    /// once the log has it.
    ///
    /// The room is opened if need be; what is said in an empty one is there for whoever reads its history.
    ///
    /// # Errors
    ///
    /// See [`PublishError`]; the message is not delivered.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not take the message back: it may be delivered all the same.
    pub async fn publish(&self, room: &str, text: &str) -> Result<Seq, PublishError> {
        let limit = self.hub.limits().text_bytes.get();
        if text.len() > limit {
            return Err(PublishError::TooLong(limit));
        }
        let failed = |error| PublishError::Room(Box::new(error));
        let name = self.hub.room_name(room);
        let (name, key) = name.map_err(|error| failed(JoinError::Name(error)))?;
        loop {
            let mut drafts = self.shared.drafts(self.hub.now());
            drafts.push(Kind::Said, text);
            if drafts.is_empty() {
                return Err(PublishError::Empty);
            }
            if self.hub.is_draining() {
                return Err(PublishError::Draining);
            }
            if self.shared.is_closing() {
                return Err(PublishError::NotAMember);
            }
            let room = self.hub.open(&name, &key, self.opener).await;
            let room = Visit::new(room.map_err(failed)?, self.hub.clone());
            let published = room.publish(drafts, Vec::new(), Standing::Outside).await;
            if room.is_gone() && matches!(published, Err(PublishError::NotAMember)) {
                // It was forgotten or closed meanwhile: it is opened anew.
                continue;
            }
            return Ok(published?.last());
        }
    }

    /// Opens a room that the session does not join; `None` if the room is missing and is to stay so.
    pub(crate) async fn visit(
        &self,
        name: &RoomName,
        key: &str,
        if_missing: IfMissing,
    ) -> Result<Option<Visit>, JoinError> {
        self.hub.visit(name, key, self.opener, if_missing).await
    }

    /// Sends a message to one session alone, and returns the nick that it has.
    ///
    /// # Errors
    ///
    /// See [`TellError`]. A session that doesn't take its messages has a full mailbox after 256 of them.
    pub fn tell(&self, to: &str, text: &str) -> Result<Nick, TellError> {
        self.hub.tell(self.nick(), to, text)
    }

    /// Waits for the next direct message. `None`: the hub closed this session; drop it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future loses no message. Only one task may wait at a time.
    pub async fn next_direct(&mut self) -> Option<Direct> {
        std::future::poll_fn(|cx| {
            let closing = self.poll_closing(cx);
            match self.take_direct() {
                Some(direct) => Poll::Ready(Some(direct)),
                None => closing.map(|_| None),
            }
        })
        .await
    }

    /// Ends the session with a reason that the others are shown.
    pub fn close(self, reason: &CloseReason) {
        self.end(reason);
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Whether the session was asked to end; has the waker woken for that and for direct messages.
    pub(crate) fn poll_closing(&self, cx: &Context<'_>) -> Poll<CloseReason> {
        self.shared.waker.register(cx.waker());
        self.shared
            .mail
            .lock()
            .close
            .clone()
            .map_or(Poll::Pending, Poll::Ready)
    }

    pub(crate) fn has_direct(&self) -> bool {
        !self.shared.mail.lock().direct.is_empty()
    }

    pub(crate) fn take_direct(&self) -> Option<Direct> {
        let mut mail = self.shared.mail.lock();
        let direct = mail.direct.pop_front();
        if mail.direct.is_empty() {
            // A mailbox that was used once holds no memory when it is empty.
            mail.direct = VecDeque::new();
        }
        direct
    }

    pub(crate) fn end(&self, reason: &CloseReason) {
        self.shared.end(reason, &self.hub);
    }

    /// The next room that the session was taken out of.
    pub(crate) fn take_removal(&self) -> Option<Removal> {
        let mut mail = self.shared.mail.lock();
        let removal = mail.removals.pop();
        if mail.removals.is_empty() {
            mail.removals = Vec::new();
        }
        removal
    }

    pub(crate) fn has_removal(&self) -> bool {
        !self.shared.mail.lock().removals.is_empty()
    }

    /// Opens a room and counts it among this session's, so that the session's end leaves it.
    async fn take_seat(&self, room: &str, leaving: usize) -> Result<Seat, JoinError> {
        let (name, key) = self.hub.room_name(room).map_err(JoinError::Name)?;
        let room = self.hub.open(&name, &key, self.opener).await?;
        let limit = self.hub.limits().rooms_per_session.get();
        let seat = self.shared.seats.fetch_add(1, Ordering::Relaxed);
        let mut rooms = self.shared.rooms.lock();
        if rooms.ended {
            drop(rooms);
            self.hub.let_go(&room);
            return Err(JoinError::Ended);
        }
        if rooms
            .joined
            .iter()
            .any(|joined| joined.room.key == room.key)
        {
            drop(rooms);
            // It is another one if the one that it is in is being closed.
            self.hub.let_go(&room);
            return Err(JoinError::AlreadyIn(name));
        }
        if rooms.joined.len() >= limit + leaving {
            drop(rooms);
            self.hub.let_go(&room);
            return Err(JoinError::TooManyRooms(limit));
        }
        rooms.joined.push(Joined {
            room: Arc::clone(&room),
            seat,
        });
        drop(rooms);
        let shared = Arc::clone(&self.shared);
        Ok(Seat::new(room, shared, seat, self.hub.clone()))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        self.end(if failed {
            &CloseReason::Failed
        } else {
            &CloseReason::Dropped
        });
    }
}

impl Shared {
    pub(crate) fn new(id: SessionId, nick: Nick) -> Self {
        Self {
            id,
            nick: Mutex::new(nick),
            naming: Mutex::default(),
            mail: Mutex::default(),
            waker: AtomicWaker::new(),
            rooms: Mutex::default(),
            seats: AtomicU64::new(1),
            is_closing: AtomicBool::new(false),
            token: Mutex::default(),
        }
    }

    pub(crate) const fn id(&self) -> SessionId {
        self.id
    }

    pub(crate) fn nick(&self) -> Nick {
        self.nick.lock().clone()
    }

    /// Whose keys it uses.
    pub(crate) fn owner(&self) -> Owner {
        let token = *self.token.lock();
        token.map_or(Owner::Session(self.id), Owner::Token)
    }

    /// Starts a batch in this session's name.
    pub(crate) fn drafts(&self, at: Timestamp) -> Drafts {
        Drafts::new(self.id, self.nick(), at)
    }

    /// Puts a direct message into the mailbox.
    pub(crate) fn deliver(&self, direct: Direct, mailbox: usize) -> Result<(), TellError> {
        let mut mail = self.mail.lock();
        if mail.direct.len() >= mailbox || mail.close.is_some() {
            drop(mail);
            return Err(TellError::MailboxFull(self.nick()));
        }
        mail.direct.push_back(direct);
        drop(mail);
        self.waker.wake();
        Ok(())
    }

    /// Asks the session to end. Returns whether nobody had asked before.
    pub(crate) fn ask_to_close(&self, reason: CloseReason) -> bool {
        self.set_closing();
        let mut mail = self.mail.lock();
        let is_first = mail.close.is_none();
        mail.close.get_or_insert(reason);
        drop(mail);
        self.waker.wake();
        is_first
    }

    /// Whether the session has ended or was asked to.
    pub(crate) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }

    /// Must come before the item that tells the session's members of it.
    fn set_closing(&self) {
        self.is_closing.store(true, Ordering::Release);
    }

    /// Takes the session out of a room.
    pub(crate) fn leave(&self, room: &Arc<Room>, seat: SeatNumber, hub: &Hub) {
        self.give_up(seat);
        room.leave(self.id, seat, None);
        hub.let_go(room);
    }

    /// Takes note that the application took the session out of a room; its connection, if it has one, is told.
    pub(crate) fn note_removal(&self, removal: Removal, has_wire: bool) {
        self.give_up(removal.seat);
        if has_wire {
            self.mail.lock().removals.push(removal);
            self.waker.wake();
        }
    }

    /// Ends the session: it leaves its rooms, its nick is free. Returns whether it had not ended before.
    pub(crate) fn end(&self, reason: &CloseReason, hub: &Hub) -> bool {
        // Held throughout: nobody has the nick before it has left all rooms, and no room is joined any more.
        let _naming = self.naming.lock();
        let rooms = {
            let mut rooms = self.rooms.lock();
            if std::mem::replace(&mut rooms.ended, true) {
                return false;
            }
            std::mem::take(&mut rooms.joined)
        };
        self.set_closing();
        for Joined { room, seat } in rooms {
            room.leave(self.id, seat, Some(reason.clone()));
            hub.let_go(&room);
        }
        hub.roster().release(self.id, &self.nick());
        true
    }

    fn give_up(&self, seat: SeatNumber) {
        self.rooms
            .lock()
            .joined
            .retain(|joined| joined.seat != seat);
    }

    fn has_ended(&self) -> bool {
        self.rooms.lock().ended
    }

    fn rooms(&self) -> Vec<Arc<Room>> {
        let rooms = self.rooms.lock();
        rooms
            .joined
            .iter()
            .map(|joined| Arc::clone(&joined.room))
            .collect()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for TellError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchNick(nick) => write!(f, "nobody here is called {nick}: /who lists who is"),
            Self::MailboxFull(nick) => {
                write!(f, "{nick} is not reading: not delivered, try again later")
            }
            Self::Empty => f.write_str("nothing visible to say"),
            Self::TooLong(limit) => write!(f, "message too long (limit {limit} bytes)"),
        }
    }
}

impl std::error::Error for TellError {}
