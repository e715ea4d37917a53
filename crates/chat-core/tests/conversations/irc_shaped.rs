//! What a dialect of IRC's shape asks of the seam, each shown with one that has under 200 lines.

mod dialect;

use crate::rate;
use chat_core::Limits;
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
async fn a_line_joins_a_list_of_rooms_and_is_answered_in_its_order() {
    let mut hub = unlimited();
    let mut alice = hub.connect("alice");
    alice.sends("NICK alice").await;
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
        .connect_saying("alice", ["NICK alice", "JOIN #a,#b"])
        .await;
    alice.sees_in_time(":alice JOIN #b").await;
    let mut bob = hub.connect_saying("bob", ["NICK bob", "JOIN #b,#a"]).await;
    bob.sees_in_time(":bob JOIN #a").await;
    alice.sends("PRIVMSG #a,#elsewhere,#b :hello").await;
    // Said in each room that she is in, and answered for the other.
    alice.sees_in_time(":bob JOIN #a").await;
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
    alice.sends("NICK alice").await;
    alice.sends("JOIN #a,#b,#c,#d,#e,#f,#g").await;
    alice.sees_in_time(":alice JOIN #c").await;
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
        .connect_saying("alice", ["NICK alice", "JOIN #a,#b,#c"])
        .await;
    alice.sees_in_time(":alice JOIN #c").await;
    let mut carol = hub.connect_saying("carol", ["NICK carol", "JOIN #c"]).await;
    carol.sees_in_time(":carol JOIN #c").await;
    let mut bob = hub
        .connect_saying("bob", ["NICK bob", "JOIN #a,#b,#c"])
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
        .connect_saying("bob", ["NICK bob", "JOIN #lobby,#a,#b"])
        .await;
    bob.sees_in_time(":bob JOIN #b").await;
    alice.sees("* bob joined").await;
    bob.sends("NICK rob").await;
    alice.sees("* bob is now rob").await;
    alice.sends("/nick ally").await;
    bob.sees_in_time(":alice NICK ally").await;
}
