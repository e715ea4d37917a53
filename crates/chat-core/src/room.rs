//! One room: the order of its items, its members, and delivery to them.

mod announcing;
mod catch_up;
mod delivery;
mod denied;
mod error;
mod feed;
mod follow;
mod following;
mod identity;
mod item;
mod judgement;
mod members;
mod occupant;
mod outbound;
mod participant;
mod reader;
mod rights;
mod room;
mod round;
mod search_queue;

pub(crate) use catch_up::{Backlog, CatchUp, CaughtUp, JoinedAt, Plan, Resume, Step, Unread};
pub(crate) use delivery::{Place, Tail};
pub use denied::Denied;
pub use error::{JoinError, NotInRoom, PublishError};
pub(crate) use feed::Feed;
pub(crate) use identity::{Identity, changes};
pub use item::Echo;
pub(crate) use item::{Body, Cursor, DeliveryOptions};
pub(crate) use members::Listed;
pub(crate) use occupant::{Elsewhere, Removed, SeatNumber};
pub(crate) use outbound::{Outbound, Progress};
pub(crate) use participant::{JoinedRoom, MailboxFull, Participant, Removal};
pub(crate) use reader::{Reader, Viewer};
pub(crate) use rights::Pass;
pub(crate) use room::{Closed, Opener, Room, RoomContext, Standing, Subscription, Told, What};
pub(crate) use search_queue::{SearchQueue, Searched};
