//! Who may be called what.

use crate::harness::{Member, Server, hears_from};

/// Expects that a nick is refused to `member`, and returns the reason.
fn refused(member: &mut Member, nick: &str) -> String {
    member.says(&format!("/nick {nick}"));
    let answer = member.next_line();
    if !answer.starts_with("! ") {
        member.fail(format!("{nick:?} was not refused: {answer}"));
    }
    answer
}

/// A member who has heard everything so far.
fn newcomer(server: &Server) -> Member {
    let mut member = Member::arrive(server, "newcomer");
    member.says("/who");
    member.sees_part(" members: ");
    member
}

#[test]
fn names_of_all_scripts_are_taken() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    for nick in [
        "한글",
        "ㅋㅋ",
        "José",
        "Мария",
        "[b]{o}|t^",
        "a.b-c_d",
        "e\u{301}",
    ] {
        let mut member = Member::arrive(&server, nick);
        alice.sees_part(&format!(" is now {nick}"));
        member.says("안녕");
        alice.sees(&format!("{nick}: 안녕"));
    }
}

#[test]
fn a_nick_may_have_32_characters_and_no_more() {
    let server = Server::start();
    Member::arrive(&server, &"ㅋ".repeat(32));
    let mut member = Member::connect(&server, "newcomer");
    member.is_greeted();
    member.says(&format!("/nick {}", "x".repeat(33)));
    member.sees_part("! ");
}

#[test]
fn an_invisible_nick_is_refused() {
    let server = Server::start();
    let _alice = Member::arrive(&server, "alice");
    let mut member = newcomer(&server);
    for invisible in [
        '\u{3164}', '\u{115f}', '\u{1160}', '\u{ffa0}', '\u{200b}', '\u{ad}', '\u{2060}',
        '\u{fe0f}',
    ] {
        refused(&mut member, &format!("{invisible}"));
        refused(&mut member, &format!("ali{invisible}ce"));
    }
}

#[test]
fn what_could_be_taken_for_something_else_is_no_nick() {
    let server = Server::start();
    let _alice = Member::arrive(&server, "alice");
    let mut member = newcomer(&server);
    for nick in [
        "7up",
        "*kim",
        "!kim",
        "/kim",
        "a:b",
        "a>b",
        "kim\u{3000}lee",
        "kim\u{a0}lee",
        "<kim>",
    ] {
        refused(&mut member, nick);
    }
}

#[test]
fn a_taken_nick_is_refused() {
    let server = Server::start();
    let _alice = Member::arrive(&server, "alice");
    let _jose = Member::arrive(&server, "Jos\u{e9}");
    let mut member = newcomer(&server);
    assert_eq!(
        refused(&mut member, "alice"),
        "! alice is taken: choose another nick"
    );
    for nick in ["ALICE", "Alice", "jose\u{301}", "JOS\u{c9}"] {
        let reason = refused(&mut member, nick);
        assert!(reason.contains("taken"), "{nick}: {reason}");
    }
}

#[test]
fn a_look_alike_of_a_taken_nick_is_refused_with_a_reason() {
    let server = Server::start();
    let _alice = Member::arrive(&server, "alice");
    let mut member = newcomer(&server);
    // A Cyrillic а; full-width letters; a capital i for the l.
    for nick in ["\u{430}lice", "\u{ff41}lice", "aIice"] {
        let reason = refused(&mut member, nick);
        assert!(reason.contains("looks like"), "{nick}: {reason}");
        assert!(reason.contains("alice"), "{nick}: {reason}");
    }
}

#[test]
fn a_refused_nick_changes_nothing() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut member = newcomer(&server);
    hears_from(&mut alice, &mut member);
    refused(&mut member, "alice");
    let heard = hears_from(&mut alice, &mut member);
    assert!(heard.is_empty(), "{heard:?}");
}

#[test]
fn a_nick_is_free_again_when_its_owner_takes_another_or_goes() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut kim = Member::arrive(&server, "kim");
    kim.says("/nick rob");
    alice.sees("* kim is now rob");
    let mut kim = Member::arrive(&server, "kim");
    kim.half_closes();
    alice.sees("* kim left (gone: connection closed)");
    Member::arrive(&server, "kim");
}

#[test]
fn a_member_may_respell_its_own_nick() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut bob = Member::arrive(&server, "bob");
    alice.says("/nick Alice");
    alice.sees("* you are now Alice");
    bob.sees("* alice is now Alice");
}
