//! Conformance suites for journals, dialects and rosters.
//!
//! The suites test only what chat-core relies on, and no particular implementation. Each returns the first
//! [`Violation`]. It names the broken [`Rule`], what was expected, what was seen, and the seed that reproduces it.

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
