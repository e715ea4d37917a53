//! Runs the quick drills against the current `chat-server`, which `chat-bench` builds.

use std::process::Command;

/// Runs one quick drill, which must pass.
fn passes(name: &str) {
    passes_with(name, &[]);
}

fn passes_with(name: &str, arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_chat-bench"))
        .args(["drill", name, "--quick"])
        .args(arguments)
        .output()
        .expect("the program was built for this test");
    let printed = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}\n{errors}");
    assert!(printed.starts_with(&format!("{name}: PASS")), "{printed}");
}

#[test]
fn slow_readers_receive_every_message_or_a_gap() {
    passes("slow-readers");
}

#[test]
fn disconnected_members_return_under_their_nicks() {
    passes("reconnect-storm");
}

#[test]
fn membership_as_members_see_it_is_true() {
    passes("churn");
}

#[test]
fn a_drain_delivers_what_one_member_saw_to_all() {
    passes("drain");
}

#[test]
fn a_member_that_stopped_reading_misses_nothing_without_a_gap() {
    passes("resume");
}

#[test]
fn acknowledged_messages_outlive_kill_9() {
    passes("kill9");
}

#[test]
fn damaged_files_are_refused_or_reported() {
    passes("torn");
}

#[test]
fn costly_requests_are_made_and_counted() {
    // These kinds cover each scene and each way to send.
    let kinds = "search-plain-short,who-crowd,rooms-again,history-big-unread,byte,data-history";
    passes_with("costly", &["--seconds", "1", "--kinds", kinds]);
}

#[test]
fn requests_that_break_http_are_answered_and_cost_little() {
    passes("http");
}

#[test]
fn a_soak_ends_and_leaves_no_descriptor() {
    passes("soak");
}

#[test]
fn an_unknown_drill_and_a_missing_server_are_refused() {
    let refused = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chat-bench"));
        let output = command.arg("drill").args(arguments).output();
        output
            .expect("the program was built for this test")
            .status
            .code()
    };
    assert_eq!(refused(&["earthquake"]), Some(2));
    assert_eq!(
        refused(&["churn", "--server-bin", "no/such/program"]),
        Some(2)
    );
    assert_eq!(refused(&["soak", "--minutes", "0"]), Some(2));
    assert_eq!(refused(&["costly", "--connections", "0"]), Some(2));
}
