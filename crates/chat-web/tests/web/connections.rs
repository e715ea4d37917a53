//! Connections: keep-alive, pipelining, pace, deadlines and the end.

use crate::harness::{answers, ask, exchange, is_closed, web_hub, web_hub_with};
use chat_core::{CloseReason, Limits};
use chat_web::WebLimits;
use std::num::NonZeroU32;
use std::time::Duration;
use tokio::time::Instant;

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A request that costs as much as a line.
const COSTLY: &str = "GET /rooms HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn one_connection_answers_several_requests() {
    let mut hub = web_hub();
    let mut browser = hub.connect("browser");
    for _ in 0..3 {
        let answer = ask(&mut browser, "GET /", &[]).await;
        assert_eq!(answer.status, 200);
        assert!(!is_closed(&mut browser).await);
    }
}

#[tokio::test(start_paused = true)]
async fn pipelined_requests_are_answered_in_their_order() {
    let mut hub = web_hub();
    let mut browser = hub.connect("browser");
    let requests = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n\
                    GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n\
                    DELETE / HTTP/1.1\r\nHost: localhost\r\n\r\n\
                    GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let answers = exchange(&mut browser, requests.as_bytes()).await;
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 404, 405, 200]);
    assert_eq!(answers[2].header("allow"), Some("GET, HEAD, OPTIONS"));
}

#[tokio::test(start_paused = true)]
async fn a_request_is_recognised_however_its_bytes_arrive() {
    let mut hub = web_hub();
    let (mut browser, faults) = hub.connect_faulty("browser");
    faults.read_bytewise();
    assert_eq!(ask(&mut browser, "GET /", &[]).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_has_ended_its_side_is_still_answered() {
    let mut hub = web_hub();
    let mut script = hub.connect("script");
    script.sends_bytes(b"GET / HTTP/1.0\r\n\r\n").await;
    script.ends().await;
    assert_eq!(answers(&mut script).await[0].status, 200);
    assert_eq!(hub.ended().await, CloseReason::Disconnected);
}

/// The heads of requests to say something, each with a complete body and the beginning of that body.
const POSTS: [(&str, &str, &str); 2] = [
    ("Content-Length: 5", "hello", "hel"),
    (
        "Transfer-Encoding: chunked",
        "5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n",
    ),
];

fn post(header: &str) -> String {
    format!("POST /rooms/lobby/messages?nick=ci HTTP/1.1\r\nHost: localhost\r\n{header}\r\n\r\n")
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_ends_its_side_after_a_whole_body_says_its_message_once() {
    for (header, whole, _) in POSTS {
        let head = post(header);
        // The end arrives with the request, after it, or with the body.
        for (first, second) in [
            (format!("{head}{whole}"), None),
            (format!("{head}{whole}"), Some("")),
            (head, Some(whole)),
        ] {
            let mut hub = web_hub();
            let mut alice = hub.member("alice").await;
            alice.sees_until_quiet().await;
            let mut script = hub.connect("script");
            script.sends_bytes(first.as_bytes()).await;
            if let Some(second) = second {
                tokio::time::sleep(Duration::from_millis(50)).await;
                script.sends_bytes(second.as_bytes()).await;
            }
            script.ends().await;
            let answers = answers(&mut script).await;
            let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
            assert_eq!(statuses, [201], "{header} {second:?}");
            assert_eq!(alice.sees_until_quiet().await, ["14:02 ci: hello"]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_ends_its_side_inside_a_body_is_told_so_and_says_nothing() {
    for (header, _, part) in POSTS {
        for (first, second) in [("", None), (part, None), ("", Some(part)), (part, Some(""))] {
            let mut hub = web_hub();
            let mut alice = hub.member("alice").await;
            alice.sees_until_quiet().await;
            let mut script = hub.connect("script");
            script
                .sends_bytes(format!("{}{first}", post(header)).as_bytes())
                .await;
            if let Some(second) = second {
                tokio::time::sleep(Duration::from_millis(50)).await;
                script.sends_bytes(second.as_bytes()).await;
            }
            script.ends().await;
            let answers = answers(&mut script).await;
            let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
            assert_eq!(statuses, [400], "{header} {first} {second:?}");
            assert_eq!(answers[0].header("connection"), Some("close"));
            assert_eq!(alice.sees_until_quiet().await, [""; 0]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn requests_over_the_rate_wait_and_none_is_dropped() {
    let mut hub = web_hub();
    let mut browser = hub.connect("browser");
    let answers = exchange(&mut browser, COSTLY.repeat(30).as_bytes()).await;
    assert_eq!(answers.len(), 20, "the burst of the rate");
    let begun = Instant::now();
    let mut answered = 0;
    while answered < 10 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        answered += crate::harness::answers(&mut browser).await.len();
    }
    let took = begun.elapsed();
    assert!(
        took >= Duration::from_millis(1900) && took < Duration::from_millis(2200),
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_last_request_of_a_connection_is_told_so() {
    let mut limits = WebLimits::default();
    limits.requests = NonZeroU32::new(2).unwrap();
    let mut hub = web_hub_with(Limits::default(), limits);
    let mut browser = hub.connect("browser");
    let answers = exchange(&mut browser, GET.repeat(3).as_bytes()).await;
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0].header("connection"), None);
    assert_eq!(answers[1].header("connection"), Some("close"));
    assert!(is_closed(&mut browser).await);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_leaves_a_body_unread_is_the_last() {
    for request in ["POST /nowhere", "DELETE /rooms", "GET /", "GET /rooms"] {
        for rest in [
            "Content-Length: 5\r\n\r\nhello",
            "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ] {
            let mut hub = web_hub();
            let mut browser = hub.connect("browser");
            let head = format!("{request} HTTP/1.1\r\nHost: localhost\r\n");
            let answers = exchange(&mut browser, format!("{head}{rest}{GET}").as_bytes()).await;
            assert_eq!(answers.len(), 1, "{request} {rest}");
            assert_eq!(answers[0].header("connection"), Some("close"), "{request}");
            assert!(is_closed(&mut browser).await);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_closed() {
    let mut hub = web_hub();
    let mut browser = hub.connect("browser");
    ask(&mut browser, "GET /", &[]).await;
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert!(!is_closed(&mut browser).await);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(is_closed(&mut browser).await);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_comes_too_slowly_is_answered_with_408() {
    let mut hub = web_hub();
    for earlier_requests in [0, 1] {
        let mut slow = hub.connect("slow");
        for _ in 0..earlier_requests {
            ask(&mut slow, "GET /", &[]).await;
            tokio::time::sleep(Duration::from_secs(30)).await;
        }
        let begun = Instant::now();
        slow.sends_bytes(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
            .await;
        for _ in 0..9 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            slow.sends_bytes(b"X-Drip: 1\r\n").await;
        }
        assert!(!is_closed(&mut slow).await);
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let answers = answers(&mut slow).await;
        assert_eq!(answers[0].status, 408, "{:?}", begun.elapsed());
        assert_eq!(answers[0].header("x-content-type-options"), Some("nosniff"));
        assert!(is_closed(&mut slow).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_no_answer_is_disconnected() {
    let mut limits = Limits::default();
    limits.rate = None;
    let mut hub = web_hub_with(limits, WebLimits::default());
    let mut deaf = hub.connect_with("deaf", 512);
    let begun = Instant::now();
    let sending = async {
        for _ in 0..100 {
            deaf.sends_bytes(GET.as_bytes()).await;
        }
    };
    assert!(
        tokio::time::timeout(Duration::from_secs(20), sending)
            .await
            .is_err()
    );
    hub.ended().await;
    assert_eq!(begun.elapsed().as_secs(), 30, "the hub's stall_timeout");
}

#[tokio::test(start_paused = true)]
async fn connections_end_by_themselves_when_the_hub_drains() {
    let mut hub = web_hub();
    let mut idle = hub.connect("idle");
    ask(&mut idle, "GET /", &[]).await;
    let mut half = hub.connect("half a request");
    half.sends_bytes(b"GET / HTTP/1.1\r\nHost:").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    hub.hub.drain();
    let begun = Instant::now();
    hub.ended().await;
    assert!(
        begun.elapsed() < Duration::from_millis(10),
        "{:?}",
        begun.elapsed()
    );
    hub.ended().await;
    assert_eq!(begun.elapsed().as_secs(), 5, "the hub's drain time");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_for_its_turn_is_answered_while_the_hub_drains() {
    let mut hub = web_hub();
    let mut browser = hub.connect("browser");
    let first = exchange(&mut browser, COSTLY.repeat(21).as_bytes()).await;
    assert_eq!(first.len(), 20);
    hub.hub.drain();
    tokio::time::sleep(Duration::from_millis(250)).await;
    let last = answers(&mut browser).await;
    assert_eq!(last[0].header("connection"), Some("close"));
    assert!(is_closed(&mut browser).await);
}
