//! Limits that all connections of one address share, and what they have used of these limits.
//!
//! Invariant: the functions compute with the instants that the caller passes, and read no clock. They drop no input:
//! they return until when the address has to wait. The record of an address uses bounded memory.

use crate::limits::{Limits, Rate};
use crate::sync::Mutex;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The longest time for which the server does not read from a connection because its address has sent too much. If the
/// address would need longer to earn the missing tokens, the rest is forgiven. Clients disconnect after 25 s of
/// silence, so this time is shorter.
const PAUSE_MAX: Duration = Duration::from_secs(20);

/// The longest time that a command waits until its address has earned enough tokens. A command that would have to wait
/// longer is refused. A client waits 10 s for its welcome, so this time is shorter.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// The longest time for which an address can be in debt for answers that it has already received.
const DEBT_MAX: Duration = Duration::from_secs(60);

/// What the connections of one address use. The address has one token bucket for each of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Charge {
    /// New connections; see [`Limits::connects_per_address`].
    Connects,
    /// Rooms joined; see [`Limits::joins_per_address`].
    Joins,
    /// Bytes received; see [`Limits::bytes_per_minute`].
    Bytes,
    /// The cost of answers, in thousandths of a line; see [`Limits::answers_per_address`].
    Answers,
}

const CHARGES: usize = 4;

/// Records what all connections of one address together have used. The addresses of one IPv6 /64 network count as one.
///
/// A connection over loopback has no account (unless [`Loopback::Counted`](crate::limits::Loopback)), nor has a peer
/// without an IP address or a session in process.
///
/// The cost of a command is [reserved](Self::reserve) before the command runs: the command waits until the address has
/// enough tokens, or is refused. A cost that is known only after the work is [charged](Self::charge).
#[derive(Debug)]
pub(crate) struct AddressAccount {
    address: IpAddr,
    limits: Arc<Limits>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Number of open connections of the address.
    connections: usize,
    /// For each [`Charge`], when its bucket will be full again; `None` if the bucket was never used.
    full_at: [Option<Instant>; CHARGES],
}

/// The size of a bucket, and the rate at which its tokens are earned.
#[derive(Debug, Clone, Copy)]
struct Quota {
    burst: u64,
    tokens: u64,
    /// How long it takes to earn `tokens`.
    window: Duration,
}

impl AddressAccount {
    pub(crate) fn new(address: IpAddr, limits: Arc<Limits>) -> Self {
        Self {
            address,
            limits,
            state: Mutex::default(),
        }
    }

    pub(crate) const fn address(&self) -> IpAddr {
        self.address
    }

    /// Takes `cost` tokens for work that is already done, even if the bucket holds fewer. Returns when the address will
    /// be out of debt; `None` if it is in no debt. Debt that takes longer to earn than `DEBT_MAX` (for answers) or
    /// `PAUSE_MAX` is forgiven.
    pub(crate) fn charge(&self, charge: Charge, cost: u64, now: Instant) -> Option<Instant> {
        let quota = charge.quota(&self.limits)?;
        let mut state = self.state.lock();
        let full_at = &mut state.full_at[charge as usize];
        let burst = quota.time(quota.burst);
        let due = full_at.map_or(now, |at| at.max(now)) + quota.time(cost);
        let owed_max = match charge {
            Charge::Answers => DEBT_MAX,
            Charge::Connects | Charge::Joins | Charge::Bytes => PAUSE_MAX,
        };
        let due = due.min(now + burst + owed_max);
        *full_at = Some(due);
        (due > now + burst).then(|| due - burst)
    }

    /// Takes `cost` tokens for work that is about to be done. Returns when the work may begin; `None` if it may begin
    /// now. Work that costs more than a full bucket may begin once the bucket is full; the bucket then owes the rest.
    /// Work begins in the order of the calls.
    ///
    /// # Errors
    ///
    /// Returns the time that the work would have to wait, if that is longer than 5 s. In that case no tokens are taken.
    pub(crate) fn reserve(
        &self,
        charge: Charge,
        cost: u64,
        now: Instant,
    ) -> Result<Option<Instant>, Duration> {
        let Some(quota) = charge.quota(&self.limits) else {
            return Ok(None);
        };
        let mut state = self.state.lock();
        let full_at = &mut state.full_at[charge as usize];
        let due = full_at.map_or(now, |at| at.max(now));
        let needed = due + quota.time(cost.min(quota.burst));
        let wait = needed.saturating_duration_since(now + quota.time(quota.burst));
        if wait > WAIT_MAX {
            return Err(wait);
        }
        if cost > 0 {
            *full_at = Some(due + quota.time(cost));
        }
        Ok((!wait.is_zero()).then(|| now + wait))
    }

    /// Counts one more connection of this address.
    ///
    /// # Errors
    ///
    /// Returns which limit the address exceeds: it has too many connections, or opens connections too fast. In that
    /// case nothing is counted.
    pub(crate) fn admit(&self, now: Instant) -> Result<(), TooMany> {
        let mut state = self.state.lock();
        if let Some(limit) = self.limits.per_address
            && state.connections >= limit.get()
        {
            return Err(TooMany::Connections(limit.get()));
        }
        if let Some(quota) = Charge::Connects.quota(&self.limits) {
            let full_at = &mut state.full_at[Charge::Connects as usize];
            let due = full_at.map_or(now, |at| at.max(now)) + quota.time(1);
            if let Some(until) = (due - now).checked_sub(quota.time(quota.burst))
                && !until.is_zero()
            {
                return Err(TooMany::Connects(until));
            }
            *full_at = Some(due);
        }
        state.connections += 1;
        Ok(())
    }

    /// Counts one connection less.
    pub(crate) fn release(&self) {
        let mut state = self.state.lock();
        state.connections = state.connections.saturating_sub(1);
    }

    /// Returns whether the account is the same as a new one: the address has no connection, and every bucket is full.
    pub(crate) fn is_blank(&self, now: Instant) -> bool {
        let state = self.state.lock();
        state.connections == 0 && state.full_at.iter().flatten().all(|at| *at <= now)
    }
}

/// Why an address can't open one more connection now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TooMany {
    /// The address already holds this many connections.
    Connections(usize),
    /// The address opens connections too fast and has to wait this long.
    Connects(Duration),
}

impl Charge {
    fn quota(self, limits: &Limits) -> Option<Quota> {
        match self {
            Self::Connects => limits.connects_per_address.map(Quota::from),
            Self::Joins => limits.joins_per_address.map(Quota::from),
            Self::Answers => limits.answers_per_address.map(|rate| {
                let quota = Quota::from(rate);
                Quota {
                    burst: quota.burst * 1000,
                    tokens: quota.tokens * 1000,
                    ..quota
                }
            }),
            Self::Bytes => limits.bytes_per_minute.map(|bytes| Quota {
                burst: bytes.get() as u64,
                tokens: bytes.get() as u64,
                window: Duration::from_secs(60),
            }),
        }
    }
}

impl Quota {
    /// Returns how long it takes to earn this many tokens.
    fn time(&self, tokens: u64) -> Duration {
        let nanos = self.window.as_nanos() * u128::from(tokens) / u128::from(self.tokens);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX).min(NANOS_MAX))
    }
}

/// The longest time that a bucket counts, in nanoseconds: 100 years. The sum of a few such times still fits an
/// `Instant`.
const NANOS_MAX: u64 = 100 * 365 * 24 * 3600 * 1_000_000_000;

impl From<Rate> for Quota {
    fn from(rate: Rate) -> Self {
        Self {
            burst: rate.burst.get().into(),
            tokens: rate.per_second.get().into(),
            window: Duration::from_secs(1),
        }
    }
}

/// Returns the address under which a peer is counted. An IPv6 address is counted as its /64, because a peer that has
/// one address of a /64 has them all (RFC 4291, section 2.5.4).
pub(crate) fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::{NonZeroU32, NonZeroUsize};

    fn account(change: impl FnOnce(&mut Limits)) -> AddressAccount {
        let mut limits = Limits::default();
        change(&mut limits);
        AddressAccount::new("192.0.2.1".parse().unwrap(), Arc::new(limits))
    }

    fn rate(burst: u32, per_second: u32) -> Option<Rate> {
        Some(Rate {
            burst: NonZeroU32::new(burst).unwrap(),
            per_second: NonZeroU32::new(per_second).unwrap(),
        })
    }

    #[test]
    fn connections_of_an_address_wait_in_the_order_in_which_they_were_charged() {
        let account = account(|limits| limits.joins_per_address = rate(4, 2));
        let start = Instant::now();
        let after = |millis| Some(start + Duration::from_millis(millis));
        assert_eq!(account.charge(Charge::Joins, 3, start), None);
        assert_eq!(account.charge(Charge::Joins, 2, start), after(500));
        assert_eq!(account.charge(Charge::Joins, 4, start), after(2500));
        let later = start + Duration::from_millis(2500);
        assert_eq!(account.charge(Charge::Joins, 1, later), after(3000));
        assert_eq!(account.charge(Charge::Bytes, 1, later), None);
    }

    #[test]
    fn no_connection_waits_longer_than_a_client_would() {
        let account = account(|limits| limits.bytes_per_minute = NonZeroUsize::new(60));
        let start = Instant::now();
        for _ in 0..9 {
            account.charge(Charge::Bytes, u64::MAX, start);
        }
        let until = account.charge(Charge::Bytes, 1, start);
        assert_eq!(until, Some(start + PAUSE_MAX));
    }

    #[test]
    fn what_is_reserved_waits_for_its_turn_or_is_refused_and_then_costs_nothing() {
        let rate = |n| NonZeroU32::new(n).unwrap();
        let account = account(|limits| {
            limits.joins_per_address = Some(Rate {
                burst: rate(4),
                per_second: rate(1),
            });
        });
        let start = Instant::now();
        let seconds = Duration::from_secs;
        let reserve = |cost, now| account.reserve(Charge::Joins, cost, now);
        // The cost exceeds the bucket: the bucket must be full, and then owes the rest.
        assert_eq!(reserve(6, start), Ok(None));
        assert_eq!(reserve(1, start), Ok(Some(start + seconds(3))));
        assert_eq!(reserve(3, start), Err(seconds(6)));
        assert_eq!(reserve(3, start), Err(seconds(6)));
        assert_eq!(reserve(3, start + seconds(6)), Ok(None));
    }

    #[test]
    fn a_quota_of_bytes_is_a_minute_long() {
        let account = account(|limits| limits.bytes_per_minute = NonZeroUsize::new(6000));
        let start = Instant::now();
        assert_eq!(account.charge(Charge::Bytes, 6000, start), None);
        let until = account.charge(Charge::Bytes, 100, start);
        assert_eq!(until, Some(start + Duration::from_secs(1)));
        assert!(!account.is_blank(start + Duration::from_secs(60)));
        assert!(account.is_blank(start + Duration::from_secs(61)));
    }

    #[test]
    fn a_refused_connection_does_not_delay_the_next() {
        let account = account(|limits| {
            limits.connects_per_address = rate(2, 4);
            limits.per_address = None;
        });
        let start = Instant::now();
        assert_eq!([account.admit(start), account.admit(start)], [Ok(()); 2]);
        let wait = Duration::from_millis(250);
        for _ in 0..9 {
            assert_eq!(account.admit(start), Err(TooMany::Connects(wait)));
        }
        assert_eq!(account.admit(start + wait), Ok(()));
    }
}
