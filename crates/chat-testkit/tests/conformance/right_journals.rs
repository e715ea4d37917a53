//! Journals that satisfy the rules.

use crate::store::{Fault, Store};
use chat_core::Limits;
use chat_core::log::{Journal, MemoryJournal};
use chat_testkit::SlowJournal;
use chat_testkit::conformance::{self, Durability, Holds, InMemory, JournalUnderTest};
use std::num::NonZeroUsize;
use std::time::Duration;
use tokio::time::Instant;

/// Returns a journal in memory whose logs each hold at most this number of messages and of bytes.
pub(crate) fn ring(messages: usize, bytes: usize) -> MemoryJournal {
    let mut limits = Limits::default();
    limits.journal_messages = NonZeroUsize::new(messages).unwrap();
    limits.journal_bytes = NonZeroUsize::new(bytes).unwrap();
    MemoryJournal::new(&limits)
}

/// A function that creates a journal, and how many messages the journal holds.
struct Sized<F>(F, Holds);

impl<F: FnMut() -> J, J: Journal> JournalUnderTest for Sized<F> {
    type Journal = J;

    async fn open(&mut self) -> J {
        (self.0)()
    }

    fn durability(&self) -> Durability {
        Durability::WhileOpen
    }

    fn holds(&self) -> Holds {
        self.1
    }
}

#[tokio::test]
async fn the_ring_conforms() {
    let ring = InMemory(|| MemoryJournal::new(&Limits::default()));
    conformance::assert_conforms(conformance::journal(ring).await);
}

#[tokio::test]
async fn a_ring_that_does_not_wrap_holds_everything() {
    let ring = Sized(|| ring(1 << 20, 1 << 30), Holds::Everything);
    conformance::assert_conforms(conformance::journal(ring).await);
}

#[tokio::test]
async fn a_ring_that_wraps_conforms() {
    for messages in [1, 2, 3, 7, 20] {
        let ring = Sized(|| ring(messages, 1 << 20), Holds::AtLeast(messages));
        conformance::assert_conforms(conformance::journal_with(ring, 0..16).await);
    }
}

#[tokio::test]
async fn a_ring_that_is_full_of_bytes_conforms() {
    for bytes in [1, 200, 1000] {
        let ring = InMemory(|| ring(100, bytes));
        conformance::assert_conforms(conformance::journal_with(ring, 0..16).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_takes_its_time_conforms() {
    // Delays are taken from the end of the list, so the first append is the last to finish.
    let delays = |count: u64| (0..count).map(Duration::from_millis).collect();
    let slow = InMemory(|| SlowJournal::new(delays(5_000)));
    let began = Instant::now();
    conformance::assert_conforms(conformance::journal_with(slow, 0..8).await);
    assert!(began.elapsed() > Duration::from_secs(5), "it takes no time");
}

#[tokio::test]
async fn a_journal_that_survives_restarts_conforms() {
    conformance::assert_conforms(conformance::journal(Store::new(Fault::None)).await);
}

#[tokio::test]
async fn a_journal_whose_places_are_far_apart_conforms() {
    let store = Store::new(Fault::None).step(7);
    conformance::assert_conforms(conformance::journal(store).await);
}

#[tokio::test]
async fn a_journal_that_lets_go_and_survives_restarts_conforms() {
    for kept in [1, 5, 30] {
        let store = Store::new(Fault::None).step(3).keeps(kept);
        conformance::assert_conforms(conformance::journal_with(store, 0..16).await);
    }
}
