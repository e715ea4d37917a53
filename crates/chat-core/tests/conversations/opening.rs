//! Opening rooms, many at a time, and over journals that fail to read.

use chat_core::log::{
    Appended, Drafts, Epoch, Head, Journal, JournalError, Log, MemoryJournal, MemoryLog, Page, Span,
};
use chat_core::{Hub, Limits, RoomName, Seq};
use chat_testkit::TestHub;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A journal with existing rooms that can't be read. It counts the requests to open one.
#[derive(Clone)]
struct Unreadable {
    journal: MemoryJournal,
    openings: Arc<AtomicUsize>,
}

struct UnreadableLog(MemoryLog);

impl Journal for Unreadable {
    type Log = UnreadableLog;

    async fn open(&self, room: &RoomName, key: &str) -> Result<UnreadableLog, JournalError> {
        self.openings.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        Ok(UnreadableLog(self.journal.open(room, key).await?))
    }
}

impl Log for UnreadableLog {
    fn head(&self) -> Head {
        Head::new(Epoch(1), Seq(7), "".into())
    }

    fn append(
        &self,
        drafts: Drafts,
    ) -> impl Future<Output = Result<Appended, JournalError>> + Send + 'static {
        self.0.append(drafts)
    }

    async fn read(&self, _: Span, _: usize) -> Result<Page, JournalError> {
        tokio::task::yield_now().await;
        Err(JournalError::Unavailable("its file is damaged".into()))
    }
}

fn journal() -> Unreadable {
    Unreadable {
        journal: MemoryJournal::new(&Limits::default()),
        openings: Arc::default(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_room_whose_past_can_not_be_read_can_be_talked_in() {
    let hub = Hub::builder().journal(journal()).build();
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
        let mut hub = TestHub::build(Hub::builder().journal(journal()));
        let mut newcomer = hub.connect("newcomer");
        newcomer.sends_bytes(opening.as_bytes()).await;
        newcomer.sees_containing("* you are guest-1").await;
        let told = newcomer
            .sees_in_time("* the room's log can't be read now: earlier messages are not shown")
            .await;
        assert!(!told.iter().any(|line| line.contains(": hello")));
    }
}

/// If the log were opened once for each member, a late result could replace a newer log of the room by an older one.
#[tokio::test(start_paused = true)]
async fn a_room_that_many_come_to_at_once_is_opened_once() {
    let journal = journal();
    let openings = Arc::clone(&journal.openings);
    let hub = Hub::builder().journal(journal).build();
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
    assert_eq!(openings.load(Ordering::Relaxed), 1);
}
