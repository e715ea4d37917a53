//! Scripted members over in-memory streams: conversation tests that read as a script.
//!
//! Run them with paused time, so that a wait for something that never comes ends at once:
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
//! # Any dialect
//!
//! A [`Wire`] knows lines, not dialects: a member begins with lines of its own, and what it sees is compared, searched
//! or judged.
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
//! [`FaultyStream`] breaks, stalls or trickles when its [`Faults`] say so.
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
//! # Journals and dialects of one's own
//!
//! [`conformance`] has a suite for each: what core relies on, asked of any implementation. A journal that takes its
//! time is [`SlowJournal`], to see whether a test waits for one.
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

pub use faults::{Faults, FaultyStream};
pub use hub::{NOW, TestHub};
pub use shared_journal::{SharedJournal, SharedLog, SharedNode};
pub use shared_roster::{SharedRoster, SharedRosters};
pub use slow_journal::{SlowJournal, SlowLog};
pub use wire::Wire;

/// The examples of this package's README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
