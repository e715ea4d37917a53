//! Conversations over in-memory streams with paused time: what members send, and what each member must receive.

#![expect(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

mod addresses;
mod catching_up;
mod chunks;
mod closing;
mod costs;
mod days;
mod delivery;
mod following;
mod framing;
mod guessing;
mod guests;
mod identity;
mod in_process;
mod irc_shaped;
mod listeners;
mod logged;
mod moderation;
mod modes;
mod one_stream;
mod opening;
mod plain;
mod policies;
mod profiles;
mod programs;
mod promises;
mod ranks_and_hosts;
mod regression;
mod shared_log;
mod shared_log_faults;
mod shared_roster;
mod spares;
mod take_over;

use chat_core::{Hub, Limits, Member, Rate, Session};
use chat_testkit::{TestHub, Wire};
use std::num::NonZeroU32;

/// Returns a hub that does not limit how fast a connection sends lines.
fn unlimited() -> TestHub {
    let mut limits = Limits::default();
    limits.rate = None;
    TestHub::new(limits)
}

/// Returns the rate of a token bucket.
fn rate(burst: u32, per_second: u32) -> Rate {
    Rate {
        burst: NonZeroU32::new(burst).unwrap(),
        per_second: NonZeroU32::new(per_second).unwrap(),
    }
}

/// Connects members in this order. When this function returns, each member has received the joins of the later members.
async fn members<const N: usize>(hub: &mut TestHub, nicks: [&str; N]) -> [Wire; N] {
    let mut members: Vec<Wire> = Vec::new();
    for nick in nicks {
        let member = hub.member(nick).await;
        for earlier in &mut members {
            let line = earlier.next_line().await.unwrap();
            assert!(
                line.starts_with("* guest-") && line.ends_with(" joined"),
                "{line}"
            );
            let guest = line
                .trim_start_matches("* ")
                .trim_end_matches(" joined")
                .to_owned();
            earlier.sees(&format!("* {guest} is now {nick}")).await;
        }
        members.push(member);
    }
    members.try_into().unwrap()
}

/// Connects a member with the nick `slow`. The member's stream holds at most 64 unread bytes.
async fn slow(hub: &mut TestHub) -> Wire {
    let mut slow = hub.connect_with("slow", 64);
    slow.sends("/nick slow").await;
    slow.sees_in_time("* you are now slow").await;
    slow
}

/// Returns two sessions and their members of the lobby. The first member listens, the second talks.
async fn two_in_the_lobby(hub: &Hub) -> ([Session; 2], Member, Member) {
    let alice = hub.session(Some("alice")).await.unwrap();
    let bob = hub.session(Some("bob")).await.unwrap();
    let listening = alice.join("lobby").await.unwrap();
    let talking = bob.join("lobby").await.unwrap();
    ([alice, bob], listening, talking)
}
