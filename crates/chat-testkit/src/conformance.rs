//! Conformance suites for journals, dialects and rosters.
//!
//! A suite checks only rules that `chat-core` relies on, so every implementation can run it. A suite returns the first
//! [`Violation`] that it finds. The violation names the broken [`Rule`], what the suite expected, what the suite saw
//! instead, and the seed that reproduces the violation.

mod dialect;
mod journal;
mod roster;
mod violation;

pub use dialect::{Speech, connection, dialect};
pub use journal::{
    Durability, Holds, InMemory, JournalUnderTest, journal, journal_with, shared_journal,
    shared_journal_with_holes,
};
pub use roster::roster;
pub use violation::{Rule, Violation, assert_conforms};
