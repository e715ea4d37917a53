//! Spare connections of browsers: what a browser opens beside its requests is no guest.

use crate::harness::{ask, web_hub, web_hub_with};
use chat_core::{Limits, Peer, Rate};
use chat_testkit::{TestHub, Wire};
use chat_web::WebLimits;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// What all browsers send.
const BROWSER: &str = "User-Agent: Mozilla/5.0 (X11; Linux x86_64) Chrome/131.0.0.0";

/// Connects from the address `192.0.2.N`.
fn connect(hub: &mut TestHub, name: &str, n: u8) -> Wire {
    hub.connect_as(name, Peer::from(SocketAddr::from(([192, 0, 2, n], 1000))))
}

/// Waits until the peer is greeted, and returns how many milliseconds that took.
async fn greeted(wire: &mut Wire) -> u128 {
    let begun = Instant::now();
    wire.sees_containing("* you are guest-").await;
    begun.elapsed().as_millis()
}

#[tokio::test(start_paused = true)]
async fn a_page_load_makes_no_guest_come_and_go() {
    let mut hub = web_hub();
    let mut alice = hub.member("alice").await;
    let mut spare = connect(&mut hub, "spare", 1);
    let mut browser = connect(&mut hub, "browser", 1);
    sleep(Duration::from_millis(200)).await;
    for target in ["GET /", "GET /main.js", "GET /style.css"] {
        assert_eq!(ask(&mut browser, target, &[BROWSER]).await.status, 200);
    }
    let unused = connect(&mut hub, "unused", 1);
    sleep(Duration::from_secs(60)).await;
    drop(unused);
    alice.sees_nothing().await;
    // The browser's next request comes on the connection that was silent until now.
    assert_eq!(ask(&mut spare, "GET /", &[BROWSER]).await.status, 200);
    alice.sees_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_person_beside_a_browser_is_greeted_with_the_first_line_or_after_two_seconds() {
    let mut hub = web_hub();
    let mut browser = connect(&mut hub, "browser", 1);
    ask(&mut browser, "GET /", &[BROWSER]).await;
    let mut person = connect(&mut hub, "person", 1);
    let mut other = connect(&mut hub, "other", 2);
    assert_eq!(greeted(&mut other).await, 300);
    person.sends("").await;
    assert_eq!(greeted(&mut person).await, 0);
    sleep(Duration::from_secs(3)).await;
    let mut later = connect(&mut hub, "later", 1);
    assert_eq!(greeted(&mut later).await, 2000);
}

#[tokio::test(start_paused = true)]
async fn only_a_browser_that_gets_the_page_makes_silent_peers_wait() {
    let mut hub = web_hub();
    for (request, headers) in [
        ("GET /rooms", &[BROWSER][..]),
        ("GET /rooms/lobby/messages", &[BROWSER]),
        ("HEAD /", &[BROWSER]),
        ("OPTIONS /", &[BROWSER]),
        ("GET /nothing", &[BROWSER]),
        // Programs and health checks.
        ("GET /", &[]),
        ("GET /", &["User-Agent: curl/8.0"]),
        ("GET /", &["User-Agent: check (like Mozilla/5.0)"]),
        // The address is that of a proxy.
        ("GET /", &[BROWSER, "X-Forwarded-For: 198.51.100.7"]),
        ("GET /", &[BROWSER, "Via: 1.1 proxy"]),
        ("GET /", &[BROWSER, "Forwarded: for=198.51.100.7"]),
    ] {
        let mut program = connect(&mut hub, "program", 1);
        ask(&mut program, request, headers).await;
        let mut silent = connect(&mut hub, "silent", 1);
        assert_eq!(greeted(&mut silent).await, 300, "{request} {headers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_is_refused_the_page_makes_no_silent_peer_wait() {
    let mut limits = Limits::default();
    limits.answers_per_address = Some(Rate {
        burst: NonZeroU32::MIN,
        per_second: NonZeroU32::MIN,
    });
    let mut hub = web_hub_with(limits, WebLimits::default());
    let mut browser = connect(&mut hub, "browser", 1);
    // A proxy's request makes nobody wait, and is charged.
    let proxied = ["User-Agent: Mozilla/5.0", "Via: 1.1 proxy"];
    while ask(&mut browser, "GET /", &proxied).await.status == 200 {}
    let refused = ask(&mut browser, "GET /", &proxied[..1]).await;
    assert_eq!(refused.status, 429);
    let mut silent = connect(&mut hub, "silent", 1);
    assert_eq!(greeted(&mut silent).await, 300);
}

#[tokio::test(start_paused = true)]
async fn a_request_after_the_greeting_ends_the_connection_and_is_not_chat() {
    let mut hub = web_hub();
    let mut alice = hub.member("alice").await;
    let mut late = connect(&mut hub, "late", 1);
    alice.sees_in_time("* guest-2 joined").await;
    late.sends_bytes(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\nhello\n")
        .await;
    let begun = Instant::now();
    let rest = alice.next_line().await.unwrap();
    assert!(rest.starts_with("* guest-2 left (gone: "), "{rest}");
    late.sees_the_end().await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
    alice.sees_nothing().await;
}
