//! Runs `chat-client` with the real server, and with servers that the test imitates.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::harness::{Client, Member, Server};

/// Starts a client that is connected to the test instead of a server. Returns the client and the connection.
fn with_false_server(arguments: &[&str]) -> (Client, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let client = Client::start(&[&[address.as_str()], arguments].concat());
    let (stream, _) = listener.accept().unwrap();
    (client, stream)
}

fn join(server: &Server, arguments: &[&str]) -> Client {
    Client::start(&[&[server.address().to_string().as_str()], arguments].concat())
}

#[test]
fn it_talks_and_listens() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut kim = join(&server, &["--nick", "kim"]);
    kim.shows("* you are now kim");
    kim.types("안녕 alice");
    alice.sees("kim: 안녕 alice");
    alice.says("/msg kim psst");
    kim.shows("alice -> you: psst");
    kim.ends_input();
    alice.sees("* kim left (gone: connection closed)");
    assert_eq!(kim.exit_code(), 0);
    assert!(kim.stderr.all().is_empty());
}

#[test]
fn it_takes_a_nick_and_a_room() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    alice.says("/join ops");
    alice.sees("* you are alice in ops");
    let mut kim = join(&server, &["--nick", "한글", "--room", "ops"]);
    alice.sees("* 한글 joined");
    kim.shows("* here with you: alice");
}

#[test]
fn the_address_may_be_short() {
    let server = Server::start();
    let port = server.address().port();
    for address in [format!("localhost:{port}"), format!(":{port}")] {
        let mut client = Client::start(&[&address]);
        client.shows_part("* you are guest-");
    }
}

#[test]
fn a_file_of_1000_lines_is_delivered_in_order() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e-1000-lines.txt");
    let lines: Vec<String> = (1..=1_000).map(|i| format!("line {i}")).collect();
    fs::write(&path, lines.join("\n")).unwrap();

    let address = server.address().to_string();
    let mut feeder = Client::reading(File::open(&path).unwrap(), &[&address, "--nick", "feeder"]);
    let mut heard = alice.hears_until("* feeder left (gone: connection closed)");
    heard.retain(|line| line.starts_with("feeder: "));
    let expected: Vec<String> = lines.iter().map(|line| format!("feeder: {line}")).collect();
    assert_eq!(heard, expected);
    assert_eq!(feeder.exit_code(), 0);
}

#[test]
fn it_waits_until_a_limited_server_has_handled_everything() {
    let server = Server::with_limits(&["--rate", "2:10"]);
    let mut alice = Member::arrive(&server, "alice");
    let mut feeder = join(&server, &[]);
    for i in 1..=30 {
        feeder.types(&format!("line {i}"));
    }
    feeder.ends_input();
    let line = alice.sees_part(": line 30");
    assert!(line.contains("guest-"), "{line}");
    assert_eq!(feeder.exit_code(), 0);
}

#[test]
fn with_stay_it_goes_on_printing() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let address = server.address().to_string();
    let mut client = Client::reading(Stdio::null(), &[&address, "--nick", "kim", "--stay"]);
    client.shows("* you are now kim");
    alice.says("still there?");
    client.shows("alice: still there?");
    alice.says("/who");
    alice.sees("* lobby: 2 members: alice, kim");
}

#[test]
fn quit_ends_it_with_success() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut kim = join(&server, &["--nick", "kim"]);
    kim.types("/quit good night");
    alice.sees("* kim left (gone: good night)");
    // The client ended although its input is still open.
    assert_eq!(kim.exit_code(), 0);
    assert!(kim.stderr.all().is_empty());
}

#[test]
fn ctrl_c_leaves_like_quit() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut kim = join(&server, &["--nick", "kim"]);
    kim.shows("* you are now kim");
    kim.signal("INT");
    alice.sees("* kim left (gone: quit)");
    assert_eq!(kim.exit_code(), 0);
}

#[test]
fn a_server_that_is_killed_is_said() {
    let mut server = Server::start();
    let mut client = join(&server, &[]);
    client.shows_part("* you are guest-");
    server.signal("KILL");
    assert_eq!(client.exit_code(), 1);
    let said = client.stderr.all();
    assert!(
        said.len() == 1 && said[0].starts_with("chat-client: "),
        "{said:?}"
    );
    server.ends_within(Duration::from_secs(5));
}

#[test]
fn a_server_that_shuts_down_is_said() {
    let server = Server::start();
    let mut client = join(&server, &["--stay"]);
    client.shows_part("* you are guest-");
    server.signal("TERM");
    client.shows_part("* goodbye: the server is shutting down");
    assert_eq!(client.exit_code(), 1);
    assert_eq!(client.stderr.all().len(), 1);
}

#[test]
fn a_server_that_is_not_there_is_said_with_the_way_out() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let mut client = Client::start(&[&address]);
    assert_eq!(client.exit_code(), 1);
    let said = client.stderr.all();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains(&address) && said[0].contains("start one with `chat-server`"),
        "{said:?}"
    );
}

#[test]
fn wrong_arguments_are_usage_errors() {
    for arguments in [
        &["--no-such-flag"][..],
        &["5000"],
        &["host:0"],
        &["--nick", "two words"],
        &["--nick", "a\n/quit"],
        &["one", "two"],
    ] {
        let mut client = Client::start(arguments);
        assert_eq!(client.exit_code(), 2, "{arguments:?}");
        assert!(!client.stderr.all().is_empty());
    }
}

#[test]
fn a_hostile_server_can_not_drive_the_terminal() {
    let (mut client, mut server) = with_false_server(&[]);
    server
        .write_all(b"a\x1b[2J\x1b]0;owned\x07b\rc\x08d\x7f\te\n")
        .unwrap();
    client.shows("a[2J]0;ownedb cd\te");
    server
        .write_all("x\u{9b}31m\u{202e}y\u{2066}z\r\n".as_bytes())
        .unwrap();
    client.shows("x31myz");
    server.write_all(b"caf\xe9 \x9b31m\n").unwrap();
    client.shows("caf\u{fffd} \u{fffd}31m");
    server
        .write_all("no line break at the end \u{1b}[0m".as_bytes())
        .unwrap();
    drop(server);
    client.shows("no line break at the end [0m");
    assert_eq!(client.exit_code(), 1);
}

#[test]
fn an_endless_line_of_the_server_takes_no_memory() {
    let (mut client, mut server) = with_false_server(&[]);
    let mebibyte = vec![b'z'; 1024 * 1024];
    server.write_all(&mebibyte).unwrap();
    server.write_all(b"\nwarm\n").unwrap();
    client.shows("warm");
    let before = client.resident_kib();
    for _ in 0..10 {
        server.write_all(&mebibyte).unwrap();
    }
    server.write_all(b"\ndone\n").unwrap();
    client.shows("done");
    let after = client.resident_kib();
    assert!(after <= before + 1024, "{before} -> {after} KiB");
    let printed = client.stdout.all();
    assert!(printed.iter().all(|line| line.len() <= 16 * 1024));
    assert_eq!(
        printed.iter().map(String::len).sum::<usize>(),
        11 * mebibyte.len() + "warmdone".len()
    );
}

#[test]
fn it_half_closes_and_prints_what_still_comes() {
    let (mut client, mut server) = with_false_server(&["--nick", "kim"]);
    client.types("hello");
    client.ends_input();
    let mut received = String::new();
    server.read_to_string(&mut received).unwrap();
    assert_eq!(received, "/nick kim\nhello\n");
    server.write_all(b"* goodbye\n").unwrap();
    drop(server);
    client.shows("* goodbye");
    assert_eq!(client.exit_code(), 0);
    assert!(client.stderr.all().is_empty());
}

#[test]
fn it_ends_quietly_when_nobody_reads_what_it_prints() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut child = Client::command(&[&address, "--stay"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let (mut server, _) = listener.accept().unwrap();
    server.write_all(b"14:02 alice: hello\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn with_stay_it_leaves_when_nobody_reads_what_it_prints() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let address = server.address().to_string();
    let mut child = Client::command(&[&address, "--stay", "--nick", "kim"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    alice.sees_part("is now kim");
    drop(child.stdout.take());
    alice.sees_part("* kim left (gone: ");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
