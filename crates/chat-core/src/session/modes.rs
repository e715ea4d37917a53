//! What a session does as a member of rooms besides speaking: modes, kick and invite, and which rooms it sees.
//!
//! Invariant: the room decides what the session may do.

use crate::event::RoomSummary;
use crate::hub::{InviteError, KickError};
use crate::log::{Kind, ModeChanges, Role, Seq};
use crate::name::Nick;
use crate::room::{NotInRoom, PublishError, Room, Standing};
use crate::session::session::Session;
use std::sync::Arc;

impl Session {
    /// Changes the modes of a room that the session is in. Returns the position of the change in the room's log. The
    /// members receive the change as a message of [`Kind::Mode`].
    ///
    /// # Errors
    ///
    /// See [`PublishError`]. [`PublishError::Denied`] says why the room refuses the change; no part of the change is
    /// made then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not withdraw the change: it may still be made.
    pub async fn set_modes(&self, room: &str, changes: &ModeChanges) -> Result<Seq, PublishError> {
        let room = self.joined(room).map_err(|_| PublishError::NotAMember)?;
        let mut drafts = self.shared().drafts(self.hub().now());
        drafts.push(Kind::Mode, &changes.to_string());
        if drafts.is_empty() {
            return Err(PublishError::Empty);
        }
        let published = room.publish(drafts, Vec::new(), Standing::Member).await;
        Ok(published?.last())
    }

    /// Takes the sessions with this nick out of a room that this session is in. Returns the nick as the removed session
    /// spells it. The members see the reason, which is cleaned as by [`Hub::kick`](crate::Hub::kick), and who has removed
    /// the session.
    ///
    /// # Errors
    ///
    /// See [`KickError`]. The session must be an operator of the room.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not undo the call: the session may still be taken out.
    pub async fn kick(&self, room: &str, nick: &str, reason: &str) -> Result<Nick, KickError> {
        let room = self.joined(room)?;
        self.hub()
            .kick_from(&room, self.shared(), nick, reason)
            .await
    }

    /// Invites the sessions with this nick to a room that this session is in. Returns the nick as the invited session
    /// spells it. The invited session receives a [`Direct`](crate::Direct) of
    /// [`DirectKind::Invitation`](crate::DirectKind::Invitation). If the room is invite-only, the session may then join it
    /// once: until it joins, it is taken out, its session ends or the room is closed.
    ///
    /// # Errors
    ///
    /// See [`InviteError`]. If the room is invite-only, the session must be an operator of the room.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not undo the call: the session may still be invited.
    pub async fn invite(&self, room: &str, nick: &str) -> Result<Nick, InviteError> {
        let room = self.joined(room)?;
        self.hub().invite_to(&room, self.shared(), nick).await
    }

    /// Returns the session's role in a room; `None` if it has none or is not in the room.
    #[must_use]
    pub fn role(&self, room: &str) -> Option<Role> {
        self.joined(room).ok()?.role(self.id())
    }

    /// Returns whether the session may learn that a room of this name exists: the room is not
    /// [secret](crate::rooms::Setting::Secret), or the session is in it. Policies are not asked.
    #[must_use]
    pub fn sees(&self, room: &str) -> bool {
        let key = self.room_key(room);
        key.is_none_or(|key| self.joined(&key).is_ok() || !self.hub().is_secret(&key))
    }

    /// Lists rooms as [`Hub::rooms_after`](crate::Hub::rooms_after) does, without those that the session does not
    /// [see](Self::sees).
    #[must_use]
    pub fn rooms_after(&self, after: &str, limit: usize) -> Vec<RoomSummary> {
        self.hub().rooms_seen(after, limit, |room| self.sees(room))
    }

    /// Returns the room of this name, if the session is in it.
    fn joined(&self, room: &str) -> Result<Arc<Room>, NotInRoom> {
        let key = self.room_key(room).ok_or(NotInRoom)?;
        let mut rooms = self.shared().joined_rooms().into_iter();
        rooms.find(|room| *room.key == *key).ok_or(NotInRoom)
    }
}
