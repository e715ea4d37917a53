//! The requests of peers: the rules that requests over a connection and without a connection share, and the peer
//! without a session.

mod charges;
mod decisions;
mod events;
mod guest;
mod meter;
mod reading;
mod visiting;

pub(crate) use charges::{TooSoon, charge_answer, may_ask, reserve};
pub(crate) use decisions::{decided, may_see, may_see_members};
pub use events::GuestEvents;
pub use guest::{Guest, GuestPage, GuestPublished};
pub use meter::AddressMeter;
pub(crate) use reading::{list_rooms, page_limit, read_page, search};
pub(crate) use visiting::{charge_opening, visit};
