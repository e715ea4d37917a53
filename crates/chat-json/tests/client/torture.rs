//! Two clients talk over a network that breaks repeatedly.
//!
//! Invariant: each client receives each message exactly once and in the same order. Where the server lost its log, the
//! client receives an explicit gap.

use crate::network::Network;
use chat_json::{Client, Event, Events, GapCause};
use futures::stream::{FuturesOrdered, StreamExt};
use std::collections::HashMap;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// The number of messages that each client sends.
const EACH: u32 = 10_000;

/// The most messages that a client sends without waiting for an answer.
const WINDOW: usize = 16;

/// The time limit of a test, in paused time. No correct client reaches it.
const PATIENCE: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn a_thousand_cuts_lose_nothing_and_repeat_nothing() {
    for seed in [1, 2, 3] {
        println!("seed {seed}");
        let network = Network::new(seed);
        network.cut(1000, 12_000);
        let (alice, bob) = talk(&network, Duration::ZERO, JoinSet::new()).await;
        assert_eq!(
            network.has_cut(),
            1000,
            "all cuts happened while they talked"
        );
        assert_eq!(
            network.hub().stats().messages_in,
            u64::from(2 * EACH) + 2,
            "the server took each once, and the two last words"
        );
        assert_eq!(alice.gaps + bob.gaps, 0);
        assert_eq!(alice.seen.len(), 2 * EACH as usize);
        assert_eq!(alice.seen, bob.seen, "one order");
        alice.is_whole();
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_restarts_loses_nothing_silently_and_repeats_nothing() {
    for seed in [1, 2, 3] {
        println!("seed {seed}");
        let network = Network::new(seed);
        let mut restarts = JoinSet::new();
        let server = network.clone();
        restarts.spawn(async move {
            for number in 0.. {
                sleep(Duration::from_secs(1)).await;
                if number % 2 == 0 {
                    // The server says goodbye before it ends.
                    server.hub().drain();
                    sleep(Duration::from_millis(200)).await;
                }
                server.crash();
                sleep(Duration::from_millis(fastrand::u64(0..300))).await;
                server.restart();
            }
        });
        let (alice, bob) = talk(&network, Duration::from_millis(2), restarts).await;
        for diary in [alice, bob] {
            println!("{} seen, {} gaps", diary.seen.len(), diary.gaps);
            assert!(diary.gaps > 5, "the server was restarted");
            assert!(diary.seen.len() > EACH as usize);
            diary.has_no_silent_hole();
        }
    }
}

/// The messages and gaps that a client received.
#[derive(Debug, Default)]
struct Diary {
    /// The sender and the number of each message. `gaps_before` holds, for each message, how many gaps came before it.
    seen: Vec<(String, u32)>,
    gaps_before: Vec<usize>,
    gaps: usize,
}

/// Lets two clients send all their messages, and receive the messages of both clients. `trouble` disturbs the network,
/// and ends before the last message of each client.
async fn talk(network: &Network, pause: Duration, mut trouble: JoinSet<()>) -> (Diary, Diary) {
    let (mut talking, mut hearing, mut clients) =
        (JoinSet::new(), [JoinSet::new(), JoinSet::new()], Vec::new());
    for (nick, hearing) in ["alice", "bob"].into_iter().zip(&mut hearing) {
        let builder = Client::connect_with(network.clone());
        let (client, events) = builder.nick(nick).join("ops").echo(true).start();
        hearing.spawn(hear(events));
        clients.push(client.clone());
        talking.spawn(say_all(client, pause));
    }
    let all = timeout(PATIENCE, talking.join_all());
    all.await.expect("they talk to the end");
    if !trouble.is_empty() {
        trouble.shutdown().await;
        network.restart();
    }
    for client in &clients {
        client.say("ops", "done").await.expect("it is said");
    }
    let [alice, bob] = hearing.map(JoinSet::join_all);
    let both = timeout(PATIENCE, futures::future::join(alice, bob));
    let (mut alice, mut bob) = both.await.expect("both hear the end");
    (alice.remove(0), bob.remove(0))
}

/// Sends all messages of a client, several at a time.
async fn say_all(client: Client, pause: Duration) {
    // Both clients must be in the room before either of them sends.
    while client
        .who("ops")
        .await
        .is_ok_and(|present| present.count < 2)
    {
        sleep(Duration::from_millis(50)).await;
    }
    let mut unanswered = FuturesOrdered::new();
    for number in 0..EACH {
        if unanswered.len() == WINDOW {
            unanswered.next().await;
        }
        let client = client.clone();
        let text = number.to_string();
        unanswered.push_back(async move { client.say("ops", &text).await.expect("it is said") });
        if !pause.is_zero() {
            sleep(pause).await;
        }
    }
    while unanswered.next().await.is_some() {}
}

/// Receives messages until both clients have sent their last message.
async fn hear(mut events: Events) -> Diary {
    let (mut diary, mut done) = (Diary::default(), 0);
    while let Some(event) = events.next().await {
        match event {
            Event::Message(message) if message.text == "done" => {
                done += 1;
                if done == 2 {
                    break;
                }
            }
            Event::Message(message) => {
                let number = message.text.parse().expect("a number");
                diary.seen.push((message.from, number));
                diary.gaps_before.push(diary.gaps);
            }
            Event::Gap { why, .. } => {
                assert_eq!(why, GapCause::Epoch);
                diary.gaps += 1;
            }
            Event::Closed { why } => panic!("closed: {why}"),
            _ => {}
        }
    }
    diary
}

impl Diary {
    /// Checks that all messages of both clients arrived, each once and in the order in which it was sent.
    fn is_whole(&self) {
        let mut next: HashMap<&str, u32> = HashMap::new();
        for (from, number) in &self.seen {
            let next = next.entry(from).or_default();
            assert_eq!(number, next, "of {from}");
            *next += 1;
        }
        assert_eq!(next.len(), 2);
    }

    /// Checks that the numbers of each client only grow, and that a gap was reported wherever a number is missing.
    fn has_no_silent_hole(&self) {
        let mut last: HashMap<&str, (u32, usize)> = HashMap::new();
        for ((from, number), gaps) in self.seen.iter().zip(&self.gaps_before) {
            let before = last.insert(from, (*number, *gaps));
            let (expected, gaps_then) = before.map_or((0, 0), |(last, gaps)| (last + 1, gaps));
            assert!(*number >= expected, "{from} said {number} again");
            assert!(
                *number == expected || *gaps > gaps_then,
                "{from}: {expected} to {number} are missing silently"
            );
        }
    }
}
