//! Charges the costs of requests to the address of a peer.
//!
//! Invariant: all requests of one address, over its connections or without a connection, are charged to the same
//! account by the same rules.

use crate::admission::{AddressAccount, Charge, Cost};
use crate::protocol::{Code, Refusal};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A request is refused, because its address would have to wait too long. The value is that waiting time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooSoon(pub(crate) Duration);

impl From<TooSoon> for Refusal {
    fn from(TooSoon(wait): TooSoon) -> Self {
        let seconds = wait.as_secs() + 1;
        Self::new(
            Code::RateLimited,
            format!("your address asks for too much: try again in {seconds} s"),
        )
        .retry_after(Duration::from_secs(seconds))
    }
}

/// Checks that an address may ask for a long answer. `account` is that of the peer's address; `None` if the address has
/// no limits.
///
/// # Errors
///
/// Returns the remaining wait of the address if its limit on answers makes it wait longer than 5 s.
pub(crate) fn may_ask(account: Option<&Arc<AddressAccount>>) -> Result<(), TooSoon> {
    reserve(account, Charge::Answers, 0, Instant::now()).map(drop)
}

/// Charges an address for work that is about to be done. Returns when the work may begin; `None` if it may begin now.
///
/// # Errors
///
/// Returns the time that the address would have to wait, if that is longer than 5 s. Nothing is charged then.
pub(crate) fn reserve(
    account: Option<&Arc<AddressAccount>>,
    charge: Charge,
    cost: u64,
    now: Instant,
) -> Result<Option<Instant>, TooSoon> {
    account
        .map_or(Ok(None), |account| account.reserve(charge, cost, now))
        .map_err(TooSoon)
}

/// Charges an address for an answer that it has received, or for work that was done for it.
pub(crate) fn charge_answer(account: Option<&Arc<AddressAccount>>, cost: Cost, now: Instant) {
    if let Some(account) = account {
        // The returned time is ignored: an address that has used up its limit for answers waits before its next
        // expensive request, not before messages.
        let _owes_until = account.charge(Charge::Answers, cost.thousandths(), now);
    }
}
