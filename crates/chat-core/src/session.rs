//! One participant: its nick, its rooms, its direct messages, and its end.
//!
//! Invariant: however a session ends, it leaves each of its rooms with one announcement, and its nick is free again.

use crate::batch::{Drafts, SessionId, Timestamp};
use crate::delivery::Taste;
use crate::event::{CloseReason, Direct};
use crate::hub::{Hub, JoinError};
use crate::member::{Member, Seat};
use crate::name::Nick;
use crate::outbound::Outbound;
use crate::room::{Roll, Room};
use crate::roster::NickError;
use crate::sync::Mutex;
use crate::wire_member::WireMember;
use futures::task::AtomicWaker;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

/// One participant of a hub, with or without a wire.
///
/// Dropping a session ends it: it leaves all its rooms, which is announced, and its nick is free (promise 5: one
/// nick, one owner; one goodbye). [`Member`]s that outlive it see nothing more and can say nothing.
#[derive(Debug)]
pub struct Session {
    shared: Arc<Shared>,
    hub: Hub,
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
    is_closing: AtomicBool,
}

#[derive(Default)]
struct Mail {
    direct: VecDeque<Direct>,
    close: Option<CloseReason>,
}

#[derive(Default)]
struct Rooms {
    joined: Vec<Arc<Room>>,
    ended: bool,
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
        Self { shared, hub }
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
        let had = self.nick();
        if nick == had {
            return Ok(nick);
        }
        self.hub.roster().claim(&self.shared, &nick, Some(&had))?;
        *self.shared.nick.lock() = nick.clone();
        let rooms = self.shared.rooms.lock().joined.clone();
        rooms.iter().for_each(|room| room.rename(self.id(), &nick));
        Ok(nick)
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
                seat.room().join(self.id(), &self.nick())
            };
            if let Some((_, subscription)) = joined {
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
        taste: &Taste,
        leaving: &[WireMember],
    ) -> Result<(Roll, WireMember), JoinError> {
        loop {
            let seat = self.take_seat(room, leaving.len()).await?;
            // Nothing is awaited from here on. Should the join fail, these are behind, and will be levelled.
            leaving.iter().for_each(WireMember::pause);
            outbound.cork();
            let outbound = Arc::clone(outbound);
            let joined = {
                let _naming = self.shared.naming.lock();
                seat.room()
                    .join_wire(self.id(), &self.nick(), outbound, taste.clone())
            };
            if let Some((roll, tail, place)) = joined {
                return Ok((roll, WireMember::new(seat, tail, place)));
            }
        }
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
        let rooms = {
            let mut rooms = self.shared.rooms.lock();
            if std::mem::replace(&mut rooms.ended, true) {
                return;
            }
            std::mem::take(&mut rooms.joined)
        };
        self.shared.set_closing();
        for room in rooms {
            if room.leave(self.id(), Some(reason.clone())) {
                self.hub.retire(&room);
            }
        }
        self.hub.roster().release(self.id(), &self.nick());
    }

    /// Opens a room and counts it among this session's, so that the session's end leaves it.
    async fn take_seat(&self, room: &str, leaving: usize) -> Result<Seat, JoinError> {
        let name = self.hub.names().room(room).map_err(JoinError::Name)?;
        let key = self.hub.fold(name.as_str());
        let room = self.hub.open(&name, &key).await?;
        let limit = self.hub.limits().rooms_per_session.get();
        let mut rooms = self.shared.rooms.lock();
        if rooms.joined.iter().any(|joined| joined.key == room.key) {
            return Err(JoinError::AlreadyIn(name));
        }
        if rooms.joined.len() >= limit + leaving {
            drop(rooms);
            self.hub.retire(&room);
            return Err(JoinError::TooManyRooms(limit));
        }
        rooms.joined.push(Arc::clone(&room));
        drop(rooms);
        Ok(Seat::new(room, Arc::clone(&self.shared), self.hub.clone()))
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
            is_closing: AtomicBool::new(false),
        }
    }

    pub(crate) const fn id(&self) -> SessionId {
        self.id
    }

    pub(crate) fn nick(&self) -> Nick {
        self.nick.lock().clone()
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

    /// Asks the session to end.
    pub(crate) fn ask_to_close(&self, reason: CloseReason) {
        self.set_closing();
        self.mail.lock().close.get_or_insert(reason);
        self.waker.wake();
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
    pub(crate) fn leave(&self, room: &Arc<Room>, hub: &Hub) {
        self.rooms
            .lock()
            .joined
            .retain(|joined| !Arc::ptr_eq(joined, room));
        if room.leave(self.id, None) {
            hub.retire(room);
        }
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
