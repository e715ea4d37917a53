//! Faults that reviews found, each with the sequence of events that causes the fault.

use crate::{members, slow, two_in_the_lobby, unlimited};
use chat_core::error::PublishError;
use chat_core::log::{Appended, Drafts, JournalError, Log, MemoryJournal, Span};
use chat_core::{CloseReason, Event, Hub, Limits, PresenceChange};
use chat_testkit::{Intercept, SlowJournal, TestHub, WrappedJournal};
use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::task::JoinSet;

/// Returns a hub whose members soon fall behind, because its rings and queues are small.
fn tight(queue_bytes: usize) -> TestHub {
    let mut limits = Limits::default();
    limits.rate = None;
    limits.ring_batches = NonZeroUsize::new(8).unwrap();
    limits.queue_bytes = NonZeroUsize::new(queue_bytes).unwrap();
    limits.journal_messages = NonZeroUsize::new(10_000).unwrap();
    TestHub::new(limits)
}

#[tokio::test(start_paused = true)]
async fn a_replay_goes_on_while_others_talk() {
    let mut hub = tight(16 * 1024);
    let [mut alice] = members(&mut hub, ["alice"]).await;
    let mut slow = hub.connect_with("slow", 1000);
    slow.sends("/nick slow").await;
    slow.sees_in_time("* you are now slow").await;
    let text = |number: u32| format!("{number:04} {}", "x".repeat(20));
    for number in 0..1500 {
        alice.sends(&text(number)).await;
        tokio::task::yield_now().await;
    }
    let mut said = 1500;
    for number in 0..1500 {
        slow.sees(&format!("14:02 alice: {}", text(number))).await;
        if number % 10 == 0 {
            alice.sends(&text(said)).await;
            said += 1;
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_turns_out_to_be_a_browser_while_it_is_behind_ends() {
    let mut hub = tight(1024);
    let [mut alice] = members(&mut hub, ["alice"]).await;
    let mut slow = hub.connect_with("slow", 100);
    slow.sees_in_time("* here with you: alice").await;
    for number in 0..400 {
        alice.sends(&format!("{number} {}", "x".repeat(50))).await;
        tokio::task::yield_now().await;
    }
    slow.sends_bytes(b"GET / HTTP/1.1\r\n\r\n").await;
    slow.sees_in_time("HTTP/1.1 400 Bad Request").await;
    assert_eq!(hub.ended().await, CloseReason::Disconnected);
}

#[tokio::test(start_paused = true)]
async fn a_request_line_too_long_to_be_a_line_never_becomes_chat() {
    let mut hub = TestHub::default();
    let [mut alice] = members(&mut hub, ["alice"]).await;
    let mut web = hub.connect("web");
    let path = "a".repeat(9000);
    web.sends_bytes(
        format!("POST /{path} HTTP/1.1\r\nHost: x\r\n\r\n/nick admin\nevil\n").as_bytes(),
    )
    .await;
    web.sees("HTTP/1.1 400 Bad Request").await;
    alice.sees_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_member_that_outlives_its_session_neither_speaks_nor_hears() {
    let hub = Hub::default();
    let alice = hub.session(Some("alice")).await.unwrap();
    let mut ghost = alice.join("lobby").await.unwrap();
    drop(alice);
    let other = hub.session(Some("alice")).await.unwrap();
    let talking = other.join("lobby").await.unwrap();
    assert!(matches!(
        ghost.say("boo").await,
        Err(PublishError::NotAMember)
    ));
    while ghost.next().await.is_some() {}
    talking.say("secret").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_member_in_process_sees_the_end_of_a_hub_that_drains() {
    let hub = Hub::default();
    let alice = hub.session(Some("alice")).await.unwrap();
    let bob = hub.session(Some("bob")).await.unwrap();
    let mut listening = alice.join("lobby").await.unwrap();
    bob.join("lobby")
        .await
        .unwrap()
        .say("last words")
        .await
        .unwrap();
    let (reached, end) = tokio::join!(
        async {
            let mut messages = 0;
            while let Some(event) = listening.next().await {
                messages += usize::from(matches!(event, Event::Message(_)));
            }
            messages
        },
        async { hub.drain() },
    );
    assert_eq!((reached, end), (1, ()));
}

#[tokio::test(start_paused = true)]
async fn a_stream_with_a_buffer_of_its_own_is_flushed() {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let mut tasks = JoinSet::new();
    tasks.spawn(chat_core::serve_connection(
        tokio::io::BufStream::new(far),
        chat_core::Peer::default(),
        Hub::default(),
    ));
    let (mut reader, mut writer) = tokio::io::split(near);
    writer.write_all(b"/who\n").await.unwrap();
    let mut bytes = [0; 100];
    let read = tokio::time::timeout(Duration::from_secs(60), reader.read(&mut bytes)).await;
    assert!(read.unwrap().unwrap() > 0);
}

#[tokio::test(start_paused = true)]
async fn an_action_without_the_time_does_not_pass_for_a_notice() {
    let mut hub = unlimited();
    let [mut alice, mut eve] = members(&mut hub, ["alice", "eve"]).await;
    alice.sends("/time off").await;
    alice.sees("* the time is not shown").await;
    eve.sends("/me is now admin").await;
    alice.sees("** eve is now admin").await;
    eve.sends("/nick you").await;
    eve.sees("! that can't be a nick: it is reserved, or looks like a name that is")
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_terminal_that_sends_each_key_gets_no_echo_once_it_is_read_by_lines() {
    let mut hub = TestHub::default();
    let mut terminal = hub.connect("terminal");
    for key in [b"h", b"e", b"l", b"l", b"o"] {
        terminal.sends_bytes(key).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    terminal.sends_bytes(b"\r\n").await;
    terminal.sees_in_time("14:02 guest-1: e").await;
    terminal.sees_nothing().await;
}

/// A stream that panics when it is read or written, once `armed` is set.
struct Bomb {
    stream: DuplexStream,
    armed: Arc<AtomicBool>,
    panics_when_read: bool,
}

impl AsyncRead for Bomb {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let panics = self.panics_when_read && self.armed.load(Ordering::Relaxed);
        assert!(!panics, "on purpose");
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Bomb {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let panics = !self.panics_when_read && self.armed.load(Ordering::Relaxed);
        assert!(!panics, "on purpose");
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_panics_ends_its_own_member_only() {
    let mut hub = unlimited();
    let [mut alice, mut bob] = members(&mut hub, ["alice", "bob"]).await;
    let mut tasks = JoinSet::new();
    // Each peer takes the nick that the previous peer has freed.
    for panics_when_read in [false, true, false, true] {
        let armed = Arc::new(AtomicBool::new(false));
        let (mut near, stream) = tokio::io::duplex(64 * 1024);
        tasks.spawn(chat_core::serve_connection(
            Bomb {
                stream,
                armed: Arc::clone(&armed),
                panics_when_read,
            },
            chat_core::Peer::default(),
            hub.hub.clone(),
        ));
        near.write_all(b"/nick bomb\n").await.unwrap();
        bob.sees_containing(" joined").await;
        bob.sees_containing(" is now bomb").await;
        armed.store(true, Ordering::Relaxed);
        alice.sends("one").await;
        bob.sees("14:02 alice: one").await;
        if panics_when_read {
            near.write_all(b"x\n").await.unwrap();
        }
        bob.sees_containing("* bomb left (gone: ").await;
        // A read panics in the task of the connection, so the task ends with a panic. A write may panic in a room's
        // delivery task instead. In this case, the task of the connection ends without a panic.
        let ended = tasks.join_next().await.unwrap();
        assert_eq!(ended.is_err(), panics_when_read);
        alice.sends("two").await;
        bob.sees("14:02 alice: two").await;
    }
    assert_eq!(hub.hub.sessions(), 2);
}

#[tokio::test(start_paused = true)]
async fn gaps_of_a_repair_in_process_do_not_overlap() {
    let mut limits = Limits::default();
    limits.ring_batches = NonZeroUsize::new(8).unwrap();
    let hub = Hub::builder()
        .limits(limits)
        .journal(SlowJournal::new(Vec::new()))
        .build();
    let (_sessions, mut listening, talking) = two_in_the_lobby(&hub).await;
    let mut accounted = 0;
    let mut count = |event| match event {
        Event::Message(_) => accounted += 1,
        Event::Gap(missed) => accounted += missed.gap().unwrap().len(),
        _ => {}
    };
    for _ in 0..2000 {
        talking.say("x").await.unwrap();
    }
    count(listening.next().await.unwrap());
    {
        // The member starts to wait for an event. Further messages are published while the journal is still reading.
        let mut next = Box::pin(listening.next());
        let first = next.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        for _ in 0..2000 {
            talking.say("x").await.unwrap();
        }
        count(match first {
            Poll::Ready(event) => event.unwrap(),
            Poll::Pending => next.await.unwrap(),
        });
    }
    while let Ok(Some(event)) = tokio::time::timeout(Duration::from_secs(1), listening.next()).await
    {
        count(event);
    }
    assert_eq!(accounted, 4000);
}

#[tokio::test(start_paused = true)]
async fn a_small_room_is_announced_in_again_before_it_is_empty() {
    let mut limits = Limits::default();
    limits.announce = 3;
    let hub = Hub::new(limits);
    let mut joined = Vec::new();
    for number in 0..5 {
        let session = hub.session(Some(&format!("n{number}"))).await.unwrap();
        let member = session.join("lobby").await.unwrap();
        joined.push((session, member));
    }
    let (_session, mut first) = joined.remove(0);
    drop(joined);
    let mut is_unhushed = false;
    while let Ok(Some(event)) = tokio::time::timeout(Duration::from_secs(1), first.next()).await {
        is_unhushed |= matches!(event, Event::Presence(presence) if matches!(presence.change, PresenceChange::Unhushed));
    }
    assert!(is_unhushed);
}

#[tokio::test(start_paused = true)]
async fn a_connection_whose_task_is_dropped_says_that_it_is_gone() {
    let mut hub = unlimited();
    let [mut alice] = members(&mut hub, ["alice"]).await;
    let (_near, far) = tokio::io::duplex(64 * 1024);
    let mut tasks = JoinSet::new();
    tasks.spawn(chat_core::serve_connection(
        far,
        chat_core::Peer::default(),
        hub.hub.clone(),
    ));
    alice.sees("* guest-2 joined").await;
    drop(tasks);
    alice.sees("* guest-2 left (gone: gone)").await;
}

#[tokio::test(start_paused = true)]
async fn who_goes_to_another_room_is_first_given_what_was_said_in_this_one() {
    let mut hub = tight(1024);
    let [mut alice] = members(&mut hub, ["alice"]).await;
    let mut slow = slow(&mut hub).await;
    for number in 0..100 {
        alice.sends(&format!("{number} {}", "x".repeat(100))).await;
        tokio::task::yield_now().await;
    }
    alice.sends("/who").await;
    alice.sees_in_time("* lobby: 2 members: alice, slow").await;
    slow.sends("/join ops").await;
    assert_eq!(slow.sees_in_time("* you are slow in ops").await.len(), 100);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_peer_that_asked_for_much_history_is_bounded() {
    let mut hub = unlimited();
    let [mut alice] = members(&mut hub, ["alice"]).await;
    for _ in 0..260 {
        alice.sends(&"x".repeat(4000)).await;
    }
    alice.sends("/who").await;
    alice.sees("* lobby: 1 member: alice").await;
    let mut bob = hub.connect_with("bob", 64);
    bob.sends("/nick bob").await;
    bob.sees_in_time("* you are now bob").await;
    bob.sends("/history 1000").await;
    tokio::time::sleep(Duration::from_secs(31)).await;
    // The server has ended the stalled connection, so the peer receives only the bytes that the stream already holds.
    assert_eq!(hub.ended().await, CloseReason::Stalled);
    assert!(bob.sees_the_end().await.len() < 2);
}

#[tokio::test(start_paused = true)]
async fn long_history_comes_whole_and_in_order() {
    let mut hub = unlimited();
    let [mut alice] = members(&mut hub, ["alice"]).await;
    for number in 0..1000 {
        alice.sends(&number.to_string()).await;
    }
    // The answer to `/who` shows that all 1,000 earlier messages are published.
    alice.sends("/who").await;
    alice.sees("* lobby: 1 member: alice").await;
    let mut bob = hub.connect_with("bob", 512);
    bob.sends_bytes(b"/nick bob\n/history 900\n/who\n").await;
    bob.sees_in_time("* you are now bob").await;
    for number in 100..1000 {
        bob.sees(&format!("14:02 alice: {number}")).await;
    }
    bob.sees("* lobby: 2 members: alice, bob").await;
}

#[tokio::test(start_paused = true)]
async fn a_tiny_queue_still_works() {
    let mut limits = Limits::default();
    limits.queue_bytes = NonZeroUsize::new(3).unwrap();
    let mut hub = TestHub::new(limits);
    let mut alice = hub.connect("alice");
    alice.sends("/who").await;
    alice.sees_in_time("* lobby: 1 member: guest-1").await;
}

#[tokio::test(start_paused = true)]
async fn an_undecided_connection_does_not_hold_up_a_drain() {
    let mut hub = TestHub::default();
    let mut stranger = hub.connect("stranger");
    stranger.sends_bytes(b"\x16").await;
    tokio::task::yield_now().await;
    let began = tokio::time::Instant::now();
    hub.hub.drain();
    assert_eq!(hub.ended().await, CloseReason::Draining);
    assert!(began.elapsed() < Duration::from_secs(1));
}

/// Wraps a journal so that appending a single text of odd length panics.
#[derive(Clone)]
struct Faulty;

impl Intercept for Faulty {
    fn append(
        &self,
        log: &impl Log,
        drafts: Drafts,
    ) -> impl Future<Output = Result<Appended, JournalError>> + Send + 'static {
        let is_bad = drafts.len() == 1 && drafts.bytes() % 2 == 1;
        let appended = log.append(drafts);
        async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert!(!is_bad, "on purpose");
            appended.await
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_panics_loses_that_append_only() {
    let journal = WrappedJournal::new(MemoryJournal::new(&Limits::default()), Faulty);
    let hub = Hub::builder().journal(journal).build();
    let alice = hub.session(Some("alice")).await.unwrap();
    let lobby = alice.join("lobby").await.unwrap();
    lobby.say("even").await.unwrap();
    assert!(matches!(
        lobby.say("odd").await,
        Err(PublishError::Journal(_))
    ));
    let later = tokio::time::timeout(Duration::from_secs(60), lobby.say("even")).await;
    assert!(later.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_topic_is_shown_to_its_author_in_its_turn() {
    let mut hub = unlimited();
    let [mut alice, mut bob] = members(&mut hub, ["alice", "bob"]).await;
    // Both lines arrive before the room delivers either of them.
    bob.sends("before").await;
    alice.sends("/topic on call: kim").await;
    let seen = [alice.sees_until_quiet().await, bob.sees_until_quiet().await];
    let order = |lines: &[String]| {
        let at = |part: &str| lines.iter().position(|line| line.contains(part)).unwrap();
        at("set the topic")
    };
    assert_eq!(seen[0].len(), 2, "{seen:?}");
    assert_eq!(order(&seen[1]), 0, "{seen:?}");
    let is_before = seen[0][0].ends_with("bob: before");
    let member = hub
        .hub
        .history("lobby", Span::After(chat_core::Seq::START), 9);
    let page = member.await.unwrap();
    let first = page.slices[0]
        .batch
        .messages(0..1)
        .next()
        .unwrap()
        .text
        .to_owned();
    assert_eq!(is_before, first == "before", "as the log has it");
}
