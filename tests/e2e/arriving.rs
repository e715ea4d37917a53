//! What a newcomer meets.

use std::fs;
use std::path::Path;

use crate::harness::{Member, Server, hears_from};

#[test]
fn a_silent_newcomer_is_greeted() {
    let server = Server::start();
    let mut newcomer = Member::connect(&server, "newcomer");
    let greeting = newcomer.next_line();
    assert!(greeting.starts_with("* you are guest-"), "{greeting}");
    assert!(
        greeting.ends_with(" in lobby: /nick NAME changes your nick, /help lists the commands"),
        "{greeting}"
    );
    assert_eq!(newcomer.next_line(), "* nobody else is here yet");
}

#[test]
fn the_first_line_is_answered_after_the_greeting() {
    let server = Server::start();
    let _alice = Member::arrive(&server, "alice");
    let _bob = Member::arrive(&server, "bob");

    let mut kim = Member::connect(&server, "kim");
    kim.says("/nick kim");
    let heard = kim.hears_until("* you are now kim");
    assert!(heard[0].starts_with("* you are guest-"), "{heard:?}");
    assert_eq!(heard[1], "* here with you: alice, bob");
}

#[test]
fn a_newcomer_is_announced_under_its_nick() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut newcomer = Member::connect(&server, "newcomer");
    let guest = newcomer.is_greeted();
    alice.sees(&format!("* {guest} joined"));
    newcomer.says("/nick kim");
    alice.sees(&format!("* {guest} is now kim"));
}

#[test]
fn a_newcomer_is_shown_the_topic_and_the_last_20_messages() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut bob = Member::arrive(&server, "bob");
    alice.says("/topic on call: kim");
    for i in 1..=25 {
        alice.says(&format!("line {i}"));
    }
    bob.sees("alice: line 25");

    let mut kim = Member::connect(&server, "kim");
    kim.says("/nick kim");
    let heard = kim.hears_until("* you are now kim");
    let messages: Vec<&String> = heard
        .iter()
        .filter(|line| line.starts_with("alice: "))
        .collect();
    let expected: Vec<String> = (6..=25).map(|i| format!("alice: line {i}")).collect();
    assert_eq!(messages, expected.iter().collect::<Vec<_>>());
    let topic = heard
        .iter()
        .position(|line| line == "* topic: on call: kim");
    let first = heard.iter().position(|line| *line == expected[0]);
    assert!(topic.is_some() && topic < first, "{heard:?}");
}

#[test]
fn history_shows_who_said_what_and_when() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut bob = Member::arrive(&server, "bob");
    alice.says("hello");
    alice.says("/me waves");
    let live = [
        bob.sees_part("alice: hello"),
        bob.sees_part("* alice waves"),
    ];

    let mut kim = Member::connect(&server, "kim");
    assert_eq!(kim.sees_part("alice: hello"), live[0]);
    assert_eq!(kim.sees_part("* alice waves"), live[1]);
}

#[test]
fn the_message_of_the_day_comes_first() {
    let server = Server::with(&["--motd", "be kind"]);
    let mut newcomer = Member::connect(&server, "newcomer");
    assert_eq!(newcomer.next_line(), "* be kind");
    newcomer.is_greeted();
}

#[test]
fn the_message_of_the_day_may_be_a_file() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e-motd.txt");
    fs::write(&path, "be kind\nand \u{1b}[1mbrief\n").unwrap();
    let server = Server::with(&["--motd", &format!("@{}", path.display())]);
    let mut newcomer = Member::connect(&server, "newcomer");
    assert_eq!(newcomer.next_line(), "* be kind");
    assert_eq!(newcomer.next_line(), "* and [1mbrief");
    newcomer.is_greeted();
}

#[test]
fn the_default_room_can_be_named() {
    let server = Server::with(&["--room", "den"]);
    let mut newcomer = Member::connect(&server, "newcomer");
    let greeting = newcomer.sees_part("* you are guest-");
    assert!(greeting.contains(" in den: "), "{greeting}");
}

#[test]
fn several_newcomers_get_nicks_of_their_own() {
    let server = Server::start();
    let mut nicks: Vec<String> = (0..5)
        .map(|_| Member::connect(&server, "newcomer"))
        .collect::<Vec<_>>()
        .iter_mut()
        .map(Member::is_greeted)
        .collect();
    nicks.sort();
    nicks.dedup();
    assert_eq!(nicks.len(), 5, "{nicks:?}");
}

#[test]
fn an_empty_line_says_nothing() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut bob = Member::arrive(&server, "bob");
    alice.sends("\n\r\n\n");
    let heard = hears_from(&mut bob, &mut alice);
    assert!(heard.is_empty(), "{heard:?}");
}
