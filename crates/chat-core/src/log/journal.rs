//! The journal: keeps the logs of rooms, for history, resume, catching up after lag, and durability.
//!
//! Invariant: a message is delivered once the journal has it, in the order of the journal. No code may assume that
//! appending is immediate, although it is in memory.

use crate::log::batch::{Batch, Message};
use crate::log::drafts::Drafts;
use crate::log::position::{Epoch, Position, Seq, Timestamp};
use crate::log::topic::Topic;
use crate::log::{keyed, search};
use crate::name::RoomName;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Keeps the logs of rooms.
///
/// # One writer, or several
///
/// A journal whose logs do not [`follow`](Log::follow) serves one hub. The hub takes the end of a log at the time the
/// room is opened, plus what it has appended since, for the end of the log. Messages that another hub appends are not
/// delivered to this hub's members. So two hubs must not share such a journal, and two such journals must not share
/// their storage. A journal that can detect this refuses to append through a log that has been opened again since.
///
/// Hubs can share a journal whose logs follow: each hub receives what the others append.
pub trait Journal: Send + Sync + 'static {
    /// The log of one room.
    type Log: Log;

    /// Opens the log of a room, or creates it.
    ///
    /// `key` is the folded name: all spellings with the same key are one room. A room opens its log once. It drops the
    /// log when the room has been empty long enough to be forgotten.
    fn open(
        &self,
        room: &RoomName,
        key: &str,
    ) -> impl Future<Output = Result<Self::Log, JournalError>> + Send;
}

/// The log of one room.
pub trait Log: Send + Sync + 'static {
    /// Returns the state of the log when it was opened.
    fn head(&self) -> Head;

    /// Appends messages and returns them with their positions, or the position of the message that was appended before
    /// under the same key.
    ///
    /// The hub calls this in the order in which the messages must be in the log, without waiting for earlier calls to
    /// finish. Dropping the future does not withdraw the messages. The result must not depend on when the future is
    /// polled. A journal that has the messages at once returns a future that is ready.
    ///
    /// A journal that outlives its process stores a message's [`kept_key`](crate::log::MessageRef::kept_key), not its
    /// `key`, and passes it to [`Drafts::restore`]. Then a repetition under the key is also recognised after a restart.
    ///
    /// # Keys
    ///
    /// The hub knows the keys of the messages that it appended and of those that [`keyed`](Self::keyed) finds, and does
    /// not append a message whose key it knows. A log that [`follow`](Self::follow)s, to which other hubs append, must
    /// recognise keys itself. It returns [`Appended::Duplicate`] for a message whose
    /// [`key_id`](crate::log::DraftRef::key_id) is that of an earlier message. To such a log, a hub appends each
    /// message with a key on its own.
    ///
    /// # Errors
    ///
    /// [`JournalError::Uncertain`] or [`JournalError::Gone`] if the messages may or may not be in the log. Any other
    /// error means that they are not in it and never will be.
    fn append(
        &self,
        drafts: Drafts,
    ) -> impl Future<Output = Result<Appended, JournalError>> + Send + 'static;

    /// Returns a stream of what this hub and others append after a position, in the log's order. `None`, the default,
    /// if no other hub appends.
    ///
    /// The hub first calls this with the end of the log in [`head`](Self::head), before anything is appended. Without
    /// the stream, a message is delivered as soon as [`append`](Self::append) returns its position, which has no
    /// further cost. With it, the stream alone drives delivery: it also yields this hub's own messages, and `append`
    /// only answers their author. The stream
    /// - yields every message that is in the log after the position, once, or a [`Followed::Gap`] in its place;
    /// - begins with a [`Followed::Reset`] if the log is no longer in the position's epoch;
    /// - yields a batch of another hub under an author that is no session of this hub: see [`SessionId`];
    /// - agrees with [`read`](Self::read): what it has yielded can be read at the same positions, and a gap that it has
    ///   yielded is a gap in the pages;
    /// - ends only when it can't go on. A store that can't be reached for a while is a [`Followed::Reachable`].
    ///
    /// The room reads the stream as fast as it can. A room that is forgotten drops the stream, and then the log.
    ///
    /// # A stream that ends
    ///
    /// When the stream ends or panics, the room tells its members, once, that the log can't be read
    /// ([`Missed::Unreadable`](crate::Missed::Unreadable)), and so it tells each member that joins later. Until the room
    /// follows its log again, it refuses messages at once with [`JournalError::Unavailable`]. An append that is under
    /// way is answered when its future resolves. History can still be read.
    ///
    /// The room calls `follow` again with the last position that it has delivered: after 100 ms, and then after ever
    /// longer pauses of up to 10 s. A stream that yields an item or is pending is followed. The members then receive
    /// what was appended in between, or a gap. A call that returns `None`, or a stream that has already ended, is a
    /// failed attempt, which the members do not notice.
    ///
    /// [`SessionId`]: crate::log::SessionId
    fn follow(&self, after: Position) -> Option<BoxStream<'static, Followed>> {
        let _ = after;
        None
    }

    /// Reads at most `limit` messages, oldest first: those nearest to the position that the span names.
    fn read(
        &self,
        span: Span,
        limit: usize,
    ) -> impl Future<Output = Result<Page, JournalError>> + Send;

    /// Finds at most `limit` messages that hold all the words of `text`: the latest before a position, oldest first.
    ///
    /// The journal decides what a word is and whether its spelling matters. `text` is always a list of words and never
    /// a query language. The default implementation reads the log from its end and ignores case when it compares. This
    /// suits a log in memory; a journal with an index should use its index.
    ///
    /// A search whose work would exceed a fixed budget ends with [`JournalError::TooBroad`]. Dropping the future
    /// cancels the search: a journal that searches on another thread interrupts the work.
    fn search(
        &self,
        text: &str,
        before: Seq,
        limit: usize,
    ) -> impl Future<Output = Result<Page, JournalError>> + Send
    where
        Self: Sized,
    {
        search::search(self, str::to_lowercase, text, before, limit)
    }

    /// Finds the latest messages that were appended under a key since `since`, about `limit` of them, oldest first.
    /// Clients may repeat these messages after this process has restarted. The result may contain other messages, and a
    /// journal may leave out the texts.
    ///
    /// The default implementation reads the log from its end: at most 16,384 messages or 16 MiB.
    fn keyed(
        &self,
        since: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<Page, JournalError>> + Send
    where
        Self: Sized,
    {
        keyed::keyed(self, since, limit)
    }
}

/// The result of appending messages.
#[derive(Debug, Clone)]
pub enum Appended {
    /// The messages are in the log, at these positions.
    Batch(Arc<Batch>),
    /// The message was appended before under the same key, at this position. It was not appended again.
    Duplicate(Seq),
}

impl Appended {
    /// Returns the position of the last message.
    #[must_use]
    pub fn last(&self) -> Seq {
        match self {
            Self::Batch(batch) => batch.last(),
            Self::Duplicate(seq) => *seq,
        }
    }
}

impl From<Batch> for Appended {
    fn from(batch: Batch) -> Self {
        Self::Batch(Arc::new(batch))
    }
}

impl From<Arc<Batch>> for Appended {
    fn from(batch: Arc<Batch>) -> Self {
        Self::Batch(batch)
    }
}

/// An item of the stream of a log that several hubs append to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Followed {
    /// Messages that were appended.
    Batch(Arc<Batch>),
    /// Messages that were appended and can no longer be read. Members receive a gap.
    Gap(Gap),
    /// The log began anew or was restored; this is its new state, in an epoch that it never had before. From here on,
    /// reads answer in this epoch. Members learn that they missed an unknown number of messages.
    Reset(Head),
    /// Whether the log's storage can be reached. This is for the operator; members are not informed.
    Reachable(bool),
}

/// The state of a log when it was opened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Head {
    /// The current epoch of the log.
    pub epoch: Epoch,
    /// The position of its last message; [`Seq::START`] if there has been none.
    pub tail: Seq,
    /// The topic that was set last.
    pub topic: Topic,
}

impl Head {
    /// Creates the state of a log when it is opened.
    #[must_use]
    pub const fn new(epoch: Epoch, tail: Seq, topic: Topic) -> Self {
        Self { epoch, tail, topic }
    }

    /// Returns the end of the log.
    #[must_use]
    pub const fn position(&self) -> Position {
        Position {
            epoch: self.epoch,
            seq: self.tail,
        }
    }
}

/// Which part of a log to read.
///
/// A later version may add spans. A journal refuses a span that it does not know with [`JournalError::Unavailable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Span {
    /// The messages after this position, beginning with the first of them.
    After(Seq),
    /// The messages before this position, ending with the last of them.
    Before(Seq),
}

/// A part of a log, oldest first.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Page {
    /// The requested positions that the log no longer holds, if there are any. They precede the slices. In the result
    /// of a search: the positions that it had no time to search.
    ///
    /// A page of what follows a position has no other hole. If messages in the middle of the log are lost, a page ends
    /// before them, although it is below its limit, and the next page begins with the gap.
    pub gap: Option<Gap>,
    /// The messages.
    pub slices: Vec<BatchSlice>,
    /// The epoch of the positions. `None` if the log has one epoch for as long as it is open.
    pub epoch: Option<Epoch>,
}

impl Page {
    /// Creates a page of these messages, after a gap of lost positions if there is one.
    #[must_use]
    pub const fn new(gap: Option<Gap>, slices: Vec<BatchSlice>) -> Self {
        Self {
            gap,
            slices,
            epoch: None,
        }
    }

    /// Sets the epoch of the positions. A log whose stream may yield a [`Followed::Reset`] sets it on each page, because
    /// the log may begin anew before the room receives the reset.
    #[must_use]
    pub const fn in_epoch(mut self, epoch: Epoch) -> Self {
        self.epoch = Some(epoch);
        self
    }

    /// Returns how many messages there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slices.iter().map(|slice| slice.range.len()).sum()
    }

    /// Returns whether there are no messages.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.slices.is_empty()
    }

    /// Returns the messages, oldest first.
    pub fn messages(&self) -> impl Iterator<Item = Message> {
        self.slices.iter().flat_map(|slice| {
            let batch = &slice.batch;
            let range = slice.range.clone();
            range.map(|at| Message::new(Arc::clone(batch), at))
        })
    }

    /// Removes what is after this position.
    pub(crate) fn clip(&mut self, through: Seq) {
        if let Some(gap) = &mut self.gap {
            gap.to = gap.to.min(through);
        }
        self.gap = self.gap.filter(|gap| !gap.is_empty());
        for slice in &mut self.slices {
            slice.range.end = slice.range.end.min(slice.batch.count_through(through));
        }
        self.slices
            .retain(|slice| slice.range.start < slice.range.end);
    }

    /// Returns how far the page reaches: the position of the last message, or the end of the gap if there is none.
    pub(crate) fn reaches(&self) -> Option<Seq> {
        self.last().or_else(|| self.gap.map(|gap| gap.to))
    }

    /// Returns the position of the first message, if there is one.
    #[must_use]
    pub fn first(&self) -> Option<Seq> {
        let slice = self.slices.first()?;
        slice
            .batch
            .messages(slice.range.clone())
            .next()
            .map(|message| message.seq)
    }

    /// Returns the position of the last message, if there is one.
    #[must_use]
    pub fn last(&self) -> Option<Seq> {
        let slice = self.slices.last()?;
        slice
            .batch
            .messages(slice.range.clone())
            .last()
            .map(|message| message.seq)
    }
}

/// Some of the messages of a batch.
#[derive(Debug, Clone)]
pub struct BatchSlice {
    /// The batch that holds the messages.
    pub batch: Arc<Batch>,
    /// The indexes of the messages, counted from 0; never empty.
    pub range: Range<usize>,
}

/// A range of messages that were in a log and can no longer be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The first missing position.
    pub from: Seq,
    /// The last missing position.
    pub to: Seq,
}

impl Gap {
    /// Returns how many messages are missing at most: positions need not grow by one.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.to.0.saturating_sub(self.from.0).saturating_add(1)
    }

    /// Returns whether nothing is missing. No journal reports such a gap.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.from.0 > self.to.0
    }
}

/// The error of opening, appending to or reading a log.
#[derive(Debug)]
#[non_exhaustive]
pub enum JournalError {
    /// The journal's own reason.
    Failed(Box<dyn std::error::Error + Send + Sync>),
    /// The journal can't be used, for this reason in a few words that peers may see.
    Unavailable(std::borrow::Cow<'static, str>),
    /// The journal is gone. Messages that were being appended may or may not be in it.
    Gone,
    /// The journal can't tell whether it stored the messages, for this reason in a few words that peers may see. If it
    /// did, repeating a message under the same key finds it.
    Uncertain(std::borrow::Cow<'static, str>),
    /// The search was given up because it would exceed the budget of one search.
    TooBroad,
}

impl JournalError {
    /// Returns the part of the error that peers may see, in brackets; empty if there is none.
    pub(crate) fn aside(&self) -> String {
        match self {
            Self::Unavailable(reason) | Self::Uncertain(reason) => {
                format!(" ({})", crate::text::clean(reason))
            }
            Self::Failed(_) | Self::Gone | Self::TooBroad => String::new(),
        }
    }
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(_) => f.write_str("the room's log can't be used now"),
            Self::Unavailable(reason) => write!(f, "the room's log can't be used now: {reason}"),
            Self::Gone => f.write_str("the room's log is closed"),
            Self::Uncertain(reason) => {
                write!(f, "it may or may not be in the room's log: {reason}")
            }
            Self::TooBroad => {
                f.write_str("the search is too broad: use fewer words, or rarer ones")
            }
        }
    }
}

impl std::error::Error for JournalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Failed(source) => Some(source.as_ref()),
            Self::Unavailable(_) | Self::Gone | Self::Uncertain(_) | Self::TooBroad => None,
        }
    }
}

/// The result of an append, or the future that returns it.
pub(crate) enum Append {
    Done(Result<Appended, JournalError>),
    Pending(BoxFuture<'static, Result<Appended, JournalError>>),
}

/// A [`Journal`] as a trait object, so that the hub carries no type parameter.
pub(crate) trait DynJournal: Send + Sync {
    fn open<'a>(
        &'a self,
        room: &'a RoomName,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Arc<dyn DynLog>, JournalError>>;
}

/// A [`Log`] as a trait object.
pub(crate) trait DynLog: Send + Sync {
    fn head(&self) -> Head;
    fn append(&self, drafts: Drafts) -> Append;
    fn follow(&self, after: Position) -> Option<BoxStream<'static, Followed>>;
    fn read(&self, span: Span, limit: usize) -> BoxFuture<'_, Result<Page, JournalError>>;
    fn search<'a>(
        &'a self,
        text: &'a str,
        before: Seq,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, JournalError>>;
    fn keyed(&self, since: Timestamp, limit: usize) -> BoxFuture<'_, Result<Page, JournalError>>;
}

impl<J: Journal> DynJournal for J {
    fn open<'a>(
        &'a self,
        room: &'a RoomName,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Arc<dyn DynLog>, JournalError>> {
        Box::pin(
            async move { Ok(Arc::new(Journal::open(self, room, key).await?) as Arc<dyn DynLog>) },
        )
    }
}

impl<L: Log> DynLog for L {
    fn head(&self) -> Head {
        Log::head(self)
    }

    fn append(&self, drafts: Drafts) -> Append {
        let mut append: Pin<Box<_>> = Box::pin(Log::append(self, drafts));
        // A journal that has the messages at once needs no task switch: this single poll returns its result.
        match append
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(done) => Append::Done(done),
            Poll::Pending => Append::Pending(append),
        }
    }

    fn follow(&self, after: Position) -> Option<BoxStream<'static, Followed>> {
        Log::follow(self, after)
    }

    fn read(&self, span: Span, limit: usize) -> BoxFuture<'_, Result<Page, JournalError>> {
        Box::pin(Log::read(self, span, limit))
    }

    fn search<'a>(
        &'a self,
        text: &'a str,
        before: Seq,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, JournalError>> {
        Box::pin(Log::search(self, text, before, limit))
    }

    fn keyed(&self, since: Timestamp, limit: usize) -> BoxFuture<'_, Result<Page, JournalError>> {
        Box::pin(Log::keyed(self, since, limit))
    }
}
