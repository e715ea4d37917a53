//! What a connection costs its address.
//!
//! Invariant: what an address has to wait for is done after the wait, once; until then the peer is not read.

use super::Connection;
use crate::address::Charge;
use crate::command::{Arrival, Command};
use crate::rate::Cost;
use std::borrow::Cow;
use tokio::io::AsyncRead;
use tokio::time::Instant;

/// How many members can be told of a coming and going for what a join costs by itself.
const MEMBERS_PER_JOIN: usize = 8;

impl<R: AsyncRead + Send + Unpin> Connection<R> {
    /// Charges the connection's address; while that has to wait, the peer is not read.
    pub(super) fn charge_address(&mut self, charge: Charge, cost: u64, now: Instant) {
        let Some(account) = &self.account else { return };
        if let Some(until) = account.charge(charge, cost, now) {
            self.paused_until = self.paused_until.max(Some(until));
            self.hub.counters().rate_pauses.add(1);
        }
    }

    /// Charges for bytes that were read, whatever they are: bytes that never make a line take no token otherwise.
    pub(super) fn charge_input(&mut self, bytes: usize, now: Instant) {
        if let Some(bucket) = &mut self.bucket {
            bucket.charge(Cost::input(bytes), now);
            if let Err(until) = bucket.check(now) {
                self.paused_until = self.paused_until.max(Some(until));
                self.hub.counters().rate_pauses.add(1);
            }
        }
        self.charge_address(Charge::Bytes, bytes as u64, now);
    }

    /// Charges the sender, and its address, what an answer costs besides the line that asked for it.
    pub(super) fn charge(&mut self, cost: Cost) {
        let now = Instant::now();
        if let Some(bucket) = &mut self.bucket {
            bucket.charge(cost, now);
        }
        self.charge_address(Charge::Answers, cost.thousandths(), now);
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

    /// Charges for the rooms that a command joins. Gives the command back, or keeps it until the address has waited.
    pub(super) fn wait_to_join<'a>(&mut self, command: Command<'a>) -> Option<Command<'a>> {
        let cost = match &command {
            Command::Join(arrival) => self.cost_of_joining(&arrival.room),
            Command::Move { room } => {
                let lobby = || self.hub.lobby().as_str();
                self.cost_of_joining(room.as_deref().unwrap_or_else(lobby))
            }
            Command::Hello { rooms, .. } => {
                let costs = rooms
                    .iter()
                    .map(|arrival| self.cost_of_joining(&arrival.room));
                costs.sum()
            }
            _ => 0,
        };
        if cost == 0 {
            return Some(command);
        }
        self.charge_address(Charge::Joins, cost, Instant::now());
        if self.paused_until.is_none() {
            return Some(command);
        }
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        let own_arrival = |arrival: Arrival<'_>| Arrival {
            room: own(arrival.room),
            ..arrival
        };
        self.deferred = Some(Box::new(match command {
            Command::Join(arrival) => Command::Join(own_arrival(arrival)),
            Command::Move { room } => Command::Move {
                room: room.map(own),
            },
            Command::Hello { nick, token, rooms } => Command::Hello {
                nick: nick.map(own),
                token,
                rooms: rooms.into_iter().map(own_arrival).collect(),
            },
            command => return Some(command),
        }));
        None
    }
}
