//! What a dialect of IRC's shape asks of the seam, each shown with one that has under 200 lines.

mod dialect;

use crate::rate;
use chat_core::{CloseReason, Limits};
use chat_testkit::TestHub;
use dialect::Irc;
use std::time::Duration;
use tokio::time::Instant;

fn hub(limits: Limits) -> TestHub {
    TestHub::new(limits).protocol(Irc::new())
}

fn unlimited() -> TestHub {
    let mut limits = Limits::default();
    limits.rate = None;
    hub(limits)
}

#[tokio::test(start_paused = true)]
async fn nothing_is_claimed_before_a_registration_of_three_lines_is_complete() {
    let mut hub = unlimited();
    let mut alice = hub.connect("alice");
    for line in ["CAP LS 302", "NICK alice", "USER a 0 * :Alice", "PING 1"] {
        alice.sends(line).await;
    }
    alice.sees("PONG 1").await;
    alice.sends("JOIN #ops").await;
    alice
        .sees("400 you have not said who you are: do that first")
        .await;
    alice.sees_nothing().await;
    assert_eq!(hub.hub.sessions(), 0);
    alice.sends("CAP END").await;
    alice.sees("001 alice").await;
    assert_eq!(hub.hub.sessions(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_registration_whose_nick_is_taken_may_be_tried_again() {
    let mut hub = unlimited();
    let _alice = hub.member("alice").await;
    let mut bob = hub.connect_saying("bob", ["NICK alice", "USER b"]).await;
    bob.sees("433").await;
    assert_eq!(hub.hub.sessions(), 1);
    bob.sends("NICK bob").await;
    bob.sees("001 bob").await;
    bob.sends("QUIT").await;
    bob.sees_in_time("ERROR :quit").await;
}

#[tokio::test(start_paused = true)]
async fn a_registration_that_does_not_finish_in_time_ends() {
    let mut hub = unlimited();
    let mut alice = hub.connect("alice");
    let began = Instant::now();
    alice.sends("NICK alice").await;
    alice.sees("ERROR :registration timed out").await;
    let took = began.elapsed().as_secs();
    assert_eq!(took, Limits::default().registration_timeout.as_secs());
    assert_eq!(hub.ended().await, CloseReason::NotRegistered);
}

/// A person may take long before the client registers.
#[tokio::test(start_paused = true)]
async fn the_time_to_register_begins_when_a_greeted_peer_speaks() {
    let mut hub = unlimited();
    let mut bob = hub.connect("bob");
    tokio::time::sleep(2 * Limits::default().registration_timeout).await;
    bob.sends("NICK bob").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    bob.sends("USER b").await;
    bob.sees_in_time("001 bob").await;
}

/// A listener for one dialect alone.
#[tokio::test(start_paused = true)]
async fn a_silent_peer_of_another_default_dialect_is_not_greeted_as_a_person() {
    let irc = Irc::new();
    let mut hub = unlimited().configured(|server| server.default_dialect(move || irc.dialect()));
    let mut silent = hub.connect("silent");
    silent.sees_nothing().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(hub.hub.sessions(), 0);
    for line in ["NICK kim", "USER k"] {
        silent.sends(line).await;
    }
    silent.sees("001 kim").await;
    // What no protocol opens with is the dialect's, not talk in plain.
    let mut other = hub.connect("other");
    other.sends("hello").await;
    other.sees("421 hello").await;
    other.sees("ERROR :registration timed out").await;
    assert_eq!(hub.ended().await, CloseReason::NotRegistered);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_was_greeted_as_a_guest_leaves_to_register() {
    let mut hub = unlimited();
    let mut alice = hub.member("alice").await;
    let mut bob = hub.connect("bob");
    bob.sees_in_time("* here with you: alice").await;
    alice.sees("* guest-2 joined").await;
    bob.sends("NICK bob").await;
    alice.sees("* guest-2 left (gone: quit)").await;
    bob.sends("USER b").await;
    bob.sees("001 bob").await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_a_registration() {
    let mut hub = unlimited();
    let mut alice = hub.connect("alice");
    alice.sends("NICK alice\nPING 1").await;
    alice.sees("PONG 1").await;
    hub.hub.drain();
    alice.sees("ERROR :server is shutting down").await;
}

#[tokio::test(start_paused = true)]
async fn a_line_joins_a_list_of_rooms_and_is_answered_in_its_order() {
    let mut hub = unlimited();
    let mut alice = hub.connect("alice");
    alice.sends("NICK alice\nUSER a").await;
    alice.sees("001 alice").await;
    alice.sends("JOIN #a,b,#c").await;
    alice.sees(":alice JOIN #a").await;
    alice.sees("403 b").await;
    alice.sees(":alice JOIN #c").await;
    assert_eq!(hub.hub.rooms().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_line_speaks_in_a_list_of_rooms() {
    let mut hub = unlimited();
    let mut alice = hub
        .connect_saying("alice", ["NICK alice", "USER a", "JOIN #a,#b"])
        .await;
    alice.sees_in_time(":alice JOIN #b").await;
    let mut bob = hub
        .connect_saying("bob", ["NICK bob", "USER b", "JOIN #b,#a"])
        .await;
    bob.sees_in_time(":bob JOIN #a").await;
    alice.sees_in_time(":bob JOIN #a").await;
    alice.sends("PRIVMSG #a,#elsewhere,#b :hello").await;
    // Said in each room that she is in, and answered for the other.
    alice
        .sees("400 you are not in that room: join it first")
        .await;
    let mut seen = [
        bob.next_line().await.unwrap(),
        bob.next_line().await.unwrap(),
    ];
    seen.sort_unstable();
    assert_eq!(
        seen,
        [":alice PRIVMSG #a :hello", ":alice PRIVMSG #b :hello"]
    );
}

#[tokio::test(start_paused = true)]
async fn each_command_of_a_line_is_charged_like_a_line() {
    let mut limits = Limits::default();
    limits.rate = Some(rate(5, 1));
    let mut hub = hub(limits);
    let mut alice = hub.connect("alice");
    let began = Instant::now();
    alice.sends("NICK alice\nUSER a").await;
    alice.sends("JOIN #a,#b,#c,#d,#e,#f,#g").await;
    alice.sees_in_time(":alice JOIN #b").await;
    assert!(
        began.elapsed() < Duration::from_millis(100),
        "the burst passes"
    );
    alice.sees_in_time(":alice JOIN #g").await;
    assert!(
        began.elapsed() >= Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn peers_who_share_three_rooms_are_told_once_of_another_nick_and_of_the_end() {
    let mut hub = unlimited();
    let mut alice = hub
        .connect_saying("alice", ["NICK alice", "USER a", "JOIN #a,#b,#c"])
        .await;
    alice.sees_in_time(":alice JOIN #c").await;
    let mut carol = hub
        .connect_saying("carol", ["NICK carol", "USER c", "JOIN #c"])
        .await;
    carol.sees_in_time(":carol JOIN #c").await;
    let mut bob = hub
        .connect_saying("bob", ["NICK bob", "USER b", "JOIN #a,#b,#c"])
        .await;
    bob.sees_in_time(":bob JOIN #c").await;
    alice.sees_until_quiet().await;
    carol.sees_until_quiet().await;

    bob.sends("NICK rob").await;
    bob.sees(":you NICK rob").await;
    for peer in [&mut alice, &mut carol] {
        peer.sees(":bob NICK rob").await;
        peer.sees_nothing().await;
    }
    bob.sends("NICK bob").await;
    alice.sees(":rob NICK bob").await;
    alice.sees_nothing().await;
    bob.sends("QUIT :so long").await;
    alice.sees(":bob QUIT :so long").await;
    alice.sees_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_plain_member_and_an_irc_peer_share_a_room_and_each_is_told_its_way() {
    let mut hub = unlimited();
    let mut alice = hub.member("alice").await;
    let mut bob = hub
        .connect_saying("bob", ["NICK bob", "USER b", "JOIN #lobby,#a,#b"])
        .await;
    bob.sees_in_time(":bob JOIN #b").await;
    alice.sees("* bob joined").await;
    bob.sends("NICK rob").await;
    alice.sees("* bob is now rob").await;
    alice.sends("/nick ally").await;
    bob.sees_in_time(":alice NICK ally").await;
}
