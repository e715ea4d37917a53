//! The part of a session that rooms and the roster know.
//!
//! Invariant: a participant holds no reference to its hub. The hub ends the session.

use crate::event::{CloseReason, Direct, NickStatus, Profile};
use crate::log::{Account, Drafts, Owner, SessionId, Timestamp, TokenDigest, UserHost};
use crate::name::Nick;
use crate::room::identity::Identity;
use crate::room::occupant::SeatNumber;
use crate::room::room::Room;
use crate::sync::Mutex;
use futures::task::AtomicWaker;
use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// The error of a mailbox that accepts no direct message: either the mailbox is full, or the session is about to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MailboxFull;

/// The part of a session that other sessions may access.
pub(crate) struct Participant {
    id: SessionId,
    pub(crate) nick: Mutex<Nick>,
    /// Held while the nick or the profile changes, the session enters a room, or the session ends, so that only one of
    /// these happens at a time.
    pub(crate) naming: Mutex<()>,
    pub(crate) mail: Mutex<Mail>,
    pub(crate) waker: AtomicWaker,
    pub(crate) rooms: Mutex<JoinedRooms>,
    /// The [`SeatNumber`] of the session's next membership in a room.
    pub(crate) seats: AtomicU64,
    /// The number of the session's next change that several rooms announce, such as a new nick. A change that at most
    /// one room announces gets no number.
    changes: AtomicU32,
    is_closing: AtomicBool,
    /// Whether the session's owner knows its nick: the peer was welcomed, or the program began the session.
    is_welcome: AtomicBool,
    /// The digest of the client's token, if the client has a token.
    pub(crate) token: Mutex<Option<TokenDigest>>,
    /// The session's account, its user name and host, and what else is known of it.
    pub(crate) identity: Mutex<Identity>,
    /// Whether the session is away. This copy can be read without a lock.
    is_away: AtomicBool,
    /// When the session began.
    since: Timestamp,
    /// When the session last published a message, or began.
    active: AtomicU64,
}

/// The watched nicks that have come or gone, with their keys.
pub(crate) type News = VecDeque<(Arc<str>, NickStatus)>;

#[derive(Default)]
pub(crate) struct Mail {
    pub(crate) direct: VecDeque<Direct>,
    /// The watched nicks that have come or gone: at most one entry for each nick that the session
    /// watches. Boxed, because few sessions watch any.
    pub(crate) watched: Option<Box<News>>,
    /// The removals from rooms that the session's connection has yet to report to the peer.
    pub(crate) removals: Vec<Removal>,
    /// Why the session is asked to end; `None` if it is not asked to end.
    pub(crate) close: Option<CloseReason>,
}

/// The removal of a session from a room.
#[derive(Debug, Clone)]
pub(crate) struct Removal {
    pub(crate) room: Arc<Room>,
    pub(crate) seat: SeatNumber,
    pub(crate) reason: Arc<str>,
    /// The nick of the session that removed this one; `None` if the program did.
    pub(crate) by: Option<Nick>,
    /// Whether the session was removed because the room was closed.
    pub(crate) is_closed: bool,
}

#[derive(Default)]
pub(crate) struct JoinedRooms {
    pub(crate) joined: Vec<JoinedRoom>,
    /// Whether the session has ended. An ended session joins no more rooms.
    pub(crate) ended: bool,
}

/// A room that a session is in, or is about to join.
pub(crate) struct JoinedRoom {
    pub(crate) room: Arc<Room>,
    pub(crate) seat: SeatNumber,
}

impl Participant {
    pub(crate) fn new(id: SessionId, nick: Nick, now: Timestamp) -> Self {
        Self {
            id,
            nick: Mutex::new(nick),
            naming: Mutex::default(),
            mail: Mutex::default(),
            waker: AtomicWaker::new(),
            rooms: Mutex::default(),
            seats: AtomicU64::new(1),
            changes: AtomicU32::new(1),
            is_closing: AtomicBool::new(false),
            is_welcome: AtomicBool::new(false),
            token: Mutex::default(),
            identity: Mutex::default(),
            is_away: AtomicBool::new(false),
            since: now,
            active: AtomicU64::new(now.0),
        }
    }

    pub(crate) const fn id(&self) -> SessionId {
        self.id
    }

    pub(crate) fn nick(&self) -> Nick {
        self.nick.lock().clone()
    }

    /// Returns the owner of the session's keys: the client's token, or the session itself if the client has no token.
    pub(crate) fn owner(&self) -> Owner {
        let token = *self.token.lock();
        token.map_or(Owner::Session(self.id), Owner::Token)
    }

    /// Starts a batch of this session's messages.
    pub(crate) fn drafts(&self, at: Timestamp) -> Drafts {
        self.active.fetch_max(at.0, Ordering::Relaxed);
        let (account, user_host) = {
            let identity = self.identity.lock();
            (identity.account.clone(), identity.user_host.clone())
        };
        Drafts::new(self.id, self.nick(), at)
            .with_account(account)
            .with_user_host(user_host)
    }

    pub(crate) fn account(&self) -> Option<Account> {
        self.identity.lock().account.clone()
    }

    /// Returns what other sessions may see of the session, besides its nick.
    pub(crate) fn profile(&self) -> Profile {
        self.identity.lock().profile()
    }

    /// Changes what is known of the session. Returns the values before and after the change; `None` if they are equal.
    pub(crate) fn alter(&self, change: impl FnOnce(&mut Identity)) -> Option<(Profile, Profile)> {
        let mut identity = self.identity.lock();
        let was = identity.profile();
        change(&mut identity);
        identity.tidy();
        let now = identity.profile();
        self.is_away.store(now.away.is_some(), Ordering::Relaxed);
        (was != now).then_some((was, now))
    }

    pub(crate) fn is_away(&self) -> bool {
        self.is_away.load(Ordering::Relaxed)
    }

    /// Notes that the session's owner knows its nick.
    pub(crate) fn welcome(&self) {
        self.is_welcome.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_welcome(&self) -> bool {
        self.is_welcome.load(Ordering::Relaxed)
    }

    /// Returns whether the session is a server operator, whom rooms obey as an owner.
    pub(crate) fn is_operator(&self) -> bool {
        self.identity.lock().is_operator()
    }

    /// Returns the user name and the host of the session, as masks are compared with them.
    pub(crate) fn user_host(&self) -> UserHost {
        self.identity.lock().user_host.clone()
    }

    pub(crate) const fn since(&self) -> Timestamp {
        self.since
    }

    /// Returns when the session last published a message, or began.
    pub(crate) fn active(&self) -> Timestamp {
        Timestamp(self.active.load(Ordering::Relaxed))
    }

    /// Lists a nick among those that the session watches. Returns `false` if the session would watch more than `limit`
    /// nicks.
    pub(crate) fn begin_to_watch(&self, key: &Arc<str>, asked: &str, limit: usize) -> bool {
        let mut identity = self.identity.lock();
        let watching = identity.watching();
        let count = watching.map_or(0, |watching| watching.len());
        if count >= limit && !watching.is_some_and(|watching| watching.contains_key(key)) {
            return false;
        }
        let watching = &mut identity.extra().watching;
        watching.insert(Arc::clone(key), asked.to_owned());
        true
    }

    pub(crate) fn end_watch(&self, key: &str) {
        let mut identity = self.identity.lock();
        if identity.watching().is_some() {
            identity.extra().watching.remove(key);
            identity.tidy();
            let mut mail = self.mail.lock();
            if let Some(watched) = &mut mail.watched {
                watched.retain(|(waiting, _)| **waiting != *key);
            }
            mail.watched.take_if(|watched| watched.is_empty());
        }
    }

    /// Forgets the nicks that the session watches. Returns their keys.
    pub(crate) fn end_watches(&self) -> Vec<Arc<str>> {
        let mut identity = self.identity.lock();
        if identity.watching().is_none() {
            return Vec::new();
        }
        self.mail.lock().watched = None;
        let watching = std::mem::take(&mut identity.extra().watching);
        identity.tidy();
        watching.into_keys().collect()
    }

    /// Returns the nicks that the session watches: their keys, and the nicks as the session has written them.
    pub(crate) fn watched(&self) -> Vec<(Arc<str>, String)> {
        let identity = self.identity.lock();
        let watching = identity.watching().into_iter().flatten();
        watching
            .map(|(key, asked)| (Arc::clone(key), asked.clone()))
            .collect()
    }

    /// Returns a watched nick as the session has written it; `None` if the session does not watch it.
    pub(crate) fn watches(&self, key: &str) -> Option<String> {
        self.identity.lock().watching()?.get(key).cloned()
    }

    /// Tells the session that a watched nick has come or gone. An earlier notification of the nick that still waits is
    /// replaced, so no more wait than the session watches nicks.
    pub(crate) fn note_watched(&self, key: Arc<str>, status: NickStatus) {
        let mut mail = self.mail.lock();
        if mail.close.is_some() {
            return;
        }
        let watched = mail.watched.get_or_insert_default();
        watched.retain(|(waiting, _)| *waiting != key);
        watched.push_back((key, status));
        drop(mail);
        self.waker.wake();
    }

    /// Puts a direct message into the mailbox, in which at most `mailbox` messages may wait.
    pub(crate) fn deliver(&self, direct: Direct, mailbox: usize) -> Result<(), MailboxFull> {
        let mut mail = self.mail.lock();
        if mail.direct.len() >= mailbox || mail.close.is_some() {
            drop(mail);
            return Err(MailboxFull);
        }
        mail.direct.push_back(direct);
        drop(mail);
        self.waker.wake();
        Ok(())
    }

    /// Asks the session to end. Returns whether this is the first request.
    pub(crate) fn ask_to_close(&self, reason: CloseReason) -> bool {
        self.set_closing();
        let mut mail = self.mail.lock();
        let is_first = mail.close.is_none();
        mail.close.get_or_insert(reason);
        drop(mail);
        self.waker.wake();
        is_first
    }

    /// Returns whether the session has ended or was asked to end.
    pub(crate) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }

    /// Marks the session as closing. Must be called before a `Body::Nudge` is sent, because members check the mark when
    /// they receive that item.
    fn set_closing(&self) {
        self.is_closing.store(true, Ordering::Release);
    }

    /// Records that the application took the session out of a room. If the session has a connection, notifies the
    /// connection.
    pub(crate) fn note_removal(&self, removal: Removal, has_wire: bool) {
        self.give_up(removal.seat);
        if has_wire {
            self.mail.lock().removals.push(removal);
            self.waker.wake();
        }
    }

    /// Ends the session: the session leaves its rooms, and its nick becomes free. Returns `false` if the session had
    /// ended before.
    ///
    /// Calls `left` for each room that the session has left, and then `release` with the session's nick.
    pub(crate) fn end(
        &self,
        reason: &CloseReason,
        left: impl Fn(&Arc<Room>),
        release: impl FnOnce(&Nick),
    ) -> bool {
        // This lock is held until the method returns. Meanwhile the session can't enter another room or change its
        // nick. So the nick becomes free only after the session has left all rooms.
        let _naming = self.naming.lock();
        let rooms = {
            let mut rooms = self.rooms.lock();
            if std::mem::replace(&mut rooms.ended, true) {
                return false;
            }
            std::mem::take(&mut rooms.joined)
        };
        self.set_closing();
        let number = self.number_change(rooms.len());
        for JoinedRoom { room, seat } in rooms {
            room.leave(self.id, seat, Some(reason.clone()), number);
            left(&room);
        }
        release(&self.nick());
        true
    }

    /// Returns a number for a change of the session that `rooms` rooms announce. Returns `None` if at most one room
    /// announces the change, because only a change that several rooms announce needs a number.
    pub(crate) fn number_change(&self, rooms: usize) -> Option<NonZeroU32> {
        let number = (rooms > 1).then(|| self.changes.fetch_add(1, Ordering::Relaxed));
        number.and_then(NonZeroU32::new)
    }

    pub(crate) fn give_up(&self, seat: SeatNumber) {
        self.rooms
            .lock()
            .joined
            .retain(|joined| joined.seat != seat);
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.rooms.lock().ended
    }

    pub(crate) fn joined_rooms(&self) -> Vec<Arc<Room>> {
        let rooms = self.rooms.lock();
        rooms
            .joined
            .iter()
            .map(|joined| Arc::clone(&joined.room))
            .collect()
    }
}

impl fmt::Debug for Participant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Participant")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
