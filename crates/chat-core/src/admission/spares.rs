//! Remembers the addresses of programs that open spare connections, as browsers do, and decides what the silence of a
//! connection means.
//!
//! Invariant: the functions compute with the instants that the caller passes, and read no clock. The table holds a
//! bounded number of addresses, whoever connects.

use crate::admission::address::counted_as;
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

/// When a spare connection that has stayed silent is closed. Chromium gives up an unused connection after 1 min, so
/// most browsers close theirs earlier.
const SPARE_MAX: Duration = Duration::from_secs(5 * 60);

/// The most addresses that are remembered, in less than 1 MiB. A peer that controls so many addresses can only make the
/// hub forget others, whose silent connections are then greeted as if no browser had come from there.
const ADDRESSES_MAX: usize = 8192;

/// When each address was last noted. The addresses of one IPv6 /64 network count as one.
///
/// Loopback is noted like any other address, although the limits for addresses do not apply to it.
#[derive(Debug, Default)]
pub(crate) struct SpareConnections(Mutex<HashMap<IpAddr, Instant>>);

/// What the silence of a connection leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silence {
    /// The peer is greeted now.
    Greets,
    /// The peer may have to be greeted at this time, if it is still silent then.
    Waits(Instant),
    /// The connection is a spare one. It is not greeted, and is closed at this time if it is still silent then.
    Spare(Instant),
}

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

    /// Returns what it means that a connection from this address, opened at `opened`, has been silent until `now`. The
    /// server asks when it would greet the peer.
    pub(crate) fn silence(
        &self,
        address: Option<IpAddr>,
        opened: Instant,
        now: Instant,
    ) -> Silence {
        let noted = address.and_then(|address| self.0.lock().get(&counted_as(address)).copied());
        let Some(noted) = noted.filter(|noted| is_remembered(*noted, now)) else {
            return Silence::Greets;
        };
        let greeted_at = opened + LATE_GREETING;
        // The last note is enough: an earlier one can't be closer to a connection that is asked about so soon.
        if noted + AROUND >= opened {
            Silence::Spare(opened + SPARE_MAX)
        } else if now < greeted_at {
            Silence::Waits(greeted_at)
        } else {
            Silence::Greets
        }
    }
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
        let silence = |n| spares.silence(Some(address(n)), at(200_000), at(200_300));
        let late = Silence::Waits(at(202_000));
        assert_eq!([silence(99_999), silence(97_000)], [late; 2]);
        assert_eq!(silence(0), Silence::Greets);
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
