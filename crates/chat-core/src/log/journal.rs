//! The journal: keeps the logs of rooms, for history, resume, catching up after lag, and durability.
//!
//! Invariant: a message is delivered only after the journal has stored it, and in the order of the journal. Code must
//! not assume that an append completes at once, although an append to the journal in memory does.

use crate::log::batch::{Batch, Message};
use crate::log::drafts::Drafts;
use crate::log::modes::Modes;
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
/// A journal whose logs do not [`follow`](Log::follow) serves one hub. The hub reads where a log ends when it opens the
/// room, and afterwards counts only the messages that it appends itself. It does not notice messages that another hub
/// appends. So two hubs must not share such a journal, and two such journals must not share their storage. If a journal
/// can detect that a log was opened a second time, it refuses to append through the log that was opened first.
///
/// Hubs can share a journal whose logs return a stream from [`follow`](Log::follow). From that stream, each hub
/// receives the messages that the other hubs append.
pub trait Journal: Send + Sync + 'static {
    /// The log of one room.
    type Log: Log;

    /// Opens the log of a room, or creates it.
    ///
    /// `key` is the folded name of the room. All spellings of a name that have the same key are one room. The hub opens
    /// the log when it opens the room, and drops the log when it forgets or closes the room. The hub may open the same
    /// log again later.
    fn open(
        &self,
        room: &RoomName,
        key: &str,
    ) -> impl Future<Output = Result<Self::Log, JournalError>> + Send;
}

/// The log of one room.
pub trait Log: Send + Sync + 'static {
    /// Returns the state that the log had when it was opened. A log that several hubs append to returns its latest state
    /// instead: after a gap, and when another hub has set the key of the room, a room takes the topic and the modes from
    /// it.
    fn head(&self) -> Head;

    /// Appends messages and returns them with their positions. If a message was appended before under the same key,
    /// returns the position of that earlier message instead.
    ///
    /// The order of the calls is the order of the messages in the log. The hub does not wait for the futures of earlier
    /// calls. Which messages are appended, and at which positions, must not depend on when or in which order the
    /// futures are polled. Dropping a future does not withdraw its messages, and does not change any position. A
    /// journal that stores messages at once returns a future that is ready.
    ///
    /// A journal that outlives its process stores a message's [`kept_key`](crate::log::MessageRef::kept_key), not its
    /// `key`, and later passes the `kept_key` to [`Drafts::restore`]. A repetition under the key is then also
    /// recognised after a restart.
    ///
    /// # Keys
    ///
    /// The hub remembers the keys of the messages that it has appended and of those that [`keyed`](Self::keyed) finds.
    /// It does not append a message whose key it remembers. A log to which other hubs append must recognise keys
    /// itself. It returns [`Appended::Duplicate`] for a message whose [`key_id`](crate::log::DraftRef::key_id) is that
    /// of an earlier message. To such a log, a hub appends each message with a key on its own.
    ///
    /// # Errors
    ///
    /// [`JournalError::Uncertain`] or [`JournalError::Gone`] if the messages may or may not be in the log. After any
    /// other error, the messages are not in the log and never will be.
    fn append(
        &self,
        drafts: Drafts,
    ) -> impl Future<Output = Result<Appended, JournalError>> + Send + 'static;

    /// Returns a stream of the messages that this hub and others append after a position, in the log's order. The
    /// default implementation returns `None`, which means that no other hub appends to the log.
    ///
    /// The hub first calls this method when it opens the room, before it appends. `after` is then the end of the log in
    /// [`head`](Self::head). If there is no stream, the room delivers a message once [`append`](Self::append) has
    /// returned its position. If there is a stream, the room delivers the messages that the stream yields, this hub's
    /// own included; the result of `append` only answers their author. The stream
    /// - yields each message that is in the log after the position once, or a [`Followed::Gap`] in the place of
    ///   messages that can no longer be read;
    /// - begins with a [`Followed::Reset`] if the log is no longer in the position's epoch;
    /// - yields the batches of other hubs with an author that is no session of this hub: see [`SessionId`];
    /// - agrees with [`read`](Self::read): messages that it has yielded can be read at the same positions, and a gap
    ///   that it has yielded is also a gap in the pages;
    /// - ends only when it can't go on. If the log's storage can't be reached for a while, the stream yields a
    ///   [`Followed::Reachable`] and does not end.
    ///
    /// The room reads the stream as fast as it can. When the hub forgets the room, it drops the stream and then the
    /// log.
    ///
    /// # A stream that ends
    ///
    /// When the stream ends or panics, each member of the room receives one
    /// [`Missed::Unreadable`](crate::Missed::Unreadable), also a member that joins later. Until the room follows its
    /// log again, it refuses messages at once with [`JournalError::Unavailable`]. The author of a message that is
    /// already being appended gets an answer when the future of `append` is ready. Members can still read the history.
    ///
    /// The room calls `follow` again with the last position that it has delivered: after 100 ms, and then after pauses
    /// that double up to 10 s. An attempt succeeds if the new stream yields an item, or yields nothing for 1 s but does
    /// not end. The members then receive the messages that were appended in between, or a gap. An attempt fails if the
    /// call returns `None` or if the stream ends earlier. The members do not notice a failed attempt.
    ///
    /// [`SessionId`]: crate::log::SessionId
    fn follow(&self, after: Position) -> Option<BoxStream<'static, Followed>> {
        let _ = after;
        None
    }

    /// Reads at most `limit` messages before or after the position in `span`. Returns the messages that are nearest to
    /// that position, oldest first.
    fn read(
        &self,
        span: Span,
        limit: usize,
    ) -> impl Future<Output = Result<Page, JournalError>> + Send;

    /// Finds messages that hold all the words of `text`. Returns at most `limit` messages: the latest ones before the
    /// position `before`, oldest first.
    ///
    /// The journal decides what a word is, and which spellings of a word match. `text` is always a list of words and
    /// never a query language. The default implementation reads the log from its end and ignores case when it compares.
    /// This implementation suits a log in memory; a journal with an index should use its index.
    ///
    /// A search whose work would exceed a fixed budget ends with [`JournalError::TooBroad`]. Dropping the future
    /// cancels the search, so a journal that searches on another thread must interrupt the work.
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

    /// Finds the messages with a key that were appended since `since`. Returns about `limit` messages: the latest ones,
    /// oldest first. The hub calls this method to learn the keys that clients may use again after this process has
    /// restarted. The result may also contain messages without a key, and the journal may leave out the texts.
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
    /// The messages are in the log, at the positions that the batch holds.
    Batch(Arc<Batch>),
    /// A message with the same key was appended before, at this position. This call appended nothing.
    Duplicate(Seq),
}

impl Appended {
    /// Returns the position of the last message that was appended, or of the earlier message with the same key.
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

/// What the stream of [`Log::follow`] yields: a change of a log that several hubs append to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Followed {
    /// Messages that this hub or another one has appended.
    Batch(Arc<Batch>),
    /// The positions of messages that were appended and can no longer be read. Members receive
    /// [`Missed::Expired`](crate::Missed::Expired).
    Gap(Gap),
    /// The log was lost and began anew, or was restored. The value is the log's new state. The new state has an epoch
    /// that the log never had before. All later reads return positions of this epoch. Members receive
    /// [`Missed::OtherEpoch`](crate::Missed::OtherEpoch).
    Reset(Head),
    /// The log's storage has become unreachable (`false`), or reachable again (`true`). The hub logs this change for
    /// the operator. Members are not informed.
    Reachable(bool),
}

/// The state of a log when it was opened, or when it began a new epoch.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Head {
    /// The current epoch of the log.
    pub epoch: Epoch,
    /// The position of the log's last message; [`Seq::START`] if no message was ever appended.
    pub tail: Seq,
    /// The room's topic, as the log's messages have set it.
    pub topic: Topic,
    /// The room's modes, as the log's messages have set them.
    pub modes: Modes,
}

impl Head {
    /// Creates the state of a log, for a journal that opens it. No mode is set; see [`with_modes`](Self::with_modes).
    #[must_use]
    pub fn new(epoch: Epoch, tail: Seq, topic: Topic) -> Self {
        Self {
            epoch,
            tail,
            topic,
            modes: Modes::default(),
        }
    }

    /// Sets the room's modes. A journal keeps them beside the topic: it applies each batch that it appends with
    /// [`Modes::apply`].
    #[must_use]
    pub fn with_modes(mut self, modes: Modes) -> Self {
        self.modes = modes;
        self
    }

    /// Returns the end of the log: its epoch and the position of its last message.
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
    /// The messages after this position. If there are more messages than the limit, the oldest of them.
    After(Seq),
    /// The messages before this position. If there are more messages than the limit, the latest of them.
    Before(Seq),
}

/// The result of reading or searching a log: messages, oldest first, and which positions are missing.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Page {
    /// The requested positions whose messages the log no longer holds. These positions precede the messages of this
    /// page. `None` if no message is missing. A program that shows a page must also show the gap, because a user would
    /// otherwise take the page for complete. In the result of a search, the gap is the positions that the search had no
    /// time to examine.
    ///
    /// A page of [`Span::After`] has no other gap. If messages in the middle of the log are lost, a page ends before
    /// the lost messages, even if the page holds fewer messages than its limit. The next page begins with the gap.
    pub gap: Option<Gap>,
    /// The messages, as parts of batches.
    pub slices: Vec<BatchSlice>,
    /// The epoch of the page's positions. `None` if the log keeps one epoch for as long as it is open.
    pub epoch: Option<Epoch>,
}

impl Page {
    /// Creates a page of these messages, preceded by this gap.
    #[must_use]
    pub const fn new(gap: Option<Gap>, slices: Vec<BatchSlice>) -> Self {
        Self {
            gap,
            slices,
            epoch: None,
        }
    }

    /// Sets the epoch of the page's positions. A log whose stream may yield a [`Followed::Reset`] sets the epoch on
    /// each page, because the log may begin anew before the room receives the reset.
    #[must_use]
    pub const fn in_epoch(mut self, epoch: Epoch) -> Self {
        self.epoch = Some(epoch);
        self
    }

    /// Returns how many messages the page holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slices.iter().map(|slice| slice.range.len()).sum()
    }

    /// Returns whether the page holds no messages.
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

    /// Removes the messages and the missing positions that are after this position.
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

    /// Returns the position of the page's last message. If the page has no messages, returns the end of the page's gap.
    pub(crate) fn reaches(&self) -> Option<Seq> {
        self.last().or_else(|| self.gap.map(|gap| gap.to))
    }

    /// Returns the position of the first message, if there is one.
    #[must_use]
    pub fn first(&self) -> Option<Seq> {
        let BatchSlice { batch, range } = self.slices.first()?;
        batch.seq(range.clone().next()?)
    }

    /// Returns the position of the last message, if there is one.
    #[must_use]
    pub fn last(&self) -> Option<Seq> {
        let BatchSlice { batch, range } = self.slices.last()?;
        batch.seq(range.clone().next_back()?)
    }
}

/// Consecutive messages of a batch.
#[derive(Debug, Clone)]
pub struct BatchSlice {
    /// The batch that holds the messages.
    pub batch: Arc<Batch>,
    /// The indexes of the messages in the batch, counted from 0. The range is never empty.
    pub range: Range<usize>,
}

impl BatchSlice {
    /// Takes the first message out of the slice in `waiting`. Sets `waiting` to `None` after the last message.
    pub(crate) fn take_first(waiting: &mut Option<Self>) -> Option<Message> {
        let slice = waiting.as_mut()?;
        let index = slice.range.next()?;
        if slice.range.start < slice.range.end {
            return Some(Message::new(Arc::clone(&slice.batch), index));
        }
        // The last message takes over the batch itself, which saves a clone.
        let slice = waiting.take()?;
        Some(Message::new(slice.batch, index))
    }
}

/// A range of positions in a log whose messages are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The first missing position.
    pub from: Seq,
    /// The last missing position.
    pub to: Seq,
}

impl Gap {
    /// Returns how many positions the gap has. Fewer messages may be missing, because not every position has a message.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.to.0.saturating_sub(self.from.0).saturating_add(1)
    }

    /// Returns whether the gap has no positions. No journal reports such a gap.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.from.0 > self.to.0
    }
}

/// The error of opening, appending to or reading a log.
#[derive(Debug)]
#[non_exhaustive]
pub enum JournalError {
    /// The journal failed. The hub logs the error; peers do not see the error.
    Failed(Box<dyn std::error::Error + Send + Sync>),
    /// The journal can't be used now. The text gives the reason in a few words; peers may see it.
    Unavailable(std::borrow::Cow<'static, str>),
    /// The journal has ended. Messages that were being appended may or may not be in the log.
    Gone,
    /// The journal can't tell whether it stored the messages. The text gives the reason in a few words; peers may see
    /// it. A message with a key can be repeated under the same key. The repetition is appended only if the journal did
    /// not store the first message.
    Uncertain(std::borrow::Cow<'static, str>),
    /// The search was ended because it would have taken more work than one search may take.
    TooBroad,
}

impl JournalError {
    /// Returns the reason that peers may see, in brackets. Returns an empty text if the error has no such reason.
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

/// The result of an append, or the future that returns the result.
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

/// A [`Log`] as a trait object, so that rooms carry no type parameter.
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
        // If the journal stores the messages at once, this single poll returns the result, without a task switch.
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
