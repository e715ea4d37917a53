//! How members affect each other, over real sockets.

use crate::harness::{Member, Server, hears_from, talk_a_lot};

#[test]
fn a_room_never_waits_for_a_member() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut bob = Member::arrive(&server, "bob");
    // The room's own buffers are filled before the member that does not read joins.
    talk_a_lot(&mut alice, &mut bob);
    let before = server.resident_kib();

    let mut deaf = Member::arrive(&server, "deaf");
    deaf.says("I am all ears");
    bob.sees("deaf: I am all ears");
    talk_a_lot(&mut alice, &mut bob);
    let grown = server.resident_kib().saturating_sub(before);
    assert!(grown < 4 * 1024, "the deaf member costs {grown} KiB");
}

#[test]
fn a_connection_that_the_kernel_resets_is_one_goodbye_and_frees_the_nick() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    // The kernel resets a connection that is closed while it has unread bytes.
    let kim = Member::arrive(&server, "kim");
    alice.says("never read");
    kim.raw().peek(&mut [0]).unwrap();
    drop(kim);
    alice.sees("* kim left (gone: connection lost)");

    let mut kim = Member::arrive(&server, "kim");
    let heard = hears_from(&mut alice, &mut kim);
    assert!(
        !heard.iter().any(|line| line.contains("left")),
        "said goodbye twice: {heard:?}"
    );
}

#[test]
fn a_fast_sender_is_slowed_and_loses_nothing() {
    let server = Server::with_limits(&["--rate", "5:20"]);
    let mut alice = Member::arrive(&server, "alice");
    let mut bob = Member::arrive(&server, "bob");
    let lines: String = (1..=30).map(|i| format!("line {i}\n")).collect();
    alice.sends(&lines);
    // The server delays alice's lines, but not the other members.
    bob.says("/who");
    let mut heard = bob.hears_until("* lobby: 2 members: alice, bob");
    assert!(
        !heard.contains(&"alice: line 30".to_owned()),
        "not slowed: {heard:?}"
    );
    heard.extend(bob.hears_until("alice: line 30"));
    heard.retain(|line| line.starts_with("alice: line "));
    let expected: Vec<String> = (1..30).map(|i| format!("alice: line {i}")).collect();
    assert_eq!(heard, expected);
}
