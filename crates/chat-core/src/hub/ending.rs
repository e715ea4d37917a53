//! How sessions leave rooms, and end.

use crate::event::CloseReason;
use crate::hub::hub::Hub;
use crate::room::{Participant, Room, SeatNumber};
use std::sync::Arc;

impl Hub {
    /// Ends a session: it leaves its rooms, its nick is free. Returns whether it had not ended before.
    pub(crate) fn end(&self, session: &Participant, reason: &CloseReason) -> bool {
        session.end(
            reason,
            |room| self.let_go(room),
            |nick| self.roster().release(session.id(), nick),
        )
    }

    /// Takes a session out of a room.
    pub(crate) fn leave(&self, session: &Participant, room: &Arc<Room>, seat: SeatNumber) {
        session.give_up(seat);
        room.leave(session.id(), seat, None, None);
        self.let_go(room);
    }
}
