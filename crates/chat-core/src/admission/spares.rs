//! Remembers the addresses of programs that open spare connections, as browsers do, and decides when a silent peer is
//! greeted.
//!
//! Invariant: the functions compute with the instants that the caller passes, and read no clock. The table holds a
//! bounded number of addresses, whoever connects.

use crate::admission::address::counted_as;
use crate::limits::Limits;
use crate::sync::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::Instant;

/// How far apart the opening of a spare connection and a [note](SpareConnections::note) about its address may be. A
/// browser opens spare connections together with those that it uses, so this is the time that a page takes to load.
const AROUND: Duration = Duration::from_secs(2);

/// How long an address counts as one of a program that opens spare connections: as long as a person may read a page
/// before they open it again.
const REMEMBERED: Duration = Duration::from_secs(60 * 60);

/// When a silent connection from a remembered address is greeted, if nothing else shows that it is a spare one. A
/// browser connects when its user points at a link or types an address, and sends its request when the user has
/// clicked or has finished typing.
const LATE_GREETING: Duration = Duration::from_secs(2);

/// The most addresses that are remembered, in less than 1 MiB. A peer that controls so many addresses can only make the
/// hub forget others, whose silent connections are then greeted as if no browser had come from there.
const ADDRESSES_MAX: usize = 8192;

/// When each address was last noted. The addresses of one IPv6 /64 network count as one.
///
/// Loopback is noted like any other address, although the limits for addresses do not apply to it.
#[derive(Debug, Default)]
pub(crate) struct SpareConnections(Mutex<HashMap<IpAddr, Instant>>);

impl SpareConnections {
    /// Notes that a program at this address opens spare connections.
    pub(crate) fn note(&self, address: IpAddr, now: Instant) {
        let address = counted_as(address);
        let mut noted = self.0.lock();
        if noted.len() >= ADDRESSES_MAX && !noted.contains_key(&address) {
            make_space(&mut noted, now);
        }
        noted.insert(address, now);
    }

    /// Returns when the server must ask for the first time when it [greets](Self::greets_at) a silent peer.
    ///
    /// Only the latest note of an address is kept. Later than `AROUND` after the opening, a new note could hide the one
    /// that shows that the connection is a spare one. So the first question must not come later than that, even if
    /// [`Limits::greet_after`] is longer.
    pub(crate) fn asked_at(opened: Instant, limits: &Limits) -> Instant {
        opened + limits.greet_after.min(AROUND)
    }

    /// Returns when the server greets the peer of a connection from this address, opened at `opened`, that has been
    /// silent until `now`. If the time has not come yet, the server must ask again then.
    pub(crate) fn greets_at(
        &self,
        address: Option<IpAddr>,
        opened: Instant,
        now: Instant,
        limits: &Limits,
    ) -> Instant {
        let noted = address.and_then(|address| self.0.lock().get(&counted_as(address)).copied());
        let noted = noted.filter(|noted| is_remembered(*noted, now));
        let patience = match (noted, limits.spare_greet_after) {
            (Some(noted), Some(spare)) if is_around(noted, opened) => spare,
            (Some(_), Some(_)) => LATE_GREETING,
            (None, _) | (_, None) => Duration::ZERO,
        };
        opened + patience.max(limits.greet_after)
    }
}

/// Returns whether a note was taken around the opening of a connection, which is then a spare one.
fn is_around(noted: Instant, opened: Instant) -> bool {
    noted + AROUND >= opened && noted <= opened + AROUND
}

/// Forgets the addresses that no longer count. If there are too many others, forgets the half that was noted longest
/// ago, so that the average cost of an address is constant.
fn make_space(noted: &mut HashMap<IpAddr, Instant>, now: Instant) {
    noted.retain(|_, at| is_remembered(*at, now));
    if noted.len() < ADDRESSES_MAX {
        return;
    }
    let mut times: Vec<Instant> = noted.values().copied().collect();
    let middle = times.len() / 2;
    let (_, middle, _) = times.select_nth_unstable(middle);
    noted.retain(|_, at| at > middle);
}

fn is_remembered(noted: Instant, now: Instant) -> bool {
    now.saturating_duration_since(noted) <= REMEMBERED
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn address(n: u32) -> IpAddr {
        Ipv4Addr::from_bits(0x0a00_0000 + n).into()
    }

    #[test]
    fn the_addresses_of_a_scan_are_bounded_and_the_latest_are_remembered() {
        let spares = SpareConnections::default();
        let start = Instant::now();
        let at = |n: u32| start + Duration::from_millis(n.into());
        for n in 0..100_000 {
            spares.note(address(n), at(n));
            assert!(spares.0.lock().len() <= ADDRESSES_MAX);
        }
        let limits = Limits::default();
        let greets_at = |n| spares.greets_at(Some(address(n)), at(200_000), at(200_300), &limits);
        assert_eq!([greets_at(99_999), greets_at(97_000)], [at(202_000); 2]);
        assert_eq!(greets_at(0), at(200_300));
    }

    #[test]
    fn addresses_that_no_longer_count_are_forgotten_first() {
        let spares = SpareConnections::default();
        let start = Instant::now();
        let most = ADDRESSES_MAX as u32;
        for n in 0..most / 2 {
            spares.note(address(n), start);
        }
        let later = start + REMEMBERED + Duration::from_secs(1);
        for n in most / 2..=most {
            spares.note(address(n), later);
        }
        assert_eq!(spares.0.lock().len(), ADDRESSES_MAX / 2 + 1);
    }
}
