//! What a connection costs its address.
//!
//! Invariant: what an address has to wait for is done after the wait, once; until then the peer is not read.

use crate::admission::{Charge, Cost};
use crate::connection::connection::Connection;
use crate::protocol::{Code, Command, Refusal};
use std::time::Duration;
use tokio::io::AsyncRead;
use tokio::time::Instant;

/// How many members can be told of a coming and going for what a join costs by itself.
const MEMBERS_PER_JOIN: usize = 8;

/// The connection's address would have to wait for too long: so long.
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
    /// Does not read the peer until then.
    fn pause_until(&mut self, until: Instant) {
        self.conversation.pace_mut().pause_until(until);
        self.hub.counters().rate_pauses.add(1);
    }

    /// Charges for bytes that were read, whatever they are: bytes that never make a line take no token otherwise.
    pub(super) fn charge_input(&mut self, bytes: usize, now: Instant) {
        if let Some(until) = self.conversation.pace_mut().charge_input(bytes, now) {
            self.pause_until(until);
        }
        let account = self.account.as_ref();
        if let Some(until) = account.and_then(|a| a.charge(Charge::Bytes, bytes as u64, now)) {
            self.pause_until(until);
        }
    }

    /// Charges the sender, and its address, what an answer costs besides the line that asked for it.
    pub(super) fn charge(&mut self, cost: Cost) {
        let now = Instant::now();
        self.conversation.pace_mut().charge(cost, now);
        if let Some(account) = &self.account {
            // What is owed holds up the next command that asks for much, not what members say.
            let _owes_until = account.charge(Charge::Answers, cost.thousandths(), now);
        }
    }

    /// Whether the connection's address may ask for an answer that may be long.
    ///
    /// # Errors
    ///
    /// It owes too much for those that it was given: not for so long.
    pub(super) fn may_ask(&self) -> Result<(), TooSoon> {
        let reserved = self.reserve(Charge::Answers, 0, Instant::now());
        reserved.map(drop)
    }

    /// Charges for a room that is opened to publish in it. While the address has to wait, the peer is not read.
    ///
    /// # Errors
    ///
    /// It would have to wait for too long.
    pub(super) fn charge_opening(&mut self) -> Result<(), TooSoon> {
        if let Some(until) = self.reserve(Charge::Joins, 1, Instant::now())? {
            self.pause_until(until);
        }
        Ok(())
    }

    fn reserve(&self, charge: Charge, cost: u64, now: Instant) -> Result<Option<Instant>, TooSoon> {
        let account = self.account.as_ref();
        account
            .map_or(Ok(None), |account| account.reserve(charge, cost, now))
            .map_err(TooSoon)
    }

    /// How many joins it counts for to join a room: each member who is told of it, and later of the leaving, makes it
    /// dearer.
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

    /// Charges for the rooms that a command joins. Returns whether the command has to wait, for which it is not charged
    /// again.
    ///
    /// # Errors
    ///
    /// It would have to wait for too long.
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
        // A join may replay much, so what is owed for answers holds it up, too.
        self.may_ask()?;
        let Some(until) = self.reserve(Charge::Joins, cost, Instant::now())? else {
            return Ok(false);
        };
        self.pause_until(until);
        Ok(true)
    }
}
