//! Answers that take long: to be taken by the peer, or to come to an end.

use crate::harness::{answers, ask, is_closed, sees, web_hub, web_hub_with};
use chat_core::{CloseReason, Limits};
use chat_testkit::Wire;
use chat_web::WebLimits;
use std::time::Duration;
use tokio::time::Instant;

const GET: &str = "GET /style.css HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A request that costs as much as a line.
const COSTLY: &str = "GET /rooms HTTP/1.1\r\nHost: localhost\r\n\r\n";

const EVENTS: &str = "GET /rooms/ops/events HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// The bytes that a slow peer's stream holds.
const STREAM_BYTES: usize = 512;

/// The bytes of the answer to `GET` up to the end of its body.
async fn whole_answer() -> usize {
    let mut hub = web_hub();
    let mut browser = hub.connect("browser");
    browser.sends_bytes(GET.as_bytes()).await;
    let mut length = 0;
    while let Ok(chunk) = tokio::time::timeout(Duration::from_millis(1), browser.next_bytes()).await
    {
        length += chunk.len();
    }
    assert!(length > 4 * STREAM_BYTES, "{length}");
    length
}

/// Reads `STREAM_BYTES` at a time, with pauses, until `length` bytes have arrived or the stream has ended.
async fn takes_slowly(peer: &mut Wire, length: usize, pause: Duration) -> Vec<u8> {
    let mut taken = Vec::new();
    while taken.len() < length {
        let chunk = peer.next_bytes().await;
        if chunk.is_empty() {
            break;
        }
        taken.extend(chunk);
        tokio::time::sleep(pause).await;
    }
    taken
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_the_socket_has_not_taken_is_not_cut_by_a_drain() {
    let whole = whole_answer().await;
    let mut hub = web_hub();
    let mut slow = hub.connect_with("slow", STREAM_BYTES);
    slow.sends_bytes(GET.as_bytes()).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    hub.hub.drain();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let taken = takes_slowly(&mut slow, whole, Duration::from_millis(1)).await;
    assert_eq!(taken.len(), whole);
    assert!(is_closed(&mut slow).await);
    hub.ended().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_the_socket_does_not_take_ends_with_the_drain() {
    let mut hub = web_hub();
    let mut deaf = hub.connect_with("deaf", STREAM_BYTES);
    deaf.sends_bytes(GET.as_bytes()).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    hub.hub.drain();
    let begun = Instant::now();
    hub.ended().await;
    assert_eq!(begun.elapsed().as_secs(), 5, "the hub's drain time");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_taken_slowly_is_not_cut_by_the_time_without_a_request() {
    let whole = whole_answer().await;
    let mut limits = WebLimits::default();
    limits.idle_timeout = Duration::from_secs(6);
    let mut hub = web_hub_with(Limits::default(), limits);
    let mut slow = hub.connect_with("slow", STREAM_BYTES);
    slow.sends_bytes(GET.as_bytes()).await;
    let taken = takes_slowly(&mut slow, whole, Duration::from_secs(1)).await;
    assert_eq!(taken.len(), whole);
    // The time without a request begins when the answer was taken.
    assert!(!is_closed(&mut slow).await);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(is_closed(&mut slow).await);
}

#[tokio::test(start_paused = true)]
async fn no_other_answer_is_written_into_an_unfinished_one() {
    let whole = whole_answer().await;
    let mut limits = WebLimits::default();
    limits.header_timeout = Duration::from_secs(3);
    let mut hub = web_hub_with(Limits::default(), limits);
    let mut slow = hub.connect_with("slow", STREAM_BYTES);
    slow.sends_bytes(GET.as_bytes()).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    // The beginning of a request arrives while the answer waits for the socket.
    slow.sends_bytes(b"GET / HT").await;
    let taken = takes_slowly(&mut slow, whole, Duration::from_secs(1)).await;
    assert_eq!(taken.len(), whole);
    assert!(!String::from_utf8_lossy(&taken).contains("408"));
    let rest = takes_slowly(&mut slow, usize::MAX, Duration::from_millis(1)).await;
    assert!(rest.starts_with(b"HTTP/1.1 408 "));
}

#[tokio::test(start_paused = true)]
async fn the_last_answer_of_a_connection_is_not_cut() {
    let mut hub = web_hub();
    let mut slow = hub.connect_with("slow", 32);
    // The rest of the body is not read, so hyper has ended its reading side when it answers.
    slow.sends_bytes(b"POST / HTTP/1.1\r\nHost: localhost\r\n")
        .await;
    slow.sends_bytes(b"Content-Length: 9000\r\n\r\n").await;
    let taken = takes_slowly(&mut slow, usize::MAX, Duration::from_millis(50)).await;
    let taken = String::from_utf8(taken).unwrap();
    assert!(taken.starts_with("HTTP/1.1 405 "), "{taken}");
    assert!(
        taken.ends_with("this target has only GET, HEAD, OPTIONS\n"),
        "{taken}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_has_ended_its_side_is_answered_in_its_turn() {
    let mut hub = web_hub();
    let mut script = hub.connect("script");
    script.sends_bytes(COSTLY.repeat(21).as_bytes()).await;
    script.ends().await;
    let begun = Instant::now();
    assert_eq!(
        answers(&mut script).await.len(),
        20,
        "the burst of the rate"
    );
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(answers(&mut script).await.len(), 1);
    assert_eq!(hub.ended().await, CloseReason::Disconnected);
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_ends_its_side_inside_a_body_is_answered_at_once() {
    let mut hub = web_hub();
    let mut script = hub.connect("script");
    script
        .sends_bytes(
            b"POST /rooms/ops/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc",
        )
        .await;
    script.ends().await;
    assert_eq!(answers(&mut script).await[0].status, 400);
    hub.ended().await;
    assert_eq!(hub.hub.stats().rooms, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_events_ends_when_its_peer_does() {
    for resets in [false, true] {
        for is_behind in [false, true] {
            let mut hub = web_hub();
            let (mut page, faults) = hub.connect_faulty("page");
            page.sends_bytes(EVENTS.as_bytes()).await;
            if !is_behind {
                sees(&mut page, "event: room").await;
                tokio::time::sleep(Duration::from_secs(1)).await;
                assert_eq!(hub.hub.stats().rooms, 1);
            }
            let begun = Instant::now();
            if resets {
                faults.reset();
            } else {
                page.ends().await;
            }
            hub.ended().await;
            assert!(
                begun.elapsed() < Duration::from_millis(10),
                "{:?} {resets} {is_behind}",
                begun.elapsed()
            );
            assert_eq!(hub.hub.stats().rooms, 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_closing_ends_with_the_drain() {
    let mut limits = Limits::default();
    limits.drain = Duration::from_millis(100);
    for request in [
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET / HTTP/1.1\r\nbroken\r\n\r\n",
    ] {
        for drains_first in [false, true] {
            let mut hub = web_hub_with(limits.clone(), WebLimits::default());
            let mut bad = hub.connect("bad");
            if drains_first {
                // The drain begins while HTTP is served, and continues while the connection closes.
                bad.sends_bytes(b"GET / HTTP/1.1\r\n").await;
                tokio::time::sleep(Duration::from_millis(10)).await;
                hub.hub.drain();
                tokio::time::sleep(Duration::from_millis(50)).await;
                bad.sends_bytes(b"broken\r\n\r\n").await;
            } else {
                bad.sends_bytes(request.as_bytes()).await;
            }
            let begun = Instant::now();
            assert!(!answers(&mut bad).await.is_empty());
            hub.hub.drain();
            hub.ended().await;
            let took = begun.elapsed();
            assert!(took < Duration::from_millis(110), "{took:?} {request}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_waits_is_not_held_up() {
    let mut hub = web_hub();
    let mut browser = hub.connect("browser");
    let begun = Instant::now();
    for _ in 0..5 {
        assert_eq!(ask(&mut browser, "GET /rooms", &[]).await.status, 200);
    }
    // `ask` waits for 1 ms of silence after each answer.
    assert!(
        begun.elapsed() <= Duration::from_millis(5),
        "{:?}",
        begun.elapsed()
    );
}
