//! First bytes of other protocols: refused politely, and never chat.

use std::io::Write;
use std::net::TcpStream;

use crate::harness::{Member, Server, hears_from, read_to_the_end};

/// Sends this on a fresh connection, and expects the server to close it; returns what it said first.
fn is_refused(server: &Server, opening: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(opening).unwrap();
    read_to_the_end(&stream)
}

/// Expects that nothing was said in the room.
fn nothing_was_said(alice: &mut Member, bob: &mut Member) {
    let heard = hears_from(alice, bob);
    // Lines of members have their nick before a colon; what happened in the room begins with a star.
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

#[test]
fn a_web_page_can_not_post_in_two_steps() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut bob = Member::arrive(&server, "bob");
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(b"POST / HT").unwrap();
    nothing_was_said(&mut alice, &mut bob);
    stream.write_all(b"TP/1.1\r\n\r\nI am a webpage\n").unwrap();
    read_to_the_end(&stream);
    nothing_was_said(&mut alice, &mut bob);
}

#[test]
fn tls_never_becomes_chat() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut bob = Member::arrive(&server, "bob");
    let mut hello = vec![
        0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03,
    ];
    hello.extend([b'\n', b'h', b'i', b'\n'].repeat(120));
    is_refused(&server, &hello);
    nothing_was_said(&mut alice, &mut bob);
    // As much as the first bytes tell.
    is_refused(&server, &[0x16, 0x03]);
    nothing_was_said(&mut alice, &mut bob);
}

#[test]
fn ssh_and_mail_never_become_chat() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut bob = Member::arrive(&server, "bob");
    for opening in [
        "SSH-2.0-x\r\n",
        "EHLO x\r\n",
        "HELO mail.example\r\nMAIL FROM:<x@example>\r\n",
    ] {
        let answer = is_refused(&server, opening.as_bytes());
        assert!(!answer.is_empty(), "{opening:?} was closed without a word");
        nothing_was_said(&mut alice, &mut bob);
    }
}

#[test]
fn a_talker_is_no_protocol() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let talk = [
        "GET lost",
        "POST office is closed",
        "GET / HTTP",
        "hello EHLO x",
        "SSHhh",
        "HTTP/1.1 is old",
    ];
    for text in talk {
        let mut talker = Member::connect(&server, "talker");
        talker.says(text);
        let guest = talker.is_greeted();
        alice.sees(&format!("{guest}: {text}"));
    }
}

#[test]
fn what_is_reserved_at_the_beginning_is_chat_later() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut bob = Member::arrive(&server, "bob");
    for text in ["GET / HTTP/1.1", "SSH-2.0-x", "EHLO x"] {
        bob.says(text);
        alice.sees(&format!("bob: {text}"));
    }
}
