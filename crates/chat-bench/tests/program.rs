//! Runs `chat-bench` with small loads against its own reference servers.

use std::process::{Command, Output};

use serde_json::Value;

/// Runs `chat-bench` and returns what it printed.
fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chat-bench"))
        .args(arguments)
        .output()
        .expect("the program was built for this test")
}

/// Returns the JSON report from standard output.
fn report(output: &Output) -> Value {
    let errors = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"))
}

#[test]
fn every_delivery_of_the_reference_servers_is_counted() {
    let output = bench(&[
        "fanout",
        "--only=floor,obvious",
        "--workload=B,C",
        "--members=6",
        "--publishers=3",
        "--window=9",
        "--messages=300",
        "--rounds=2",
        "--stuck=1",
        "--json=-",
    ]);
    let report = report(&output);
    assert!(output.status.success());
    for workload in 0..2 {
        // `floor` does not echo messages to their sender, `obvious` does.
        for (server, audience) in [(0, 5), (1, 6)] {
            let server = &report["workloads"][workload]["servers"][server];
            for round in 0..2 {
                let run = &server["runs"][round];
                assert_eq!(run["messages"], 300, "{server}");
                assert_eq!(run["deliveries"], 300 * audience, "{server}");
                assert!(run["cpu_us_per_delivery"].as_f64() > Some(0.0), "{server}");
            }
        }
    }
}

#[test]
fn both_dialects_of_our_server_are_counted_and_compared() {
    let output = bench(&[
        "fanout",
        "--only=chat-server,chat-server-json",
        "--workload=B,C",
        "--members=6",
        "--publishers=3",
        "--window=9",
        "--messages=2000",
        "--rounds=2",
        "--json=-",
    ]);
    let report = report(&output);
    assert!(output.status.success(), "{report}");
    for workload in 0..2 {
        let workload = &report["workloads"][workload];
        // A publisher in JSON asks for its own messages, so all 6 members receive each message. A publisher in the
        // plain dialect does not receive its own messages.
        for (server, audience) in [(0, 5), (1, 6)] {
            for round in 0..2 {
                let run = &workload["servers"][server]["runs"][round];
                assert_eq!(run["deliveries"], 2000 * audience, "{workload}");
            }
        }
        assert!(workload["ratio_of_json_to_plain"].is_number(), "{workload}");
    }
    let table = String::from_utf8_lossy(&output.stderr);
    assert!(table.contains("x the plain dialect's CPU"), "{table}");
}

#[test]
fn idle_reports_memory_and_times() {
    let output = bench(&[
        "idle",
        "--only=floor,chat-server-json",
        "--members=150",
        "--messages=3",
        "--rounds=1",
        "--settle-ms=0",
        "--json=-",
    ]);
    assert!(output.status.success());
    let report = report(&output);
    for server in 0..2 {
        let median = &report["servers"][server]["median"];
        assert!(median["kib_per_connection"].is_number(), "{report}");
        assert!(median["first_message_ms"].as_f64() > Some(0.0), "{report}");
    }
}

#[test]
fn a_server_that_is_not_installed_is_reported_with_what_it_needs() {
    let output = Command::new(env!("CARGO_BIN_EXE_chat-bench"))
        .args(["fanout", "--only=socket-io"])
        .env("PATH", "")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("socket-io was not found"), "{error}");
    assert!(error.contains("npm --prefix"), "{error}");
}

#[test]
fn a_server_that_fails_makes_the_exit_code_1_and_the_others_go_on() {
    // `chat-bench` itself stands in for the server. It does not know chat-server's options, so it ends at once.
    let output = bench(&[
        "fanout",
        "--only=chat-server,floor",
        concat!("--server-bin=", env!("CARGO_BIN_EXE_chat-bench")),
        "--workload=A",
        "--members=3",
        "--messages=5",
        "--rounds=1",
        "--json=-",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let report = report(&output);
    let servers = &report["workloads"][0]["servers"];
    assert!(
        servers[0]["failure"]
            .as_str()
            .is_some_and(|text| text.contains("could not start"))
    );
    assert_eq!(servers[1]["runs"][0]["deliveries"], 10);
}
