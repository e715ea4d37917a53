//! Opening rooms: many at a time, and with journals that can't be read.

use chat_core::log::{Epoch, Head, JournalError, MemoryJournal};
use chat_core::{Hub, Limits, Seq};
use chat_testkit::{Intercept, TestHub, WrappedJournal};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Wraps a journal so that rooms already have messages, but their logs can't be read. Counts how often a log is opened.
#[derive(Clone, Default)]
struct Unreadable {
    openings: Arc<AtomicUsize>,
}

impl Intercept for Unreadable {
    async fn open(&self) -> Result<(), JournalError> {
        self.openings.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        Ok(())
    }

    fn head(&self, _: Head) -> Head {
        Head::new(Epoch(1), Seq(7), "".into())
    }

    async fn read(&self) -> Result<(), JournalError> {
        tokio::task::yield_now().await;
        Err(JournalError::Unavailable("its file is damaged".into()))
    }
}

fn journal(unreadable: &Unreadable) -> WrappedJournal<MemoryJournal, Unreadable> {
    WrappedJournal::new(MemoryJournal::new(&Limits::default()), unreadable.clone())
}

#[tokio::test(start_paused = true)]
async fn a_room_whose_past_can_not_be_read_can_be_talked_in() {
    let hub = Hub::builder()
        .journal(journal(&Unreadable::default()))
        .build();
    let alice = hub.session(Some("alice")).await.unwrap();
    let bob = hub.session(Some("bob")).await.unwrap();
    let alice = alice.join("ops").await.unwrap();
    let mut bob = bob.join("ops").await.unwrap();
    alice.say("still here").await.unwrap();
    while !matches!(bob.next().await, Some(chat_core::Event::Message(message)) if message.text() == "still here")
    {
    }
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_is_told_that_the_past_can_not_be_read() {
    for opening in ["", "hello\n"] {
        let mut hub = TestHub::build(Hub::builder().journal(journal(&Unreadable::default())));
        let mut newcomer = hub.connect("newcomer");
        newcomer.sends_bytes(opening.as_bytes()).await;
        newcomer.sees_containing("* you are guest-1").await;
        let told = newcomer
            .sees_in_time("* the room's log can't be read now: earlier messages are not shown")
            .await;
        assert!(!told.iter().any(|line| line.contains(": hello")));
    }
}

/// The log must be opened only once. Otherwise a slow opening could replace the room's newer log by an older log.
#[tokio::test(start_paused = true)]
async fn a_room_that_many_come_to_at_once_is_opened_once() {
    let unreadable = Unreadable::default();
    let hub = Hub::builder().journal(journal(&unreadable)).build();
    let mut sessions = Vec::new();
    for number in 0..20 {
        sessions.push(
            hub.session(Some(&format!("member-{number}")))
                .await
                .unwrap(),
        );
    }
    let joins = sessions.iter().map(|session| session.join("ops"));
    for joined in futures::future::join_all(joins).await {
        joined.unwrap();
    }
    assert_eq!(unreadable.openings.load(Ordering::Relaxed), 1);
}
