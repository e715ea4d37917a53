//! Shutdown of the server.

use std::time::{Duration, Instant};

use crate::harness::{Member, Server, talk_a_lot};

const GOODBYE: &str = "* goodbye: the server is shutting down";

#[test]
fn everybody_gets_a_goodbye() {
    let mut server = Server::start();
    let mut members: Vec<Member> = (0..50)
        .map(|i| Member::arrive(&server, &format!("m{i}")))
        .collect();
    let begin = Instant::now();
    server.signal("TERM");
    for member in &mut members {
        let heard = member.hears_the_end();
        assert_eq!(
            heard.iter().filter(|line| *line == GOODBYE).count(),
            1,
            "{heard:?}"
        );
    }
    assert_eq!(server.exit_code(), 0);
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
}

#[test]
fn an_empty_server_ends_at_once() {
    for signal in ["TERM", "INT"] {
        let mut server = Server::start();
        let mut alice = Member::arrive(&server, "alice");
        alice.says("/quit");
        alice.hears_the_end();
        let begin = Instant::now();
        server.signal(signal);
        assert_eq!(server.exit_code(), 0, "SIG{signal}");
        // On an idle machine, the shutdown takes 0.1 s. The limit is higher, because the tests run in parallel.
        assert!(
            begin.elapsed() < Duration::from_secs(2),
            "{:?}",
            begin.elapsed()
        );
    }
}

#[test]
fn what_was_said_before_the_end_is_delivered() {
    let mut server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut bob = Member::arrive(&server, "bob");
    alice.sends("hello\n".repeat(500));
    alice.says("/who");
    alice.sees("* lobby: 2 members: alice, bob");
    server.signal("TERM");
    let heard = bob.hears_the_end();
    assert_eq!(
        heard.iter().filter(|line| *line == "alice: hello").count(),
        500
    );
    assert_eq!(server.exit_code(), 0);
}

#[test]
fn a_member_that_does_not_read_holds_the_end_up_for_the_drain_only() {
    let mut server = Server::with(&["--drain", "1"]);
    let _deaf = deaf_member(&server);
    let begin = Instant::now();
    server.signal("TERM");
    assert_eq!(server.exit_code(), 0);
    assert!(
        begin.elapsed() < Duration::from_secs(4),
        "{:?}",
        begin.elapsed()
    );
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut server = Server::with(&["--drain", "60"]);
    let _deaf = deaf_member(&server);
    let mut alice = Member::arrive(&server, "carol");
    server.signal("TERM");
    assert!(alice.hears_the_end().contains(&GOODBYE.to_owned()));
    server.runs_for(Duration::from_millis(500));
    server.signal("INT");
    let status = server.ends_within(Duration::from_secs(5));
    assert_eq!(status.code(), Some(130));
}

#[test]
fn a_signal_that_is_sent_twice_by_one_hand_still_drains() {
    let mut server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    // timeout(1) sends each signal twice: to the process and to its process group.
    server.signals("TERM", 2);
    assert!(alice.hears_the_end().contains(&GOODBYE.to_owned()));
    assert_eq!(server.exit_code(), 0);
}

/// Returns a member that has not read for so long that the server can't send the member anything more.
fn deaf_member(server: &Server) -> Member {
    let deaf = Member::arrive(server, "deaf");
    let mut alice = Member::arrive(server, "alice");
    let mut bob = Member::arrive(server, "bob");
    talk_a_lot(&mut alice, &mut bob);
    deaf
}
