//! What the members of a room see of each other.

use crate::harness::{Member, Server, hears_from, talk_a_lot, untimed};

#[test]
fn a_message_carries_time_and_nick() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut bob = Member::arrive(&server, "bob");
    alice.says("hello: bob");
    let line = bob.sees_part("alice: hello: bob");
    assert_eq!(untimed(&line), "alice: hello: bob");
    assert_eq!(line.len(), untimed(&line).len() + "14:02 ".len(), "{line}");
    bob.says("안녕 👋");
    alice.sees("bob: 안녕 👋");
}

#[test]
fn own_messages_do_not_come_back() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut bob = Member::arrive(&server, "bob");
    alice.says("hello");
    alice.says("/me waves");
    let heard = hears_from(&mut alice, &mut bob);
    assert!(
        !heard
            .iter()
            .any(|line| line.contains("hello") || line.contains("waves")),
        "{heard:?}"
    );
}

#[test]
fn an_action_is_no_message() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut bob = Member::arrive(&server, "bob");
    alice.says("/me waves");
    let line = bob.sees_part("waves");
    assert_eq!(untimed(&line), "* alice waves");
    assert_ne!(untimed(&line), line, "an action has a time");
}

#[test]
fn a_direct_message_reaches_one_member_alone() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut bob = Member::arrive(&server, "bob");
    let mut carol = Member::arrive(&server, "carol");
    alice.says("/msg bob psst: here");
    bob.sees("alice -> you: psst: here");
    alice.sees("you -> bob: psst: here");
    let heard = hears_from(&mut carol, &mut alice);
    assert!(!heard.iter().any(|line| line.contains("psst")), "{heard:?}");
}

#[test]
fn a_direct_message_crosses_rooms_and_finds_nicks_in_any_case() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut bob = Member::arrive(&server, "Bob");
    bob.says("/join ops");
    bob.sees("* you are Bob in ops");
    alice.says("/msg bob psst");
    bob.sees("alice -> you: psst");
    alice.says("/msg nobody psst");
    assert!(alice.sees_part("nobody").starts_with("! "));
}

#[test]
fn a_text_can_not_forge_another_members_line() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut bob = Member::arrive(&server, "bob");
    alice.says("x\r14:02 carol: I never said this");
    alice.says("* carol left (gone: quit)");
    bob.sees("alice: x 14:02 carol: I never said this");
    bob.sees("alice: * carol left (gone: quit)");
}

#[test]
fn the_time_can_be_dropped() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut bob = Member::arrive(&server, "bob");
    bob.says("/time off");
    bob.says("/who");
    bob.sees("* lobby: 2 members: alice, bob");
    alice.says("hello");
    assert_eq!(bob.sees_part("hello"), "alice: hello");
}

#[test]
fn own_messages_come_back_when_asked_for() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    alice.says("/echo on");
    alice.says("hello");
    alice.sees("alice: hello");
    alice.says("/echo off");
    alice.says("again");
    alice.says("/who");
    let heard = alice.hears_until_part("* lobby: 1 member");
    assert!(
        !heard.iter().any(|line| line.contains("again")),
        "{heard:?}"
    );
}

#[test]
fn a_room_never_waits_for_a_member() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut bob = Member::arrive(&server, "bob");
    // What the room itself may hold is full before the deaf one comes.
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
fn one_nick_one_owner_one_goodbye() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");

    let mut kim = Member::arrive(&server, "kim");
    kim.says("/quit see you: soon");
    alice.sees("* kim left (gone: see you: soon)");
    assert!(kim.hears_the_end().contains(&"* goodbye".to_owned()));

    let mut kim = Member::arrive(&server, "kim");
    kim.says("/quit");
    alice.sees("* kim left (gone: quit)");
    kim.hears_the_end();

    let mut kim = Member::arrive(&server, "kim");
    kim.half_closes();
    alice.sees("* kim left (gone: connection closed)");
    kim.hears_the_end();

    // What it has not read makes the kernel reset the connection instead of closing it.
    let kim = Member::arrive(&server, "kim");
    alice.says("never read");
    alice.says("/who");
    alice.sees("* lobby: 2 members: alice, kim");
    drop(kim);
    let last = alice.sees_part("* kim left");
    assert!(last.starts_with("* kim left (gone: "), "{last}");

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
    // Nobody else notices.
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
