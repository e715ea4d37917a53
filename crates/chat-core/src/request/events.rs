//! The events of a room that a guest follows.

use crate::event::Event;
use crate::hub::{Hub, Visit};
use crate::log::{Epoch, Kind, SessionId};
use crate::name::RoomName;
use crate::protocol::Refusal;
use crate::request::guest::Guest;
use crate::room::{CatchUp, Reader, Room, Subscription, Viewer};
use std::fmt;
use std::sync::Arc;

/// Receives the events of one room for a [`Guest`]. [`Guest::follow`] creates it.
///
/// A guest receives the same events as a member of the room. For lag and gaps, see [`Member`](crate::Member). The room
/// stays open until this value is dropped.
pub struct GuestEvents {
    reader: Reader,
    watch: Watch,
    guest: Guest,
    refusal: Option<Refusal>,
}

/// A room that a guest reads.
struct Watch {
    visit: Visit,
    hub: Hub,
}

impl GuestEvents {
    pub(super) fn new(
        guest: Guest,
        visit: Visit,
        subscription: Subscription,
        catch_up: CatchUp,
    ) -> Self {
        let watch = Watch {
            visit,
            hub: guest.hub().clone(),
        };
        let mut reader = Reader::new(subscription, &watch);
        if !catch_up.is_done() {
            reader.replay(catch_up);
        }
        Self {
            reader,
            watch,
            guest,
            refusal: None,
        }
    }

    /// Returns the name of the room.
    #[must_use]
    pub fn room(&self) -> &RoomName {
        &self.watch.visit.name
    }

    /// Returns the epoch of the message or gap that [`next`](Self::next) has returned last. To resume later, the guest
    /// names this epoch and the position of the last message.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.reader.epoch()
    }

    /// Returns the guest.
    #[must_use]
    pub const fn guest(&self) -> &Guest {
        &self.guest
    }

    /// Asks the policy again whether the peer may connect and may be in the room. The program that serves the guest calls
    /// this now and then, so that a peer that the policy bans while it follows a room does not follow it for ever.
    ///
    /// # Errors
    ///
    /// Returns a refusal if the policy or the room's modes refuse one of these, or if the hub drains. The program then
    /// drops the events.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn check(&self) -> Result<(), Refusal> {
        self.guest.check_room(&self.watch.visit.key).await?;
        self.guest.check_modes(&self.watch.visit)
    }

    /// Returns why the room's modes no longer let the guest read the room, once [`next`](Self::next) has returned `None`
    /// for that reason.
    #[must_use]
    pub const fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_ref()
    }

    /// Waits for the next event of the room.
    ///
    /// Messages from before the request come first, as [`Event::Replayed`]. If the policy hides the members' names, an
    /// [`Event::Present`] lists no names.
    ///
    /// Returns `None` once the room is closed or the hub drains, and all earlier events have been returned. Also returns
    /// `None` once a change of the room's modes shuts the guest out: the guest does not receive that change, nor what
    /// follows it. [`refusal`](Self::refusal) then returns the reason.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future loses no event.
    pub async fn next(&mut self) -> Option<Event> {
        if self.refusal.is_some() {
            return None;
        }
        let event = self.reader.next(&self.watch).await?;
        // A room changes its modes before it delivers the message that changes them. A gap may stand for such a message.
        let may_shut_out = match &event {
            Event::Message(message) | Event::Replayed(message) => message.kind() == Kind::Mode,
            Event::Gap(_) => true,
            _ => false,
        };
        if may_shut_out {
            self.refusal = self.guest.check_modes(&self.watch.visit).err();
            if self.refusal.is_some() {
                return None;
            }
        }
        Some(match event {
            Event::Present(info) => Event::Present(Box::new(self.guest.seen(*info))),
            event => event,
        })
    }
}

impl Viewer for Watch {
    fn room(&self) -> &Arc<Room> {
        &self.visit
    }

    fn session(&self) -> Option<SessionId> {
        None
    }

    fn is_ending(&self) -> bool {
        self.hub.is_draining()
    }
}

impl fmt::Debug for GuestEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuestEvents")
            .field("room", self.room())
            .finish_non_exhaustive()
    }
}
