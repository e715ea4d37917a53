//! One room: its order, its members, and delivery to them.

mod catch_up;
mod delivery;
mod error;
mod feed;
mod follow;
mod following;
mod members;
mod occupant;
mod outbound;
mod participant;
mod room;
mod search_queue;

pub(crate) use catch_up::{Backlog, CatchUp, CaughtUp, JoinedAt, Plan, Resume, Step, Unread};
pub use delivery::Echo;
pub(crate) use delivery::{Body, Cursor, DeliveryOptions, Item, Place, Tail};
pub use error::{JoinError, NotInRoom, PublishError};
pub(crate) use feed::Feed;
pub(crate) use members::Listed;
pub(crate) use occupant::SeatNumber;
pub(crate) use outbound::{Outbound, Progress};
pub(crate) use participant::{JoinedRoom, MailboxFull, Participant, Removal};
pub(crate) use room::{Opener, Room, RoomContext, Standing, Subscription, Told, What};
pub(crate) use search_queue::{SearchQueue, Searched};
