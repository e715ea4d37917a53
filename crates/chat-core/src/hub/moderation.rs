//! What an application does to members and rooms, whether they like it or not.

use crate::event::CloseReason;
use crate::hub::hub::Hub;
use crate::hub::roster::RosterCommand;
use crate::name::Nick;
use crate::room::{Participant, Removal};
use crate::text;
use std::sync::Arc;

impl Hub {
    /// Ends the session with this nick, and returns the nick as it is spelled; `None` if nobody has it.
    ///
    /// Its leaving is announced at once in all its rooms, with the reason, and the nick is free. A peer over a wire is
    /// told and disconnected; a session in process sees the end of [`Session::next_direct`](crate::Session::next_direct)
    /// and its members the end of [`Member::next`](crate::Member::next). Control characters of the reason are removed,
    /// and what is longer than [`Limits::reason_bytes`](crate::Limits::reason_bytes) is cut off. Nothing keeps the peer
    /// from coming back but the [`Policy`](crate::Policy).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not take it back: the session may end.
    pub async fn kick(&self, nick: &str, reason: &str) -> Option<Nick> {
        let reason = CloseReason::Kicked(self.reason(reason));
        self.command(nick, &RosterCommand::End(reason)).await.ok()
    }

    /// Takes a session out of one room, and returns its nick; `None` if nobody of that nick is in such a room.
    ///
    /// The others are told, with the reason (see [`kick`](Self::kick)). A peer over a wire is told, too, and put back
    /// into the lobby if its dialect has it be in one room at a time.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not take it back: the session may be taken out.
    pub async fn remove(&self, room: &str, nick: &str, reason: &str) -> Option<Nick> {
        let (room, _) = self.room_name(room).ok()?;
        let reason = self.reason(reason);
        let command = RosterCommand::Remove { room, reason };
        self.command(nick, &command).await.ok()
    }

    /// Takes a session of this hub out of a room. Returns whether it was there.
    pub(super) fn remove_from(&self, room: &str, session: &Participant, reason: Arc<str>) -> bool {
        let Some(room) = self.find_named(room) else {
            return false;
        };
        let Some(removed) = room.remove(session.id(), Arc::clone(&reason)) else {
            return false;
        };
        let removal = Removal {
            room: Arc::clone(&room),
            seat: removed.seat,
            reason,
            is_closed: false,
        };
        session.note_removal(removal, removed.has_wire);
        self.publish_presence(session);
        self.let_go(&room);
        true
    }

    /// Closes a room: takes everybody out, and forgets it. Returns how many members there were; `None` if there is no
    /// such room.
    ///
    /// Peers over a wire are told, with the reason (see [`kick`](Self::kick)), and put back into the lobby if their
    /// dialect has them be in one room at a time; members in process and followers get
    /// [`Event::Closed`](crate::Event::Closed). The log in memory is gone; a journal that persists keeps it. Whoever
    /// joins a room of that name later opens it anew.
    pub fn close_room(&self, room: &str, reason: &str) -> Option<usize> {
        let room = self.find_named(room)?;
        if !self.0.rooms.lock().remove(&room) {
            return None;
        }
        let reason = self.reason(reason);
        let removed = room.close(Arc::clone(&reason));
        let count = removed.len();
        for removed in removed {
            let removal = Removal {
                room: Arc::clone(&room),
                seat: removed.seat,
                reason: Arc::clone(&reason),
                is_closed: true,
            };
            removed.session.note_removal(removal, removed.has_wire);
        }
        Some(count)
    }

    /// A reason as others may see it.
    pub(crate) fn reason(&self, reason: &str) -> Arc<str> {
        let reason = text::clean(reason);
        text::truncate(reason.trim(), self.limits().reason_bytes).into()
    }
}
