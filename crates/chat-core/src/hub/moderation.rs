//! Moderation: what an application does to members and rooms without their consent.

use crate::event::CloseReason;
use crate::hub::hub::Hub;
use crate::hub::roster::RosterCommand;
use crate::name::Nick;
use crate::room::{Participant, Removal, Removed, Room};
use crate::text;
use std::sync::Arc;
use tokio::runtime::Handle;

impl Hub {
    /// Ends the session with this nick, or all sessions that share the nick. Returns the nick in the spelling of the
    /// session; `None` if no session has the nick.
    ///
    /// All rooms of the session announce at once that it has left, with the reason, and the nick becomes free. A peer
    /// over a connection receives the reason and is disconnected. For a session in process,
    /// [`Session::next_direct`](crate::Session::next_direct) and [`SessionEvents::next`](crate::SessionEvents::next)
    /// return `None` once all earlier messages have been returned; so does [`Member::next`](crate::Member::next) for
    /// the members of the session.
    ///
    /// Control characters are removed from the reason, and its part beyond
    /// [`Limits::reason_bytes`](crate::Limits::reason_bytes) is cut off. The peer may connect again, unless a
    /// [`Policy`](crate::Policy) refuses it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not undo the call: the session may still end.
    pub async fn kick(&self, nick: &str, reason: &str) -> Option<Nick> {
        let reason = CloseReason::Kicked(self.reason(reason));
        self.command(nick, &RosterCommand::End(reason)).await.ok()
    }

    /// Takes the session with this nick out of one room. Returns the nick in the spelling of the session; `None` if no
    /// session with this nick is in the room.
    ///
    /// The members of the room receive the reason, which is cleaned as by [`kick`](Self::kick). A peer over a
    /// connection is put back into the lobby if its dialect allows one room at a time. The session may join the room
    /// again, unless a [`Policy`](crate::Policy) refuses it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not undo the call: the session may still be taken out.
    pub async fn remove(&self, room: &str, nick: &str, reason: &str) -> Option<Nick> {
        let (room, _) = self.room_name(room).ok()?;
        let reason = self.reason(reason);
        let by = None;
        let command = RosterCommand::Remove { room, reason, by };
        self.command(nick, &command).await.ok()
    }

    /// Takes a session of this hub out of a room. Returns whether the session was in the room.
    pub(super) fn remove_from(
        &self,
        room: &str,
        session: &Participant,
        reason: Arc<str>,
        by: Option<Nick>,
    ) -> bool {
        let Some(room) = self.find_named(room) else {
            return false;
        };
        let removed = room.remove(session.id(), Arc::clone(&reason), by.clone());
        let Some(removed) = removed else {
            return false;
        };
        self.note_removed(&room, &removed, reason, by);
        true
    }

    /// Completes the removal of a session of this hub that the room has taken out.
    pub(super) fn note_removed(
        &self,
        room: &Arc<Room>,
        removed: &Removed,
        reason: Arc<str>,
        by: Option<Nick>,
    ) {
        let removal = Removal {
            room: Arc::clone(room),
            seat: removed.seat,
            reason,
            by,
            is_closed: false,
        };
        self.use_invitation(removed.session.id(), &room.key);
        removed.session.note_removal(removal, removed.has_wire);
        self.publish_presence(&removed.session);
        self.let_go(room);
    }

    /// Closes a room: takes all members out and forgets the room. Returns how many sessions were in the room; `None` if
    /// no room of this name is open.
    ///
    /// Peers over a connection receive the reason, which is cleaned as by [`kick`](Self::kick), and are put back into
    /// the lobby if their dialect allows one room at a time. Members in process and followers receive
    /// [`Event::Closed`](crate::Event::Closed). A log in memory is lost; a persistent journal keeps the log. The next
    /// session that joins a room of that name opens it again.
    ///
    /// If the journal is still storing messages of the room, the room accepts no more messages, and is closed once
    /// these messages are delivered. After [`Limits::drain`](crate::Limits::drain) the room is closed in any case: its
    /// members receive a gap, and the messages that the journal has not stored are not delivered. Until the room is
    /// closed, `close_room` returns `None` for the same room. Outside a Tokio runtime, the room is closed at once.
    pub fn close_room(&self, room: &str, reason: &str) -> Option<usize> {
        let room = self.find_named(room)?;
        let count = room.begin_to_close()?;
        let reason = self.reason(reason);
        match Handle::try_current() {
            Ok(runtime) if !room.is_settled() => {
                let hub = self.clone();
                let closing = async move {
                    // The room is closed even if the journal is still storing its messages.
                    drop(tokio::time::timeout(hub.limits().drain, room.settled()).await);
                    hub.finish_closing(&room, &reason);
                };
                self.0.context.tasks.spawn_on(closing, &runtime);
            }
            _ => self.finish_closing(&room, &reason),
        }
        Some(count)
    }

    fn finish_closing(&self, room: &Arc<Room>, reason: &Arc<str>) {
        self.0.rooms.lock().remove(room);
        self.forget_invitations(&room.key);
        for removed in room.close(reason) {
            let removal = Removal {
                room: Arc::clone(room),
                seat: removed.seat,
                reason: Arc::clone(reason),
                by: None,
                is_closed: true,
            };
            removed.session.note_removal(removal, removed.has_wire);
        }
    }

    /// Cleans and truncates a reason, so that other members may see it.
    pub(crate) fn reason(&self, reason: &str) -> Arc<str> {
        let reason = text::clean(reason);
        text::truncate(reason.trim(), self.limits().reason_bytes).into()
    }
}
