//! The cost of answers. A peer that sends a request pays for the answer from its own rate, and no other peer waits for
//! the answer.

use crate::unlimited;
use chat_core::log::{JournalError, MemoryJournal};
use chat_core::{Hub, Limits, Peer};
use chat_testkit::{Intercept, TestHub, WrappedJournal};
use std::future::pending;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Wraps a journal so that its searches never end.
#[derive(Clone)]
struct Endless;

impl Intercept for Endless {
    async fn search(&self) -> Result<(), JournalError> {
        pending().await
    }
}

fn endless() -> TestHub {
    let mut limits = Limits::default();
    limits.rate = None;
    let journal = WrappedJournal::new(MemoryJournal::new(&limits), Endless);
    TestHub::build(Hub::builder().limits(limits).journal(journal))
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_wait_for_a_search() {
    let mut hub = endless();
    let mut alice = hub.member("alice").await;
    alice.sends("/search anything").await;
    alice.sees_nothing().await;
    let began = Instant::now();
    hub.hub.drain();
    alice.sees("* goodbye: the server is shutting down").await;
    hub.ended().await;
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_search_beyond_those_that_may_wait_is_refused() {
    let mut hub = endless();
    let mut asking = Vec::new();
    for number in 0..66 {
        let mut member = hub.member(&format!("m{number}")).await;
        member.sends("/search anything").await;
        asking.push(member);
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    let mut last = hub.member("last").await;
    last.sends("/search anything").await;
    last.sees_in_time("! the room's log can't be read now (too many searches at once), try again")
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_search_that_is_too_broad_is_refused_with_what_to_do() {
    let mut hub = unlimited();
    let mut alice = hub.member("alice").await;
    let words: Vec<_> = (0..17).map(|number| format!("w{number}")).collect();
    alice.sends(&format!("/search {}", words.join(" "))).await;
    alice
        .sees("! the search is too broad: use fewer words, or rarer ones")
        .await;
}

/// Sends the request `asked` and then a cheap command. Returns how long the peer waits for the answer to the cheap
/// command.
async fn wait_behind(asked: &str) -> Duration {
    let mut hub = TestHub::new(Limits::default());
    let talker = hub.hub.session(Some("talker")).await.unwrap();
    let room = talker.join("lobby").await.unwrap();
    for _ in 0..200 {
        room.say(&"x".repeat(4000)).await.unwrap();
    }
    let mut alice = hub.connect("alice");
    alice.sends("/nick alice").await;
    alice.sees_in_time("* you are now alice").await;
    // After a minute, alice can spend the whole burst of her rate again.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let began = Instant::now();
    alice.sends(asked).await;
    alice.sends("/nick bob").await;
    alice.sees_in_time("* you are now bob").await;
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn history_is_paid_for_by_its_bytes() {
    assert_eq!(wait_behind("/history 1").await, Duration::ZERO);
    let wait = wait_behind("/history 200").await;
    // The answer of 800 KB costs about 100 tokens. A peer has 20 tokens, and earns five a second.
    assert!((12..24).contains(&wait.as_secs()), "{wait:?}");
}

#[tokio::test(start_paused = true)]
async fn rooms_are_listed_in_pages_by_name() {
    let mut hub = unlimited();
    let mut alice = hub.member("alice").await;
    let (mut sessions, mut members) = (Vec::new(), Vec::new());
    for session in 0..3 {
        let session = hub.hub.session(Some(&format!("m{session}"))).await.unwrap();
        for room in 0..50 {
            let name = format!("Room-{}-{room:02}", session.nick());
            members.push(session.join(&name).await.unwrap());
        }
        sessions.push(session);
    }
    alice.sends("/rooms").await;
    let first = alice
        .sees_containing("* rooms: lobby (1), Room-m0-00 (1), ")
        .await;
    assert_eq!(first.matches("(1)").count(), 100);
    alice.sees("* there are more: /rooms Room-m1-48").await;
    alice.sends("/rooms room-M1-48").await;
    let rest = alice
        .sees_containing("* rooms: Room-m1-49 (1), Room-m2-00 (1), ")
        .await;
    assert_eq!(rest.matches("(1)").count(), 51);
    alice.sends("/rooms zzz").await;
    alice.sees("* no rooms to list").await;
}

#[tokio::test(start_paused = true)]
async fn bytes_that_make_no_line_are_paid_for_too() {
    let mut hub = TestHub::new(Limits::default());
    let mut alice = hub.member("alice").await;
    let began = Instant::now();
    for _ in 0..100 {
        alice.sends_bytes(&vec![b'x'; 1024 * 1024]).await;
    }
    // 100 MiB without a newline cost 100 tokens: 20 are available at once, then 5 a second.
    let took = began.elapsed().as_secs();
    assert!((15..=17).contains(&took), "{took} s");
    alice.sends_bytes(b"\n").await;
    alice.sees("! line too long (limit 8192 bytes)").await;
}

/// A stream that yields short lines without a pause. After `reads` reads, it sets `done` and yields nothing more.
struct Flood {
    reads: usize,
    done: Arc<AtomicBool>,
}

impl AsyncRead for Flood {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.reads == 0 {
            self.done.store(true, Ordering::Relaxed);
            return Poll::Pending;
        }
        self.reads -= 1;
        while buffer.remaining() >= 2 {
            buffer.put_slice(b"x\n");
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Flood {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_whose_input_never_ends_lets_other_tasks_run() {
    const READS: usize = 8;
    let mut limits = Limits::default();
    limits.rate = None;
    let mut hub = TestHub::new(limits);
    let done = Arc::new(AtomicBool::new(false));
    let flood = Flood {
        reads: READS,
        done: Arc::clone(&done),
    };
    hub.serve(flood, Peer::default());
    let mut ran = 0;
    while !done.load(Ordering::Relaxed) {
        tokio::task::yield_now().await;
        ran += 1;
    }
    assert!(ran >= READS, "{ran}");
}
