//! A journal that wraps another one, for tests of journals that are slow, fail, or record their calls.

use chat_core::RoomName;
use chat_core::Seq;
use chat_core::log::{
    Appended, Drafts, Followed, Head, Journal, JournalError, Log, Page, Position, Span, Timestamp,
};
use futures::stream::BoxStream;
use std::future::{Future, ready};

/// Changes the operations of a [`WrappedJournal`] and its logs. The default of each method leaves its operation
/// unchanged.
///
/// # Cancel safety
///
/// If a future of [`open`](Self::open), [`read`](Self::read) or [`search`](Self::search) is dropped, the wrapped
/// journal is not called.
///
/// # Examples
///
/// A journal that can't be read:
///
/// ```
/// use chat_core::log::{JournalError, MemoryJournal};
/// use chat_core::{Hub, Limits};
/// use chat_testkit::{Intercept, WrappedJournal};
///
/// #[derive(Clone)]
/// struct Unreadable;
///
/// impl Intercept for Unreadable {
///     async fn read(&self) -> Result<(), JournalError> {
///         Err(JournalError::Unavailable("its file is gone".into()))
///     }
/// }
///
/// let journal = WrappedJournal::new(MemoryJournal::new(&Limits::default()), Unreadable);
/// let hub = Hub::builder().journal(journal).build();
/// # drop(hub);
/// ```
pub trait Intercept: Clone + Send + Sync + 'static {
    /// Runs before a log is opened. If this method returns an error, opening fails with that error.
    fn open(&self) -> impl Future<Output = Result<(), JournalError>> + Send {
        ready(Ok(()))
    }

    /// Returns the head of a log. `head` is the head of the wrapped log.
    fn head(&self, head: Head) -> Head {
        head
    }

    /// Appends drafts to the wrapped log. Like [`Log::append`], this method is called in the order in which the
    /// messages must be in the log.
    fn append(
        &self,
        log: &impl Log,
        drafts: Drafts,
    ) -> impl Future<Output = Result<Appended, JournalError>> + Send + 'static {
        log.append(drafts)
    }

    /// Follows the wrapped log; see [`Log::follow`].
    fn follow(&self, log: &impl Log, after: Position) -> Option<BoxStream<'static, Followed>> {
        log.follow(after)
    }

    /// Runs before messages are read, and before messages with keys are read. If this method returns an error, reading
    /// fails with that error.
    fn read(&self) -> impl Future<Output = Result<(), JournalError>> + Send {
        ready(Ok(()))
    }

    /// Runs before a search. If this method returns an error, the search fails with that error.
    fn search(&self) -> impl Future<Output = Result<(), JournalError>> + Send {
        ready(Ok(()))
    }
}

/// A journal that wraps another one. An [`Intercept`] changes its operations.
#[derive(Debug, Clone)]
pub struct WrappedJournal<J, I> {
    inner: J,
    intercept: I,
}

/// A log of a [`WrappedJournal`].
#[derive(Debug)]
pub struct WrappedLog<L, I> {
    inner: L,
    intercept: I,
}

impl<J, I> WrappedJournal<J, I> {
    /// Wraps a journal.
    pub const fn new(inner: J, intercept: I) -> Self {
        Self { inner, intercept }
    }
}

impl<J: Journal, I: Intercept> Journal for WrappedJournal<J, I> {
    type Log = WrappedLog<J::Log, I>;

    async fn open(&self, room: &RoomName, key: &str) -> Result<Self::Log, JournalError> {
        self.intercept.open().await?;
        Ok(WrappedLog {
            inner: self.inner.open(room, key).await?,
            intercept: self.intercept.clone(),
        })
    }
}

impl<L: Log, I: Intercept> Log for WrappedLog<L, I> {
    fn head(&self) -> Head {
        self.intercept.head(self.inner.head())
    }

    fn append(
        &self,
        drafts: Drafts,
    ) -> impl Future<Output = Result<Appended, JournalError>> + Send + 'static {
        self.intercept.append(&self.inner, drafts)
    }

    fn follow(&self, after: Position) -> Option<BoxStream<'static, Followed>> {
        self.intercept.follow(&self.inner, after)
    }

    async fn read(&self, span: Span, limit: usize) -> Result<Page, JournalError> {
        self.intercept.read().await?;
        self.inner.read(span, limit).await
    }

    async fn search(&self, text: &str, before: Seq, limit: usize) -> Result<Page, JournalError> {
        self.intercept.search().await?;
        self.inner.search(text, before, limit).await
    }

    async fn keyed(&self, since: Timestamp, limit: usize) -> Result<Page, JournalError> {
        self.intercept.read().await?;
        self.inner.keyed(since, limit).await
    }
}
