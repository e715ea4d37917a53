//! What members of a room do to each other: set modes, kick and invite.
//!
//! Invariant: the room decides, under its lock. A session remembers at most [`INVITATIONS_MAX`] invitations.

use crate::hub::hub::Hub;
use crate::hub::roster::{RosterCommand, TellError};
use crate::log::{Drafts, Kind, ModeChanges, Modes, Seq, SessionId};
use crate::name::Nick;
use crate::room::{Denied, NotInRoom, Participant, PublishError, Room, Standing};
use std::fmt;
use std::sync::Arc;

/// Maximum number of invitations that the hub remembers for a session. Beyond it, the oldest is forgotten.
const INVITATIONS_MAX: usize = 64;

/// Why a session could not take another one out of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KickError {
    /// The session that kicks is not in the room.
    NotInRoom,
    /// The room does not let the session kick the other one.
    Denied(Denied),
}

/// Why a session could not invite another one to a room.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InviteError {
    /// The session that invites is not in the room.
    NotInRoom,
    /// The room does not let the session invite the other one.
    Denied(Denied),
    /// The invitation can't be delivered.
    Tell(TellError),
}

impl Hub {
    /// Returns the modes of a room; `None` if the room is not open.
    #[must_use]
    pub fn modes(&self, room: &str) -> Option<Modes> {
        Some(self.find_named(room)?.modes())
    }

    /// Changes the modes of a room in the name of the program, which no mode and no role restricts. `by` is the nick
    /// that the members see as the author; no session needs to have it. Returns the position of the change in the
    /// room's log.
    ///
    /// # Errors
    ///
    /// Returns [`PublishError::NotAMember`] if no room of this name is open, and otherwise an error of the log.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not withdraw the change: it may still be made.
    pub async fn set_modes(
        &self,
        by: Nick,
        room: &str,
        changes: &ModeChanges,
    ) -> Result<Seq, PublishError> {
        let room = self.find_named(room).ok_or(PublishError::NotAMember)?;
        let mut drafts = Drafts::new(SessionId::NOBODY, by, self.now());
        drafts.push(Kind::Mode, &changes.to_string());
        if drafts.is_empty() {
            return Err(PublishError::Empty);
        }
        let published = room.publish(drafts, Vec::new(), Standing::Program).await;
        Ok(published?.last())
    }

    /// Takes the sessions with this nick out of a room, in the name of the member `by`.
    pub(crate) async fn kick_from(
        &self,
        room: &Arc<Room>,
        by: &Participant,
        nick: &str,
        reason: &str,
    ) -> Result<Nick, KickError> {
        if !room.has(by.id()) {
            return Err(KickError::NotInRoom);
        }
        let reason = self.reason(reason);
        let owners = self.owners(nick);
        // Either all sessions with the nick are taken out or none. A session that may not kick is told so also if the nick
        // is wrong.
        for who in owners.iter().chain([&SessionId::NOBODY]) {
            room.may_kick(by, *who).map_err(KickError::Denied)?;
        }
        let mut kicked = None;
        for who in owners {
            let by_nick = Some(by.nick());
            if let Some(session) = self.0.participants.find(who) {
                let removed = room.kick(by, who, Arc::clone(&reason));
                if let Some(removed) = removed.map_err(KickError::Denied)? {
                    self.note_removed(room, &removed, Arc::clone(&reason), by_nick);
                    kicked = Some(session.nick());
                }
            } else {
                room.may_kick(by, who).map_err(KickError::Denied)?;
                let (room, reason) = (room.name.clone(), Arc::clone(&reason));
                let by = by_nick;
                let command = RosterCommand::Remove { room, reason, by };
                kicked = self.roster().send(who, command).await.ok().or(kicked);
            }
        }
        kicked.ok_or_else(|| KickError::Denied(Denied::target_not_in_room(nick)))
    }

    /// Invites the sessions with this nick to a room, in the name of the member `by`.
    pub(crate) async fn invite_to(
        &self,
        room: &Arc<Room>,
        by: &Participant,
        nick: &str,
    ) -> Result<Nick, InviteError> {
        if !room.has(by.id()) {
            return Err(InviteError::NotInRoom);
        }
        let targets = self.owners(nick);
        if targets.is_empty() {
            return Err(InviteError::Tell(TellError::no_such_nick(nick)));
        }
        let may_invite = room.may_invite(by, &targets);
        let admits = may_invite.map_err(InviteError::Denied)?;
        let command = RosterCommand::Invite {
            room: room.name.clone(),
            by: by.nick(),
            user_host: Some(by.user_host()),
            admits,
            at: self.now(),
        };
        let invited = self.command(nick, &command).await;
        invited.map_err(InviteError::Tell)
    }

    /// Remembers that a session of this hub was invited to the room with this key.
    pub(super) fn note_invitation(&self, who: SessionId, key: Arc<str>) {
        // Both locks are held, so that a session that ends at this time leaves no invitation behind.
        let here = self.0.participants.here.lock();
        if !here.contains_key(&who) {
            return;
        }
        let mut invitations = self.0.participants.invitations.lock();
        let rooms = invitations.entry(who).or_default();
        rooms.retain(|room| *room != key);
        if rooms.len() >= INVITATIONS_MAX {
            rooms.pop_front();
        }
        rooms.push_back(key);
    }

    /// Returns whether a session was invited to the room with this key.
    pub(crate) fn is_invited(&self, who: SessionId, key: &str) -> bool {
        let invitations = self.0.participants.invitations.lock();
        let rooms = invitations.get(&who);
        rooms.is_some_and(|rooms| rooms.iter().any(|room| **room == *key))
    }

    /// Forgets all invitations to a room, because the room is closed.
    pub(super) fn forget_invitations(&self, key: &str) {
        let mut invitations = self.0.participants.invitations.lock();
        invitations.retain(|_, rooms| {
            rooms.retain(|room| **room != *key);
            !rooms.is_empty()
        });
    }

    /// Forgets an invitation, because the session has joined the room or was taken out of it.
    pub(crate) fn use_invitation(&self, who: SessionId, key: &str) {
        let mut invitations = self.0.participants.invitations.lock();
        if let Some(rooms) = invitations.get_mut(&who) {
            rooms.retain(|room| **room != *key);
            if rooms.is_empty() {
                invitations.remove(&who);
            }
        }
    }

    /// Returns whether lists must hide the room with this key from a session that is not in it.
    pub(crate) fn is_secret(&self, key: &str) -> bool {
        self.find(key).is_some_and(|room| room.is_secret())
    }
}

impl From<NotInRoom> for KickError {
    fn from(_: NotInRoom) -> Self {
        Self::NotInRoom
    }
}

impl From<NotInRoom> for InviteError {
    fn from(_: NotInRoom) -> Self {
        Self::NotInRoom
    }
}

impl fmt::Display for KickError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInRoom => NotInRoom.fmt(f),
            Self::Denied(denied) => denied.fmt(f),
        }
    }
}

impl std::error::Error for KickError {}

impl fmt::Display for InviteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInRoom => NotInRoom.fmt(f),
            Self::Denied(denied) => denied.fmt(f),
            Self::Tell(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for InviteError {}
