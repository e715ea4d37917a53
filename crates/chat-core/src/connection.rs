//! One connection: it runs a session over one stream.

mod arrival;
mod authentication;
mod charges;
mod commands;
mod connection;
mod conversation;
mod decisions;
mod dialects;
mod farewell;
mod framing;
mod heartbeat;
mod introduction;
mod listing;
mod moderation;
mod owed;
mod profiles;
mod publishing;
mod replay;
mod transport;
mod work;

pub(crate) use connection::{Opening, drive_stream, has_timers};
pub(crate) use dialects::Dialects;
