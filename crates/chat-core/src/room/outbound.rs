//! The sending half of one connection. It writes directly while the socket accepts data, and queues the remaining
//! bytes.
//!
//! Invariant: bytes go out in the order in which they were given, and the queue is bounded. Every task that writes to
//! the stream registers the waker of the connection's own task. So the connection's task wakes when the stream can
//! accept more.

use crate::log::{Batch, SessionId};
use crate::sync::Mutex;
use bytes::Bytes;
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice};
use std::num::NonZeroU32;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::io::AsyncWrite;

/// The most byte ranges in one vectored write; the kernel accepts up to 1,024.
const PARTS_PER_WRITE: usize = 64;

/// If the slices of a delivery make up less than 1/`SHARED_MIN` of their buffer, they are copied. A slice that is not
/// copied keeps the whole buffer in memory while the slice is queued.
const SHARED_MIN: usize = 4;

/// The maximum number of changes, such as a new nick, that a connection remembers as delivered. Several rooms announce
/// the same change, and the peer receives only the first announcement. If a room announces a change after this many
/// other changes, the peer receives the change twice.
const TOLD_MAX: usize = 256;

/// A connection's queue counts as full if its bytes keep too much memory allocated. The limit is this many times the
/// queue's maximum length. Queued bytes may be short parts of long buffers, which stay in memory as a whole.
const PINNED_MAX: usize = 2;

/// The shared sending half of a connection.
pub(crate) struct Outbound(Mutex<Inner>);

struct Inner {
    writer: Pin<Box<dyn AsyncWrite + Send>>,
    /// The bytes that the stream has not accepted yet, except those in `held`.
    queue: Queue,
    /// The bytes that rooms delivered while `corked` was set. [`Outbound::uncork`] appends them to `queue`.
    held: Queue,
    /// Whether the deliveries of rooms are held back in `held`.
    corked: bool,
    /// Whether the stream may still buffer bytes that it has accepted.
    unflushed: bool,
    /// How many bytes the stream has accepted in total. The connection uses this number to tell a stalled peer from a
    /// slow one.
    written: u64,
    /// Why the output is closed; `None` while it is open.
    closed: Option<Closed>,
    /// The waker of the connection's task.
    waker: Waker,
    /// State that few connections have. Boxed, so that the other connections need no memory for it.
    rare: Option<Box<Rare>>,
}

#[derive(Default)]
struct Rare {
    /// The latest changes that were delivered to the connection. Kept only if the connection wants each change of a
    /// session once, and not from every room of the session.
    told: VecDeque<SharedChange>,
    /// The session's own message to which the connection must reply next. Deliveries of rooms are held back until the
    /// connection has written the reply.
    due: Option<Arc<Batch>>,
}

/// Identifies a change that all rooms of a session announce: the session, and the number of the change.
pub(super) type SharedChange = (SessionId, NonZeroU32);

#[derive(Default)]
struct Queue {
    parts: VecDeque<Part>,
    bytes: usize,
    /// How many bytes of memory the parts keep allocated. At least `bytes`; more if a part is a slice of a longer
    /// buffer.
    pinned: usize,
}

/// Queued bytes: a copy, or a slice of a buffer that other connections may share.
struct Part {
    bytes: Bytes,
    /// By how many bytes `Queue::pinned` shrinks once the part leaves the queue. For a copy: the length of the copy. A
    /// delivery without a copy adds slices of one buffer: 0 for each slice but the last, and the length of the whole
    /// buffer for the last slice.
    pinned: usize,
}

/// Why the output is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closed {
    /// The stream failed.
    Broken,
    /// The connection closed the output.
    Ended,
}

/// The outcome of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivered {
    /// The delivery was written or queued.
    Taken,
    /// The queue was full already, so no byte of the delivery was accepted.
    Full,
    /// The output is closed.
    Closed,
}

/// The state of a connection's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    /// How many bytes wait for the stream: the queued bytes, and the bytes that rooms have delivered and that are held
    /// back. The value is one higher while the stream may still buffer bytes that it has accepted.
    pub(crate) waiting: usize,
    /// How many bytes wait, as in `waiting`, but without the bytes of rooms that are held back.
    pub(crate) waiting_ahead: usize,
    /// How many bytes the stream has accepted in total.
    pub(crate) written: u64,
    /// Whether the stream failed.
    pub(crate) broken: bool,
    /// Whether the connection must reply to the message that [`Outbound::take_due`] returns.
    pub(crate) is_due: bool,
}

impl Outbound {
    pub(crate) fn new(writer: impl AsyncWrite + Send + 'static) -> Self {
        Self(Mutex::new(Inner {
            writer: Box::pin(writer),
            queue: Queue::default(),
            held: Queue::default(),
            corked: false,
            unflushed: false,
            written: 0,
            closed: None,
            waker: Waker::noop().clone(),
            rare: None,
        }))
    }

    /// Delivers these parts of `whole`, which are ranges in ascending order. Accepts nothing if at least `queue_max`
    /// bytes wait already, or if the waiting bytes keep at least [`PINNED_MAX`] times `queue_max` bytes in memory.
    pub(crate) fn deliver(
        &self,
        whole: &Bytes,
        parts: &[Range<usize>],
        queue_max: usize,
    ) -> Delivered {
        self.0.lock().deliver(whole, parts, queue_max)
    }

    /// Delivers some of the parts of `whole`, as [`deliver`](Self::deliver) does. `choose` returns these parts. Its
    /// argument is the list of changes that were delivered to the connection lately. If the parts are accepted,
    /// `changes` are added to the list.
    ///
    /// The output stays locked from the choice to the delivery. So if two rooms announce a change at the same time,
    /// only one of the rooms delivers the change.
    pub(super) fn deliver_once(
        &self,
        whole: &Bytes,
        changes: impl Iterator<Item = SharedChange>,
        queue_max: usize,
        choose: impl FnOnce(&VecDeque<SharedChange>) -> Vec<Range<usize>>,
    ) -> Delivered {
        let mut inner = self.0.lock();
        let parts = choose(&inner.rare.get_or_insert_default().told);
        let delivered = if parts.is_empty() {
            Delivered::Taken
        } else {
            inner.deliver(whole, &parts, queue_max)
        };
        if delivered == Delivered::Taken {
            changes.for_each(|change| inner.note_told(change));
        }
        delivered
    }

    /// Writes output of the connection itself, ahead of the deliveries that are held back.
    pub(crate) fn send(&self, bytes: &Bytes) {
        let mut inner = self.0.lock();
        if inner.closed.is_none() && !bytes.is_empty() {
            inner.write_or_queue(bytes, std::slice::from_ref(&(0..bytes.len())));
        }
    }

    /// Holds back what rooms deliver until [`uncork`](Self::uncork) is called.
    ///
    /// While the output is corked, the connection may write a list of members. That list may be older than a change
    /// that was delivered before. So the output forgets which changes it has delivered: if another room announces such
    /// a change, the output delivers the change again.
    pub(crate) fn cork(&self) {
        let mut inner = self.0.lock();
        inner.corked = true;
        if let Some(rare) = &mut inner.rare {
            rare.told.clear();
        }
    }

    /// Holds back what rooms deliver after `own`, a message of the session itself. Returns `false` if the deliveries of
    /// rooms are held back already. The connection replies to the message and then calls [`uncork`](Self::uncork).
    pub(crate) fn cork_for_reply(&self, own: &Arc<Batch>) -> bool {
        let mut inner = self.0.lock();
        if inner.corked {
            return false;
        }
        inner.corked = true;
        inner.rare.get_or_insert_default().due = Some(Arc::clone(own));
        inner.waker.wake_by_ref();
        true
    }

    /// Takes the session's own message to which the connection must reply before it calls [`uncork`](Self::uncork).
    pub(crate) fn take_due(&self) -> Option<Arc<Batch>> {
        self.0.lock().rare.as_mut()?.due.take()
    }

    /// Queues the bytes that were held back, and writes what the stream accepts.
    pub(crate) fn uncork(&self) {
        let mut inner = self.0.lock();
        inner.corked = false;
        let held = std::mem::take(&mut inner.held);
        if inner.closed.is_some() {
            return;
        }
        inner.queue.append(held);
        inner.write_queue();
    }

    /// Writes queued bytes until the stream accepts no more, and registers the waker of the connection's task.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Progress {
        let mut inner = self.0.lock();
        if !inner.waker.will_wake(cx.waker()) {
            inner.waker = cx.waker().clone();
        }
        inner.write_queue();
        inner.progress()
    }

    pub(crate) fn progress(&self) -> Progress {
        self.0.lock().progress()
    }

    /// Closes the output because the stream failed, and wakes the connection.
    pub(crate) fn fail(&self) {
        let mut inner = self.0.lock();
        inner.close(Closed::Broken);
        inner.waker.wake_by_ref();
    }

    pub(crate) fn wake(&self) {
        self.0.lock().waker.wake_by_ref();
    }

    /// Flushes the stream and shuts it down for writing. The queue must be empty.
    pub(crate) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().writer.as_mut().poll_shutdown(cx)
    }

    /// Drops all waiting bytes and accepts nothing more.
    pub(crate) fn close(&self) {
        self.0.lock().close(Closed::Ended);
    }
}

impl Inner {
    fn deliver(&mut self, whole: &Bytes, parts: &[Range<usize>], queue_max: usize) -> Delivered {
        if self.closed.is_some() {
            return Delivered::Closed;
        }
        let waiting = self.queue.bytes + self.held.bytes;
        let pinned = self.queue.pinned + self.held.pinned;
        if waiting >= queue_max || pinned / PINNED_MAX >= queue_max {
            return Delivered::Full;
        }
        self.send(whole, parts);
        if self.closed.is_some() {
            Delivered::Closed
        } else {
            Delivered::Taken
        }
    }

    fn note_told(&mut self, change: SharedChange) {
        let told = &mut self.rare.get_or_insert_default().told;
        if told.contains(&change) {
            return;
        }
        if told.len() == TOLD_MAX {
            told.pop_front();
        }
        told.push_back(change);
    }

    fn send(&mut self, whole: &Bytes, parts: &[Range<usize>]) {
        if self.corked {
            self.held.push(whole, parts, 0);
        } else {
            self.write_or_queue(whole, parts);
        }
    }

    fn write_or_queue(&mut self, whole: &Bytes, parts: &[Range<usize>]) {
        if !self.queue.parts.is_empty() {
            self.queue.push(whole, parts, 0);
            return;
        }
        let (mut at, mut skip) = (0, 0);
        while at < parts.len() {
            let Poll::Ready(mut taken) = self.poll_write_parts(whole, &parts[at..], skip) else {
                // The connection's own task writes the remaining bytes, and starts the timer that detects a stalled
                // peer.
                self.queue.push(whole, &parts[at..], skip);
                self.waker.wake_by_ref();
                return;
            };
            if taken == 0 {
                return;
            }
            while at < parts.len() && taken >= parts[at].len() - skip {
                taken -= parts[at].len() - std::mem::take(&mut skip);
                at += 1;
            }
            skip += taken;
        }
        self.flush();
    }

    /// Flushes the stream's own buffer. A TCP stream has no such buffer.
    fn flush(&mut self) {
        let mut cx = Context::from_waker(&self.waker);
        let flushed = self.writer.as_mut().poll_flush(&mut cx);
        self.unflushed = flushed.is_pending();
        if matches!(flushed, Poll::Ready(Err(_))) {
            self.close(Closed::Broken);
        }
        if !matches!(flushed, Poll::Ready(Ok(()))) {
            self.waker.wake_by_ref();
        }
    }

    /// Writes to the stream once, beginning `skip` bytes into the first part. Returns how many bytes the stream
    /// accepted; `Ready(0)` if the stream failed.
    fn poll_write_parts(
        &mut self,
        whole: &Bytes,
        parts: &[Range<usize>],
        skip: usize,
    ) -> Poll<usize> {
        let mut cx = Context::from_waker(&self.waker);
        let first = &whole[parts[0].start + skip..parts[0].end];
        let result = if parts.len() == 1 {
            self.writer.as_mut().poll_write(&mut cx, first)
        } else {
            let mut slices = [IoSlice::new(&[]); PARTS_PER_WRITE];
            slices[0] = IoSlice::new(first);
            let count = parts.len().min(PARTS_PER_WRITE);
            for (slice, part) in slices.iter_mut().zip(parts).skip(1) {
                *slice = IoSlice::new(&whole[part.clone()]);
            }
            self.writer
                .as_mut()
                .poll_write_vectored(&mut cx, &slices[..count])
        };
        result.map(|result| self.note(result))
    }

    fn write_queue(&mut self) {
        while let Some(front) = self.queue.parts.front() {
            let mut cx = Context::from_waker(&self.waker);
            let written = self.writer.as_mut().poll_write(&mut cx, &front.bytes);
            let Poll::Ready(result) = written else {
                return;
            };
            let taken = self.note(result);
            if taken == 0 {
                return;
            }
            self.queue.advance(taken);
            self.unflushed = true;
        }
        if self.unflushed && self.closed.is_none() {
            self.flush();
        }
    }

    /// Adds the bytes that a write accepted to `written`, and returns their number. If the write accepted no bytes,
    /// closes the output and wakes the connection.
    fn note(&mut self, result: io::Result<usize>) -> usize {
        let taken = result.unwrap_or(0);
        self.written += taken as u64;
        if taken == 0 {
            self.close(Closed::Broken);
            self.waker.wake_by_ref();
        }
        taken
    }

    fn close(&mut self, closed: Closed) {
        self.closed.get_or_insert(closed);
        self.queue = Queue::default();
        self.held = Queue::default();
    }

    fn progress(&self) -> Progress {
        Progress {
            waiting: self.queue.bytes + self.held.bytes + usize::from(self.unflushed),
            waiting_ahead: self.queue.bytes + usize::from(self.unflushed),
            written: self.written,
            broken: self.closed == Some(Closed::Broken),
            is_due: self.rare.as_ref().is_some_and(|rare| rare.due.is_some()),
        }
    }
}

impl Queue {
    /// Adds these parts of `whole`, beginning `skip` bytes into the first part.
    fn push(&mut self, whole: &Bytes, parts: &[Range<usize>], mut skip: usize) {
        let bytes = parts.iter().map(Range::len).sum::<usize>() - skip;
        let mut ranges = parts
            .iter()
            .map(|part| part.start + std::mem::take(&mut skip)..part.end)
            .filter(|range| !range.is_empty());
        if bytes == 0 {
            return;
        }
        self.bytes += bytes;
        if bytes < whole.len() / SHARED_MIN {
            let mut copy = Vec::with_capacity(bytes);
            ranges.for_each(|range| copy.extend_from_slice(&whole[range]));
            self.add(copy.into(), bytes);
            return;
        }
        let mut next = ranges.next();
        while let Some(range) = next {
            next = ranges.next();
            let pinned = if next.is_none() { whole.len() } else { 0 };
            self.add(whole.slice(range), pinned);
        }
    }

    fn add(&mut self, bytes: Bytes, pinned: usize) {
        self.pinned += pinned;
        self.parts.push_back(Part { bytes, pinned });
    }

    fn append(&mut self, mut other: Self) {
        self.bytes += other.bytes;
        self.pinned += other.pinned;
        self.parts.append(&mut other.parts);
    }

    fn advance(&mut self, taken: usize) {
        self.bytes -= taken;
        if let Some(front) = self.parts.front_mut() {
            bytes::Buf::advance(&mut front.bytes, taken);
            if front.bytes.is_empty() {
                self.pinned -= front.pinned;
                self.parts.pop_front();
            }
        }
        if self.parts.is_empty() {
            // The queue frees its buffer, so that an idle connection holds none.
            self.parts = VecDeque::new();
        }
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Outbound").field(&self.progress()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    const LIMIT: usize = 64;

    fn outbound(room: usize) -> (Outbound, tokio::io::DuplexStream) {
        let (near, far) = tokio::io::duplex(room);
        (Outbound::new(near), far)
    }

    fn deliver(outbound: &Outbound, text: &'static str) -> Delivered {
        outbound.deliver(
            &Bytes::from_static(text.as_bytes()),
            std::slice::from_ref(&(0..text.len())),
            LIMIT,
        )
    }

    async fn read(outbound: &Outbound, far: &mut tokio::io::DuplexStream, count: usize) -> String {
        let mut bytes = Vec::new();
        let mut chunk = [0; 7];
        while bytes.len() < count {
            let count = far.read(&mut chunk).await.unwrap();
            bytes.extend_from_slice(&chunk[..count]);
            std::future::poll_fn(|cx| Poll::Ready(outbound.poll_flush(cx))).await;
        }
        String::from_utf8(bytes).unwrap()
    }

    #[tokio::test]
    async fn a_stream_that_blocks_in_the_middle_of_a_batch_gets_the_rest_in_order() {
        let (outbound, mut far) = outbound(5);
        assert_eq!(deliver(&outbound, "hello world"), Delivered::Taken);
        assert_eq!(outbound.progress().waiting, 6);
        outbound.send(&"!".into());
        assert_eq!(deliver(&outbound, "bye"), Delivered::Taken);
        assert_eq!(read(&outbound, &mut far, 15).await, "hello world!bye");
        assert_eq!(outbound.progress().waiting, 0);
    }

    #[tokio::test]
    async fn parts_leave_out_what_lies_between_them() {
        for room in 1..12 {
            let (outbound, mut far) = outbound(room);
            let whole = Bytes::from_static(b"own:theirs:own:more:own");
            assert_eq!(
                outbound.deliver(&whole, &[4..11, 15..20], LIMIT),
                Delivered::Taken
            );
            assert_eq!(read(&outbound, &mut far, 12).await, "theirs:more:");
        }
    }

    #[tokio::test]
    async fn what_is_held_back_follows_what_the_connection_says() {
        let (outbound, mut far) = outbound(64);
        outbound.cork();
        deliver(&outbound, "live ");
        outbound.send(&"history ".into());
        deliver(&outbound, "more");
        outbound.uncork();
        assert_eq!(read(&outbound, &mut far, 17).await, "history live more");
    }

    #[tokio::test]
    async fn the_queue_is_bounded_and_a_full_one_takes_nothing() {
        let (outbound, far) = outbound(1);
        let taken = (0..LIMIT)
            .take_while(|_| deliver(&outbound, "eightchr") == Delivered::Taken)
            .count();
        assert_eq!(
            taken, 9,
            "one byte is with the stream, and the limit is passed by at most one delivery"
        );
        assert_eq!(outbound.progress().waiting, 71);
        drop(far);
        std::future::poll_fn(|cx| Poll::Ready(outbound.poll_flush(cx))).await;
        assert!(outbound.progress().broken);
        assert_eq!(deliver(&outbound, "x"), Delivered::Closed);
    }

    #[tokio::test]
    async fn a_change_that_is_announced_in_three_rooms_is_delivered_once() {
        let (outbound, mut far) = outbound(64);
        let whole = Bytes::from_static(b"change");
        let deliver = |number: u32, queue_max: usize| {
            let change = (SessionId(7), NonZeroU32::new(number).unwrap());
            outbound.deliver_once(&whole, std::iter::once(change), queue_max, |told| {
                let is_new = !told.contains(&change);
                is_new.then_some(0..whole.len()).into_iter().collect()
            })
        };
        assert_eq!(
            deliver(1, 0),
            Delivered::Full,
            "what is not taken was not told"
        );
        for number in [1, 1, 1, 2, 1, 2] {
            assert_eq!(deliver(number, LIMIT), Delivered::Taken);
        }
        assert_eq!(read(&outbound, &mut far, 12).await, "changechange");
        assert_eq!(outbound.progress().waiting, 0);
        for number in 1..1000 {
            deliver(number, LIMIT);
        }
        let inner = outbound.0.lock();
        let told = inner.rare.as_ref().map_or(0, |rare| rare.told.len());
        assert!(told <= TOLD_MAX, "{told}");
    }

    #[tokio::test]
    async fn what_waits_does_not_keep_whole_rounds_in_memory() {
        let (outbound, mut far) = outbound(1);
        let round = || Bytes::from(vec![b'x'; 100]);
        let deliver =
            |part: Range<usize>| outbound.deliver(&round(), std::slice::from_ref(&part), LIMIT);
        // The stream accepts only one byte. Small parts are copied. Each other part counts as the whole buffer that it
        // keeps in memory.
        assert_eq!(deliver(0..2), Delivered::Taken);
        assert_eq!(deliver(10..20), Delivered::Taken);
        let pinned = |outbound: &Outbound| outbound.0.lock().queue.pinned;
        assert_eq!(pinned(&outbound), 11);
        assert_eq!(deliver(0..30), Delivered::Taken);
        assert_eq!(pinned(&outbound), 111);
        assert_eq!(deliver(0..20), Delivered::Taken);
        assert_eq!(pinned(&outbound), 131);
        assert_eq!(outbound.progress().waiting, 61);
        assert_eq!(
            deliver(0..1),
            Delivered::Full,
            "twice the limit is kept in memory"
        );
        read(&outbound, &mut far, 62).await;
        assert_eq!(pinned(&outbound), 0);
    }
}
