//! Moving between rooms.

use crate::harness::{Member, Server, hears_from};

#[test]
fn joining_a_room_leaves_the_old_one() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut bob = Member::arrive(&server, "bob");
    let mut kim = Member::arrive(&server, "kim");
    bob.says("/join ops");
    bob.sees("* you are bob in ops");
    bob.sees("* nobody else is here yet");

    kim.says("/join ops");
    kim.sees("* you are kim in ops");
    kim.sees("* here with you: bob");
    alice.sees("* kim left");
    bob.sees("* kim joined");

    kim.says("hello ops");
    bob.sees("kim: hello ops");
    alice.says("hello lobby");
    let heard = hears_from(&mut bob, &mut kim);
    assert!(
        !heard.iter().any(|line| line.contains("hello lobby")),
        "{heard:?}"
    );
    let mut carol = Member::arrive(&server, "carol");
    let heard = hears_from(&mut alice, &mut carol);
    assert!(
        !heard.iter().any(|line| line.contains("hello ops")),
        "{heard:?}"
    );
}

#[test]
fn rooms_are_listed_with_their_members() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let _bob = Member::arrive(&server, "bob");
    let _carol = Member::arrive(&server, "carol");
    let mut kim = Member::arrive(&server, "kim");
    kim.says("/join ops");
    kim.sees("* you are kim in ops");
    alice.says("/rooms");
    alice.sees("* rooms: lobby (3), ops (1)");
}

#[test]
fn who_is_in_a_room_can_be_asked_from_anywhere() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut bob = Member::arrive(&server, "bob");
    let mut kim = Member::arrive(&server, "kim");
    alice.says("/who");
    alice.sees("* lobby: 3 members: alice, bob, kim");
    for member in [&mut bob, &mut kim] {
        member.says("/join ops");
        member.sees_part(" in ops");
    }
    alice.says("/who ops");
    alice.sees("* ops: 2 members: bob, kim");
    alice.says("/who nowhere");
    alice.sees_part("! no such room: nowhere");
}

#[test]
fn leave_goes_back_to_the_default_room() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut kim = Member::arrive(&server, "kim");
    kim.says("/join ops");
    kim.sees("* you are kim in ops");
    alice.sees("* kim left");
    kim.says("/leave");
    kim.sees("* you are kim in lobby");
    alice.sees("* kim joined");
}

#[test]
fn a_room_keeps_its_history_and_topic() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut kim = Member::arrive(&server, "kim");
    kim.says("/join ops");
    kim.says("/topic on call: kim");
    kim.says("deployed");
    kim.says("/who");
    kim.sees_part("* ops: 1 member");

    alice.says("/join ops");
    alice.sees("* you are alice in ops");
    let heard = alice.hears_until("kim: deployed");
    assert!(
        heard.contains(&"* here with you: kim".to_owned()),
        "{heard:?}"
    );
    assert!(
        heard.contains(&"* topic: on call: kim".to_owned()),
        "{heard:?}"
    );
}

#[test]
fn a_bad_room_name_is_refused_with_a_reason() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    for name in ["", "two words", "a:b", "op\u{3164}s", &"x".repeat(65)] {
        alice.says(&format!("/join {name}"));
        alice.sees_part("! ");
    }
    alice.says("/who");
    alice.sees_part("* lobby: 1 member");
}

#[test]
fn a_room_is_the_same_in_any_case() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut bob = Member::arrive(&server, "bob");
    alice.says("/join Ops");
    alice.sees_part("* you are alice in ");
    bob.says("/join ops");
    bob.sees("* here with you: alice");
}
