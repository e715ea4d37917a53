//! A session's membership in one room, called its seat, and the handle that publishes in the room.
//!
//! Invariant: a session whose seat is dropped has left the room, and the room has announced the leave once.

use crate::event::RoomInfo;
use crate::hub::Hub;
use crate::log::{
    Appended, Claim, Drafts, JournalError, Key, Kind, Modes, Page, Role, Said, Seq, SessionId, Span,
};
use crate::name::RoomName;
use crate::room::{Participant, PublishError, Room, SeatNumber, Standing};
use std::sync::Arc;

/// Publishes messages of a session in one room, and reads the room's log. A handle is cheap to clone, and any task can
/// use it.
///
/// A handle does not keep the session in the room: the [`Member`](crate::Member) or
/// [`SessionEvents`](crate::SessionEvents) does. Once the session has left the room, the handle can only read:
/// publishing fails with [`PublishError::NotAMember`].
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

    /// Publishes a message. Returns the message's position in the room's log once the log holds the message.
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

    /// Publishes an action: `act("waves")` is shown as "alice waves". Otherwise this method works like
    /// [`say`](Self::say).
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

    /// Returns the room's modes.
    #[must_use]
    pub fn modes(&self) -> Modes {
        self.room.modes()
    }

    /// Returns the role of the session in the room; `None` if it has none.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        self.room.role(self.session.id())
    }

    /// Reads at most `limit` messages of the room's log, oldest first. If `span` has more messages, returns the
    /// messages nearest to the position that `span` names. If the log no longer holds some of the messages,
    /// [`Page::gap`] names their positions. No other limit applies, so the caller must bound a `limit` that a peer
    /// chooses.
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

    /// Finds messages before the position `before` that hold all the words of `text`. Returns at most `limit` messages:
    /// the latest ones, oldest first; see [`Log::search`](crate::log::Log::search).
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
    /// [`Limits::keys_per_nick`](crate::Limits::keys_per_nick) keys of one token or session.
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
        let claim = match keys.claim_settled(owner, &key).await {
            Ok(claim) => claim,
            Err(Said { room, seq }) => return Ok(Published::Duplicate { room, seq }),
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

    /// Takes the session out of the room. Does nothing if the session has left since this handle was made, even if it
    /// has joined the room again.
    pub(crate) fn leave_now(&self) {
        self.hub.leave(&self.session, &self.room, self.seat);
    }

    /// Returns whether the handle is for the room with this folded name.
    pub(crate) fn is_in(&self, key: &str) -> bool {
        *self.room.key == *key
    }

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

/// A session's membership in one room, in process or over a connection. When the seat is dropped, the session leaves
/// the room.
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

    pub(super) const fn handle(&self) -> &MemberHandle {
        &self.handle
    }

    pub(super) fn session(&self) -> SessionId {
        self.handle.session.id()
    }

    pub(crate) const fn number(&self) -> SeatNumber {
        self.handle.seat
    }

    /// Returns whether the seat is in `room` and has this number.
    pub(crate) fn is(&self, room: &Arc<Room>, number: SeatNumber) -> bool {
        Arc::ptr_eq(&self.handle.room, room) && self.handle.seat == number
    }

    /// Returns whether the session is no longer in the room, or is about to end.
    pub(super) fn is_ending(&self) -> bool {
        let session = &self.handle.session;
        session.is_closing() || !self.handle.room.has(session.id())
    }

    pub(crate) const fn room(&self) -> &Arc<Room> {
        &self.handle.room
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.handle.leave_now();
    }
}
