//! The journal in memory: a bounded ring for each room.
//!
//! Invariant: a room's log holds at most `journal_messages` messages and about `journal_bytes` of text. All logs
//! together hold at most about `journal_total_bytes`. A read of messages that were dropped returns a gap.

mod budget;

use crate::limits::Limits;
use crate::log::batch::Batch;
use crate::log::drafts::Drafts;
use crate::log::journal::Log;
use crate::log::journal::{Appended, BatchSlice, Gap, Head, Journal, JournalError, Page, Span};
use crate::log::modes::Modes;
use crate::log::position::{Epoch, Seq};
use crate::log::search;
use crate::log::search::Fold;
use crate::log::topic::Topic;
use crate::name::RoomName;
use crate::sync::Mutex;
use budget::Budget;
use std::collections::VecDeque;
use std::future::{Future, ready};
use std::sync::Arc;

/// Keeps the latest messages of each room in memory. Appending completes at once.
///
/// When the hub forgets or closes a room, the room's log is lost. When the room is opened again, its log is empty and
/// has a new epoch. A room without messages loses nothing, and keeps its epoch when it is opened again. All logs of a
/// journal and of its clones share the memory of [`Limits::journal_total_bytes`].
#[derive(Debug, Clone)]
pub struct MemoryJournal {
    messages_max: usize,
    bytes_max: usize,
    budget: Arc<Budget>,
    fold: Fold,
}

/// The log of one room in memory: a ring of the latest messages.
#[derive(Debug)]
pub struct MemoryLog {
    room: RoomName,
    key: Box<str>,
    epoch: Epoch,
    messages_max: usize,
    bytes_max: usize,
    fold: Fold,
    budget: Arc<Budget>,
    /// The number of this log in `budget`.
    id: u64,
    ring: Arc<Mutex<Ring>>,
}

#[derive(Debug, Default)]
struct Ring {
    batches: VecDeque<Arc<Batch>>,
    messages: usize,
    bytes: usize,
    /// The memory that the batches take, in bytes, as [`budget::cost`] counts it.
    held: usize,
    /// How many messages of the first batch have been dropped. Their memory is freed only when all messages of the
    /// batch are dropped.
    gone_of_first: usize,
    /// The position of the last message that was appended; 0 if there was none.
    tail: u64,
    topic: Topic,
    modes: Modes,
}

impl MemoryJournal {
    /// Creates an empty journal. Uses only the fields of `limits` whose names begin with `journal_`.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            budget: Arc::new(Budget::new(limits.journal_total_bytes.get())),
            messages_max: limits.journal_messages.get(),
            bytes_max: limits.journal_bytes.get(),
            fold: str::to_lowercase,
        }
    }

    /// Sets the function that a search applies to words and texts before it compares them. The default function maps to
    /// lower case.
    ///
    /// The function should also normalise (Unicode Annex #15). Otherwise a search for a word in one normal form does
    /// not find the same word in another normal form. [`HubBuilder`](crate::HubBuilder) sets
    /// [`NameRules::fold`](crate::name::NameRules) in the journal that it creates.
    #[must_use]
    pub fn fold(mut self, fold: fn(&str) -> String) -> Self {
        self.fold = fold;
        self
    }
}

impl Journal for MemoryJournal {
    type Log = MemoryLog;

    fn open(
        &self,
        room: &RoomName,
        key: &str,
    ) -> impl Future<Output = Result<MemoryLog, JournalError>> + Send {
        let ring = Arc::default();
        let id = self.budget.register(&ring);
        ready(Ok(MemoryLog {
            id,
            budget: Arc::clone(&self.budget),
            room: room.clone(),
            epoch: self.budget.epoch(key, id),
            key: key.into(),
            messages_max: self.messages_max,
            bytes_max: self.bytes_max,
            fold: self.fold,
            ring,
        }))
    }
}

impl Log for MemoryLog {
    fn head(&self) -> Head {
        let ring = self.ring.lock();
        Head {
            epoch: self.epoch,
            tail: Seq(ring.tail),
            topic: ring.topic.clone(),
            modes: ring.modes.clone(),
        }
    }

    fn append(
        &self,
        drafts: Drafts,
    ) -> impl Future<Output = Result<Appended, JournalError>> + Send + 'static {
        let batch = {
            let mut ring = self.ring.lock();
            let seqs = (ring.tail + 1..).map(Seq);
            let batch = Arc::new(drafts.number(self.room.clone(), seqs));
            let held = ring.held;
            ring.push(Arc::clone(&batch), self.messages_max, self.bytes_max);
            // The bytes are added while the ring is locked, so that another task can't drop the batch and subtract its
            // bytes first.
            self.budget.change(held, ring.held);
            batch
        };
        self.budget.keep();
        ready(Ok(batch.into()))
    }

    fn read(
        &self,
        span: Span,
        limit: usize,
    ) -> impl Future<Output = Result<Page, JournalError>> + Send {
        let ring = self.ring.lock();
        ready(Ok(match span {
            Span::After(seq) => ring.after(seq, limit),
            Span::Before(seq) => ring.before(seq, limit),
        }))
    }

    fn search(
        &self,
        text: &str,
        before: Seq,
        limit: usize,
    ) -> impl Future<Output = Result<Page, JournalError>> + Send {
        search::search(self, self.fold, text, before, limit)
    }
}

impl Drop for MemoryLog {
    fn drop(&mut self) {
        let is_unused = self.ring.lock().tail == 0;
        self.budget
            .drop_log(&self.key, self.id, self.epoch, is_unused);
        self.budget.forget(self.id, &self.ring);
    }
}

impl Ring {
    fn push(&mut self, batch: Arc<Batch>, messages_max: usize, bytes_max: usize) {
        if batch.is_empty() {
            return;
        }
        if batch.has_state() {
            if let Some(topic) = batch.topic() {
                self.topic = topic;
            }
            self.modes.apply(&batch);
        }
        self.tail = batch.last().0;
        self.messages += batch.len();
        self.bytes += batch.bytes();
        self.held += budget::cost(&batch);
        self.batches.push_back(batch);
        while self.bytes > bytes_max && self.batches.len() > 1 {
            self.let_go(usize::MAX);
        }
        while self.messages > messages_max {
            self.let_go(self.messages - messages_max);
        }
    }

    /// Drops at most `count` messages from the first batch. When the batch's last message is dropped, drops the batch
    /// itself.
    fn let_go(&mut self, count: usize) {
        let Some(first) = self.batches.front() else {
            return;
        };
        let left = first.len() - self.gone_of_first;
        if count < left {
            self.gone_of_first += count;
            self.messages -= count;
        } else {
            self.messages -= left;
            self.bytes -= first.bytes();
            self.held -= budget::cost(first);
            self.gone_of_first = 0;
            self.batches.pop_front();
        }
    }

    fn after(&self, seq: Seq, limit: usize) -> Page {
        let oldest = self.oldest();
        let gap = (seq.next() < oldest).then(|| Gap {
            from: seq.next(),
            to: Seq(oldest.0 - 1),
        });
        let first = self.batches.partition_point(|batch| batch.last() <= seq);
        let mut slices = Vec::new();
        let mut left = limit;
        for (at, batch) in self.batches.iter().enumerate().skip(first) {
            let start = self.start(at).max(batch.count_through(seq));
            let end = batch.len().min(start.saturating_add(left));
            if start == end {
                break;
            }
            left -= end - start;
            slices.push(BatchSlice {
                batch: Arc::clone(batch),
                range: start..end,
            });
        }
        Page::new(gap, slices)
    }

    fn before(&self, seq: Seq, limit: usize) -> Page {
        let mut slices = VecDeque::new();
        let mut left = limit;
        let end = self.batches.partition_point(|batch| batch.first() < seq);
        for (at, batch) in self.batches.iter().enumerate().take(end).rev() {
            let end = batch.count_through(Seq(seq.0.saturating_sub(1)));
            let start = self.start(at).max(end.saturating_sub(left));
            if start >= end {
                break;
            }
            left -= end - start;
            slices.push_front(BatchSlice {
                batch: Arc::clone(batch),
                range: start..end,
            });
        }
        Page::new(None, slices.into())
    }

    /// Returns the position of the oldest message in the ring. If the ring is empty, returns the position that the next
    /// message will have.
    fn oldest(&self) -> Seq {
        self.batches
            .front()
            .and_then(|batch| batch.messages(self.gone_of_first..batch.len()).next())
            .map_or(Seq(self.tail + 1), |message| message.seq)
    }

    fn start(&self, at: usize) -> usize {
        if at == 0 { self.gone_of_first } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Kind;
    use crate::log::position::{SessionId, Timestamp};
    use crate::name::Nick;
    use futures::FutureExt;

    fn log(messages_max: usize, bytes_max: usize) -> MemoryLog {
        let journal = MemoryJournal {
            budget: Arc::new(Budget::new(usize::MAX)),
            messages_max,
            bytes_max,
            fold: str::to_lowercase,
        };
        journal
            .open(&RoomName::parse("ops").unwrap(), "ops")
            .now_or_never()
            .unwrap()
            .unwrap()
    }

    fn append(log: &MemoryLog, texts: &[&str]) {
        let mut drafts = Drafts::new(SessionId(1), Nick::parse("a").unwrap(), Timestamp(0));
        texts.iter().for_each(|text| drafts.push(Kind::Said, text));
        log.append(drafts).now_or_never().unwrap().unwrap();
    }

    fn read(log: &MemoryLog, span: Span, limit: usize) -> (Option<(u64, u64)>, Vec<u64>) {
        let page = log.read(span, limit).now_or_never().unwrap().unwrap();
        assert!(page.slices.iter().all(|slice| !slice.range.is_empty()));
        let seqs = page
            .slices
            .iter()
            .flat_map(|slice| slice.batch.messages(slice.range.clone()).map(|m| m.seq.0));
        (page.gap.map(|gap| (gap.from.0, gap.to.0)), seqs.collect())
    }

    #[test]
    fn a_range_is_read_forwards_and_backwards_in_pages() {
        let log = log(100, 1000);
        append(&log, &["1", "2", "3"]);
        append(&log, &["4"]);
        append(&log, &["5", "6"]);
        assert_eq!(
            read(&log, Span::After(Seq::START), 4),
            (None, vec![1, 2, 3, 4])
        );
        assert_eq!(read(&log, Span::After(Seq(2)), 2), (None, vec![3, 4]));
        assert_eq!(read(&log, Span::After(Seq(6)), 2), (None, vec![]));
        assert_eq!(read(&log, Span::Before(Seq::END), 3), (None, vec![4, 5, 6]));
        assert_eq!(read(&log, Span::Before(Seq(6)), 3), (None, vec![3, 4, 5]));
        assert_eq!(read(&log, Span::Before(Seq(2)), 9), (None, vec![1]));
    }

    #[test]
    fn what_was_let_go_is_an_explicit_gap() {
        let log = log(3, 1000);
        append(&log, &["1", "2"]);
        append(&log, &["3", "4", "5"]);
        assert_eq!(
            read(&log, Span::After(Seq::START), 9),
            (Some((1, 2)), vec![3, 4, 5])
        );
        append(&log, &["6"]);
        assert_eq!(
            read(&log, Span::After(Seq(2)), 9),
            (Some((3, 3)), vec![4, 5, 6])
        );
        assert_eq!(read(&log, Span::After(Seq(3)), 9), (None, vec![4, 5, 6]));
        assert_eq!(
            read(&log, Span::After(Seq(3)), usize::MAX),
            (None, vec![4, 5, 6])
        );
        assert_eq!(read(&log, Span::Before(Seq::END), 9), (None, vec![4, 5, 6]));
    }

    #[test]
    fn text_is_bounded_in_bytes_too() {
        let log = log(100, 200);
        (0..9).for_each(|_| append(&log, &[&"x".repeat(50)]));
        let ring = log.ring.lock();
        assert!(ring.bytes <= 200, "{} bytes", ring.bytes);
        assert_eq!((ring.messages, ring.batches.len()), (2, 2));
    }

    #[test]
    fn the_topic_that_was_set_last_is_in_the_head() {
        let log = log(100, 100);
        assert_eq!(log.head().topic, Topic::default());
        let mut drafts = Drafts::new(SessionId(1), Nick::parse("a").unwrap(), Timestamp(0));
        drafts.push(Kind::Topic, "one");
        drafts.push(Kind::Topic, "two");
        log.append(drafts).now_or_never().unwrap().unwrap();
        assert_eq!(&*log.head().topic.text, "two");
    }

    #[test]
    fn the_modes_that_were_set_are_in_the_head_also_when_the_messages_are_gone() {
        let log = log(2, 100);
        let mut drafts = Drafts::new(SessionId(1), Nick::parse("a").unwrap(), Timestamp(7));
        drafts.push(Kind::Mode, "+moderated +ban x");
        drafts.push(Kind::Mode, "-moderated +secret");
        log.append(drafts).now_or_never().unwrap().unwrap();
        append(&log, &["1", "2", "3"]);
        assert_eq!(log.head().modes.to_string(), "secret\nban x!*@* a 7\n");
    }
}
