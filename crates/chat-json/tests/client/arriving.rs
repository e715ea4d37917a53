//! The events of a client that connects, and what the client does if its nick is refused.

use crate::network::Network;
use chat_json::{Client, ClientBuilder, Event, Events};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Waits for the first event for which `wanted` returns a value. Returns the value.
async fn wait<T>(events: &mut Events, wanted: impl Fn(Event) -> Option<T>) -> T {
    let found = timeout(Duration::from_secs(600), async {
        loop {
            let event = events.next().await.expect("there is more");
            if let Some(found) = wanted(event) {
                return found;
            }
        }
    });
    found.await.expect("it comes")
}

fn nick(event: Event) -> Option<String> {
    match event {
        Event::Online { nick } => Some(nick),
        _ => None,
    }
}

fn refused(event: Event) -> Option<(String, String)> {
    match event {
        Event::NickRefused { nick, code, .. } => Some((nick, code)),
        _ => None,
    }
}

fn client(network: &Network, nick: &str) -> ClientBuilder {
    let builder = Client::connect_with(network.clone());
    builder.nick(nick).join("ops").guest_if_refused()
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_is_told_the_lobby() {
    let network = Network::new(1);
    let (_alice, mut events) = client(&network, "alice").start();
    let greeting = |event| match event {
        Event::Greeting { lobby, motd } => Some((lobby, motd)),
        _ => None,
    };
    let expected = (Some("lobby".to_owned()), Vec::new());
    assert_eq!(wait(&mut events, greeting).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_nick_that_can_not_be_had_is_told_and_the_client_comes_in_as_a_guest() {
    let network = Network::new(1);
    let _owner = network.hub().session(Some("김철수")).await.unwrap();
    for (wanted, code) in [("김철수", "nick_taken"), ("two words", "bad_name")] {
        let (client, mut events) = client(&network, wanted).start();
        let expected = (wanted.to_owned(), code.to_owned());
        assert_eq!(wait(&mut events, refused).await, expected);
        let began = Instant::now();
        assert!(wait(&mut events, nick).await.starts_with("guest-"));
        assert!(began.elapsed() < Duration::from_secs(1));
        // After the refusal, the user can still choose another nick.
        assert_eq!(client.nick("이영희").await.as_deref(), Ok("이영희"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_nick_that_another_took_during_a_break_makes_the_client_a_guest() {
    let network = Network::new(1);
    let (_client, mut events) = client(&network, "alice").start();
    assert_eq!(wait(&mut events, nick).await, "alice");
    network.crash();
    network.restart();
    let _other = network.hub().session(Some("alice")).await.unwrap();
    assert_eq!(wait(&mut events, refused).await.0, "alice");
    assert!(wait(&mut events, nick).await.starts_with("guest-"));
}
