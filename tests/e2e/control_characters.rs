//! No control character of one member reaches another's terminal.
//!
//! `Member` refuses every line that holds one, in all tests; here they are sent wherever a text can be.

use crate::harness::{Member, Server};

/// All that must be removed, but what ends a line and what deletes a character.
fn controls() -> String {
    let used = "\t\r\n\0\x08\x7f";
    let controls = ('\0'..='\u{9f}').filter(|c| c.is_control() && !used.contains(*c));
    controls
        .chain('\u{202a}'..='\u{202e}')
        .chain('\u{2066}'..='\u{2069}')
        .collect()
}

#[test]
fn a_line_is_a_line() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut bob = Member::arrive(&server, "bob");
    let controls = controls();
    assert_eq!(controls.chars().count(), 32 - 5 + 32 + 9);

    alice.says(&format!("a{controls}b\tc"));
    bob.sees("alice: a b\tc");
    alice.says("\u{1b}[2J\u{1b}]0;owned\u{7}red \u{9b}31malert");
    bob.sees("alice: [2J]0;ownedred 31malert");
    alice.says("one\rtwo");
    bob.sees("alice: one two");
    alice.says(&format!("/me {controls}waves"));
    bob.sees("* alice waves");
    alice.says(&format!("/msg bob {controls}psst"));
    bob.sees("alice -> you: psst");
    alice.says(&format!("/topic {controls}quiet"));
    bob.sees("* alice set the topic: quiet");
    bob.says("/topic");
    bob.sees("* topic: quiet");
}

#[test]
fn a_name_brings_no_control_character() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut bob = Member::arrive(&server, "bob");
    for nick in ["e\u{1b}[2Jvil", "e\u{9b}vil", "e\u{202e}vil", "e\u{7f}vil"] {
        // Refused or cleaned, as the server likes.
        bob.says(&format!("/nick {nick}"));
        bob.says("/who");
        bob.sees_part("* lobby: 2 members: alice, ");
    }
    bob.says("/join op\u{1b}[2Js\u{202e}");
    bob.says("/rooms");
    bob.sees_part("* rooms: ");
    alice.says("/rooms");
    alice.sees_part("* rooms: ");
}

#[test]
fn an_answer_repeats_no_control_character() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    for line in [
        "/he\u{1b}[2Jlp",
        "/who \u{1b}[2J",
        "/msg \u{1b}[2J x",
        "/join \u{1b}[2J \u{7}",
        "/history \u{1b}[2J",
        "/help \u{1b}[2J",
        "/\u{1b}[2J",
    ] {
        alice.says(line);
        alice.next_line();
    }
}

#[test]
fn a_last_word_brings_no_control_character() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut bob = Member::arrive(&server, "bob");
    bob.says(&format!("/quit bye\u{1b}[2J{}", controls()));
    alice.sees("* bob left (gone: bye[2J)");
    bob.hears_the_end();
}

#[test]
fn the_log_gets_none_either() {
    let server = Server::with(&["--log", "debug"]);
    let mut alice = Member::arrive(&server, "alice");
    alice.says("/nick e\u{1b}[2Jvil");
    alice.says("/hepl \u{1b}[2J");
    alice.says("a secret\u{1b}[2J");
    alice.says("/who");
    alice.sees_part("* lobby: 1 member");
    let log = server.stderr.all().join("\n");
    // Stderr is no terminal here, so the log's own colours are no excuse.
    assert!(!log.contains('\u{1b}'), "{log}");
    assert!(
        !log.contains("a secret"),
        "messages are nobody's business: {log}"
    );
}
