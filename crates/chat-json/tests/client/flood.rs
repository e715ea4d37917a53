//! A caller that takes its events as fast as possible receives a flood of messages in order. The client reads none of
//! these messages from the log.

use chat_json::{ByteStream, Client, Event};
use futures::FutureExt;
use std::io;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

const MESSAGES: u64 = 50_000;

/// Accepts the hello, then floods the room. This server never answers requests, so the client can't read messages from
/// the log.
async fn flood(mut stream: tokio::io::DuplexStream) -> io::Result<()> {
    let welcome = r#"{"re":0,"ok":{"v":1,"nick":"kim","limits":{"line":65536,"text":4096},"ping":25,"rooms":[{"room":"ops","epoch":"a","seq":0}]}}"#;
    stream.write_all(format!("{welcome}\n").as_bytes()).await?;
    let said = |seq| {
        format!(r#"{{"ev":"said","room":"ops","seq":{seq},"ts":0,"from":"bob","text":"홍수"}}"#)
            + "\n"
    };
    let all: String = (1..=MESSAGES).map(said).collect();
    stream.write_all(all.as_bytes()).await?;
    std::future::pending().await
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_seen_live_by_a_caller_that_takes_its_events() {
    let connect = || {
        let (near, far) = tokio::io::duplex(1024 * 1024);
        #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
        tokio::spawn(flood(far));
        std::future::ready(io::Result::Ok(Box::new(near) as Box<dyn ByteStream>)).boxed()
    };
    let (_client, mut events) = Client::connect_with(connect).join("ops").start();
    let mut expected = 1;
    while expected <= MESSAGES {
        let event = timeout(Duration::from_secs(20), events.next()).await;
        match event.expect("it comes without the log") {
            Some(Event::Message(message)) => {
                assert_eq!(message.seq, expected);
                expected += 1;
            }
            Some(Event::Gap { .. } | Event::Offline { .. }) | None => panic!("after {expected}"),
            Some(_) => {}
        }
    }
}
