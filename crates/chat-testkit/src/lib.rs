//! Test support: scripted members over in-memory streams, for tests that read like a conversation.
//!
//! Run the tests with Tokio's paused time, so that a test that waits for a missing line fails at once:
//!
//! ```
//! use chat_testkit::TestHub;
//!
//! # fn main() {
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
//! let mut hub = TestHub::default();
//! let mut alice = hub.member("alice").await;
//! let mut bob = hub.member("bob").await;
//! alice.sees("* guest-2 joined").await;
//! alice.sees("* guest-2 is now bob").await;
//!
//! alice.sends("hi").await;
//! bob.sees("14:02 alice: hi").await;
//! # })
//! # }
//! ```
//!
//! # Other dialects
//!
//! A [`Wire`] sends and receives lines of any dialect. With [`TestHub::connect_saying`], the test gives the first lines
//! that the wire sends. The test can compare a received line, search in it, or check it with a closure.
//!
//! ```
//! # use chat_testkit::TestHub;
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
//! let mut hub = TestHub::default();
//! let mut carol = hub.connect_saying("carol", ["/nick carol", "/rooms"]).await;
//! carol.sees_in_time("* you are now carol").await;
//! carol.sees_containing("lobby").await;
//! # })
//! ```
//!
//! # Bad networks
//!
//! A [`FaultyStream`] has the faults that the test sets through its [`Faults`]: the stream breaks, stalls, or passes
//! single bytes.
//!
//! ```
//! # use chat_core::CloseReason;
//! # use chat_testkit::TestHub;
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
//! # let mut hub = TestHub::default();
//! let (mut dave, faults) = hub.connect_faulty("dave");
//! faults.read_bytewise();
//! dave.sends("/nick dave").await;
//! dave.sees_in_time("* you are now dave").await;
//! faults.reset();
//! assert_eq!(hub.ended().await, CloseReason::Broken);
//! # })
//! ```
//!
//! # Your own journals and dialects
//!
//! [`conformance`] has suites for journals, dialects and rosters. A suite checks any implementation for the rules that
//! `chat-core` relies on.
//!
//! [`SlowJournal`] is a journal whose appends take time, for tests of a program that waits for an append.
//! [`WrappedJournal`] makes any journal fail or wait. [`WordPolicy`] makes each decision that a policy can make.
//! [`in_words`] describes the events of members in process.
//!
//! ```
//! use chat_core::{Limits, log::MemoryJournal};
//! use chat_testkit::conformance::{self, InMemory};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let ring = InMemory(|| MemoryJournal::new(&Limits::default()));
//! conformance::journal_with(ring, 0..4).await?;
//! # Ok::<(), conformance::Violation>(())
//! # }).unwrap();
//! ```

#![deny(missing_docs)]

pub mod conformance;
mod faults;
mod hub;
mod random;
mod shared_journal;
mod shared_roster;
mod slow_journal;
mod transcript;
mod wire;
mod word_policy;
mod words;
mod wrapped_journal;

pub use faults::{Faults, FaultyStream};
pub use hub::{NOW, TestHub};
pub use shared_journal::{SharedJournal, SharedLog, SharedNode};
pub use shared_roster::{SharedRoster, SharedRosters};
pub use slow_journal::{Delays, SlowJournal};
pub use wire::Wire;
pub use word_policy::WordPolicy;
pub use words::in_words;
pub use wrapped_journal::{Intercept, WrappedJournal, WrappedLog};

/// Turns the examples in this package's README into tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
