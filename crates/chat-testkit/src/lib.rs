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

pub mod conformance;
mod faults;
mod hub;
mod random;
mod slow_journal;
mod transcript;
mod wire;

pub use faults::{Faults, FaultyStream};
pub use hub::{NOW, TestHub};
pub use slow_journal::{SlowJournal, SlowLog};
pub use wire::Wire;
