//! Protection against pages of other sites: refused requests, allowed names, and the safety headers of answers.

use crate::harness::{ask, exchange, is_closed, sees, web_hub};
use chat_core::Hub;
use chat_json::JsonLines;
use chat_testkit::TestHub;
use chat_web::Web;

#[tokio::test(start_paused = true)]
async fn a_page_of_another_site_can_neither_post_nor_open_a_websocket() {
    let post = "POST /rooms/lobby/messages";
    let websocket = "GET /ws";
    let upgrade = ["Upgrade: websocket", "Connection: Upgrade"];
    for request in [post, websocket, "DELETE /", "PUT /nowhere"] {
        for from in [
            "Origin: http://evil.example",
            "Sec-Fetch-Site: cross-site",
            "Origin: null",
        ] {
            let mut hub = web_hub();
            let mut page = hub.connect("page");
            let answer = ask(&mut page, request, &[from, upgrade[0], upgrade[1]]).await;
            assert_eq!(answer.status, 403, "{request} {from}");
            assert!(is_closed(&mut page).await, "{request} {from}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_websocket_of_another_site_is_refused_without_the_header_upgrade_too() {
    let mut hub = web_hub();
    let mut page = hub.connect("page");
    assert_eq!(
        ask(&mut page, "GET /ws", &["Origin: http://evil.example"])
            .await
            .status,
        403
    );
}

#[tokio::test(start_paused = true)]
async fn a_page_of_another_site_opens_no_room_by_asking_for_its_events() {
    let mut hub = web_hub();
    for target in ["GET /rooms/ops/events", "HEAD /rooms/%6fps/events/"] {
        for from in [
            "Origin: http://evil.example",
            "Origin: null",
            "Sec-Fetch-Site: cross-site",
            "Sec-Fetch-Site: same-site",
        ] {
            let mut page = hub.connect("page");
            let answer = ask(&mut page, target, &[from]).await;
            assert_eq!(answer.status, 403, "{target} {from}");
        }
    }
    assert_eq!(hub.hub.stats().rooms, 0);
    // The page of this server, its user, an old browser, and curl.
    for from in [
        "Sec-Fetch-Site: same-origin\r\n",
        "Sec-Fetch-Site: none\r\n",
        "Origin: http://localhost:5000\r\n",
        "",
    ] {
        let mut own = hub.connect("own");
        let request = format!(
            "GET /rooms/ops/events HTTP/1.1\r\nHost: localhost:5000\r\n{from}Accept: text/event-stream\r\n\r\n"
        );
        own.sends_bytes(request.as_bytes()).await;
        sees(&mut own, "event: room").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_not_allowed_is_refused_and_the_flag_is_named() {
    let mut hub = web_hub();
    let mut browser = hub.connect("browser");
    let answers = exchange(
        &mut browser,
        b"GET / HTTP/1.1\r\nHost: chat.local:5000\r\n\r\n",
    )
    .await;
    assert_eq!(answers[0].status, 421);
    assert!(
        answers[0].text().contains("--web-host chat.local"),
        "{answers:?}"
    );
    assert!(!answers[0].text().contains("<"));
}

#[tokio::test(start_paused = true)]
async fn a_configured_name_is_allowed() {
    let hub = Hub::default();
    let web = Web::new(hub.clone(), JsonLines::default()).host("Chat.Local.");
    let mut hub = TestHub::over(hub).protocol(web);
    let mut browser = hub.connect("browser");
    let answers = exchange(
        &mut browser,
        b"GET / HTTP/1.1\r\nHost: chat.local:5000\r\n\r\n",
    )
    .await;
    assert_eq!(answers[0].status, 200);
}

#[tokio::test(start_paused = true)]
async fn every_answer_has_the_headers_of_safety() {
    let mut hub = web_hub();
    let mut browser = hub.connect("browser");
    for request in [
        "GET /",
        "HEAD /",
        "GET /nowhere",
        "POST /",
        "GET /rooms",
        "OPTIONS /",
        "BREW /",
    ] {
        let answer = ask(&mut browser, request, &["Origin: http://localhost:5000"]).await;
        assert!(
            answer
                .header("content-security-policy")
                .unwrap()
                .contains("script-src 'self'")
        );
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{request}"
        );
        assert_eq!(
            answer.header("referrer-policy"),
            Some("no-referrer"),
            "{request}"
        );
        assert_eq!(
            answer.header("cross-origin-opener-policy"),
            Some("same-origin"),
            "{request}"
        );
    }
}
