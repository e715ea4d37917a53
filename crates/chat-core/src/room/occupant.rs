//! A member, as its room knows it.

use crate::name::Nick;
use crate::room::delivery::Tail;
use crate::room::participant::Participant;
use std::sync::Arc;

/// Tells apart the seats that one session takes, one after the other, in one room.
pub(crate) type SeatNumber = u64;

/// A member, as its room knows it.
pub(super) struct Occupant {
    pub(super) nick: Nick,
    pub(super) session: Arc<Participant>,
    /// Which of the session's seats it is: one that was removed may have come back.
    pub(super) seat: SeatNumber,
    /// How it is delivered to, if it is reached over a wire.
    pub(super) tail: Option<Arc<Tail>>,
}

/// A member that was taken out of a room, without its own doing.
pub(crate) struct Removed {
    pub(crate) session: Arc<Participant>,
    pub(crate) seat: SeatNumber,
    /// There is a connection that has to be told.
    pub(crate) has_wire: bool,
}

impl From<Occupant> for Removed {
    fn from(occupant: Occupant) -> Self {
        Self {
            session: occupant.session,
            seat: occupant.seat,
            has_wire: occupant.tail.is_some(),
        }
    }
}
