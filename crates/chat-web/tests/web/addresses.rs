//! What an address pays for its requests, and who may ask at all.

use crate::harness::{answers, ask, is_closed, web_hub_with};
use chat_core::policy::{Decision, Policy, Visitor};
use chat_core::{Hub, Limits, Peer, Rate};
use chat_json::JsonLines;
use chat_testkit::{TestHub, Wire};
use chat_web::{Web, WebLimits};
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

fn rate(burst: u32, per_second: u32) -> Option<Rate> {
    let burst = NonZeroU32::new(burst).unwrap();
    let per_second = NonZeroU32::new(per_second).unwrap();
    Some(Rate { burst, per_second })
}

fn connect(hub: &mut TestHub, address: &str) -> Wire {
    let address: SocketAddr = address.parse().unwrap();
    hub.connect_as("peer", Peer::from(address))
}

/// Returns how long the answer to a request of these bytes takes.
async fn answered_after(peer: &mut Wire, request: &str) -> Duration {
    let begun = Instant::now();
    peer.sends_bytes(request.as_bytes()).await;
    let answer = peer.next_bytes().await;
    let shown = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with(b"HTTP/1.1 20"), "{shown}");
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn all_bytes_of_requests_are_charged_to_the_address() {
    let mut limits = Limits::default();
    limits.bytes_per_minute = NonZeroUsize::new(6000);
    let mut hub = web_hub_with(limits, WebLimits::default());
    let padding = "x".repeat(5900);
    let head = format!("GET /rooms HTTP/1.1\r\nHost: localhost\r\nX: {padding}\r\n\r\n");
    let mut one = connect(&mut hub, "192.0.2.1:1");
    assert!(answered_after(&mut one, &head).await < Duration::from_millis(10));
    // Another connection of the address waits until the address has paid, and drops nothing.
    let mut two = connect(&mut hub, "192.0.2.1:2");
    let short = "GET /rooms HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let took = answered_after(&mut two, short).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    let took = answered_after(&mut two, &head).await.as_secs();
    assert!((19..=20).contains(&took), "{took} s");
    let mut other = connect(&mut hub, "192.0.2.2:1");
    assert!(answered_after(&mut other, &head).await < Duration::from_millis(10));
}

#[tokio::test(start_paused = true)]
async fn a_body_is_charged_before_its_message_is_said() {
    let mut limits = Limits::default();
    limits.bytes_per_minute = NonZeroUsize::new(6000);
    let mut hub = web_hub_with(limits, WebLimits::default());
    let mut peer = connect(&mut hub, "192.0.2.1:1");
    let head =
        "POST /rooms/ops/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000\r\n\r\n";
    let post = format!("{head}{}", "x".repeat(4000));
    assert!(answered_after(&mut peer, &post).await < Duration::from_millis(10));
    let took = answered_after(&mut peer, &post).await.as_secs();
    assert!((20..=22).contains(&took), "{took} s");
}

/// Lets only the nick `alice` connect.
struct AliceOnly;

impl Policy for AliceOnly {
    async fn connect(&self, _who: &Visitor, nick: Option<&str>) -> Decision {
        match nick {
            Some("alice") => Decision::Allow,
            _ => Decision::refuse("banned"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_may_not_act_is_refused_before_its_body() {
    let hub = Hub::builder().policy(AliceOnly).build();
    let web = Web::new(hub.clone(), JsonLines::default());
    let mut hub = TestHub::over(hub).protocol(web);
    let rest = "HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    for (query, status) in [("", 403), ("?nick=mallory", 403), ("?nick=%ff", 400)] {
        let mut peer = hub.connect("peer");
        let head = format!("POST /rooms/ops/messages{query} {rest}");
        peer.sends_bytes(head.as_bytes()).await;
        let answers = answers(&mut peer).await;
        assert_eq!((answers.len(), answers[0].status), (1, status), "{query}");
        assert_eq!(answers[0].header("connection"), Some("close"));
        assert!(is_closed(&mut peer).await);
    }
    let mut alice = hub.connect("alice");
    let head = format!("POST /rooms/ops/messages?nick=alice {rest}");
    alice.sends_bytes(head.as_bytes()).await;
    assert_eq!(answers(&mut alice).await[0].status, 100);
    alice.sends_bytes(b"hi").await;
    assert_eq!(answers(&mut alice).await[0].status, 201);
}

#[tokio::test(start_paused = true)]
async fn files_are_charged_to_the_address_and_what_a_browser_has_is_free() {
    let mut limits = Limits::default();
    limits.answers_per_address = rate(4, 1);
    limits.rate = None;
    let mut hub = web_hub_with(limits, WebLimits::default());
    let mut browser = connect(&mut hub, "192.0.2.1:1");
    let first = ask(&mut browser, "GET /", &[]).await;
    let known = format!("If-None-Match: {}", first.header("etag").unwrap());
    let mut loaded = 0;
    let refused = loop {
        let answer = ask(&mut browser, "GET /style.css", &[]).await;
        if answer.status != 200 {
            break answer;
        }
        loaded += 1;
    };
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").is_some());
    assert!((2..20).contains(&loaded), "{loaded}");
    for _ in 0..100 {
        assert_eq!(ask(&mut browser, "GET /", &[&known]).await.status, 304);
    }
    assert_eq!(ask(&mut browser, "GET /nowhere", &[]).await.status, 429);
    let mut other = connect(&mut hub, "192.0.2.2:1");
    assert_eq!(ask(&mut other, "GET /", &[]).await.status, 200);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let mut again = connect(&mut hub, "192.0.2.1:2");
    assert_eq!(ask(&mut again, "GET /", &[]).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_class_behind_one_address_loads_the_page_at_once() {
    let mut limits = Limits::default();
    limits.rate = None;
    let mut hub = web_hub_with(limits, WebLimits::default());
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("page");
    let files: Vec<_> = std::fs::read_dir(page)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for pupil in 0..250 {
        let mut browser = connect(&mut hub, &format!("192.0.2.1:{pupil}"));
        for file in &files {
            let request = format!("GET /{file}");
            let answer = ask(&mut browser, &request, &["Accept-Encoding: gzip"]).await;
            assert_eq!(answer.status, 200, "{pupil} {file}");
        }
    }
}
