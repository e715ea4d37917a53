//! Where a room's log is kept: the seam behind history, resume, lag repair and durability.
//!
//! Invariant: a message is delivered when the journal has it, in the order in which the journal has it. Nothing may
//! assume that appending is instantaneous, although in memory it is.

use crate::log::batch::{Batch, Message};
use crate::log::drafts::Drafts;
use crate::log::position::{Epoch, Seq, Timestamp};
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
/// A journal whose logs do not [`follow`](Log::follow) has one hub. A hub takes the end of a log as it was when the room was
/// opened, and what it appended since, for the end of the log: what another hub appends to it is not delivered to this
/// one's members. So no two hubs may share such a journal, nor two such journals what they are kept in. A journal that can
/// tell refuses to append through a log that was opened again since.
///
/// Hubs share a journal whose logs follow: each is given what the others append.
pub trait Journal: Send + Sync + 'static {
    /// One room's log.
    type Log: Log;

    /// Opens the log of a room, or begins it.
    ///
    /// `key` is the folded name: rooms with one key are one room, however the name is spelled. A room opens its log
    /// once and drops it when it has been empty for long enough to be forgotten.
    fn open(
        &self,
        room: &RoomName,
        key: &str,
    ) -> impl Future<Output = Result<Self::Log, JournalError>> + Send;
}

/// The log of one room.
pub trait Log: Send + Sync + 'static {
    /// What the log was when it was opened.
    fn head(&self) -> Head;

    /// Appends messages and gives them back with their places, or the place of what was appended before under the same key.
    ///
    /// Called in the order in which the messages shall stand in the log, without waiting for the one before to be
    /// done. Dropping the future does not take the messages back. Its result must not depend on when it is polled;
    /// a journal that has the messages at once returns a future that is ready.
    ///
    /// A journal that outlives its process stores a message's [`kept_key`](crate::log::MessageRef::kept_key), not its
    /// `key`, and gives it back to [`Drafts::restore`]: then a repetition under the key is known after a restart, too.
    ///
    /// # Keys
    ///
    /// The hub knows the keys of what it appended and of what [`keyed`](Self::keyed) finds, and appends no message again
    /// whose key it knows. A log that other hubs append to, which [`follow`](Self::follow)s, must know them itself: it
    /// answers [`Appended::Duplicate`] for a message whose [`key_id`](crate::log::DraftRef::key_id) is that of an earlier
    /// one. A hub appends a message with a key alone to such a log.
    ///
    /// # Errors
    ///
    /// [`JournalError::Uncertain`] and [`JournalError::Gone`] if the messages may or may not be in the log. Any other error
    /// says that they are not and never will be.
    fn append(
        &self,
        drafts: Drafts,
    ) -> impl Future<Output = Result<Appended, JournalError>> + Send + 'static;

    /// What is appended after [`head`](Self::head)'s tail, by this hub and by others, in the log's order. `None`, the
    /// default, if no other hub appends.
    ///
    /// Called once, before anything is appended. Without it, a message is delivered as soon as [`append`](Self::append)
    /// gives its place, which costs nothing more. With it, the stream alone drives delivery: it yields own messages, too,
    /// and `append` only answers their author. The stream
    /// - yields every message that is in the log after the head's tail, once, or a [`Followed::Gap`] in its place;
    /// - yields a batch of another hub under an author that no session of this hub is: see [`SessionId`];
    /// - agrees with [`read`](Self::read): what it has yielded can be read, under the same places;
    /// - ends only when the log can no longer be used. The room then takes no more messages, and its members are told.
    ///
    /// The room reads it as fast as it can. A room that is forgotten drops the stream, and then the log.
    ///
    /// [`SessionId`]: crate::log::SessionId
    fn follow(&self) -> Option<BoxStream<'static, Followed>> {
        None
    }

    /// Reads at most `limit` messages, oldest first: those nearest to the end of the span that is named.
    fn read(
        &self,
        span: Span,
        limit: usize,
    ) -> impl Future<Output = Result<Page, JournalError>> + Send;

    /// Finds at most `limit` messages that hold all the words of `text`, the latest before a place, oldest first.
    ///
    /// What a word is, and whether its spelling matters, is the journal's affair; whatever the text holds, it is words
    /// and no query language. Unless a journal has an index, the log is read from its end and compared regardless of
    /// case, which is fit for one in memory.
    ///
    /// A search whose work would exceed a fixed budget ends with [`JournalError::TooBroad`]. Dropping the future cancels
    /// the search: a journal that searches on another thread interrupts the work.
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

    /// Finds the latest messages that were appended under a key since a moment, about `limit` of them, oldest first: what
    /// a client may say again after this process has been restarted. Others may be among them, and a journal may leave
    /// their texts out.
    ///
    /// Unless a journal can find them, the log is read from its end, 16,384 messages or 16 MiB at most.
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

/// What became of messages that were appended.
#[derive(Debug, Clone)]
pub enum Appended {
    /// They are in the log, at these places.
    Batch(Arc<Batch>),
    /// The message was appended before under its key, at this place. It was not appended again.
    Duplicate(Seq),
}

impl Appended {
    /// The place of the last message.
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

/// What a log that several hubs append to yields.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Followed {
    /// Messages that were appended.
    Batch(Arc<Batch>),
    /// Messages that were appended and can no longer be read. Members are told.
    Gap(Gap),
    /// The log began anew, or was restored: what it is now. From here on, reads answer in this epoch. Members are told that
    /// they missed an unknown number of messages.
    Reset(Head),
    /// Whether the place where the log is kept can be reached. For the operator: members are told nothing.
    Reachable(bool),
}

/// What a log was when it was opened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Head {
    /// This life of the log.
    pub epoch: Epoch,
    /// The place of its last message; [`Seq::START`] if there has been none.
    pub tail: Seq,
    /// The topic that was set last; empty if there is none.
    pub topic: Arc<str>,
}

impl Head {
    /// Creates what a log is when it is opened.
    #[must_use]
    pub const fn new(epoch: Epoch, tail: Seq, topic: Arc<str>) -> Self {
        Self { epoch, tail, topic }
    }
}

/// Which part of a log is read.
///
/// A later version may have other parts: a journal refuses one that it does not know with
/// [`JournalError::Unavailable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Span {
    /// The messages that follow this place, from the first of them on.
    After(Seq),
    /// The messages that precede this place, up to the last of them.
    Before(Seq),
}

/// A part of a log, oldest first.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Page {
    /// The places asked for that the log no longer holds, if there are any; they precede the slices. In what a search
    /// has found: the places that it had no time to look through.
    pub gap: Option<Gap>,
    /// The messages.
    pub slices: Vec<BatchSlice>,
}

impl Page {
    /// Creates a page of these messages, which the places that are gone precede.
    #[must_use]
    pub const fn new(gap: Option<Gap>, slices: Vec<BatchSlice>) -> Self {
        Self { gap, slices }
    }

    /// How many messages there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slices.iter().map(|slice| slice.range.len()).sum()
    }

    /// Returns whether there is no message.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.slices.is_empty()
    }

    /// The messages, oldest first.
    pub fn messages(&self) -> impl Iterator<Item = Message> {
        self.slices.iter().flat_map(|slice| {
            let batch = &slice.batch;
            let range = slice.range.clone();
            range.map(|at| Message::new(Arc::clone(batch), at))
        })
    }

    /// Takes away what lies beyond this place.
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

    /// How far it leads: the place of the last message, or the end of the gap if there is none.
    pub(crate) fn reaches(&self) -> Option<Seq> {
        self.last().or_else(|| self.gap.map(|gap| gap.to))
    }

    /// The place of the first message, if there is one.
    #[must_use]
    pub fn first(&self) -> Option<Seq> {
        let slice = self.slices.first()?;
        slice
            .batch
            .messages(slice.range.clone())
            .next()
            .map(|message| message.seq)
    }

    /// The place of the last message, if there is one.
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
    /// The batch that they are in.
    pub batch: Arc<Batch>,
    /// Which of its messages, counted from 0; never empty.
    pub range: Range<usize>,
}

/// Messages that were in a log and can no longer be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The first place that is missing.
    pub from: Seq,
    /// The last place that is missing.
    pub to: Seq,
}

impl Gap {
    /// How many messages are missing, at most: places need not grow by one.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.to.0.saturating_sub(self.from.0).saturating_add(1)
    }

    /// Returns whether nothing is missing, which no journal reports.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.from.0 > self.to.0
    }
}

/// A log could not be opened, appended to or read.
#[derive(Debug)]
#[non_exhaustive]
pub enum JournalError {
    /// The journal's own reason.
    Failed(Box<dyn std::error::Error + Send + Sync>),
    /// The journal can't be used for a reason that peers may be told: what is wrong, in a few words.
    Unavailable(std::borrow::Cow<'static, str>),
    /// The journal is gone: what was appended may or may not be in it.
    Gone,
    /// The journal can't tell whether it has kept what was appended: why, in a few words that peers may be told. A
    /// repetition under the same key finds it if it has.
    Uncertain(std::borrow::Cow<'static, str>),
    /// A search would take longer than one search may: it has been given up.
    TooBroad,
}

impl JournalError {
    /// What peers may be told of it, in brackets; nothing if that is nothing.
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

/// An append that is done, or one that will be.
pub(crate) enum Append {
    Done(Result<Appended, JournalError>),
    Pending(BoxFuture<'static, Result<Appended, JournalError>>),
}

/// A [`Journal`] whose type is forgotten, so that the hub carries no type parameter.
pub(crate) trait DynJournal: Send + Sync {
    fn open<'a>(
        &'a self,
        room: &'a RoomName,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Arc<dyn DynLog>, JournalError>>;
}

/// A [`Log`] whose type is forgotten.
pub(crate) trait DynLog: Send + Sync {
    fn head(&self) -> Head;
    fn append(&self, drafts: Drafts) -> Append;
    fn follow(&self) -> Option<BoxStream<'static, Followed>>;
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
        // A journal that has the messages at once costs no task hop: this poll is the whole of it.
        match append
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(done) => Append::Done(done),
            Poll::Pending => Append::Pending(append),
        }
    }

    fn follow(&self) -> Option<BoxStream<'static, Followed>> {
        Log::follow(self)
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
