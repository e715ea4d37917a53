//! The suite for journals: it makes the same calls to the journal and to a model of a log, and compares the results.

mod drafts;
mod following;
mod holes;
mod model;
mod page;
mod random_run;
mod rooms;
mod scripted;

use super::{Rule, Violation};
use chat_core::log::Journal;
pub use following::shared_journal;
pub use holes::shared_journal_with_holes;
use rooms::Rooms;
use std::future::{Future, ready};

/// The number of random runs that [`journal`] makes.
const SEEDS: u64 = 32;

/// A journal over a store that is empty at first, and its expected properties.
///
/// # Examples
///
/// A journal in a file, which survives a restart and keeps all messages:
///
/// ```
/// # use chat_core::log::{Journal, MemoryJournal};
/// # struct FileJournal;
/// # impl FileJournal { async fn open(_: &std::path::Path) -> MemoryJournal { unimplemented!() } }
/// use chat_testkit::conformance::{Durability, Holds, JournalUnderTest};
///
/// struct OnDisk(std::path::PathBuf);
///
/// impl JournalUnderTest for OnDisk {
/// #   type Journal = MemoryJournal;
/// #   /*
///     type Journal = FileJournal;
/// #   */
///
///     async fn open(&mut self) -> Self::Journal {
///         FileJournal::open(&self.0).await
///     }
///
///     fn durability(&self) -> Durability {
///         Durability::OverRestarts
///     }
///
///     fn holds(&self) -> Holds {
///         Holds::Everything
///     }
/// }
/// ```
pub trait JournalUnderTest {
    /// The journal.
    type Journal: Journal;

    /// Opens a journal over the store. Later calls are restarts: the earlier journal and all its logs have been
    /// dropped.
    fn open(&mut self) -> impl Future<Output = Self::Journal>;

    /// Returns how long a log lives.
    fn durability(&self) -> Durability;

    /// Returns how much of a log is kept.
    fn holds(&self) -> Holds;

    /// Removes every message from the store, as its retention does after some time. Called while no journal is open.
    ///
    /// Returns whether it did so. The default is for a journal without retention: it does nothing.
    fn expire(&mut self) -> impl Future<Output = bool> {
        ready(false)
    }
}

/// How long a log lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// As long as it is open. After it is opened again, it may begin anew with another epoch.
    WhileOpen,
    /// Without limit. When this process or the next opens it again, it is the same log with the same epoch.
    OverRestarts,
}

/// How much of a log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// All of it.
    Everything,
    /// At least this number of the latest messages. Older ones may be removed, which reads report as a gap.
    AtLeast(usize),
}

impl Holds {
    const fn messages(self) -> usize {
        match self {
            Self::Everything => usize::MAX,
            Self::AtLeast(messages) => messages,
        }
    }
}

/// A bounded in-memory journal that the function creates. Its logs live while they are open, and hold at least their
/// latest message.
///
/// # Examples
///
/// ```
/// use chat_core::{Limits, log::MemoryJournal};
/// use chat_testkit::conformance::InMemory;
///
/// let ring = InMemory(|| MemoryJournal::new(&Limits::default()));
/// # drop(ring);
/// ```
#[derive(Debug, Clone)]
pub struct InMemory<F>(
    /// Creates the journal.
    pub F,
);

impl<F: FnMut() -> J, J: Journal> JournalUnderTest for InMemory<F> {
    type Journal = J;

    fn open(&mut self) -> impl Future<Output = J> {
        ready((self.0)())
    }

    fn durability(&self) -> Durability {
        Durability::WhileOpen
    }

    fn holds(&self) -> Holds {
        Holds::AtLeast(1)
    }
}

/// Runs a journal through the whole suite: a script for each rule, and random runs.
///
/// Requires the runtime that the journal requires, and no other. The suite waits only for the journal, without a time
/// limit.
///
/// # Errors
///
/// Returns the first [`Violation`].
///
/// # Cancel safety
///
/// Dropping the future drops the journal and ends the suite.
///
/// # Examples
///
/// See [`assert_conforms`](super::assert_conforms).
pub async fn journal(under_test: impl JournalUnderTest) -> Result<(), Violation> {
    journal_with(under_test, 0..SEEDS).await
}

/// Like [`journal`], with random runs of these seeds: the seed of a violation to reproduce it, or a larger range for a
/// longer test.
///
/// # Errors
///
/// Returns the first [`Violation`].
///
/// # Cancel safety
///
/// See [`journal`].
pub async fn journal_with(
    mut under_test: impl JournalUnderTest,
    seeds: impl IntoIterator<Item = u64>,
) -> Result<(), Violation> {
    let mut rooms = Rooms::open(&mut under_test).await;
    let done = scripted::run(&mut rooms).await;
    done.map_err(|violation| violation.after(rooms.done()))?;
    for seed in seeds {
        rooms.begin(&format!("seed-{seed}-"));
        let done = random_run::run(&mut rooms, seed).await;
        done.map_err(|violation| violation.after(rooms.done()).seeded(seed))?;
    }
    Ok(())
}

/// Returns the violation for an error of the journal.
fn failed(doing: &str, error: &chat_core::log::JournalError) -> Violation {
    let source = std::error::Error::source(error).map(ToString::to_string);
    let source = source.map_or_else(String::new, |source| format!(": {source}"));
    Violation::new(Rule::Works, doing, format!("{error}{source}"))
}
