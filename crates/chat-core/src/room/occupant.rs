//! A member, as its room knows it.

use crate::name::Nick;
use crate::room::delivery::Tail;
use crate::room::participant::Participant;
use std::sync::Arc;

/// Numbers the memberships of one session: a session that leaves a room and joins it again gets another number.
pub(crate) type SeatNumber = u64;

/// A member, as its room knows it.
pub(super) struct Occupant {
    pub(super) nick: Nick,
    pub(super) session: Arc<Participant>,
    /// The number of this membership: a session that was removed may have joined the room again.
    pub(super) seat: SeatNumber,
    /// How items are delivered to the member, if it is reached over a connection.
    pub(super) tail: Option<Arc<Tail>>,
}

/// A member that the application took out of a room.
pub(crate) struct Removed {
    pub(crate) session: Arc<Participant>,
    pub(crate) seat: SeatNumber,
    /// Whether the session has a connection, which must be notified.
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
