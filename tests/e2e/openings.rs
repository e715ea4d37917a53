//! First bytes of other protocols: the server answers them, and never treats them as chat.

use std::io::Write;
use std::net::{Shutdown, TcpStream};

use crate::harness::{Member, Server, hears_from, read_to_the_end};

/// Sends `opening` on a new connection, and closes the sending half. Expects that the server closes the connection.
/// Returns the server's answer.
fn answer_to(server: &Server, opening: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(opening).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
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
        let answer = answer_to(&server, request.as_bytes());
        assert!(!answer.is_empty(), "{request:?} was closed without a word");
        nothing_was_said(&mut alice, &mut bob);
    }
}

#[test]
fn a_browser_finds_the_page_on_the_same_port() {
    let server = Server::start();
    let request = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", server.address());
    let answer = String::from_utf8(answer_to(&server, request.as_bytes())).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("<!doctype html>"), "{answer}");
}

#[test]
fn a_flag_greets_silent_peers_beside_a_browser_like_all_others() {
    let server = Server::with(&["--spare-greet-after", "off"]);
    let headers = format!("Host: {}\r\nUser-Agent: Mozilla/5.0", server.address());
    answer_to(
        &server,
        format!("GET / HTTP/1.1\r\n{headers}\r\n\r\n").as_bytes(),
    );
    Member::connect(&server, "silent").is_greeted();
}

#[test]
fn a_name_of_the_server_is_allowed_with_a_flag() {
    let request = b"GET / HTTP/1.1\r\nHost: chat.example.org\r\n\r\n";
    let answer = answer_to(&Server::start(), request);
    assert!(
        answer.starts_with(b"HTTP/1.1 421 "),
        "{}",
        answer.escape_ascii()
    );
    let server = Server::with(&["--web-host", "chat.example.org"]);
    let answer = answer_to(&server, request);
    assert!(
        answer.starts_with(b"HTTP/1.1 200 "),
        "{}",
        answer.escape_ascii()
    );
}

#[test]
fn http_can_be_refused() {
    let server = Server::with(&["--no-web"]);
    let answer = answer_to(&server, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.contains("not a web server"), "{answer}");
}
