//! The limits of a peer's address, for a protocol that reads and writes the peer's bytes itself.

use crate::admission::{AddressAccount, Charge, Cost};
use crate::hub::Hub;
use crate::peer::Peer;
use crate::protocol::Refusal;
use crate::request::charges::{charge_answer, may_ask};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Charges the address of a peer for input and for answers. [`Hub::address_meter`] creates it.
///
/// It is for protocols that [take over](crate::protocol::TakeOver) a connection. A connection that speaks a
/// [`Dialect`](crate::protocol::Dialect) is charged by the server.
///
/// All connections of an address are charged together. A peer over loopback is not charged, unless
/// [`Limits::loopback`](crate::Limits::loopback) says otherwise; nor is a peer without an address.
///
/// # Examples
///
/// ```
/// use chat_core::{Hub, Peer};
///
/// let meter = Hub::default().address_meter(&Peer::default());
/// assert_eq!(meter.charge_input(4096), None);
/// meter.charge_answer(16 * 1024);
/// assert!(meter.may_ask().is_ok());
/// ```
#[derive(Debug, Clone)]
pub struct AddressMeter {
    hub: Hub,
    account: Option<Arc<AddressAccount>>,
}

impl Hub {
    /// Returns the meter of a peer's address.
    #[must_use]
    pub fn address_meter(&self, peer: &Peer) -> AddressMeter {
        let address = peer.address().map(|address| address.ip());
        AddressMeter {
            account: self.limiter().account(address, Instant::now()),
            hub: self.clone(),
        }
    }
}

impl AddressMeter {
    /// Charges the address for input of this many bytes; see
    /// [`Limits::bytes_per_minute`](crate::Limits::bytes_per_minute). Returns how long the address must wait, at most
    /// 20 s, if it has sent too much. The caller lets it wait, and drops nothing.
    #[must_use = "an address that has sent too much must wait"]
    pub fn charge_input(&self, bytes: usize) -> Option<Duration> {
        let now = Instant::now();
        let account = self.account.as_ref()?;
        let until = account.charge(Charge::Bytes, bytes as u64, now)?;
        self.hub.counters().rate_pauses.add(1);
        Some(until - now)
    }

    /// Charges the address for an answer of this many bytes; see
    /// [`Limits::answers_per_address`](crate::Limits::answers_per_address).
    pub fn charge_answer(&self, bytes: usize) {
        charge_answer(self.account.as_ref(), Cost::bytes(bytes), Instant::now());
    }

    /// Checks that the address has not used up its limit for answers.
    ///
    /// # Errors
    ///
    /// Returns a refusal that says when the address may ask again.
    pub fn may_ask(&self) -> Result<(), Refusal> {
        let answer = may_ask(self.account.as_ref()).map_err(Refusal::from);
        answer.inspect_err(|_| self.hub.counters().refusals.add(1))
    }
}
