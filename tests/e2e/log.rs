//! The server's log on stderr: what the log contains, and that failures to write the log affect neither the server nor
//! its members.

use std::time::{Duration, Instant};

use crate::harness::{Member, Server};

/// A time limit for the server's shutdown: longer than a shutdown without delays takes on a busy machine.
const SOON: Duration = Duration::from_secs(4);

#[test]
fn a_log_whose_reader_has_gone_cuts_nobody_and_keeps_no_signal_from_ending_the_server() {
    for signal in ["TERM", "INT"] {
        let mut server = Server::with_log_read_by("head -n 1", &["--log", "debug"]);
        let mut alice = Member::arrive(&server, "alice");
        // The server logs the end of each connection.
        for _ in 0..3 {
            let mut bob = Member::arrive(&server, "bob");
            bob.says("/quit");
            bob.hears_the_end();
        }
        alice.says("/who");
        alice.sees_part("lobby: 1 member");
        server.signal(signal);
        alice.hears_the_end();
        assert_eq!(server.ends_within(SOON).code(), Some(0), "SIG{signal}");
    }
}

#[test]
fn messages_are_kept_again_though_their_loss_could_not_be_logged() {
    let data = std::env::temp_dir().join(format!("chat-e2e-{}-log.db", std::process::id()));
    let arguments = ["--data", &data.to_string_lossy()];
    let server = Server::with_log_read_by("head -n 1", &arguments);
    let mut alice = Member::arrive(&server, "alice");
    let mut bob = Member::arrive(&server, "bob");
    // Writes beyond the first byte of a file fail. For the server this looks much like a failing disk.
    server.limit_file_size("1");
    alice.says("lost");
    alice.sees("! it may or may not have been kept: the room's log failed (the disk fails); look before you say it again");
    server.limit_file_size("unlimited");
    alice.says("after");
    bob.sees("alice: after");
    drop(server);
    for beside in ["", "-wal", "-shm", "-state"] {
        std::fs::remove_file(format!("{}{beside}", data.display())).ok();
    }
}

#[test]
fn a_log_that_is_not_taken_blocks_nobody() {
    // The lines are more than the 64 KiB that a pipe holds.
    let (lines, reason) = (30, "x".repeat(4000));
    let reader = "head -n 1; exec cat <&4 >/dev/null";
    let arguments = ["--log", "debug", "--reason-bytes", "4096"];
    let mut server = Server::with_log_read_by(reader, &arguments);
    for _ in 0..lines {
        let mut bob = Member::arrive(&server, "bob");
        bob.says(&format!("/quit {reason}"));
        bob.hears_the_end();
    }
    let begin = Instant::now();
    server.signal("TERM");
    assert_eq!(server.ends_within(SOON).code(), Some(0));
    assert!(begin.elapsed() < SOON);
}

#[test]
fn a_reason_can_not_forge_fields_of_the_log() {
    let mut server = Server::with(&["--log", "debug"]);
    let mut alice = Member::arrive(&server, "alice");
    alice.says(r#"/quit "bye" level=ERROR peer.addr=10.0.0.1"#);
    alice.hears_the_end();
    server.stderr.wait_for("the end in the log", |line| {
        line.contains(r#"reason=Quit(Some("\"bye\" level=ERROR peer.addr=10.0.0.1"))"#)
            .then_some(())
    });
}

#[test]
fn the_log_holds_no_control_character_and_no_message() {
    let server = Server::with(&["--log", "debug"]);
    let mut alice = Member::arrive(&server, "alice");
    alice.says("/nick e\u{1b}[2Jvil");
    alice.says("/hepl \u{1b}[2J");
    alice.says("a secret\u{1b}[2J");
    alice.says("/who");
    alice.sees_part("* lobby: 1 member");
    let log = server.stderr.all().join("\n");
    // Stderr is not a terminal here, so the log must contain no colours.
    assert!(!log.contains('\u{1b}'), "{log}");
    assert!(!log.contains("a secret"), "a message is in the log: {log}");
}
