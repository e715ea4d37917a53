//! Charges the costs of a connection to the connection and to the address of its peer.
//!
//! Invariant: if the peer's address must wait before a command joins rooms, the command is executed exactly once, after
//! the wait. During each wait, the connection does not read from its peer.

use crate::admission::{Charge, Cost};
use crate::connection::connection::Connection;
use crate::protocol::Command;
use crate::request::{self, TooSoon};
use tokio::io::AsyncRead;
use tokio::time::Instant;

/// How many members of a room raise the cost of a join by 1. Only members to whom the room announces joins and leaves
/// count.
const MEMBERS_PER_JOIN: usize = 8;

/// The cost of a failed authentication to its connection: as much as 25 lines. At the default rate, the connection then
/// does not read for 5 s. After the first failure the pause is shorter, because a connection may send 20 lines at once.
const FAILED_AUTHENTICATION: Cost = Cost::lines(25);

/// The cost of a failed authentication to the peer's address: as much as 100 lines, charged as `Charge::Answers`. With
/// the default limits, about 40 attempts from one address may fail at once. This is enough for a school class whose
/// members log in at the same time. After that, about one attempt a second may fail.
const FAILED_AUTHENTICATION_OF_ADDRESS: Cost = Cost::lines(100);

impl<R: AsyncRead + Send + Unpin> Connection<R> {
    /// Stops reading from the peer until `until`, and counts the pause.
    fn pause_until(&mut self, until: Instant) {
        self.conversation.pace_mut().pause_until(until);
        self.hub.counters().rate_pauses.add(1);
    }

    /// Charges the connection and its address for bytes that were read. Without this charge, bytes that never complete
    /// a line would cost nothing.
    pub(super) fn charge_input(&mut self, bytes: usize, now: Instant) {
        if let Some(until) = self.conversation.pace_mut().charge_input(bytes, now) {
            self.pause_until(until);
        }
        let account = self.account.as_ref();
        if let Some(until) = account.and_then(|a| a.charge(Charge::Bytes, bytes as u64, now)) {
            self.pause_until(until);
        }
    }

    /// Charges the connection and its address for an answer, in addition to the charge for the line that asked for it.
    pub(super) fn charge(&mut self, cost: Cost) {
        let now = Instant::now();
        self.conversation.pace_mut().charge(cost, now);
        request::charge_answer(self.account.as_ref(), cost, now);
    }

    /// Checks that the connection's address may ask for a long answer.
    ///
    /// # Errors
    ///
    /// Returns the remaining wait of the address if its limit on answers makes it wait longer than 5 s.
    pub(super) fn may_ask(&self) -> Result<(), TooSoon> {
        request::may_ask(self.account.as_ref())
    }

    /// Charges the connection and its address for a failed authentication.
    pub(super) fn charge_failed_authentication(&mut self) {
        let now = Instant::now();
        self.conversation
            .pace_mut()
            .charge(FAILED_AUTHENTICATION, now);
        // If this charge uses up the limit of the address, `may_ask` refuses further attempts.
        request::charge_answer(self.account.as_ref(), FAILED_AUTHENTICATION_OF_ADDRESS, now);
    }

    /// Charges the address for opening a room in which the session publishes without joining. If the address must wait,
    /// the connection does not read from the peer until the wait is over.
    ///
    /// # Errors
    ///
    /// Returns the time that the address would have to wait, if that is longer than 5 s.
    pub(super) fn charge_opening(&mut self, key: &str, is_hidden: bool) -> Result<(), TooSoon> {
        let account = self.account.as_ref();
        if let Some(until) = request::charge_opening(&self.hub, account, key, is_hidden)? {
            self.pause_until(until);
        }
        Ok(())
    }

    /// Returns how many tokens of `Charge::Joins` joining a room costs. The cost grows with the number of members to
    /// which the room announces the join and, later, the leave. The cost is 0 if the connection's address has no
    /// limits.
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

    /// Charges the address for the rooms that a command joins. Returns whether the command must wait. After the wait,
    /// the caller executes the command without charging for it again.
    ///
    /// # Errors
    ///
    /// Returns the time that the address would have to wait, if that is longer than 5 s.
    pub(super) fn waits_to_join(&mut self, command: &Command<'_>) -> Result<bool, TooSoon> {
        let cost = match command {
            Command::Join(request) => self.cost_of_joining(&request.room),
            Command::Move { room, .. } => {
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
        // A join may replay many messages, so an address that has used up its limit for answers can't join a room.
        self.may_ask()?;
        let account = self.account.as_ref();
        let Some(until) = request::reserve(account, Charge::Joins, cost, Instant::now())? else {
            return Ok(false);
        };
        self.pause_until(until);
        Ok(true)
    }
}
