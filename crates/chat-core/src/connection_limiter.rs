//! Admission: how many connections a hub holds, in all and from one address.
//!
//! Invariant: each admitted connection is counted once, until its permit is dropped.

use crate::limits::Limits;
use crate::stats::Counters;
use crate::sync::Mutex;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// Counts the connections of a hub, in all and by address.
#[derive(Debug, Default)]
pub(crate) struct ConnectionLimiter(Arc<Mutex<Inside>>);

#[derive(Debug, Default)]
struct Inside {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One connection's place, given back on drop.
#[derive(Debug)]
pub(crate) struct Permit {
    limiter: Arc<Mutex<Inside>>,
    /// `None`: not counted by address, as loopback.
    address: Option<IpAddr>,
}

impl ConnectionLimiter {
    /// How many connections are inside.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().all
    }

    pub(crate) fn admit(
        &self,
        address: Option<IpAddr>,
        limits: &Limits,
        counters: &Counters,
    ) -> Result<Permit, String> {
        let is_counted = |address: &IpAddr| !address.is_loopback() && limits.per_address.is_some();
        let address = address.map(counted_as).filter(is_counted);
        let mut inside = self.0.lock();
        if inside.all >= limits.connections.get() {
            counters.connections_refused_full.add(1);
            return Err(format!(
                "! the server is full (limit {} connections): try again later\n",
                limits.connections
            ));
        }
        if let (Some(address), Some(limit)) = (address, limits.per_address) {
            let count = inside.by_address.entry(address).or_default();
            if *count >= limit.get() {
                counters.connections_refused_address.add(1);
                return Err(format!(
                    "! too many connections from your address (limit {limit}): close one first\n"
                ));
            }
            *count += 1;
        }
        inside.all += 1;
        counters.connections_admitted.add(1);
        Ok(Permit {
            limiter: Arc::clone(&self.0),
            address,
        })
    }
}

/// Whoever has one IPv6 address has the whole /64 that it is in (RFC 4291, section 2.5.4).
fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut inside = self.limiter.lock();
        inside.all -= 1;
        let Some(address) = self.address else { return };
        if let Some(count) = inside.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                inside.by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroUsize;

    #[test]
    fn an_address_and_the_whole_have_a_limit_each_and_loopback_is_exempt() {
        let limits = Limits {
            per_address: NonZeroUsize::new(2),
            connections: NonZeroUsize::new(4).unwrap(),
            ..Limits::default()
        };
        let [near, far] = ["127.0.0.1", "::ffff:192.0.2.1"].map(|address| address.parse().ok());
        let (limiter, counters) = (ConnectionLimiter::default(), Counters::default());
        let one = limiter.admit(far, &limits, &counters).unwrap();
        let _two = limiter.admit(far, &limits, &counters).unwrap();
        assert!(
            limiter
                .admit(far, &limits, &counters)
                .unwrap_err()
                .contains("limit 2")
        );
        drop(one);
        let _three = limiter
            .admit("192.0.2.1".parse().ok(), &limits, &counters)
            .unwrap();
        let _loopback = [
            limiter.admit(near, &limits, &counters).unwrap(),
            limiter.admit(near, &limits, &counters).unwrap(),
        ];
        assert!(
            limiter
                .admit(near, &limits, &counters)
                .unwrap_err()
                .contains("limit 4")
        );
    }
}
