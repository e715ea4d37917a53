//! How sessions get their nicks. How hubs that share a roster inform each other about sessions, and execute commands
//! for each other.
//!
//! Invariant: the roster's events about sessions on other nodes are applied one after the other.

use crate::event::{CloseReason, Direct};
use crate::hub::hub::{Hub, Inner};
use crate::hub::roster::{
    Claimed, IfTaken, NickClaim, NickError, NickKeys, RosterCommand, RosterEvent, SessionPresence,
    TellError,
};
use crate::log::{Owner, SessionId};
use crate::name::{Nick, RoomName, TYPED_NICK_BYTES_MAX};
use crate::room::{MailboxFull, Participant, Room};
use futures::StreamExt;
use futures::stream::BoxStream;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

/// A claim of a nick, from the time at which it is sent to the roster. If the value is dropped before the roster has
/// answered, the nick is released, because the claim may have succeeded.
struct Claiming<'a> {
    hub: &'a Hub,
    who: SessionId,
    keys: NickKeys,
    is_pending: bool,
}

impl Drop for Claiming<'_> {
    fn drop(&mut self) {
        if self.is_pending {
            self.hub.roster().release(self.who, &self.keys);
        }
    }
}

impl Hub {
    /// Claims a nick for a session. If the session already has a nick, whose keys are `had`, it keeps that nick as
    /// well.
    ///
    /// Dropping the future releases the claimed nick.
    pub(crate) async fn claim_nick(
        &self,
        session: &Participant,
        nick: &Nick,
        had: Option<&NickKeys>,
        if_taken: IfTaken,
    ) -> Result<Claimed, NickError> {
        let keys = NickKeys::new(self.names(), nick);
        let mut claim = NickClaim::new(session.id(), nick.clone(), keys.clone());
        claim.account = session.account();
        claim.token = match session.owner() {
            Owner::Token(token) => Some(token),
            Owner::Session(_) => None,
        };
        claim.if_taken = if_taken;
        let mut claiming = Claiming {
            hub: self,
            who: session.id(),
            // If the session already has this nick, dropping the future does not release the nick.
            is_pending: had.is_none_or(|had| had.key != keys.key),
            keys,
        };
        let claimed = self.roster().claim(claim).await;
        if !matches!(claimed, Err(NickError::Unavailable(_))) {
            claiming.is_pending = false;
        }
        claimed
    }

    /// Adds a session to the table of sessions. The session must have its nick already. If the roster is shared, the
    /// first call starts the task that applies the roster's events.
    pub(crate) fn list(&self, session: &Arc<Participant>) {
        let sessions = &self.0.participants;
        sessions
            .here
            .lock()
            .insert(session.id(), Arc::clone(session));
        self.note_nick(&session.nick());
        if sessions.is_shared
            && let Some(events) = sessions.events.lock().take()
        {
            let hub = Arc::downgrade(&self.0);
            self.0.context.tasks.spawn(follow(events, hub));
        }
    }

    /// Publishes the nick, the profile and the rooms of a session to other nodes.
    pub(crate) fn publish_presence(&self, session: &Participant) {
        if !self.0.participants.is_shared || session.has_ended() {
            return;
        }
        let rooms = session.joined_rooms().into_iter();
        let presence = SessionPresence {
            nick: session.nick(),
            profile: session.profile(),
            rooms: rooms.map(|room| room.name.clone()).collect(),
        };
        self.roster().publish(session.id(), Ok(presence));
    }

    /// Ends the sessions that have lost their nick to a later session of the same client.
    pub(crate) fn end_replaced(&self, replaced: Vec<SessionId>) {
        for who in replaced {
            if let Some(ghost) = self.0.participants.find(who) {
                // The session is told the reason before the hub ends it, so that the session's connection knows the
                // reason.
                ghost.ask_to_close(CloseReason::TakenOver);
                self.end(&ghost, &CloseReason::TakenOver);
            } else {
                let hub = self.clone();
                self.0.context.tasks.spawn(async move {
                    let end = RosterCommand::End(CloseReason::TakenOver);
                    drop(hub.roster().send(who, end).await);
                });
            }
        }
    }

    /// Returns the sessions with this nick in any spelling, on all nodes.
    pub(crate) fn owners(&self, nick: &str) -> Vec<SessionId> {
        // The length is checked before the nick is folded, because the cost of folding grows with the length.
        if nick.len() > TYPED_NICK_BYTES_MAX {
            return Vec::new();
        }
        self.roster().find(&self.fold(nick))
    }

    /// Performs a command for each session with this nick. Returns the nick if the command succeeds for at least one
    /// session, otherwise the last error.
    pub(crate) async fn command(
        &self,
        nick: &str,
        command: &RosterCommand,
    ) -> Result<Nick, TellError> {
        let mut outcome = Err(TellError::no_such_nick(nick));
        for who in self.owners(nick) {
            let done = match self.0.participants.find(who) {
                Some(session) => self.perform(&session, command.clone()),
                None => self.roster().send(who, command.clone()).await,
            };
            outcome = match (outcome, done) {
                (_, Ok(nick)) | (Ok(nick), Err(_)) => Ok(nick),
                // `NoSuchNick` only means that this session has just ended, so the error of the earlier session is
                // kept.
                (Err(error), Err(TellError::NoSuchNick(_))) => Err(error),
                (Err(_), Err(error)) => Err(error),
            };
        }
        outcome
    }

    /// Performs a command for a session of this hub.
    fn perform(&self, session: &Participant, command: RosterCommand) -> Result<Nick, TellError> {
        let nick = session.nick();
        let is_done = match command {
            RosterCommand::Tell(direct) => {
                let mailbox = self.limits().mailbox.get();
                let delivered = session.deliver(direct, mailbox);
                delivered.map_err(|MailboxFull| TellError::MailboxFull(nick.clone()))?;
                true
            }
            RosterCommand::End(reason) => {
                // The session is told the reason before the hub ends it, so that the session's connection knows the
                // reason. The connection may then end the session before this task does. So the command also succeeds
                // if this task was the first to tell the reason.
                let is_first = session.ask_to_close(reason.clone());
                self.end(session, &reason) || is_first
            }
            RosterCommand::Remove { room, reason, by } => {
                self.remove_from(room.as_str(), session, reason, by)
            }
            RosterCommand::Invite {
                room,
                by,
                user_host,
                admits,
                at,
            } => {
                let key = self.fold(room.as_str());
                let invitation = Direct::invitation(by, at, room).with_user_host(user_host);
                let mailbox = self.limits().mailbox.get();
                let delivered = session.deliver(invitation, mailbox);
                delivered.map_err(|MailboxFull| TellError::MailboxFull(nick.clone()))?;
                if admits {
                    self.note_invitation(session.id(), key.into());
                }
                true
            }
        };
        if is_done {
            Ok(nick)
        } else {
            Err(TellError::no_such_nick(nick.as_str()))
        }
    }

    fn take_roster_event(&self, event: RosterEvent) {
        match event {
            RosterEvent::Present(who, presence) => self.moved_elsewhere(who, presence),
            RosterEvent::Ended(who, reason) => self.ended_elsewhere(who, &reason),
            RosterEvent::NodeGone(incarnation) => {
                let gone: Vec<_> = {
                    let elsewhere = self.0.participants.elsewhere.lock();
                    let sessions = elsewhere.sessions.keys().copied();
                    sessions
                        .filter(|who| who.incarnation() == incarnation)
                        .collect()
                };
                for who in gone {
                    self.ended_elsewhere(who, &CloseReason::Broken);
                }
            }
            RosterEvent::Command {
                to,
                command,
                answer,
            } => {
                let session = self.0.participants.find(to);
                let done = session.map_or_else(
                    || Err(TellError::no_such_nick("")),
                    |session| self.perform(&session, command),
                );
                // The node that sent the command may no longer wait for the answer.
                drop(answer.send(done));
            }
        }
    }

    fn moved_elsewhere(&self, who: SessionId, now: SessionPresence) {
        let rooms: Vec<(Arc<str>, RoomName)> = now
            .rooms
            .iter()
            .map(|room| (self.fold(room.as_str()).into(), room.clone()))
            .collect();
        let (nick, profile) = (now.nick.clone(), now.profile.clone());
        let was = {
            let mut elsewhere = self.0.participants.elsewhere.lock();
            let was = elsewhere.sessions.insert(who, now);
            for room in was.iter().flat_map(|was| &was.rooms) {
                elsewhere.leave(who, &self.fold(room.as_str()));
            }
            for (key, name) in &rooms {
                let (_, members) = elsewhere
                    .by_room
                    .entry(Arc::clone(key))
                    .or_insert_with(|| (name.clone(), BTreeMap::new()));
                members.insert(who, nick.clone());
            }
            was
        };
        for room in was.iter().flat_map(|was| &was.rooms) {
            let key = self.fold(room.as_str());
            if !rooms.iter().any(|(now, _)| **now == *key) {
                self.in_open_room(&key, |room| room.leave_elsewhere(who, None));
            }
        }
        let had = was.as_ref().map(|was| &was.nick);
        if had != Some(&nick) {
            had.iter().for_each(|had| self.note_nick(had));
            self.note_nick(&nick);
        }
        for (key, _) in &rooms {
            self.in_open_room(key, |room| {
                room.enter_elsewhere(who, &nick, &profile);
            });
        }
    }

    fn ended_elsewhere(&self, who: SessionId, reason: &CloseReason) {
        let (rooms, nick) = {
            let mut elsewhere = self.0.participants.elsewhere.lock();
            let Some(was) = elsewhere.sessions.remove(&who) else {
                return;
            };
            let keys = was.rooms.iter().map(|room| self.fold(room.as_str()));
            let keys: Vec<_> = keys.collect();
            keys.iter().for_each(|key| elsewhere.leave(who, key));
            (keys, was.nick)
        };
        self.note_nick(&nick);
        for key in rooms {
            let reason = Some(reason.clone());
            self.in_open_room(&key, |room| room.leave_elsewhere(who, reason));
        }
    }

    fn in_open_room(&self, key: &str, act: impl FnOnce(&Arc<Room>)) {
        if let Some(room) = self.find(key) {
            act(&room);
        }
    }
}

/// Applies the roster's events about other nodes, until the hub is dropped.
async fn follow(mut events: BoxStream<'static, RosterEvent>, hub: Weak<Inner>) {
    while let Some(event) = events.next().await {
        let Some(inner) = hub.upgrade() else { return };
        Hub(inner).take_roster_event(event);
    }
}
