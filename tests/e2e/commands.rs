//! The commands that are about the conversation itself.

use crate::harness::{Member, Server, hears_from};

#[test]
fn help_lists_the_commands() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    alice.says("/help");
    alice.says("/who");
    let help = alice.hears_until_part("* lobby: 1 member").join("\n");
    let commands = [
        "/help", "/nick", "/join", "/rooms", "/who", "/msg", "/me", "/topic", "/history", "/echo",
        "/time", "/quit", "/leave",
    ];
    for command in commands {
        assert!(help.contains(command), "{command} is missing: {help}");
    }
    for command in ["msg", "/msg"] {
        alice.says(&format!("/help {command}"));
        alice.sees_part("/msg NICK");
    }
}

#[test]
fn an_unknown_command_is_answered_and_not_broadcast() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut bob = Member::arrive(&server, "bob");
    alice.says("/hepl");
    alice.sees("! no such command: /hepl (did you mean /help?)");
    alice.says("/tpoic my secret");
    let answer = alice.sees_part("! no such command: /tpoic");
    assert!(answer.contains("/topic"), "{answer}");
    let heard = hears_from(&mut bob, &mut alice);
    assert!(
        !heard
            .iter()
            .any(|line| line.contains("hepl") || line.contains("secret")),
        "{heard:?}"
    );
}

#[test]
fn two_slashes_say_one() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut bob = Member::arrive(&server, "bob");
    alice.says("//help is a command");
    bob.sees("alice: /help is a command");
}

#[test]
fn a_topic_is_set_and_shown() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut bob = Member::arrive(&server, "bob");
    bob.says("/topic");
    bob.sees("* no topic is set");
    alice.says("/topic on call: kim");
    alice.sees("* alice set the topic: on call: kim");
    bob.sees("* alice set the topic: on call: kim");
    bob.says("/topic");
    bob.sees("* topic: on call: kim");
}

#[test]
fn history_shows_as_much_as_was_asked_for() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut bob = Member::arrive(&server, "bob");
    for line in ["one", "two", "three"] {
        alice.says(line);
    }
    bob.sees("alice: three");
    bob.says("/history 2");
    bob.says("/who");
    let heard = bob.hears_until("* lobby: 2 members: alice, bob");
    assert_eq!(heard, ["alice: two", "alice: three"]);

    bob.says("/history");
    bob.says("/who");
    let heard = bob.hears_until("* lobby: 2 members: alice, bob");
    assert_eq!(heard, ["alice: one", "alice: two", "alice: three"]);

    bob.says("/history many");
    bob.sees_part("! ");
}

#[test]
fn a_command_without_its_arguments_is_answered() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut bob = Member::arrive(&server, "bob");
    for command in [
        "/nick",
        "/join",
        "/msg",
        "/msg bob",
        "/me",
        "/echo maybe",
        "/time maybe",
    ] {
        alice.says(command);
        alice.sees_part("! ");
    }
    let heard = hears_from(&mut bob, &mut alice);
    assert!(heard.is_empty(), "{heard:?}");
}
