//! Limits the number of connections, and how much each connection and each address may ask for. Decides what the
//! silence of a new connection means.

mod address;
mod limiter;
mod rate;
mod spares;

pub(crate) use address::{AddressAccount, Charge};
pub(crate) use limiter::{ConnectionLimiter, Permit};
pub(crate) use rate::{Cost, TokenBucket};
pub(crate) use spares::SpareConnections;
