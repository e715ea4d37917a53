//! Charges a connection's costs to its address.
//!
//! Invariant: a request for which an address must wait is executed once, after the wait. Until then the peer is not
//! read.

use crate::admission::{AddressAccount, Charge, Cost};
use crate::connection::connection::Connection;
use crate::protocol::{Code, Command, Refusal};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncRead;
use tokio::time::Instant;

/// How many members can be told of a join and a leave for the base cost of a join.
const MEMBERS_PER_JOIN: usize = 8;

/// What a failed authentication costs the connection, in lines. At the default rate the peer is not read for 5 s. A
/// person who mistypes a password waits less, because the connection can send 20 lines at once.
const FAILED_AUTHENTICATION: Cost = Cost::lines(25);

/// What it costs the address, as answers. With the default limits about 40 attempts fail at once, a class that logs in
/// together, and then about one a second.
const FAILED_AUTHENTICATION_OF_ADDRESS: Cost = Cost::lines(100);

/// The address would have to wait for this time, which is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooSoon(pub(super) Duration);

impl From<TooSoon> for Refusal {
    fn from(TooSoon(wait): TooSoon) -> Self {
        let seconds = wait.as_secs() + 1;
        Self::new(
            Code::RateLimited,
            format!("your address asks for too much: try again in {seconds} s"),
        )
    }
}

impl<R: AsyncRead + Send + Unpin> Connection<R> {
    /// Stops reading from the peer until this time.
    fn pause_until(&mut self, until: Instant) {
        self.conversation.pace_mut().pause_until(until);
        self.hub.counters().rate_pauses.add(1);
    }

    /// Charges for bytes that were read, whatever they are. Bytes that never complete a line would otherwise cost
    /// nothing.
    pub(super) fn charge_input(&mut self, bytes: usize, now: Instant) {
        if let Some(until) = self.conversation.pace_mut().charge_input(bytes, now) {
            self.pause_until(until);
        }
        let account = self.account.as_ref();
        if let Some(until) = account.and_then(|a| a.charge(Charge::Bytes, bytes as u64, now)) {
            self.pause_until(until);
        }
    }

    /// Charges the sender and its address for an answer, in addition to the line that asked for it.
    pub(super) fn charge(&mut self, cost: Cost) {
        let now = Instant::now();
        self.conversation.pace_mut().charge(cost, now);
        if let Some(account) = &self.account {
            // The debt holds up the next expensive command, not the messages of members.
            let _owes_until = account.charge(Charge::Answers, cost.thousandths(), now);
        }
    }

    /// Checks that the connection's address may ask for a long answer.
    ///
    /// # Errors
    ///
    /// The address owes too much for earlier answers. The error holds the time to wait.
    pub(super) fn may_ask(&self) -> Result<(), TooSoon> {
        may_ask(self.account.as_ref())
    }

    /// Charges for an attempt to authenticate that failed.
    pub(super) fn charge_failed_authentication(&mut self) {
        let now = Instant::now();
        self.conversation
            .pace_mut()
            .charge(FAILED_AUTHENTICATION, now);
        if let Some(account) = &self.account {
            let cost = FAILED_AUTHENTICATION_OF_ADDRESS.thousandths();
            // The debt refuses the next attempts of the address.
            let _owes_until = account.charge(Charge::Answers, cost, now);
        }
    }

    /// Charges for a room that is opened to publish in it. While the address must wait, the peer is not read.
    ///
    /// # Errors
    ///
    /// The address would have to wait too long.
    pub(super) fn charge_opening(&mut self) -> Result<(), TooSoon> {
        if let Some(until) = self.reserve(Charge::Joins, 1, Instant::now())? {
            self.pause_until(until);
        }
        Ok(())
    }

    fn reserve(&self, charge: Charge, cost: u64, now: Instant) -> Result<Option<Instant>, TooSoon> {
        reserve(self.account.as_ref(), charge, cost, now)
    }

    /// Returns how many joins it costs to join a room. The cost grows with the members that are told of the join, and
    /// later of the leave.
    fn cost_of_joining(&self, room: &str) -> u64 {
        if self.account.is_none() {
            return 0;
        }
        let told = self
            .hub
            .find_named(room)
            .map_or(0, |room| room.announces_to());
        1 + (told / MEMBERS_PER_JOIN) as u64
    }

    /// Charges for the rooms that a command joins. Returns whether the command must wait. It is not charged again after
    /// the wait.
    ///
    /// # Errors
    ///
    /// The address would have to wait too long.
    pub(super) fn waits_to_join(&mut self, command: &Command<'_>) -> Result<bool, TooSoon> {
        let cost = match command {
            Command::Join(request) => self.cost_of_joining(&request.room),
            Command::Move { room } => {
                let lobby = || self.hub.lobby().as_str();
                self.cost_of_joining(room.as_deref().unwrap_or_else(lobby))
            }
            Command::Hello { rooms, .. } => {
                let costs = rooms
                    .iter()
                    .map(|request| self.cost_of_joining(&request.room));
                costs.sum()
            }
            _ => 0,
        };
        if cost == 0 {
            return Ok(false);
        }
        // A join may replay much, so debt for answers holds it up, too.
        self.may_ask()?;
        let Some(until) = self.reserve(Charge::Joins, cost, Instant::now())? else {
            return Ok(false);
        };
        self.pause_until(until);
        Ok(true)
    }
}

/// As [`Connection::may_ask`], for an address.
pub(super) fn may_ask(account: Option<&Arc<AddressAccount>>) -> Result<(), TooSoon> {
    reserve(account, Charge::Answers, 0, Instant::now()).map(drop)
}

fn reserve(
    account: Option<&Arc<AddressAccount>>,
    charge: Charge,
    cost: u64,
    now: Instant,
) -> Result<Option<Instant>, TooSoon> {
    account
        .map_or(Ok(None), |account| account.reserve(charge, cost, now))
        .map_err(TooSoon)
}
