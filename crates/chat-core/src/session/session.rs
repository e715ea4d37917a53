//! One participant: its nick, its rooms, its direct messages, and its end.
//!
//! Invariant: however a session ends, it leaves each of its rooms with one announcement, and its nick becomes free.

use crate::event::{CloseReason, RoomInfo};
use crate::hub::{Hub, IfTaken, NickError, NickKeys, Visit};
use crate::log::{Account, Kind, Seq, SessionId, TokenDigest, UserHost};
use crate::name::Nick;
use crate::room::{
    DeliveryOptions, JoinError, JoinedAt, JoinedRoom, Opener, Outbound, Participant, Pass,
    PublishError, Removal, Resume, Standing,
};
use crate::session::events::SessionEvents;
use crate::session::handle::Seat;
use crate::session::join_request::JoinRequest;
use crate::session::member::Member;
use crate::session::wire_member::WireMember;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

/// Represents one participant of a hub, in process or over a connection.
///
/// Dropping a session ends it: the session leaves all its rooms, each room announces the leave once, and the nick
/// becomes free. A [`Member`] that outlives its session returns the messages from before the end and then `None`, and
/// can't publish.
///
/// # Reconnecting
///
/// The nick of a client whose connection broke unnoticed stays taken until its old session ends. A client that has a
/// token gets its nick back: give both sessions the [token](Self::set_token) before they take the nick, and call
/// [`take_nick`](Self::take_nick), which ends the old session. Without a token, the program ends the old session with
/// [`Hub::kick`], or gives both sessions the same [account](Self::set_account), so that they share the nick.
#[derive(Debug)]
pub struct Session {
    shared: Arc<Participant>,
    hub: Hub,
    /// The address that is charged for the rooms that this session opens; see `Limits::rooms_per_address`. `None` if
    /// the limits for addresses do not apply to the session.
    opener: Opener,
}

impl Hub {
    /// Begins a session under `nick`. `None` selects a free guest nick, such as `guest-7`.
    ///
    /// # Errors
    ///
    /// Returns an error if the text is not a nick, if the nick is taken or looks like a nick that is taken, or if the
    /// hub is draining.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: if the future is dropped before it is ready, the nick is not taken.
    pub async fn session(&self, nick: Option<&str>) -> Result<Session, SessionError> {
        let session = self.begin_session(nick, None, UserHost::default()).await?;
        session.shared().welcome();
        Ok(session)
    }

    /// Begins a session under `nick` as [`session`](Self::session) does, with this account, user name and host. Once the
    /// peer knows the nick, the caller calls [`Participant::welcome`].
    pub(crate) async fn begin_session(
        &self,
        nick: Option<&str>,
        account: Option<Account>,
        user_host: UserHost,
    ) -> Result<Session, SessionError> {
        let shared = self.claim_participant(nick, None, user_host).await?;
        self.introduce(&shared, account);
        self.list(&shared);
        self.publish_presence(&shared);
        let session = Session::new(shared, self.clone());
        if self.is_draining() {
            // If `Hub::drain` ran before the session was listed, it has not closed the session.
            session.shared().ask_to_close(CloseReason::Draining);
        }
        Ok(session)
    }

    /// Claims `nick` for a new participant. The participant may share the nick with other sessions of its account. With
    /// `None`, the participant gets a free guest nick. The caller must either list the participant as a session, or
    /// [release](Self::release_participant) the nick.
    pub(crate) async fn claim_participant(
        &self,
        nick: Option<&str>,
        account: Option<&Account>,
        user_host: UserHost,
    ) -> Result<Arc<Participant>, SessionError> {
        if self.is_draining() {
            return Err(SessionError::Draining);
        }
        let failed = SessionError::Nick;
        if let Some(nick) = nick {
            let nick = self.names().nick(nick);
            let nick = nick.map_err(|error| failed(NickError::Name(error)))?;
            return self.claim(&nick, account, user_host).await.map_err(failed);
        }
        loop {
            let number = self.next_guest();
            let nick = self.names().nick(&format!("guest-{number}"));
            let claimed = match nick {
                Ok(nick) => self.claim(&nick, account, user_host.clone()).await,
                Err(error) => Err(NickError::Name(error)),
            };
            match claimed {
                Ok(participant) => return Ok(participant),
                Err(error @ (NickError::Name(_) | NickError::Unavailable(_))) => {
                    return Err(failed(error));
                }
                // Another session has that guest nick, so the next number is tried.
                Err(NickError::Taken(_) | NickError::LooksLike { .. } | NickError::Ended) => {}
            }
        }
    }

    async fn claim(
        &self,
        nick: &Nick,
        account: Option<&Account>,
        user_host: UserHost,
    ) -> Result<Arc<Participant>, NickError> {
        let id = self.next_session_id();
        let participant = Arc::new(Participant::new(id, nick.clone(), self.now()));
        participant.alter(|identity| identity.set_user_host(user_host));
        self.introduce(&participant, account.cloned());
        let claimed = self
            .claim_nick(&participant, nick, None, IfTaken::Refuse)
            .await?;
        *participant.nick.lock() = claimed.nick;
        Ok(participant)
    }

    /// Frees the nick of a participant that is not listed as a session.
    pub(crate) fn release_participant(&self, participant: &Participant) {
        let keys = NickKeys::new(self.names(), &participant.nick());
        self.roster().release(participant.id(), &keys);
    }
}

impl Session {
    pub(crate) const fn new(shared: Arc<Participant>, hub: Hub) -> Self {
        Self {
            shared,
            hub,
            opener: None,
        }
    }

    pub(crate) const fn with_opener(mut self, opener: Opener) -> Self {
        self.opener = opener;
        self
    }

    /// Returns the hub that the session belongs to.
    #[must_use]
    pub const fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Returns this session's identity within its hub.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.shared.id()
    }

    /// Returns the session's nick.
    #[must_use]
    pub fn nick(&self) -> Nick {
        self.shared.nick()
    }

    /// Returns the session's account; `None` if it has none.
    #[must_use]
    pub fn account(&self) -> Option<Account> {
        self.shared.account()
    }

    /// Sets the session's account. A program calls this method if it has verified by itself to whom the session
    /// belongs. Later messages of the session carry this account, and its host is that of the account. If this changes
    /// what other members see, its rooms announce the change.
    ///
    /// Sessions of one account may share a nick. To share a nick, set the account before the session takes the nick
    /// with [`rename`](Self::rename).
    pub fn set_account(&self, account: Option<Account>) {
        self.hub.set_account(&self.shared, account);
    }

    /// Gives the session another nick. All its rooms announce the change. Returns the nick. If several sessions share
    /// the nick, the spelling is that of the first session.
    ///
    /// # Errors
    ///
    /// Returns an error if the text is not a nick, or if the nick is taken or looks like a nick that is taken. The
    /// session then keeps its old nick.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: if the future is dropped before it is ready, the session keeps its old nick.
    pub async fn rename(&self, nick: &str) -> Result<Nick, NickError> {
        self.rename_as(nick, IfTaken::Refuse).await
    }

    /// Claims the new nick, releases the old one, and announces the change in the session's rooms.
    async fn rename_as(&self, nick: &str, if_taken: IfTaken) -> Result<Nick, NickError> {
        let nick = self.hub.names().nick(nick).map_err(NickError::Name)?;
        let _turn = self.hub.renaming(self.id()).await;
        if self.shared.has_ended() {
            return Err(NickError::Ended);
        }
        let had = self.nick();
        if nick == had && if_taken == IfTaken::Refuse {
            return Ok(nick);
        }
        let had_keys = NickKeys::new(self.hub.names(), &had);
        let claimed = self
            .hub
            .claim_nick(&self.shared, &nick, Some(&had_keys), if_taken)
            .await?;
        // No `.await` below this line: a dropped future must not leave the change half done.
        let nick = claimed.nick;
        self.hub.end_replaced(claimed.replaced);
        let keys = NickKeys::new(self.hub.names(), &nick);
        let naming = self.shared.naming.lock();
        if self.shared.has_ended() {
            self.hub.roster().release(self.id(), &keys);
            return Err(NickError::Ended);
        }
        if nick == had {
            return Ok(nick);
        }
        *self.shared.nick.lock() = nick.clone();
        let is_other = had_keys.key != keys.key;
        if is_other {
            self.hub.roster().release(self.id(), &had_keys);
        }
        let rooms = self.shared.joined_rooms();
        let number = self.shared.number_change(rooms.len());
        rooms
            .iter()
            .for_each(|room| room.rename(self.id(), &nick, number));
        drop(naming);
        if is_other {
            self.hub.note_gone(&self.shared, &had);
            self.hub.note_nick(&nick);
        }
        self.hub.publish_presence(&self.shared);
        Ok(nick)
    }

    /// Turns the session into one source of the events of all its rooms and its direct messages.
    #[must_use]
    pub fn into_events(self) -> SessionEvents {
        SessionEvents::new(self)
    }

    /// Sets the digest of the token by which the hub recognises the session's client, across connections and restarts.
    ///
    /// Call this method before the session takes a nick and before it publishes: begin the session with
    /// [`Hub::session(None)`](Hub::session), set the token, and then call [`take_nick`](Self::take_nick).
    ///
    /// The keys that the session uses later ([`MemberHandle::say_once`](crate::MemberHandle::say_once)) belong to the
    /// token. A later session with the same token can repeat a message under its key, and the message is not published
    /// twice. Keys that the session used before this call belong to the session alone.
    pub fn set_token(&self, token: TokenDigest) {
        *self.shared.token.lock() = Some(token);
    }

    /// Takes another nick, as [`rename`](Self::rename) does. If an earlier session of the same client still has the
    /// nick, that session ends first. The client is recognised by its [token](Self::set_token).
    ///
    /// # Errors
    ///
    /// See [`NickError`].
    ///
    /// # Cancel safety
    ///
    /// The same as for [`rename`](Self::rename). The earlier session may already have ended when the future is dropped.
    pub async fn take_nick(&self, nick: &str) -> Result<Nick, NickError> {
        self.rename_as(nick, IfTaken::TakeOver).await
    }

    /// Joins a room, which the hub opens if it is not open. The room announces the join to its other members.
    ///
    /// The request is the room's name, or a [`JoinRequest`] that asks for earlier messages. [`Member::next`] returns
    /// these messages first, as [`Event::Replayed`](crate::Event::Replayed).
    ///
    /// # Errors
    ///
    /// See [`JoinError`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: if the future is dropped before it is ready, the session is not in the room.
    pub fn join<'a>(
        &self,
        request: impl Into<JoinRequest<'a>>,
    ) -> impl Future<Output = Result<Member, JoinError>> + Send {
        let request = request.into();
        async move { Ok(self.join_as(&request).await?.0) }
    }

    /// Works like [`join`](Self::join). Also returns the room's members, topic and position at the join.
    pub(super) async fn join_as(
        &self,
        request: &JoinRequest<'_>,
    ) -> Result<(Member, RoomInfo), JoinError> {
        let resume = Resume {
            after: request.after,
            epoch: request.epoch,
            limit: request.limit,
        };
        loop {
            let seat = self.take_seat(&request.room, 0).await?;
            let joined = {
                let _naming = self.shared.naming.lock();
                if self.shared.has_ended() {
                    return Err(JoinError::Ended);
                }
                let pass = self.pass(&seat, request.key.as_deref());
                seat.room().join(&self.shared, seat.number(), pass)
            };
            if let Some((subscription, info)) = joined.map_err(JoinError::Denied)? {
                self.hub.use_invitation(self.id(), &seat.room().key);
                self.hub.publish_presence(&self.shared);
                let joined = JoinedAt::from(&info);
                let member = Member::new(seat, subscription, resume, joined);
                return Ok((member, info));
            }
        }
    }

    /// Joins a room whose events are written to `outbound`. `outbound` holds the events back until the caller calls
    /// [`Outbound::uncork`]. The caller leaves the rooms of `leaving` afterwards: delivery from those rooms stops
    /// before delivery from the new room begins.
    pub(crate) async fn join_wire(
        &self,
        room: &str,
        key: Option<&str>,
        outbound: &Arc<Outbound>,
        options: &DeliveryOptions,
        leaving: &[WireMember],
    ) -> Result<(RoomInfo, WireMember), JoinError> {
        loop {
            let seat = self.take_seat(room, leaving.len()).await?;
            // The rest of the loop body has no `.await`. If the join fails, the members of `leaving` stay paused. They
            // then count as lagging, and catch up later.
            leaving.iter().for_each(WireMember::pause);
            outbound.cork();
            let outbound = Arc::clone(outbound);
            let joined = {
                let _naming = self.shared.naming.lock();
                if self.shared.has_ended() {
                    return Err(JoinError::Ended);
                }
                let pass = self.pass(&seat, key);
                let (number, options) = (seat.number(), options.clone());
                seat.room()
                    .join_wire(&self.shared, number, pass, outbound, options)
            };
            if let Some((info, tail, place)) = joined.map_err(JoinError::Denied)? {
                self.hub.use_invitation(self.id(), &seat.room().key);
                self.hub.publish_presence(&self.shared);
                return Ok((info, WireMember::new(seat, tail, place)));
            }
        }
    }

    /// Publishes a message in a room without joining the room. Returns the message's position in the room's log once
    /// the log holds the message.
    ///
    /// The room announces no join. The hub opens the room if it is not open. If the room has no members, the message
    /// can later be read from the room's history.
    ///
    /// # Errors
    ///
    /// See [`PublishError`]. The message is not delivered, except perhaps after
    /// [`JournalError::Uncertain`](crate::log::JournalError::Uncertain) or
    /// [`JournalError::Gone`](crate::log::JournalError::Gone).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not withdraw the message: it may still be delivered.
    pub async fn publish(&self, room: &str, text: &str) -> Result<Seq, PublishError> {
        let text = self.hub.checked(text)?;
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
            let published = room.publish(drafts, Vec::new(), Standing::Outside(&self.shared));
            let published = published.await;
            if room.is_gone() && matches!(published, Err(PublishError::NotAMember)) {
                // The hub has forgotten or closed the room since it was opened, so it is opened again.
                continue;
            }
            return Ok(published?.last());
        }
    }

    /// Returns what the session shows to enter the room of this seat.
    fn pass<'a>(&self, seat: &Seat, key: Option<&'a str>) -> Pass<'a> {
        Pass {
            key,
            is_invited: self.hub.is_invited(self.id(), &seat.room().key),
        }
    }

    pub(crate) const fn opener(&self) -> Opener {
        self.opener
    }

    /// Ends the session, and gives the other members of its rooms this reason.
    pub fn close(self, reason: &CloseReason) {
        self.end(reason);
    }

    pub(crate) const fn shared(&self) -> &Arc<Participant> {
        &self.shared
    }

    /// Returns `Ready` with the reason once the session was asked to end. Also registers the waker. Direct messages
    /// wake it, too.
    pub(crate) fn poll_closing(&self, cx: &Context<'_>) -> Poll<CloseReason> {
        self.shared.waker.register(cx.waker());
        self.shared
            .mail
            .lock()
            .close
            .clone()
            .map_or(Poll::Pending, Poll::Ready)
    }

    /// Returns the reason for which the session was asked to end; `None` if the session was not asked to end.
    pub(crate) fn closing(&self) -> Option<CloseReason> {
        self.shared.mail.lock().close.clone()
    }

    pub(crate) fn end(&self, reason: &CloseReason) {
        self.hub.end(&self.shared, reason);
    }

    /// Returns the key (the folded name) of the room that the text names; `None` if the text is longer than any room's
    /// name.
    pub(crate) fn room_key(&self, room: &str) -> Option<String> {
        self.hub.room_key(room)
    }

    /// Takes the record of one room from which the application removed this session. The caller reports the removal to
    /// the peer.
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

    /// Opens a room and adds it to the session's rooms. The session leaves these rooms when it ends. `leaving` is the
    /// number of rooms that the session leaves next. The session may exceed `Limits::rooms_per_session` by this number.
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
            // If the joined room is being closed, `room` is a new room with the same key. The hub forgets the new room
            // if it is empty.
            self.hub.let_go(&room);
            return Err(JoinError::AlreadyIn(name));
        }
        if rooms.joined.len() >= limit + leaving {
            drop(rooms);
            self.hub.let_go(&room);
            return Err(JoinError::TooManyRooms(limit));
        }
        // Most sessions are in one room. Without this call, `push` would reserve memory for four rooms.
        if rooms.joined.is_empty() {
            rooms.joined.reserve_exact(1);
        }
        rooms.joined.push(JoinedRoom {
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

/// Why a session could not begin.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionError {
    /// The session can't have the requested nick, for this reason.
    Nick(NickError),
    /// The hub is shutting down.
    Draining,
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nick(error) => error.fmt(f),
            Self::Draining => f.write_str("the server is shutting down"),
        }
    }
}

impl std::error::Error for SessionError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Nick(error) => error.source(),
            Self::Draining => None,
        }
    }
}
