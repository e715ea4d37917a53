//! How sessions leave rooms, and how they end.

use crate::event::CloseReason;
use crate::hub::hub::Hub;
use crate::hub::roster::NickKeys;
use crate::room::{Participant, Room, SeatNumber};
use std::sync::Arc;

impl Hub {
    /// Ends a session: the session leaves its rooms, and its nick becomes free. Returns `false` if the session had
    /// already ended.
    pub(crate) fn end(&self, session: &Participant, reason: &CloseReason) -> bool {
        let ended = session.end(
            reason,
            |room| self.let_go(room),
            |nick| {
                let keys = NickKeys::new(self.names(), nick);
                self.roster().release(session.id(), &keys);
                self.0.participants.remove(session.id());
                self.roster().publish(session.id(), Err(reason.clone()));
            },
        );
        if ended {
            self.unwatch_all(session);
            self.note_gone(session, &session.nick());
        }
        ended
    }

    /// Takes a session out of a room.
    pub(crate) fn leave(&self, session: &Participant, room: &Arc<Room>, seat: SeatNumber) {
        session.give_up(seat);
        room.leave(session.id(), seat, None, None);
        self.publish_presence(session);
        self.let_go(room);
    }
}
