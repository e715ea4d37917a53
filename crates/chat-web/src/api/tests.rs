//! Requests to a hub in process: what is answered, and what is refused.

use super::answer;
use super::answers::status;
use crate::http::Body;
use bytes::Bytes;
use chat_core::log::Timestamp;
use chat_core::policy::{Decision, Policy, Visitor};
use chat_core::protocol::Code;
use chat_core::{Guest, Hub, Limits, Peer, Rate};
use chat_testkit::WordPolicy;
use futures::FutureExt;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

const TEXT: [(&str, &str); 1] = [("content-type", "application/x-www-form-urlencoded")];
const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

/// A hub whose clock stands still.
fn hub(change: impl FnOnce(&mut Limits)) -> Hub {
    let mut limits = Limits::default();
    change(&mut limits);
    Hub::builder().limits(limits).clock(|| Timestamp(5)).build()
}

async fn guest(hub: &Hub) -> Guest {
    guest_from(hub, "192.0.2.1:1000").await
}

async fn guest_from(hub: &Hub, address: &str) -> Guest {
    let address: SocketAddr = address.parse().unwrap();
    let peer = Arc::new(Peer::from(address));
    hub.guest(peer, "http").await.unwrap()
}

async fn ask(
    guest: &Guest,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Response<Body> {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    answer(guest, &request.body(body.into()).unwrap()).await
}

/// Returns the status and the JSON of an answer.
async fn read(response: Response<Body>) -> (u16, Value) {
    let status = response.status().as_u16();
    let content = response.headers()["content-type"].clone();
    assert_eq!(content, "application/json");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

async fn get(guest: &Guest, target: &str) -> (u16, Value) {
    read(ask(guest, "GET", target, &[], "").await).await
}

async fn post(
    guest: &Guest,
    target: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> (u16, Value) {
    read(ask(guest, "POST", target, headers, body).await).await
}

/// Returns the text of the messages in an answer.
fn texts(answer: &(u16, Value)) -> Vec<&str> {
    let messages = answer.1["messages"].as_array().unwrap().iter();
    messages
        .map(|message| message["text"].as_str().unwrap())
        .collect()
}

async fn epoch(hub: &Hub, room: &str) -> String {
    hub.position(room).await.unwrap().epoch.to_string()
}

/// The events of a stream.
struct Events {
    body: Body,
    buffer: String,
}

impl Events {
    async fn open(guest: &Guest, target: &str, headers: &[(&str, &str)]) -> Self {
        let response = ask(guest, "GET", target, headers, "").await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let body = response.into_body();
        let buffer = String::new();
        Self { body, buffer }
    }

    /// Returns the next block of lines; `None` at the end of the stream.
    async fn next(&mut self) -> Option<String> {
        while !self.buffer.contains("\n\n") {
            let frame = self.body.frame().await?.unwrap();
            let data = frame.into_data().unwrap();
            self.buffer.push_str(std::str::from_utf8(&data).unwrap());
        }
        let (block, rest) = self.buffer.split_once("\n\n")?;
        let (block, rest) = (block.to_owned(), rest.to_owned());
        self.buffer = rest;
        Some(block)
    }

    /// Returns the next event's id, name and data.
    async fn event(&mut self) -> (Option<String>, String, Value) {
        let block = self.next().await.expect("an event");
        let field = |name: &str| {
            let mut lines = block.lines();
            lines.find_map(|line| line.strip_prefix(name).map(str::to_owned))
        };
        let data = serde_json::from_str(&field("data: ").unwrap()).unwrap();
        (field("id: "), field("event: ").unwrap(), data)
    }

    async fn text(&mut self) -> String {
        let (_, _, data) = self.event().await;
        data["text"].as_str().unwrap().to_owned()
    }
}

#[tokio::test(start_paused = true)]
async fn what_curl_posts_is_said_as_it_is() {
    let hub = hub(|_| {});
    let guest = guest(&hub).await;
    let said = post(
        &guest,
        "/rooms/ops/messages?nick=ci",
        &TEXT,
        "build 7 failed\n",
    )
    .await;
    let epoch = epoch(&hub, "ops").await;
    assert_eq!(
        said,
        (201, json!({"room": "ops", "epoch": epoch, "seq": 1}))
    );
    for (headers, body) in [
        (&[][..], "a=1&b=%20"),
        (
            &[("content-type", "application/x-unknown")][..],
            "{\"text\":1}",
        ),
        (&[("content-type", "text/plain; charset=UTF-8")][..], "한글"),
    ] {
        assert_eq!(
            post(&guest, "/rooms/ops/messages", headers, body).await.0,
            201
        );
    }
    let log = get(&guest, "/rooms/ops/messages").await;
    let said = ["build 7 failed", "a=1&b=%20", "{\"text\":1}", "한글"];
    assert_eq!(texts(&log), said);
    assert_eq!(log.1["messages"][0]["from"], "ci");
}

#[tokio::test(start_paused = true)]
async fn a_body_of_json_has_a_text_and_perhaps_a_key() {
    let hub = hub(|_| {});
    let guest = guest(&hub).await;
    let target = "/rooms/%ED%95%9C%EA%B8%80/messages/?nick=%EA%B9%80";
    let body = r#"{"text":"quo\"te","key":"k","more":1}"#;
    let said = post(&guest, target, &JSON, body).await;
    assert_eq!((said.0, said.1["room"].as_str()), (201, Some("한글")));
    let again = post(&guest, target, &JSON, body).await;
    assert_eq!((again.0, &again.1["dup"]), (200, &json!(true)));
    assert_eq!(
        (&again.1["seq"], &again.1["epoch"]),
        (&said.1["seq"], &said.1["epoch"])
    );
    for wrong in [
        "",
        "[\"text\"]",
        "{}",
        "{\"text\":7}",
        "{\"text\":\"a\"",
        "\u{feff}{}",
    ] {
        let refused = post(&guest, target, &JSON, wrong).await;
        assert_eq!(
            (refused.0, &refused.1["code"]),
            (400, &json!("bad_request")),
            "{wrong}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_repeated_100_times_says_one_message_of_its_sender() {
    let hub = hub(|limits| limits.rate = None);
    let guest = guest(&hub).await;
    let key = [("idempotency-key", "7d4c")];
    for number in 0..100 {
        let said = post(&guest, "/rooms/ops/messages?nick=ci", &key, "failed").await;
        assert_eq!(
            (said.0, &said.1["seq"]),
            (if number == 0 { 201 } else { 200 }, &json!(1))
        );
    }
    // The same key in quotation marks, under another spelling of the nick, from another port.
    let twin = guest_from(&hub, "192.0.2.1:2000").await;
    let quoted = [("idempotency-key", "\"7d4c\"")];
    let said = post(&twin, "/rooms/ops/messages?nick=CI", &quoted, "failed").await;
    assert_eq!((said.0, &said.1["seq"]), (200, &json!(1)));
    // Other senders.
    let other = guest_from(&hub, "192.0.2.2:1000").await;
    assert_eq!(
        post(&other, "/rooms/ops/messages?nick=ci", &key, "failed")
            .await
            .0,
        201
    );
    assert_eq!(
        post(&guest, "/rooms/ops/messages?nick=cd", &key, "failed")
            .await
            .0,
        201
    );
    assert_eq!(texts(&get(&guest, "/rooms/ops/messages").await).len(), 3);
    let both = [key[0], JSON[0]];
    let differs = r#"{"text":"a","key":"other"}"#;
    assert_eq!(
        post(&guest, "/rooms/ops/messages", &both, differs).await.0,
        400
    );
}

#[tokio::test(start_paused = true)]
async fn each_refusal_has_its_status_and_its_code() {
    let mut limits = Limits::default();
    limits.rooms = NonZeroUsize::new(2).unwrap();
    let hub = Hub::builder()
        .limits(limits)
        .policy(WordPolicy::refusing("no"))
        .build();
    let alice = hub.session(Some("alice")).await.unwrap();
    let _rooms = [
        alice.join("a").await.unwrap(),
        alice.join("b").await.unwrap(),
    ];
    let guest = guest(&hub).await;
    let long = "x".repeat(4097);
    for (target, body, status, code) in [
        ("/rooms/a/messages", "\u{200b}", 400, "bad_request"),
        ("/rooms/a/messages?create=maybe", "hi", 400, "bad_request"),
        ("/rooms/a/messages?nick=%ff", "hi", 400, "bad_request"),
        ("/rooms/a/messages?nick=a%20b", "hi", 400, "bad_name"),
        ("/rooms/a%20b/messages", "hi", 400, "bad_name"),
        ("/rooms/a/messages", "no", 403, "denied"),
        ("/rooms/nothing", "hi", 404, "not_found"),
        ("/rooms/z/messages?create=false", "hi", 404, "not_found"),
        ("/rooms/a/messages?nick=Alice", "hi", 409, "nick_taken"),
        ("/rooms/a/messages", long.as_str(), 413, "too_long"),
        ("/rooms/c/messages", "hi", 503, "full"),
        ("/rooms/a/messages", "panic", 503, "unavailable"),
    ] {
        let response = ask(&guest, "POST", target, &[], body.to_owned()).await;
        let waits = response.headers().contains_key("retry-after");
        let (found, fault) = read(response).await;
        assert_eq!(
            (found, fault["code"].as_str()),
            (status, Some(code)),
            "{target}"
        );
        assert!(fault["msg"].as_str().is_some_and(|msg| !msg.is_empty()));
        assert_eq!(waits, status == 503, "{target}");
    }
    let binary = ask(&guest, "POST", "/rooms/a/messages", &[], vec![0xff]).await;
    assert_eq!(binary.status(), 400);
    for content in [
        "multipart/form-data; boundary=x",
        "text/plain; charset=euc-kr",
    ] {
        let refused = ask(
            &guest,
            "POST",
            "/rooms/a/messages",
            &[("content-type", content)],
            "a",
        )
        .await;
        assert_eq!(refused.status(), 400, "{content}");
    }
    hub.drain();
    assert_eq!(post(&guest, "/rooms/a/messages", &[], "hi").await.0, 503);
    assert_eq!(status(Code::RateLimited), StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_asks_too_much_is_told_when_to_come_back() {
    let rate = |n| NonZeroU32::new(n).unwrap();
    let hub = hub(|limits| {
        limits.answers_per_address = Some(Rate {
            burst: rate(100),
            per_second: rate(1),
        });
    });
    let guest = guest(&hub).await;
    guest.charge_answer(110 * 8 * 1024);
    for target in [
        "/rooms",
        "/rooms/lobby/messages",
        "/rooms/lobby/messages?q=a",
        "/rooms/lobby/events",
    ] {
        let response = ask(&guest, "GET", target, &[], "").await;
        let after: u64 = response.headers()["retry-after"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!((5..=20).contains(&after), "{after} s");
        assert_eq!(read(response).await.0, 429);
    }
    let other = guest_from(&hub, "192.0.2.2:1000").await;
    assert_eq!(get(&other, "/rooms").await.0, 200);
    assert_eq!(
        post(&guest, "/rooms/lobby/messages", &[], "hi").await.0,
        201
    );
}

#[tokio::test(start_paused = true)]
async fn a_target_says_which_methods_it_has() {
    let hub = hub(|_| {});
    let guest = guest(&hub).await;
    for (target, allow) in [
        ("/rooms", "GET, HEAD, OPTIONS"),
        ("/rooms/ops/messages", "GET, HEAD, POST, OPTIONS"),
        ("/rooms/ops/events/", "GET, HEAD, OPTIONS"),
    ] {
        let refused = ask(&guest, "DELETE", target, &[], "").await;
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["allow"]),
            (405, &allow.parse().unwrap())
        );
        let asked = ask(&guest, "OPTIONS", target, &[], "").await;
        assert_eq!(
            (asked.status().as_u16(), &asked.headers()["allow"]),
            (204, &allow.parse().unwrap())
        );
    }
    assert_eq!(ask(&guest, "POST", "/rooms", &[], "").await.status(), 405);
    assert_eq!(
        ask(&guest, "HEAD", "/rooms/ops/events", &[], "")
            .await
            .status(),
        200
    );
    assert_eq!(hub.stats().rooms, 0);
}

#[tokio::test(start_paused = true)]
async fn history_is_read_page_by_page_in_either_direction() {
    let hub = hub(|limits| limits.journal_messages = NonZeroUsize::new(20).unwrap());
    let alice = hub.session(Some("alice")).await.unwrap();
    for number in 1..=30 {
        alice.publish("ops", &format!("m{number}")).await.unwrap();
    }
    let guest = guest(&hub).await;
    let epoch = epoch(&hub, "ops").await;
    let page = get(&guest, "/rooms/ops/messages?limit=2").await;
    assert_eq!(page.1["epoch"], epoch);
    assert_eq!(
        page.1["messages"][0],
        json!({"ev": "said", "room": "ops", "seq": 29, "ts": 5, "from": "alice", "text": "m29"})
    );
    assert_eq!(
        texts(&get(&guest, "/rooms/ops/messages?before=29&limit=2").await),
        ["m27", "m28"]
    );
    let after = format!("/rooms/ops/messages?after={epoch}:28&limit=5");
    assert_eq!(texts(&get(&guest, &after).await), ["m29", "m30"]);
    let early = get(&guest, "/rooms/ops/messages?after=3&limit=1").await;
    assert_eq!(
        (&early.1["gap"], texts(&early)),
        (&json!({"from": 4, "to": 10}), vec!["m11"])
    );
    assert_eq!(get(&guest, "/rooms/ops/messages?after=k3f:3").await.0, 404);
    assert_eq!(get(&guest, "/rooms/nothing/messages").await.0, 404);
    for wrong in [
        "after=1&before=2",
        "limit=many",
        "after=x",
        "before=:1",
        "q=a&after=1",
    ] {
        let target = format!("/rooms/ops/messages?{wrong}");
        assert_eq!(get(&guest, &target).await.0, 400, "{wrong}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_search_finds_the_latest_first() {
    let hub = hub(|_| {});
    let alice = hub.session(Some("alice")).await.unwrap();
    for text in [
        "build 1 failed",
        "lunch",
        "build 2 failed",
        "build 3 passed",
    ] {
        alice.publish("ops", text).await.unwrap();
    }
    let guest = guest(&hub).await;
    let found = get(&guest, "/rooms/ops/messages?q=failed+build").await;
    assert_eq!(texts(&found), ["build 2 failed", "build 1 failed"]);
    let found = get(&guest, "/rooms/ops/messages?q=build&before=4&limit=1").await;
    assert_eq!(texts(&found), ["build 2 failed"]);
}

#[tokio::test(start_paused = true)]
async fn rooms_are_listed_with_their_topics_and_counts() {
    let hub = hub(|_| {});
    let alice = hub.session(Some("alice")).await.unwrap();
    let mut rooms = Vec::new();
    for room in ["ops", "dev", "한글"] {
        rooms.push(alice.join(room).await.unwrap());
    }
    rooms[0].set_topic("on call: kim").await.unwrap();
    let guest = guest(&hub).await;
    let (status, listed) = get(&guest, "/rooms/?limit=2").await;
    let dev = json!({"room": "dev", "count": 1, "topic": ""});
    let ops = json!({"room": "ops", "count": 1, "topic": "on call: kim"});
    assert_eq!(
        (status, listed),
        (200, json!({"rooms": [dev, ops], "more": true}))
    );
    let (_, listed) = get(&guest, "/rooms?after=ops").await;
    assert_eq!(listed["rooms"][0]["room"], "한글");
}

#[tokio::test(start_paused = true)]
async fn events_begin_with_the_room_and_end_with_a_goodbye() {
    let hub = hub(|_| {});
    let alice = hub.session(Some("alice")).await.unwrap();
    let member = alice.join("ops").await.unwrap();
    member.say("before").await.unwrap();
    let epoch = epoch(&hub, "ops").await;
    let guest = guest(&hub).await;
    let mut events = Events::open(&guest, "/rooms/ops/events", &[]).await;
    let (id, name, room) = events.event().await;
    assert_eq!((id, name.as_str()), (Some(format!("{epoch}:1")), "room"));
    assert_eq!(room["members"], json!(["alice"]));
    member.act("waves").await.unwrap();
    let (id, name, data) = events.event().await;
    assert_eq!((id, name.as_str()), (Some(format!("{epoch}:2")), "acted"));
    assert_eq!(
        data,
        json!({"ev": "acted", "room": "ops", "seq": 2, "ts": 5, "from": "alice", "text": "waves"})
    );
    // Nothing happens for 25 s.
    assert_eq!(events.next().await.as_deref(), Some(":"));
    drop(member);
    assert_eq!(events.event().await.1, "left");
    hub.drain();
    let (_, name, bye) = events.event().await;
    assert_eq!(
        (name.as_str(), &bye["code"], &bye["reconnect"]),
        ("bye", &json!("draining"), &json!(true))
    );
    assert_eq!(events.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn promise_2_events_resume_after_the_last_id_or_report_a_gap() {
    let hub = hub(|limits| limits.journal_messages = NonZeroUsize::new(20).unwrap());
    let alice = hub.session(Some("alice")).await.unwrap();
    for number in 1..=30 {
        alice.publish("ops", &format!("m{number}")).await.unwrap();
    }
    let epoch = epoch(&hub, "ops").await;
    let guest = guest(&hub).await;
    let id = format!("{epoch}:28");
    let resumed = [("last-event-id", id.as_str())];
    // The header is newer than the target.
    let mut events = Events::open(&guest, "/rooms/ops/events?after=3", &resumed).await;
    assert_eq!(events.event().await.0, None);
    let (id, _, data) = events.event().await;
    assert_eq!(
        (id, &data["replay"]),
        (Some(format!("{epoch}:29")), &json!(true))
    );
    assert_eq!(events.text().await, "m30");
    alice.publish("ops", "m31").await.unwrap();
    assert_eq!(events.text().await, "m31");

    let mut late = Events::open(&guest, "/rooms/ops/events?after=3", &[]).await;
    late.event().await;
    let (id, name, gap) = late.event().await;
    assert_eq!((id, name.as_str()), (Some(format!("{epoch}:11")), "gap"));
    assert_eq!(
        (&gap["from"], &gap["to"], &gap["why"]),
        (&json!(4), &json!(11), &json!("expired"))
    );
    assert_eq!(late.text().await, "m12");

    let mut other = Events::open(&guest, "/rooms/ops/events", &[("last-event-id", "k3f:3")]).await;
    other.event().await;
    let (id, name, gap) = other.event().await;
    assert_eq!(
        (id, name.as_str(), &gap["why"]),
        (None, "gap", &json!("epoch"))
    );
    let wrong = ask(
        &guest,
        "GET",
        "/rooms/ops/events",
        &[("last-event-id", "x")],
        "",
    )
    .await;
    assert_eq!(wrong.status(), 400);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_of_events_catches_up_or_gets_a_gap() {
    let hub = hub(|limits| {
        limits.ring_batches = NonZeroUsize::new(8).unwrap();
        limits.journal_messages = NonZeroUsize::new(20).unwrap();
    });
    let guest = guest(&hub).await;
    let mut events = Events::open(&guest, "/rooms/ops/events", &[]).await;
    events.event().await;
    let alice = hub.session(Some("alice")).await.unwrap();
    for number in 1..=15 {
        alice.publish("ops", &format!("m{number}")).await.unwrap();
    }
    for number in 1..=15 {
        assert_eq!(events.text().await, format!("m{number}"));
    }
    for number in 16..=50 {
        alice.publish("ops", &format!("m{number}")).await.unwrap();
    }
    let (_, name, gap) = events.event().await;
    assert_eq!(
        (name.as_str(), &gap["from"], &gap["to"]),
        ("gap", &json!(16), &json!(30))
    );
    assert_eq!(events.text().await, "m31");
}

#[tokio::test(start_paused = true)]
async fn events_of_a_closed_room_end_and_a_new_stream_opens_it_again() {
    let hub = hub(|_| {});
    let guest = guest(&hub).await;
    let mut events = Events::open(&guest, "/rooms/ops/events", &[]).await;
    events.event().await;
    hub.close_room("ops", "late").unwrap();
    let (_, name, data) = events.event().await;
    assert_eq!((name.as_str(), &data["closed"]), ("removed", &json!(true)));
    assert_eq!(events.next().await, None);
    drop(events);
    let mut again = Events::open(&guest, "/rooms/ops/events", &[]).await;
    assert_eq!(again.event().await.1, "room");
    // A stream costs nothing when it is dropped.
    assert!(again.next().now_or_never().is_none());
    drop(again);
    assert_eq!(hub.stats().rooms, 0);
}

/// Lets nobody connect, once it is told to.
#[derive(Clone, Default)]
struct Ban(Arc<AtomicBool>);

impl Policy for Ban {
    async fn connect(&self, _who: &Visitor, _nick: Option<&str>) -> Decision {
        if self.0.load(Ordering::Relaxed) {
            Decision::refuse("banned")
        } else {
            Decision::Allow
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_banned_is_told_so_and_its_stream_ends() {
    let ban = Ban::default();
    let hub = Hub::builder().policy(ban.clone()).build();
    let guest = guest(&hub).await;
    let mut silent = Events::open(&guest, "/rooms/dev/events", &[]).await;
    silent.event().await;
    let alice = hub.session(Some("alice")).await.unwrap();
    let mut busy = Events::open(&guest, "/rooms/ops/events", &[]).await;
    busy.event().await;
    ban.0.store(true, Ordering::Relaxed);
    let begun = Instant::now();
    assert_eq!(silent.next().await.as_deref(), Some(":"));
    let bye = |(id, name, data): (Option<String>, String, Value)| {
        assert_eq!((id, name.as_str()), (None, "bye"));
        let expected =
            json!({"ev": "bye", "code": "denied", "reason": "banned", "reconnect": false});
        assert_eq!(data, expected);
    };
    bye(silent.event().await);
    assert_eq!(silent.next().await, None);
    assert_eq!(begun.elapsed().as_secs(), 25);
    // A stream that is never silent sends no comment.
    let mut texts = 0;
    let last = loop {
        alice.publish("ops", "busy").await.unwrap();
        let event = busy.event().await;
        if event.1 != "said" {
            break event;
        }
        texts += 1;
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    bye(last);
    assert!(texts <= 26, "{texts}");
    assert_eq!(busy.next().await, None);
    let refused = ask(&guest, "GET", "/rooms/ops/events", &[], "").await;
    assert_eq!(refused.status(), 403);
}

#[tokio::test(start_paused = true)]
async fn a_room_that_closes_itself_ends_the_stream_before_the_change() {
    let hub = hub(|_| {});
    let guest = guest(&hub).await;
    let alice = hub.session(Some("alice")).await.unwrap();
    let in_ops = alice.join("ops").await.unwrap();
    let mut events = Events::open(&guest, "/rooms/ops/events", &[]).await;
    events.event().await;
    let changes = chat_core::rooms::ModeChanges::parse("+key s3cret").unwrap();
    alice.set_modes("ops", &changes).await.unwrap();
    in_ops.say("for members").await.unwrap();
    let begun = Instant::now();
    let (_, name, bye) = events.event().await;
    assert_eq!((name.as_str(), &bye["code"]), ("bye", &json!("denied")));
    assert_eq!(events.next().await, None);
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_policy_is_asked_again_between_1_and_25_s_later_whatever_the_ping() {
    for (ping_after, comments, asked_after) in [(0, 10, 1), (3, 10, 3), (600, 0, 25)] {
        let ban = Ban::default();
        let mut limits = Limits::default();
        limits.ping_after = Duration::from_secs(ping_after);
        let hub = Hub::builder().limits(limits).policy(ban.clone()).build();
        let guest = guest(&hub).await;
        let mut events = Events::open(&guest, "/rooms/ops/events", &[]).await;
        events.event().await;
        let begun = Instant::now();
        for _ in 0..comments {
            assert_eq!(events.next().await.as_deref(), Some(":"));
        }
        assert_eq!(begun.elapsed().as_secs(), comments * asked_after);
        ban.0.store(true, Ordering::Relaxed);
        let banned = Instant::now();
        let mut last = events.next().await;
        while last.as_deref() == Some(":") {
            last = events.next().await;
        }
        assert!(last.unwrap().contains("event: bye"), "{ping_after}");
        let took = banned.elapsed().as_secs();
        assert!(took <= asked_after, "{ping_after}: {took}");
        // The question that is due with the last comment comes after it.
        assert!(comments > 0 || took == asked_after, "{ping_after}: {took}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_beginning_of_a_stream_is_charged_to_the_address() {
    let rate = |n| NonZeroU32::new(n).unwrap();
    let hub = hub(|limits| {
        limits.answers_per_address = Some(Rate {
            burst: rate(1),
            per_second: rate(1),
        });
    });
    let mut members = Vec::new();
    for number in 0..50 {
        let nick = format!("a-member-with-a-long-name-{number}");
        let session = hub.session(Some(&nick)).await.unwrap();
        members.push((session.join("ops").await.unwrap(), session));
    }
    let guest = guest(&hub).await;
    let mut opened = 0;
    loop {
        let response = ask(&guest, "GET", "/rooms/ops/events", &[], "").await;
        if response.status() != 200 {
            assert_eq!(read(response).await.0, 429);
            break;
        }
        opened += 1;
        assert!(opened < 100);
    }
    assert!(opened > 5, "{opened}");
}
