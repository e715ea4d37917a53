//! First bytes of other protocols: the server answers them with a refusal, and never treats them as chat.

use std::io::Write;
use std::net::TcpStream;

use crate::harness::{Member, Server, hears_from, read_to_the_end};

/// Sends `opening` on a new connection, and expects that the server closes the connection. Returns the server's answer.
fn is_refused(server: &Server, opening: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(opening).unwrap();
    read_to_the_end(&stream)
}

/// Checks that no message was published in the room.
fn nothing_was_said(alice: &mut Member, bob: &mut Member) {
    let heard = hears_from(alice, bob);
    // A line of a message has a nick before a colon. Lines about events of the room begin with a star.
    assert!(heard.iter().all(|line| line.starts_with("* ")), "{heard:?}");
}

#[test]
fn http_never_becomes_chat() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut bob = Member::arrive(&server, "bob");
    let requests = [
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /favicon.ico HTTP/1.0\r\n\r\n",
        "POST /say HTTP/1.1\r\nHost: localhost\r\nContent-Length: 14\r\n\r\nI am a webpage",
        "OPTIONS * HTTP/1.1\n\n",
        "PRI * HTTP/1.1\r\n\r\nSM\r\n\r\n",
    ];
    for request in requests {
        let answer = is_refused(&server, request.as_bytes());
        assert!(!answer.is_empty(), "{request:?} was closed without a word");
        nothing_was_said(&mut alice, &mut bob);
    }
}
