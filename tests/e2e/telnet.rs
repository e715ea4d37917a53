//! Telnet: its line ends and its negotiations, neither of which is ever shown.

use std::io::{Read, Write};

use crate::harness::{DEADLINE, Member, Server};

const IAC: u8 = 255;
const DONT: u8 = 254;
const DO: u8 = 253;
const WONT: u8 = 252;
const WILL: u8 = 251;
const SB: u8 = 250;
const SE: u8 = 240;

/// Reads from a member's connection until these bytes have come.
fn expect_bytes(member: &Member, wanted: &[u8]) {
    let mut stream = member.raw();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut received = Vec::new();
    let mut buffer = [0; 1024];
    while !received.windows(wanted.len()).any(|bytes| bytes == wanted) {
        match stream.read(&mut buffer) {
            Ok(read) if read > 0 => received.extend_from_slice(&buffer[..read]),
            end => member.fail(format!(
                "waited for {wanted:?} ({end:?}), received {received:?}"
            )),
        }
    }
}

#[test]
fn negotiations_are_refused_and_not_shown() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let telnet = Member::arrive(&server, "telnet");
    let mut stream = telnet.raw();

    stream.write_all(&[IAC, WILL, 31]).unwrap();
    expect_bytes(&telnet, &[IAC, DONT, 31]);
    stream.write_all(&[IAC, DO, 1]).unwrap();
    expect_bytes(&telnet, &[IAC, WONT, 1]);

    stream.write_all(b"hel").unwrap();
    stream
        .write_all(&[IAC, WILL, 24, IAC, SB, 24, 0, b'x', b't', IAC, SE])
        .unwrap();
    stream.write_all(b"lo\r\n").unwrap();
    alice.sees("telnet: hello");
    expect_bytes(&telnet, &[IAC, DONT, 24]);
}

#[test]
fn a_client_that_negotiates_first_can_talk() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let telnet = Member::connect(&server, "telnet");
    let mut stream = telnet.raw();
    stream.write_all(&[IAC, DO, 3, IAC, WILL, 24]).unwrap();
    expect_bytes(&telnet, &[IAC, WONT, 3]);
    stream.write_all(b"/nick telnet\r\nhello\r\n").unwrap();
    alice.sees("telnet: hello");
}

#[test]
fn carriage_return_and_nul_end_a_line() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut telnet = Member::arrive(&server, "telnet");
    telnet.sends("hello\r\0there\r\nagain\n");
    alice.sees("telnet: hello");
    assert!(alice.hears_until("telnet: there").is_empty());
    assert!(alice.hears_until("telnet: again").is_empty());
}
