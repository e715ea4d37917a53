//! The hosts that other members see: they hide the addresses of peers.
//!
//! Invariant: without the key, no host tells the address that it stands for.

use crate::log::{Account, UserHost};
use crate::sync::Mutex;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

/// How many addresses the hub remembers with their hosts, so that the sessions of one address share one text. The
/// addresses are forgotten all at once when there are more.
const REMEMBERED_MAX: usize = 1024;

/// The digits of a host. Letters that look like digits are left out, so that people can read a host aloud.
const DIGITS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";

/// The digits of each part of a host: 40 bits, so that two networks of one server do not get the same part.
const PART_DIGITS: usize = 8;

/// The function that returns the host of an address.
pub(super) type HostOf = Box<dyn Fn(IpAddr) -> String + Send + Sync>;

/// Makes the hosts of a hub's sessions.
pub(super) struct Cloak {
    host_of: HostOf,
    /// The key of this process's hashes.
    key: RandomState,
    remembered: Mutex<HashMap<IpAddr, UserHost>>,
}

impl Cloak {
    /// Creates the hosts with `host_of`; with `None`, by hashes whose key is random.
    pub(super) fn new(host_of: Option<HostOf>) -> Self {
        let key = RandomState::new();
        let default = {
            let key = key.clone();
            move || -> HostOf { Box::new(move |address| hashed(&key, address)) }
        };
        Self {
            host_of: host_of.unwrap_or_else(default),
            key,
            remembered: Mutex::default(),
        }
    }

    /// Returns what other members see of a peer with this address. A peer without an address is `local`.
    pub(super) fn user_host(&self, address: Option<IpAddr>) -> UserHost {
        let Some(address) = address.map(|address| address.to_canonical()) else {
            return UserHost::default();
        };
        if let Some(known) = self.remembered.lock().get(&address) {
            return known.clone();
        }
        // The program's function is called without the lock.
        let made = UserHost::new("", &(self.host_of)(address));
        let mut remembered = self.remembered.lock();
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.entry(address).or_insert(made).clone()
    }

    /// Returns the host of all sessions of an account. The host is the same after a restart, unless the account's id
    /// can't be a part of a host. Then the host has a hash of the id.
    pub(super) fn account_host(&self, account: &Account) -> String {
        let readable = format!("{account}.account");
        match UserHost::parse(&format!("u@{readable}")) {
            Ok(_) => readable,
            Err(_) => format!("{}.account", digits(self.key.hash_one(account), 13)),
        }
    }
}

/// Returns the host of an address: hashes of ever larger networks of the address, so that a mask such as `*.NET.WIDE.ip`
/// matches a network. For IPv4, these are the address, its /24 and its /16; for IPv6, its /64, /48 and /32.
fn hashed(key: &RandomState, address: IpAddr) -> String {
    let (bits, networks) = match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, [32, 24, 16]),
        IpAddr::V6(address) => (address.to_bits(), [64, 48, 32]),
    };
    let part = |length: u32| {
        let network = bits & (u128::MAX << (128 - length));
        let hash = key.hash_one((address.is_ipv4(), length, network));
        digits(hash, PART_DIGITS)
    };
    let [address, network, wide] = networks.map(part);
    format!("{address}.{network}.{wide}.ip")
}

/// Writes the lowest bits of a number in `count` digits.
fn digits(mut number: u64, count: usize) -> String {
    let digit = |_| {
        let digit = DIGITS[(number % 32) as usize];
        number /= 32;
        char::from(digit)
    };
    (0..count).map(digit).collect()
}

impl fmt::Debug for Cloak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cloak").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn host(cloak: &Cloak, address: &str) -> Vec<String> {
        let seen = cloak.user_host(address.parse().ok());
        seen.host().split('.').map(str::to_owned).collect()
    }

    #[test]
    fn a_host_is_stable_hides_the_address_and_shows_which_network_is_the_same() {
        let cloak = Cloak::new(None);
        let kim = host(&cloak, "192.0.2.7");
        assert_eq!(kim, host(&cloak, "192.0.2.7"));
        assert_eq!(kim, host(&cloak, "::ffff:192.0.2.7"));
        assert_eq!(kim.len(), 4);
        assert!(kim[..3].iter().all(|part| part.len() == PART_DIGITS));
        let same = |address: &str| {
            let other = host(&cloak, address);
            let parts = kim.iter().zip(&other);
            parts.map(|(a, b)| a == b).collect::<Vec<_>>()
        };
        assert_eq!(same("192.0.2.8"), [false, true, true, true]);
        assert_eq!(same("192.0.3.7"), [false, false, true, true]);
        assert_eq!(same("192.1.2.7"), [false, false, false, true]);
        let lee = host(&cloak, "2001:db8:1:2::1");
        assert_eq!(lee, host(&cloak, "2001:db8:1:2:ffff::"));
        let near = host(&cloak, "2001:db8:1:3::1");
        assert_eq!((lee[0] == near[0], &lee[1..]), (false, &near[1..]));
        assert_ne!(kim, host(&Cloak::new(None), "192.0.2.7"));
        assert_eq!(cloak.user_host(None).as_str(), "~u@local");
    }

    #[test]
    fn the_addresses_that_are_remembered_are_bounded() {
        let cloak = Cloak::new(Some(Box::new(|address| format!("x {address}"))));
        for number in 0..3_000 {
            let v4 = Ipv4Addr::from_bits(number);
            let seen = cloak.user_host(Some(v4.into()));
            assert_eq!(seen.as_str(), format!("~u@x{v4}"));
        }
        assert!(cloak.remembered.lock().len() <= REMEMBERED_MAX);
        let v6 = cloak.user_host(Some(Ipv6Addr::LOCALHOST.into()));
        assert_eq!(v6.as_str(), "~u@x::1");
    }

    #[test]
    fn the_host_of_an_account_is_its_id_where_that_can_be() {
        let cloak = Cloak::new(None);
        let host = |account: &str| cloak.account_host(&Account::parse(account).unwrap());
        assert_eq!(host("kim"), "kim.account");
        let hashed = host("kim@example.org");
        assert_eq!((hashed.len(), hashed.ends_with(".account")), (21, true));
        assert_eq!(hashed, host("kim@example.org"));
        assert_eq!(host(&"x".repeat(64)).len(), 21);
    }
}
