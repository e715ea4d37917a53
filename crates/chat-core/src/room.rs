//! One room: its order, its members, and delivery to them.

mod delivery;
mod error;
mod feed;
mod members;
mod occupant;
mod outbound;
mod participant;
mod repair;
mod room;
mod search_queue;

pub use delivery::Echo;
pub(crate) use delivery::{Body, Cursor, DeliveryOptions, Item, Place, Tail};
pub use error::{JoinError, PublishError};
pub(crate) use feed::Feed;
pub(crate) use occupant::SeatNumber;
pub(crate) use outbound::{Outbound, Progress};
pub(crate) use participant::{JoinedRoom, MailboxFull, Participant, Removal};
pub(crate) use repair::{Repair, Step};
pub(crate) use room::{Opener, Room, RoomContext, Standing, Subscription, Told, What};
pub(crate) use search_queue::{SearchQueue, Searched};
