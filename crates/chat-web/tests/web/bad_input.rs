//! Requests that break the rules of HTTP. The server answers with the error that HTTP prescribes, and no part of the
//! request becomes a chat message.

use crate::harness::{answers, ask, exchange, is_closed, web_hub, web_hub_with};
use chat_core::{Limits, Peer};
use chat_testkit::Wire;
use chat_web::WebLimits;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn bad_requests_are_answered_as_http_says() {
    let long = "a".repeat(9000);
    let many = "X: y\r\n".repeat(101);
    for (request, expected) in [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        (
            "GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n".to_owned(),
            400,
        ),
        (
            "GET / HTTP/1.1\r\nHost: localhost\r\nno colon\r\n\r\n".to_owned(),
            400,
        ),
        ("GET / HTTP/1.1\r\nHost : localhost\r\n\r\n".to_owned(), 400),
        (
            "GET / HTTP/1.1\r\nHost: localhost\r\nA: \x01\r\n\r\n".to_owned(),
            400,
        ),
        (
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n".to_owned(),
            400,
        ),
        (
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n".to_owned(),
            400,
        ),
        (
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"
                .to_owned(),
            400,
        ),
        (
            "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n".to_owned(),
            400,
        ),
        (
            "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
                .to_owned(),
            501,
        ),
        (
            "POST /rooms HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1073741824\r\n\r\n"
                .to_owned(),
            413,
        ),
        (
            "POST / HTTP/1.1\r\nHost: localhost\r\nExpect: tea\r\nContent-Length: 3\r\n\r\nabc"
                .to_owned(),
            417,
        ),
        (
            format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            414,
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {long}{long}\r\n\r\n"),
            431,
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"),
            431,
        ),
        ("BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 501),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 505),
        ("GET / HTTP/3.0\r\nHost: localhost\r\n\r\n".to_owned(), 505),
        ("GET /\r\n".to_owned(), 505),
        (
            "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            404,
        ),
        (
            "TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            405,
        ),
        (
            "POST /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            404,
        ),
    ] {
        let mut hub = web_hub();
        let mut bad = hub.connect("bad");
        let answers = exchange(&mut bad, request.as_bytes()).await;
        let shown = &request[..request.len().min(80)];
        assert_eq!(answers.len(), 1, "{shown}: {answers:?}");
        let answer = &answers[0];
        assert_eq!(answer.status, expected, "{shown}");
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{shown}"
        );
        let policy = answer.header("content-security-policy");
        assert!(policy.unwrap().contains("default-src 'none'"), "{shown}");
        assert!(answer.text().len() > 10, "{shown}");
        assert!(!answer.text().contains("aaa"), "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_later_request_that_breaks_the_rules_is_answered_after_the_earlier_ones() {
    let mut hub = web_hub();
    let mut bad = hub.connect("bad");
    let requests = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\nbroken\r\n\r\n";
    let answers = exchange(&mut bad, requests.as_bytes()).await;
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 400]);
    assert_eq!(answers[1].text(), "the request is malformed\n");
    assert_eq!(answers[1].header("connection"), Some("close"));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_slowly_receives_no_answer_of_hyper() {
    for first in ["GET /style.css", "OPTIONS /", "POST /nowhere"] {
        let mut hub = web_hub();
        let mut bad = hub.connect_with("bad", 64);
        let body = if first.starts_with("POST") {
            "Content-Length: 5\r\n\r\nhello"
        } else {
            "\r\n"
        };
        let request = format!("{first} HTTP/1.1\r\nHost: localhost\r\n{body}");
        bad.sends_bytes(request.as_bytes()).await;
        bad.sends_bytes(b"GET / HTTP/1.1\r\nbroken\r\n\r\n").await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let answers = answers(&mut bad).await;
        let count = if first.starts_with("POST") { 1 } else { 2 };
        assert_eq!(answers.len(), count, "{first}");
        for answer in answers {
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_request_whose_end_is_unclear_nothing_more_is_read() {
    let next = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for request in [
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    ] {
        let mut hub = web_hub();
        let mut bad = hub.connect("bad");
        let answers = exchange(&mut bad, format!("{request}{next}").as_bytes()).await;
        assert_eq!(answers.len(), 1, "{request}: {answers:?}");
        assert!((400..=501).contains(&answers[0].status), "{answers:?}");
        assert!(is_closed(&mut bad).await, "{request}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_request_becomes_chat() {
    let mut hub = web_hub();
    let mut alice = hub.member("alice").await;
    alice.sees_until_quiet().await;
    let talk = "hello\r\n/nick mallory\r\n{\"cmd\":\"hello\",\"v\":1,\"nick\":\"mallory\"}\r\n";
    for head in [
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 90\r\n\r\n",
        "POST / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\n",
        "POST / HTTP/1.1\n",
        "POST / HTTP/9.9\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /\r\n",
        "GET / HTTP/1.1\r\nbroken\r\n\r\n",
        "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        "CONNECT localhost:5000 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        for pause in [0, 1] {
            let mut page = hub.connect("page");
            page.sends_bytes(head.as_bytes()).await;
            tokio::time::sleep(Duration::from_millis(pause * 500)).await;
            page.sends_bytes(talk.as_bytes()).await;
            tokio::time::sleep(Duration::from_secs(100)).await;
            let lines = alice.sees_until_quiet().await;
            assert_eq!(lines, [""; 0], "{head}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_is_read_within_its_limits() {
    let head = "POST /rooms/lobby/messages HTTP/1.1\r\nHost: localhost\r\n";
    let long = format!("{:x}\r\n{}\r\n0\r\n\r\n", 70_000, "x".repeat(70_000));
    for (rest, expected) in [
        (format!("Transfer-Encoding: chunked\r\n\r\n{long}"), 413),
        ("Content-Length: 70000\r\n\r\n".to_owned(), 413),
        (
            "Transfer-Encoding: chunked\r\n\r\nnonsense\r\n".to_owned(),
            400,
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n".to_owned(),
            400,
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\n2\r\nxyz\r\n0\r\n\r\n".to_owned(),
            400,
        ),
    ] {
        let mut hub = web_hub();
        let mut bad = hub.connect("bad");
        let answers = exchange(&mut bad, format!("{head}{rest}").as_bytes()).await;
        assert_eq!(answers[0].status, expected, "{}", &rest[..30]);
        assert!(answers[0].text().contains("\"msg\":"), "{answers:?}");
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(is_closed(&mut bad).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_comes_too_slowly_is_answered_with_408() {
    let mut hub = web_hub();
    let mut slow = hub.connect("slow");
    let head =
        b"POST /rooms/lobby/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n";
    slow.sends_bytes(head).await;
    for _ in 0..29 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        slow.sends_bytes(b"x").await;
    }
    assert_eq!(answers(&mut slow).await.len(), 0);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(answers(&mut slow).await[0].status, 408);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_nobody_reads_is_not_buffered() {
    let mut hub = web_hub();
    // The stream holds 1 KiB, so the peer can only send what the server reads.
    let mut page = hub.connect_with("page", 1024);
    page.sends_bytes(b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    assert_eq!(answers(&mut page).await[0].status, 405);
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let mut sent = 0;
    // The server discards at most 256 KiB, for at most a second.
    while tokio::time::timeout(Duration::from_secs(5), sends(&mut page, &chunk)).await == Ok(true) {
        sent += chunk.len();
        assert!(sent < 512 * 1024);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_discarded_after_a_bad_request_is_charged_to_the_address() {
    for request in ["GET / HTTP/1.1\r\nbroken\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"] {
        let mut limits = Limits::default();
        limits.bytes_per_minute = NonZeroUsize::new(16 * 1024);
        let mut hub = web_hub_with(limits, WebLimits::default());
        let peer = Peer::from(SocketAddr::from(([192, 0, 2, 1], 1000)));
        // The stream holds 1 KiB, so the peer can only send what the server reads.
        let (near, far) = tokio::io::duplex(1024);
        hub.serve(far, peer);
        let mut bad = Wire::new("bad", near);
        assert_eq!(exchange(&mut bad, request.as_bytes()).await.len(), 1);
        let piece = "x".repeat(4096);
        let mut sent = 0;
        while tokio::time::timeout(Duration::from_secs(5), sends(&mut bad, &piece)).await
            == Ok(true)
        {
            sent += piece.len();
        }
        assert!(sent < 32 * 1024, "{request}: {sent}");
        assert_eq!(hub.hub.stats().rate_pauses, 1, "{request}");
    }
}

async fn sends(wire: &mut Wire, text: &str) -> bool {
    let sending = std::panic::AssertUnwindSafe(wire.sends_bytes(text.as_bytes()));
    futures::FutureExt::catch_unwind(sending).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn what_is_said_on_the_port_is_still_chat() {
    let mut hub = web_hub();
    let mut alice = hub.member("alice").await;
    alice.sees_until_quiet().await;
    let mut bob = hub.connect("bob");
    bob.sends("GET lost").await;
    alice.sees_in_time("14:02 guest-2: GET lost").await;
}

#[tokio::test(start_paused = true)]
async fn options_names_the_methods() {
    let mut hub = web_hub();
    let mut browser = hub.connect("browser");
    for target in ["OPTIONS /", "OPTIONS *"] {
        let answer = ask(&mut browser, target, &[]).await;
        assert_eq!(answer.status, 204, "{target}");
        assert!(answer.header("allow").unwrap().contains("GET"), "{target}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}
