//! The suite for journals: the same calls go to the journal and to a model of what a log is, and must agree.

mod drafts;
mod following;
mod model;
mod page;
mod random_run;
mod rooms;
mod scripted;

use super::{Rule, Violation};
use chat_core::log::Journal;
pub use following::shared_journal;
use rooms::Rooms;
use std::future::{Future, ready};

/// How many random runs [`journal`] makes.
const SEEDS: u64 = 32;

/// A journal over a store that is empty at first, and what may be expected of it.
///
/// # Examples
///
/// A journal in a file, which survives a restart and lets nothing go:
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

    /// Opens a journal over the store. Called again when the one before and all its logs are dropped: a restart.
    fn open(&mut self) -> impl Future<Output = Self::Journal>;

    /// How long a log lives.
    fn durability(&self) -> Durability;

    /// How much of a log is kept.
    fn holds(&self) -> Holds;

    /// Lets go of every message in the store, as its retention will some day. Called while no journal is open.
    ///
    /// Returns whether it did; a journal without retention has nothing to do here.
    fn expire(&mut self) -> impl Future<Output = bool> {
        ready(false)
    }
}

/// How long a log lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// As long as it is open; opened again, it may begin anew with another epoch.
    WhileOpen,
    /// For ever: opened again, by this process or the next, it is the same log with the same epoch.
    OverRestarts,
}

/// How much of a log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// All of it.
    Everything,
    /// At least so many of the latest messages; the rest may be let go, which is reported as a gap.
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

/// A bounded journal in memory, made by this function: its logs live while they are open, and hold their latest
/// message at least.
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
    /// Makes the journal.
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
/// Wants the runtime that the journal wants, and no other. What takes time in the journal takes time here: nothing
/// but the journal is waited for, and for as long as it takes.
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

/// As [`journal`], with random runs of these seeds: a violation's own to see it again, or more of them for a night.
///
/// # Errors
///
/// Returns the first [`Violation`].
///
/// # Cancel safety
///
/// As [`journal`].
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

/// What the journal itself could not do.
fn failed(doing: &str, error: &chat_core::log::JournalError) -> Violation {
    let source = std::error::Error::source(error).map(ToString::to_string);
    let source = source.map_or_else(String::new, |source| format!(": {source}"));
    Violation::new(Rule::Works, doing, format!("{error}{source}"))
}
