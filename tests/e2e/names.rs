//! Names whose check depends on the Unicode tables of `chat-server`.

use crate::harness::{Member, Server};

/// Expects that `member` is refused the nick. Returns the reason.
fn refused(member: &mut Member, nick: &str) -> String {
    member.says(&format!("/nick {nick}"));
    let answer = member.next_line();
    if !answer.starts_with("! ") {
        member.fail(format!("{nick:?} was not refused: {answer}"));
    }
    answer
}

/// Returns a new member that has already read all messages so far.
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
    // A Cyrillic а, full-width letters, and a capital i instead of the l.
    for nick in ["\u{430}lice", "\u{ff41}lice", "aIice"] {
        let reason = refused(&mut member, nick);
        assert!(reason.contains("looks like"), "{nick}: {reason}");
        assert!(reason.contains("alice"), "{nick}: {reason}");
    }
}
