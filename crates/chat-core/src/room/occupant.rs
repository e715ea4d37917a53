//! What a room knows of each of its members.

use crate::event::Profile;
use crate::name::Nick;
use crate::room::delivery::Tail;
use crate::room::participant::Participant;
use std::sync::Arc;

/// Numbers the memberships of one session: a session that leaves a room and joins it again gets another number.
pub(crate) type SeatNumber = u64;

/// What a room knows of one of its members.
pub(super) struct Occupant {
    pub(super) nick: Nick,
    pub(super) session: Arc<Participant>,
    /// The number of this membership. It distinguishes this membership from a later one of the same session.
    pub(super) seat: SeatNumber,
    /// How the room delivers items to the member; `None` for a member in process, which has no connection.
    pub(super) tail: Option<Arc<Tail>>,
}

/// What a room knows of one of its members on other nodes.
pub(crate) struct Elsewhere {
    pub(crate) nick: Nick,
    pub(crate) profile: Profile,
}

/// A member that the application took out of a room.
pub(crate) struct Removed {
    pub(crate) session: Arc<Participant>,
    pub(crate) seat: SeatNumber,
    /// Whether the session has a connection. If so, the hub must notify the connection of the removal.
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
