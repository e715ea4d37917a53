//! Limits the number of connections, and how much each connection and each address may ask for.

mod address;
mod limiter;
mod rate;

pub(crate) use address::{AddressAccount, Charge};
pub(crate) use limiter::{ConnectionLimiter, Permit};
pub(crate) use rate::{Cost, TokenBucket};
