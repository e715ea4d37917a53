//! Admission: limits how many connections a hub holds, in total and from one address, and how fast an address may open
//! connections.
//!
//! Invariant: each admitted connection is counted once, until its permit is dropped. The record of an address is
//! dropped once the address has no connection and all its buckets are full, so a scan from many addresses does not use
//! memory permanently.

use crate::admission::address::{AddressAccount, TooMany, counted_as};
use crate::limits::{Limits, Loopback};
use crate::stats::Counters;
use crate::sync::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::time::Instant;

/// Number of address accounts below which no account is dropped.
const SWEEP_MIN: usize = 256;

/// The most accounts that are kept for addresses without a connection. Beyond this number, accounts are dropped even if
/// their addresses are in debt. A peer that controls so many addresses gains nothing from that.
const UNUSED_MAX: usize = 16_384;

/// Counts the connections of a hub, in all and by address.
#[derive(Debug)]
pub(crate) struct ConnectionLimiter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: Arc<Limits>,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    /// The number of connections that are admitted now.
    all: usize,
    accounts: HashMap<IpAddr, Arc<AddressAccount>>,
    /// The number of `accounts` at which unused ones are dropped next.
    sweep_at: usize,
}

/// Counts one connection toward the limits. Dropping the permit ends the count.
#[derive(Debug)]
pub(crate) struct Permit {
    limiter: Arc<Inner>,
    account: Option<Arc<AddressAccount>>,
}

impl ConnectionLimiter {
    pub(crate) fn new(limits: Arc<Limits>) -> Self {
        Self(Arc::new(Inner {
            limits,
            counts: Mutex::default(),
        }))
    }

    /// Returns how many connections are admitted now.
    pub(crate) fn len(&self) -> usize {
        self.0.counts.lock().all
    }

    /// Returns the record of what this address has used; `None` if the limits do not apply to the address, such as
    /// loopback.
    pub(crate) fn account(
        &self,
        address: Option<IpAddr>,
        now: Instant,
    ) -> Option<Arc<AddressAccount>> {
        let address = self.0.counted(address)?;
        Some(self.0.account(&mut self.0.counts.lock(), address, now))
    }

    /// Admits a connection, or returns the line that tells the peer why the connection is refused.
    pub(crate) fn admit(
        &self,
        address: Option<IpAddr>,
        counters: &Counters,
        now: Instant,
    ) -> Result<Permit, String> {
        let inner = &self.0;
        let mut counts = inner.counts.lock();
        let limit = inner.limits.connections.get();
        if counts.all >= limit {
            counters.connections_refused_full.add(1);
            return Err(format!(
                "! the server is full (limit {limit} connections): try again later\n"
            ));
        }
        let address = inner.counted(address);
        let account = address.map(|address| inner.account(&mut counts, address, now));
        match account
            .as_ref()
            .map_or(Ok(()), |account| account.admit(now))
        {
            Ok(()) => {}
            Err(TooMany::Connections(limit)) => {
                counters.connections_refused_address.add(1);
                return Err(format!(
                    "! too many connections from your address (limit {limit}): close one first\n"
                ));
            }
            Err(TooMany::Connects(wait)) => {
                counters.connections_refused_rate.add(1);
                let seconds = wait.as_secs() + 1;
                return Err(format!(
                    "! new connections come too fast from your address: try again in {seconds} s\n"
                ));
            }
        }
        counts.all += 1;
        counters.connections_admitted.add(1);
        Ok(Permit {
            limiter: Arc::clone(inner),
            account,
        })
    }
}

impl Permit {
    /// Returns the record of what the connection's address has used; `None` if the limits do not apply to the address.
    pub(crate) const fn account(&self) -> Option<&Arc<AddressAccount>> {
        self.account.as_ref()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limiter.counts.lock().all -= 1;
        if let Some(account) = &self.account {
            account.release();
        }
    }
}

impl Inner {
    fn counted(&self, address: Option<IpAddr>) -> Option<IpAddr> {
        let is_exempt =
            |address: &IpAddr| address.is_loopback() && self.limits.loopback == Loopback::Exempt;
        address
            .map(counted_as)
            .filter(|address| !is_exempt(address))
    }

    fn account(&self, counts: &mut Counts, address: IpAddr, now: Instant) -> Arc<AddressAccount> {
        if let Some(account) = counts.accounts.get(&address) {
            return Arc::clone(account);
        }
        if counts.accounts.len() >= counts.sweep_at.max(SWEEP_MIN) {
            counts.sweep(now);
        }
        let account = Arc::new(AddressAccount::new(address, Arc::clone(&self.limits)));
        counts.accounts.insert(address, Arc::clone(&account));
        account
    }
}

impl Counts {
    /// Drops the accounts that no connection refers to and that are the same as a new account. Of the other accounts
    /// that no connection refers to, keeps at most half of `UNUSED_MAX`.
    ///
    /// A sweep visits every account. The next sweep runs when the number of accounts has doubled, or has grown by half
    /// of `UNUSED_MAX`. So the average cost for each new account is constant.
    fn sweep(&mut self, now: Instant) {
        let mut unused = 0;
        self.accounts.retain(|_, account| {
            if Arc::strong_count(account) > 1 {
                return true;
            }
            unused += usize::from(!account.is_blank(now));
            !account.is_blank(now) && unused <= UNUSED_MAX / 2
        });
        self.sweep_at = (2 * self.accounts.len()).min(self.accounts.len() + UNUSED_MAX / 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Rate;
    use std::net::Ipv4Addr;
    use std::num::{NonZeroU32, NonZeroUsize};
    use std::time::Duration;

    fn limiter(change: impl FnOnce(&mut Limits)) -> ConnectionLimiter {
        let mut limits = Limits::default();
        change(&mut limits);
        ConnectionLimiter::new(Arc::new(limits))
    }

    fn ip(address: &str) -> Option<IpAddr> {
        address.parse().ok()
    }

    #[test]
    fn an_address_and_the_whole_have_a_limit_each_and_loopback_is_exempt() {
        let limiter = limiter(|limits| {
            limits.per_address = NonZeroUsize::new(2);
            limits.connections = NonZeroUsize::new(4).unwrap();
        });
        let (counters, now) = (Counters::default(), Instant::now());
        let admit = |address| limiter.admit(ip(address), &counters, now);
        let one = admit("::ffff:192.0.2.1").unwrap();
        let _two = admit("::ffff:192.0.2.1").unwrap();
        assert!(admit("192.0.2.1").unwrap_err().contains("limit 2"));
        drop(one);
        let _three = admit("192.0.2.1").unwrap();
        let loopback = [admit("127.0.0.1").unwrap(), admit("::1").unwrap()];
        assert!(loopback[0].account().is_none());
        assert!(admit("127.0.0.1").unwrap_err().contains("limit 4"));
    }

    #[test]
    fn loopback_can_be_counted_too() {
        let limiter = limiter(|limits| {
            limits.per_address = NonZeroUsize::new(1);
            limits.loopback = Loopback::Counted;
        });
        let (counters, now) = (Counters::default(), Instant::now());
        let _one = limiter.admit(ip("127.0.0.1"), &counters, now).unwrap();
        assert!(limiter.admit(ip("127.0.0.1"), &counters, now).is_err());
        assert!(limiter.admit(None, &counters, now).is_ok());
    }

    #[test]
    fn a_class_behind_one_address_comes_at_once_and_a_flood_of_connects_is_told_to_wait() {
        let limiter = limiter(|_| {});
        let (counters, start) = (Counters::default(), Instant::now());
        let admit = |now| limiter.admit(ip("2001:db8::1"), &counters, now);
        let class: Vec<_> = (0..256).map(|_| admit(start).unwrap()).collect();
        drop(class);
        let refused = admit(start).unwrap_err();
        assert_eq!(
            refused,
            "! new connections come too fast from your address: try again in 1 s\n"
        );
        assert!(
            limiter
                .admit(ip("2001:db8:0:1::1"), &counters, start)
                .is_ok()
        );
        let later = start + Duration::from_secs(1);
        assert_eq!((0..99).filter(|_| admit(later).is_ok()).count(), 16);
        assert_eq!(counters.snapshot().connections_refused_rate, 84);
    }

    #[test]
    fn a_scan_from_many_addresses_takes_no_memory_for_good() {
        let limiter = limiter(|limits| {
            limits.connects_per_address = Some(Rate {
                burst: NonZeroU32::MIN,
                per_second: NonZeroU32::MIN,
            });
        });
        let (counters, start) = (Counters::default(), Instant::now());
        let admit = |n: u32, now| {
            let address = IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n));
            limiter.admit(Some(address), &counters, now)
        };
        let kept = admit(0, start).unwrap();
        for n in 1..100_000 {
            drop(admit(n, start));
        }
        let count = || limiter.0.counts.lock().accounts.len();
        assert!(count() <= UNUSED_MAX, "{}", count());
        assert!(admit(0, start).is_err(), "an account in use was dropped");
        let later = start + Duration::from_secs(2);
        for n in 100_000..120_000 {
            let now = later + Duration::from_secs(u64::from(n));
            drop(admit(n, now));
        }
        assert!(count() <= 2 * SWEEP_MIN, "{}", count());
        drop(kept);
    }
}
