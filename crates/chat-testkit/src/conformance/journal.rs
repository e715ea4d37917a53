//! The suite for journals. It makes the same calls to the journal and to a model of a log, and compares the results.

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

/// Opens the journal that a suite tests, and says which properties the suite must expect of it.
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
    /// The type of the journal.
    type Journal: Journal;

    /// Opens a journal over the store, which must be empty at the first call. Each later call is a restart: the suite
    /// has dropped the earlier journal and all its logs before that call.
    fn open(&mut self) -> impl Future<Output = Self::Journal>;

    /// Returns how long the logs of the journal live.
    fn durability(&self) -> Durability;

    /// Returns how many messages of a log the journal keeps.
    fn holds(&self) -> Holds;

    /// Removes every message from the store, as the journal's retention does after some time. The suite calls this
    /// method while no journal is open.
    ///
    /// Returns whether the messages were removed. The default implementation is for a journal without retention: it
    /// removes nothing and returns `false`.
    fn expire(&mut self) -> impl Future<Output = bool> {
        ready(false)
    }
}

/// How long the logs of a journal live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A log lives as long as it is open. When the log is opened again, it may be empty and have another epoch.
    WhileOpen,
    /// A log lives without limit. When this process or a later one opens the log again, the log has the same messages
    /// and the same epoch.
    OverRestarts,
}

/// How many messages of a log a journal keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// All messages.
    Everything,
    /// At least this number of the latest messages. The journal may remove older messages. A read reports the removed
    /// messages as a gap.
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

/// A [`JournalUnderTest`] for journals that keep a limited number of messages in memory. A log of the journal lives
/// while it is open, and keeps at least its latest message.
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
    /// The function that creates the journal.
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
/// The suite starts no runtime, so run it on the runtime that the journal needs. The suite waits only for the journal,
/// and has no time limit.
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

/// Runs a journal through the suite as [`journal`] does, with one random run for each of these seeds. The seed of a
/// [`Violation`] reproduces that violation. A large range of seeds makes a longer test.
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
