//! The client library of `chat-json`, over a URL.

use super::peer::Upgrade;
use crate::ws::WebSockets;
use chat_core::{Hub, Server};
use chat_json::{Client, Event, JsonLines, OpenError};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;

/// Serves a hub on a port of its own while `with` runs.
async fn served(with: impl AsyncFnOnce(SocketAddr)) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let upgrade = Upgrade(WebSockets::new(JsonLines::default()));
    let server = Server::new(Hub::default()).protocol(upgrade);
    tokio::select! {
        ended = server.serve(listener, std::future::pending()) => panic!("{ended:?}"),
        () = with(address) => {}
    }
}

async fn next_message(events: &mut chat_json::Events) -> String {
    loop {
        let next = tokio::time::timeout(Duration::from_secs(10), events.next()).await;
        if let Event::Message(message) = next.unwrap().unwrap() {
            return message.text;
        }
    }
}

#[tokio::test]
async fn the_client_library_talks_over_websocket() {
    served(async |address| {
        let url = format!("ws://{address}/ws");
        let open = async |nick| Client::connect(&url).nick(nick).join("ops").open().await;
        let (alice, _events) = open("alice").await.unwrap();
        let (bob, mut events) = open("bob").await.unwrap();
        alice.say("ops", "안녕").await.unwrap();
        assert_eq!(next_message(&mut events).await, "안녕");
        assert_eq!(bob.history("ops", None, 10).await.unwrap().len(), 1);
        bob.quit("done").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_server_without_websocket_is_reported() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/ws", listener.local_addr().unwrap());
    tokio::select! {
        _ = chat_core::serve(listener, Hub::default(), std::future::pending()) => panic!("it serves"),
        opened = Client::connect(url).open() => {
            let Err(OpenError::NoChat(why)) = opened else { panic!("it is refused") };
            assert!(why.contains("400"), "{why}");
        }
    }
}
