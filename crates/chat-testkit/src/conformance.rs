//! What every journal and every dialect must keep, as suites that an implementation is run through.
//!
//! The suites know no implementation: what they ask is what chat-core relies on. Each returns the first
//! [`Violation`], which names the [`Rule`] that is broken, what was expected and what was seen, and the seed with
//! which it happens again.

mod dialect;
mod journal;
mod roster;
mod violation;

pub use dialect::{Speech, connection, dialect};
pub use journal::{
    Durability, Holds, InMemory, JournalUnderTest, journal, journal_with, shared_journal,
};
pub use roster::roster;
pub use violation::{Rule, Violation, assert_conforms};
