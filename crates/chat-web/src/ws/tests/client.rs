//! Conversations with an independent client library.

use super::peer::{Client, hub, hub_with, unlimited};
use crate::ws::WebSockets;
use crate::ws::framing::WebSocketFraming;
use bytes::BytesMut;
use chat_core::protocol::Framing;
use chat_core::{CloseReason, Limits};
use chat_json::JsonLines;
use futures::StreamExt;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

#[tokio::test(start_paused = true)]
async fn members_over_websocket_and_over_lines_are_in_the_same_room() {
    let mut hub = hub();
    let mut alice = hub.member("alice").await;
    let mut bob = Client::join(&mut hub, "bob").await;
    alice.sees("* bob joined").await;
    bob.sends(r#"{"cmd":"say","id":2,"room":"lobby","text":"안녕"}"#)
        .await;
    alice.sees("14:02 bob: 안녕").await;
    assert_eq!(bob.sees().await["re"], 2);
    alice.sends("hi").await;
    let said = bob.sees().await;
    assert_eq!((&said["ev"], &said["text"]), (&json!("said"), &json!("hi")));
}

#[tokio::test(start_paused = true)]
async fn each_line_of_a_batch_is_a_frame_of_its_own() {
    let mut hub = unlimited();
    let mut alice = hub.member("alice").await;
    let mut bob = Client::join(&mut hub, "bob").await;
    alice.sends("one\ntwo\nthree").await;
    for text in ["one", "two", "three"] {
        assert_eq!(bob.sees().await["text"], text);
    }
}

#[test]
fn all_members_over_websocket_share_one_encoder() {
    let sockets = WebSockets::new(JsonLines::default());
    let request = http::Request::get("/ws")
        .header("upgrade", "websocket")
        .header("connection", "upgrade")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-version", "13")
        .body(())
        .unwrap();
    let encoder = || {
        let accepted = sockets.clone().accept(&request);
        accepted.ok().unwrap().dialect.encoder()
    };
    assert!(std::sync::Arc::ptr_eq(&encoder(), &encoder()));
}

#[tokio::test(start_paused = true)]
async fn a_fragmented_message_is_one_command_and_control_frames_may_come_between() {
    let mut hub = hub();
    let mut bob = Client::join(&mut hub, "bob").await;
    let text = r#"{"cmd":"ping","id":"안녕"}"#.as_bytes();
    // The first cut is inside of a character.
    for (index, cut) in [0..18, 18..18, 18..20, 20..text.len()]
        .into_iter()
        .enumerate()
    {
        let data = if index == 0 {
            Data::Text
        } else {
            Data::Continue
        };
        let is_last = cut.end == text.len();
        let payload = text[cut].to_vec();
        let frame = Frame::message(payload, OpCode::Data(data), is_last);
        bob.sends_message(Message::Frame(frame)).await;
        bob.sends_message(Message::Ping(vec![index as u8; index].into()))
            .await;
        bob.sends_message(Message::Pong("unasked".into())).await;
    }
    // A pong is sent as soon as the ping is read, so the last pong may overtake the answer to the earlier message.
    let mut pongs = 0_u8;
    let mut answers = 0;
    while (pongs, answers) != (4, 1) {
        match bob.next().await {
            Some(Message::Pong(payload)) => {
                assert_eq!(payload, vec![pongs; pongs.into()]);
                pongs += 1;
            }
            Some(Message::Text(text)) => {
                assert_eq!(text.as_str(), r#"{"re":"안녕","ok":{}}"#);
                answers += 1;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn messages_of_all_lengths_are_received() {
    let mut hub = unlimited();
    let mut bob = Client::join(&mut hub, "bob").await;
    for length in [21, 125, 126, 127, 128, 65_535, 65_536] {
        let command = r#"{"cmd":"ping","id":1}"#;
        let blanks = " ".repeat(length - command.len());
        bob.sends(&[command, &blanks].concat()).await;
        assert_eq!(bob.sees().await["re"], 1, "{length}");
    }
}

#[tokio::test(start_paused = true)]
async fn frames_of_all_lengths_are_sent() {
    for length in [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 20] {
        let mut bytes = BytesMut::new();
        let text = "x".repeat(length);
        WebSocketFraming::frame(text.as_bytes(), &mut bytes);
        let stream = std::io::Cursor::new(bytes.to_vec());
        let mut socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
        let received = socket.next().await.unwrap().unwrap();
        assert_eq!(received, Message::text(text), "{length}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_not_json_is_refused_and_the_session_goes_on() {
    let mut hub = hub();
    let mut bob = Client::join(&mut hub, "bob").await;
    for broken in [
        "",
        "{",
        "nonsense",
        "{\"cmd\":\"ping\"}\n{\"cmd\":\"ping\"}",
    ] {
        bob.sends(broken).await;
        if !broken.is_empty() {
            assert_eq!(bob.sees().await["err"]["code"], "bad_request", "{broken}");
        }
    }
    bob.sends("\n{\"cmd\":\n\"ping\",\"id\":7}\n").await;
    assert_eq!(bob.sees().await["re"], 7);
}

#[tokio::test(start_paused = true)]
async fn a_silent_member_is_sent_ping_frames_and_a_pong_is_an_answer() {
    let mut hub = hub();
    let mut bob = Client::join(&mut hub, "bob").await;
    for _ in 0..3 {
        let began = Instant::now();
        // The library answers the ping by itself.
        assert_eq!(bob.next().await, Some(Message::Ping("".into())));
        assert_eq!(began.elapsed(), Duration::from_secs(25));
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_is_answered_and_the_member_is_gone() {
    let mut hub = hub();
    let mut alice = hub.member("alice").await;
    let mut bob = Client::join(&mut hub, "bob").await;
    alice.sees("* bob joined").await;
    let frame = CloseFrame {
        code: 1001.into(),
        reason: "the tab is closed".into(),
    };
    bob.sends(r#"{"cmd":"say","room":"lobby","text":"last words"}"#)
        .await;
    bob.sends_message(Message::Close(Some(frame))).await;
    assert_eq!(bob.sees_close().await.0, 1001);
    alice.sees("14:02 bob: last words").await;
    alice.sees("* bob left (gone: connection closed)").await;
    assert_eq!(hub.ended().await, CloseReason::Disconnected);
}

/// Expects a goodbye and a close frame. Returns the codes of both.
async fn ended(client: &mut Client) -> (String, u16) {
    let bye = client.sees().await;
    assert_eq!(bye["ev"], "bye");
    let (code, _) = client.sees_close().await;
    (bye["code"].as_str().unwrap().to_owned(), code)
}

#[tokio::test(start_paused = true)]
async fn the_close_code_says_why_the_server_ends_the_connection() {
    let mut hub = hub();
    let mut bob = Client::join(&mut hub, "bob").await;
    assert!(hub.hub.kick("bob", "enough").await.is_some());
    assert_eq!(ended(&mut bob).await, ("kicked".to_owned(), 1008));

    let mut carol = Client::join(&mut hub, "carol").await;
    carol.sends(r#"{"cmd":"quit","reason":"bye"}"#).await;
    assert_eq!(ended(&mut carol).await, ("quit".to_owned(), 1000));

    let mut dave = Client::join(&mut hub, "dave").await;
    hub.hub.drain();
    assert_eq!(ended(&mut dave).await, ("draining".to_owned(), 1001));
}

#[tokio::test(start_paused = true)]
async fn frames_are_charged_like_lines() {
    let mut limits = Limits::default();
    limits.ping_after = Duration::from_secs(600);
    let burst = limits.rate.unwrap().burst.get();
    let mut hub = hub_with(limits);
    let mut bob = Client::join(&mut hub, "bob").await;
    let began = Instant::now();
    for id in 0..burst + 50 {
        bob.sends(&format!(r#"{{"cmd":"ping","id":{id}}}"#)).await;
    }
    for id in 0..burst + 50 {
        assert_eq!(bob.sees().await["re"], id);
    }
    assert!(
        began.elapsed() > Duration::from_secs(9),
        "{:?}",
        began.elapsed()
    );
}
