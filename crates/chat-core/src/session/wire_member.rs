//! A session's presence in one room, over a connection. The room's delivery tasks write the events.
//!
//! Invariant: joining, resuming and catching up take the same steps. First, the connection's output is corked: it holds
//! back the events that the room delivers from now on. Then the connection writes earlier messages from the log, and
//! uncorks the output.

use crate::log::{Batch, Epoch, Position};
use crate::room::{CatchUp, DeliveryOptions, Echo, Place, Room, SeatNumber, Tail};
use crate::session::handle::Seat;
use std::sync::Arc;

/// The membership of a session in one room. The room's events are written to the session's connection. Dropping the
/// `WireMember` leaves the room.
#[derive(Debug)]
pub(crate) struct WireMember {
    place: Option<Place>,
    tail: Arc<Tail>,
    seat: Seat,
}

impl WireMember {
    pub(crate) const fn new(seat: Seat, tail: Arc<Tail>, place: Place) -> Self {
        Self {
            place: Some(place),
            tail,
            seat,
        }
    }

    pub(crate) const fn room(&self) -> &Arc<Room> {
        self.seat.room()
    }

    /// Returns whether this member is in `room`, and its membership has the number `seat`.
    pub(crate) fn was_in(&self, room: &Arc<Room>, seat: SeatNumber) -> bool {
        self.seat.is(room, seat)
    }

    pub(crate) fn set_delivery_options(&self, options: DeliveryOptions) {
        let appended = self.seat.room().appended();
        self.tail.set_delivery_options(options, appended);
    }

    pub(crate) fn is_behind(&self) -> bool {
        self.tail.behind().is_some()
    }

    /// Returns whether the member receives its own messages.
    pub(crate) fn echo(&self) -> Echo {
        self.tail.echo()
    }

    /// Notes that all messages of the peer up to this batch are answered, although delivery has not reached them.
    pub(crate) fn note_answered(&self, batch: Arc<Batch>, epoch: Epoch) {
        self.tail.note_answered(batch, epoch);
    }

    /// Returns whether the peer was sent the reply to this batch of its messages.
    pub(crate) fn has_answered(&self, batch: &Batch) -> bool {
        self.tail.has_answered(batch, self.room().epoch())
    }

    /// Returns whether delivery to this member has not reached this position yet, but will reach it.
    pub(crate) fn awaits(&self, at: Position) -> bool {
        self.tail.awaits(at, self.seat.room().lost_at())
    }

    /// Resumes delivery to a lagging member. Returns the same values as [`Room::go_live`]. The connection must hold
    /// back its output until the returned part of the log is written.
    pub(crate) fn go_live(&self) -> (CatchUp, bool) {
        self.seat.room().go_live(&self.tail)
    }

    /// Stops delivery to this member until [`go_live`](Self::go_live) is called.
    pub(crate) fn pause(&self) {
        self.tail.stop();
    }

    /// Ends delivery. Returns the part of the log that the member has not received.
    pub(crate) fn stop(&mut self) -> CatchUp {
        let (was, ended) = self.tail.stop();
        if let Some(place) = self.place.take() {
            place.remove();
        }
        self.seat.room().rest(was, ended)
    }
}

impl Drop for WireMember {
    fn drop(&mut self) {
        // Delivery stops here. `seat` is dropped next: the room then announces that the member has left.
        self.tail.stop();
        if let Some(place) = self.place.take() {
            place.remove();
        }
    }
}
