//! Fan-out to the members that are reached over a wire: a few tasks a room, not one a member.
//!
//! Invariant: a member is given each item of its room exactly once and in order. It knows the number of the item
//! that it needs next; an item that comes too early is a hole, and from then on the member reads from the journal
//! until it is level again. So neither a lagging task nor a full socket can lose anything silently.
//!
//! ```text
//!          hole, or queue full                   connection: queue empty
//!   Live ----------------------> Behind { seq } -------------------------> Live, and a range to replay
//! ```

use crate::event::{Broadcast, Encoder, Missed, Moment, Presence};
use crate::log::{Batch, Seq, SessionId};
use crate::log_gate::LogGate;
use crate::name::RoomName;
use crate::room::outbound::{Delivered, Outbound, SharedChange};
use crate::stats::Counters;
use crate::sync::Mutex;
use bytes::{Bytes, BytesMut};
use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{Semaphore, SemaphorePermit, broadcast};

/// How many members a walk serves before it lets other tasks run: some 0.3 ms of writing.
const MEMBERS_PER_TURN: usize = 64;

/// How many changes of presence one round tells of at most.
const ANNOUNCEMENTS_MAX: usize = 128;

/// How many bytes of waiting items one walk takes together.
const ROUND_BYTES_MAX: usize = 256 * 1024;

/// One item of a room's broadcast: everything that its members are told passes here, in one order.
pub(crate) struct Item {
    /// Counts the room's items. One is left out where the log may hold messages that were not delivered.
    pub(crate) number: u64,
    /// The end of the room's log after this item.
    pub(crate) tail: Seq,
    /// How many changes of presence there have been with this item.
    pub(crate) presences: u64,
    /// The session that caused it.
    pub(crate) author: SessionId,
    pub(crate) body: Body,
    /// What has been encoded so far; a handful of encoders at most.
    encodings: Mutex<Vec<(Arc<dyn Encoder>, Bytes)>>,
}

pub(crate) enum Body {
    Messages(Arc<Batch>),
    Presence(Arc<Presence>),
    /// How many members there are, in a room that has too many to announce each.
    Count(RoomName, usize),
    /// Messages that no member is given.
    Missed(RoomName, Missed),
    /// The room is closed. Members over a wire are told by their connections.
    Closed(Arc<str>),
    /// Nothing to show: a member in process is to look whether its session ends.
    Nudge,
}

impl Item {
    pub(crate) const fn new(
        number: u64,
        tail: Seq,
        presences: u64,
        author: SessionId,
        body: Body,
    ) -> Self {
        Self {
            number,
            tail,
            presences,
            author,
            body,
            encodings: Mutex::new(Vec::new()),
        }
    }

    /// Whether a session is shown it: what it said itself only if it wants to, but a topic that it set always, as
    /// nothing on its screen shows that yet; its own changes of presence never.
    fn is_for(&self, session: SessionId, echo: Echo) -> bool {
        self.author != session
            || matches!(&self.body, Body::Messages(batch) if echo == Echo::Include || batch.is_topic())
    }

    /// The change of a whole session that it tells of, if other rooms tell of it, too.
    fn shared_change(&self) -> Option<SharedChange> {
        match &self.body {
            Body::Presence(presence) => Some((presence.session, presence.number?)),
            _ => None,
        }
    }

    /// Whether it tells of presence only.
    const fn is_announcement(&self) -> bool {
        matches!(self.body, Body::Presence(_) | Body::Count(..))
    }

    /// How many messages or changes of presence it is.
    fn len(&self) -> usize {
        match &self.body {
            Body::Messages(batch) => batch.len(),
            Body::Presence(_) => 1,
            Body::Count(..) | Body::Missed(..) | Body::Closed(_) | Body::Nudge => 0,
        }
    }

    fn bytes(&self) -> usize {
        match &self.body {
            Body::Messages(batch) => batch.bytes(),
            Body::Presence(_)
            | Body::Count(..)
            | Body::Missed(..)
            | Body::Closed(_)
            | Body::Nudge => 0,
        }
    }

    /// The item as this encoder writes it, made at most once for all delivery tasks.
    fn encoded(&self, encoder: &Arc<dyn Encoder>) -> Bytes {
        let mut encodings = self.encodings.lock();
        if let Some((_, bytes)) = encodings
            .iter()
            .find(|(known, _)| Arc::ptr_eq(known, encoder))
        {
            return bytes.clone();
        }
        let mut out = BytesMut::with_capacity(self.bytes() + self.bytes() / 2 + 64);
        let item = match &self.body {
            Body::Messages(batch) => Broadcast::Messages(batch, 0..batch.len()),
            Body::Presence(presence) => Broadcast::Presence(presence),
            Body::Count(room, count) => Broadcast::Count(room, *count),
            Body::Missed(room, missed) => Broadcast::Missed(room, *missed),
            Body::Closed(_) | Body::Nudge => return Bytes::new(),
        };
        encoder.encode(&item, Moment::Live, &mut out);
        let bytes = out.freeze();
        encodings.push((Arc::clone(encoder), bytes.clone()));
        bytes
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Item")
            .field("number", &self.number)
            .field("tail", &self.tail)
            .finish_non_exhaustive()
    }
}

/// Where a member is in its room's broadcast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// The number of the item that it needs next.
    pub(crate) next: u64,
    /// The end of the log after the item before.
    pub(crate) seq: Seq,
    /// The count of presence changes after the item before.
    pub(crate) presences: u64,
}

/// How a member over a wire wants its room's items.
#[derive(Clone)]
pub(crate) struct DeliveryOptions {
    pub(crate) encoder: Arc<dyn Encoder>,
    pub(crate) echo: Echo,
    /// A change of a session is delivered once, however many rooms it is announced in.
    pub(crate) has_changes_once: bool,
}

/// Whether a member gets its own messages back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    /// It does: a program that wants to know what was made of them.
    Include,
    /// It doesn't: a terminal shows them already.
    Exclude,
}

/// A member over a wire, as the delivery tasks know it.
pub(crate) struct Tail {
    pub(crate) session: SessionId,
    outbound: Arc<Outbound>,
    state: Mutex<TailState>,
}

struct TailState {
    cursor: Cursor,
    live: bool,
    /// The member is in the room no more, and this was the end of the log when it went.
    ended: Option<Seq>,
    options: DeliveryOptions,
}

impl Tail {
    /// Creates a tail that is live from `cursor` on.
    pub(crate) const fn new(
        session: SessionId,
        outbound: Arc<Outbound>,
        options: DeliveryOptions,
        cursor: Cursor,
    ) -> Self {
        Self {
            session,
            outbound,
            state: Mutex::new(TailState {
                cursor,
                live: true,
                ended: None,
                options,
            }),
        }
    }

    /// Where the member is, if it fell behind.
    pub(crate) fn behind(&self) -> Option<Cursor> {
        let state = self.state.lock();
        (!state.live && state.ended.is_none()).then_some(state.cursor)
    }

    /// Makes the member live from `cursor` on, and says where it was.
    pub(crate) fn go_live(&self, cursor: Cursor) -> Cursor {
        let mut state = self.state.lock();
        state.live = state.ended.is_none();
        std::mem::replace(&mut state.cursor, cursor)
    }

    /// Takes the member out of delivery, and says where it was; and where the log ended, if it is in the room no more.
    pub(crate) fn stop(&self) -> (Cursor, Option<Seq>) {
        let mut state = self.state.lock();
        state.live = false;
        (state.cursor, state.ended)
    }

    /// The member is in the room no more: what comes after this place is not for it.
    pub(crate) fn end(&self, at: Seq) {
        let mut state = self.state.lock();
        state.live = false;
        state.ended = Some(at);
    }

    pub(crate) fn set_delivery_options(&self, options: DeliveryOptions) {
        self.state.lock().options = options;
    }

    /// As [`deliver`](Self::deliver); a stream or an encoder that panics ends its own member, and nobody else's delivery.
    /// Returns whether it didn't.
    fn deliver_safely(&self, round: &mut Round<'_>, queue_max: usize) -> bool {
        let delivered = catch_unwind(AssertUnwindSafe(|| self.deliver(round, queue_max)));
        if delivered.is_err() {
            self.state.lock().live = false;
            self.outbound.fail();
        }
        delivered.is_ok()
    }

    /// Gives the member its part of the round.
    fn deliver(&self, round: &mut Round<'_>, queue_max: usize) {
        let mut state = self.state.lock();
        if !state.live || state.cursor.next >= round.end.next {
            return;
        }
        let Some(skip) = state.cursor.next.checked_sub(round.first) else {
            state.live = false;
            drop(state);
            self.outbound.wake();
            return;
        };
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let delivered = round.deliver(
            &self.outbound,
            &state.options,
            self.session,
            skip,
            queue_max,
        );
        match delivered {
            Delivered::Taken => state.cursor = round.end,
            Delivered::Closed => state.live = false,
            Delivered::Full => {
                state.live = false;
                drop(state);
                self.outbound.wake();
            }
        }
    }
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tail")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

/// The members that one delivery task serves. Places are stable, so that a walk neither skips nor repeats anyone.
#[derive(Debug, Default)]
pub(crate) struct Shard {
    places: Mutex<Places>,
    live: AtomicUsize,
}

#[derive(Debug, Default)]
struct Places {
    tails: Vec<Option<Arc<Tail>>>,
    free: Vec<usize>,
}

/// A member's place in a shard.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    shard: Arc<Shard>,
    at: usize,
}

impl Shard {
    /// Adds a member; must happen under the room's lock, so that its cursor is exact.
    pub(crate) fn insert(self: &Arc<Self>, tail: Arc<Tail>) -> Place {
        let mut places = self.places.lock();
        let at = places.free.pop().unwrap_or(places.tails.len());
        if at == places.tails.len() {
            places.tails.push(Some(tail));
        } else {
            places.tails[at] = Some(tail);
        }
        self.live.fetch_add(1, Ordering::Relaxed);
        Place {
            shard: Arc::clone(self),
            at,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// Copies the next members of a walk, so that no lock is held while they are written to.
    fn next_turn(&self, from: usize, turn: &mut Vec<Arc<Tail>>) -> Option<usize> {
        let places = self.places.lock();
        let end = places.tails.len().min(from + MEMBERS_PER_TURN);
        turn.extend(places.tails[from..end].iter().flatten().cloned());
        (end < places.tails.len()).then_some(end)
    }
}

impl Place {
    /// Takes the member out of the shard.
    pub(crate) fn remove(self) {
        let mut places = self.shard.places.lock();
        places.tails[self.at] = None;
        places.free.push(self.at);
        self.shard.live.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Delivers a room's items to the members of one shard until the room is gone.
///
/// `announcing` has a permit for each round of presence that may be delivered at the same time, in all rooms.
///
/// Runs without Tokio's cooperative budget (it would make a socket that has room look full after 128 operations) and
/// yields by its own count instead.
pub(crate) async fn deliver(
    shard: Arc<Shard>,
    mut rx: broadcast::Receiver<Arc<Item>>,
    queue_max: usize,
    counters: Arc<Counters>,
    announcing: Arc<Semaphore>,
) {
    tokio::task::unconstrained(async move {
        let panics = LogGate::default();
        let mut items = Vec::new();
        let mut turn = Vec::with_capacity(MEMBERS_PER_TURN);
        loop {
            match rx.recv().await {
                Ok(item) => items.push(item),
                // Each member sees the hole by the number of the next item.
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            }
            // Connections that are ready to publish do so first: what they bring joins this round.
            tokio::task::yield_now().await;
            let announcement = turn_to_announce(&announcing, &mut rx, &mut items).await;
            take_waiting(&mut rx, &mut items);
            let mut round = Round::new(&items);
            let mut from = Some(0);
            while let Some(start) = from {
                from = shard.next_turn(start, &mut turn);
                for tail in turn.drain(..) {
                    if !tail.deliver_safely(&mut round, queue_max) {
                        counters.panics.add(1);
                        if panics.opens() {
                            tracing::error!(session.id = %tail.session, "delivery to a member panicked");
                        }
                    }
                }
                if from.is_some() {
                    tokio::task::yield_now().await;
                }
            }
            counters.deliveries_out.add(round.deliveries);
            counters.bytes_out.add(round.bytes);
            drop(round);
            items.clear();
            if announcement.is_some() {
                // The other tasks run before the next of these rounds does.
                tokio::task::yield_now().await;
            }
        }
    })
    .await;
}

/// Waits until presence may be announced, unless there is a message, too, which does not wait.
///
/// One session may come and go in many rooms at once, each of which has to tell its members: such rounds take turns, so
/// that a message in another room waits for a few of them at most.
async fn turn_to_announce<'a>(
    announcing: &'a Semaphore,
    rx: &mut broadcast::Receiver<Arc<Item>>,
    items: &mut Vec<Arc<Item>>,
) -> Option<SemaphorePermit<'a>> {
    let mut turn = pin!(announcing.acquire());
    while items.last().is_some_and(|item| item.is_announcement()) {
        let has_space = items.len() < ANNOUNCEMENTS_MAX;
        tokio::select! {
            turn = &mut turn => return turn.ok(),
            item = rx.recv(), if has_space => match item {
                Ok(item) => take(items, item),
                // Each member sees the hole by the number of the next item.
                Err(RecvError::Lagged(_)) => items.clear(),
                Err(RecvError::Closed) => return None,
            },
        }
    }
    None
}

/// Takes one more item of a round. What comes before a hole in the numbers is delivered by the journal, like what is in it.
fn take(items: &mut Vec<Arc<Item>>, item: Arc<Item>) {
    if items
        .last()
        .is_some_and(|last| last.number + 1 != item.number)
    {
        items.clear();
    }
    items.push(item);
}

/// Takes what waits in the ring without a hole, up to [`ROUND_BYTES_MAX`].
fn take_waiting(rx: &mut broadcast::Receiver<Arc<Item>>, items: &mut Vec<Arc<Item>>) {
    let mut bytes: usize = items.iter().map(|item| item.bytes()).sum();
    while bytes < ROUND_BYTES_MAX {
        match rx.try_recv() {
            Ok(item) => {
                bytes += item.bytes();
                take(items, item);
            }
            Err(TryRecvError::Lagged(_)) => {
                // The items before the hole are delivered by the journal, like those in it.
                items.clear();
            }
            Err(TryRecvError::Empty | TryRecvError::Closed) => break,
        }
    }
}

/// Items that are delivered together: one write a member.
struct Round<'a> {
    items: &'a [Arc<Item>],
    first: u64,
    end: Cursor,
    /// The authors of the items, sorted: only these may have to leave something out.
    authors: Vec<SessionId>,
    encodings: Vec<Encoding>,
    /// It tells of a change that other rooms tell of, too.
    has_shared_changes: bool,
    /// How many items and bytes have been handed out so far.
    deliveries: usize,
    bytes: usize,
}

/// A round as one encoder writes it: the items' bytes one after the other, and where each begins.
struct Encoding {
    encoder: Arc<dyn Encoder>,
    bytes: Bytes,
    starts: Vec<usize>,
}

impl<'a> Round<'a> {
    fn new(items: &'a [Arc<Item>]) -> Self {
        let mut authors: Vec<_> = items.iter().map(|item| item.author).collect();
        authors.sort_unstable();
        authors.dedup();
        let (first, end) = match (items.first(), items.last()) {
            (Some(first), Some(last)) => (
                first.number,
                Cursor {
                    next: last.number + 1,
                    seq: last.tail,
                    presences: last.presences,
                },
            ),
            _ => (
                0,
                Cursor {
                    next: 0,
                    seq: Seq::START,
                    presences: 0,
                },
            ),
        };
        Self {
            items,
            first,
            end,
            authors,
            encodings: Vec::new(),
            has_shared_changes: items.iter().any(|item| item.shared_change().is_some()),
            deliveries: 0,
            bytes: 0,
        }
    }

    /// Gives a member the items from the `skip`th on, without its own if it wants no echo.
    fn deliver(
        &mut self,
        outbound: &Outbound,
        options: &DeliveryOptions,
        session: SessionId,
        skip: usize,
        queue_max: usize,
    ) -> Delivered {
        let at = self.encoding(&options.encoder);
        if options.has_changes_once && self.has_shared_changes {
            return self.deliver_once(at, outbound, options.echo, session, skip, queue_max);
        }
        let Encoding { bytes, starts, .. } = &self.encodings[at];
        let is_author = self.authors.binary_search(&session).is_ok();
        if !is_author || options.echo == Echo::Include && self.has_only_messages_of(session) {
            let all = starts[skip]..bytes.len();
            let count = self.items[skip..].iter().map(|item| item.len()).sum();
            return self.hand_out(at, outbound, std::slice::from_ref(&all), count, queue_max);
        }
        let is_shown = |item: &Item| item.is_for(session, options.echo);
        let (parts, count) = self.parts(skip, starts, is_shown);
        self.hand_out(at, outbound, &parts, count, queue_max)
    }

    /// As [`deliver`](Self::deliver), without the changes of sessions that another room has told this connection of.
    fn deliver_once(
        &mut self,
        at: usize,
        outbound: &Outbound,
        echo: Echo,
        session: SessionId,
        skip: usize,
        queue_max: usize,
    ) -> Delivered {
        let Encoding { bytes, starts, .. } = &self.encodings[at];
        let changes = self.items[skip..]
            .iter()
            .filter_map(|item| item.shared_change());
        let mut given = (0, 0);
        let delivered = outbound.deliver_once(bytes, changes, queue_max, |told| {
            let is_new = |item: &Item| {
                let change = item.shared_change();
                change.is_none_or(|change| !told.contains(&change))
            };
            let is_shown = |item: &Item| item.is_for(session, echo) && is_new(item);
            let (parts, count) = self.parts(skip, starts, is_shown);
            given = (count, parts.iter().map(Range::len).sum());
            parts
        });
        if delivered == Delivered::Taken {
            self.deliveries += given.0;
            self.bytes += given.1;
        }
        delivered
    }

    /// Delivers these parts of an encoding, and counts what they hold.
    fn hand_out(
        &mut self,
        at: usize,
        outbound: &Outbound,
        parts: &[Range<usize>],
        count: usize,
        queue_max: usize,
    ) -> Delivered {
        let bytes: usize = parts.iter().map(Range::len).sum();
        if bytes == 0 {
            return Delivered::Taken;
        }
        let delivered = outbound.deliver(&self.encodings[at].bytes, parts, queue_max);
        if delivered == Delivered::Taken {
            self.deliveries += count;
            self.bytes += bytes;
        }
        delivered
    }

    /// The author of a change of presence is told of it in the reply to its command.
    fn has_only_messages_of(&self, session: SessionId) -> bool {
        self.items
            .iter()
            .all(|item| item.author != session || matches!(item.body, Body::Messages(_)))
    }

    /// The parts of an encoding that hold the items which are shown, from the `skip`th on, and how many messages and
    /// changes of presence those are.
    fn parts(
        &self,
        skip: usize,
        starts: &[usize],
        is_shown: impl Fn(&Item) -> bool,
    ) -> (Vec<Range<usize>>, usize) {
        let mut parts: Vec<Range<usize>> = Vec::new();
        let mut count = 0;
        for (item, range) in self.items.iter().zip(starts.windows(2)).skip(skip) {
            if !is_shown(item) {
                continue;
            }
            count += item.len();
            if range[0] == range[1] {
                continue;
            }
            match parts.last_mut() {
                Some(part) if part.end == range[0] => part.end = range[1],
                _ => parts.push(range[0]..range[1]),
            }
        }
        (parts, count)
    }

    /// The round as this encoder writes it: the item's own encoding if there is one item, else all of them in one piece.
    fn encoding(&mut self, encoder: &Arc<dyn Encoder>) -> usize {
        if let Some(at) = self
            .encodings
            .iter()
            .position(|known| Arc::ptr_eq(&known.encoder, encoder))
        {
            return at;
        }
        let (bytes, starts) = match self.items {
            [item] => {
                let bytes = item.encoded(encoder);
                let end = bytes.len();
                (bytes, vec![0, end])
            }
            items => {
                let pieces: Vec<Bytes> = items.iter().map(|item| item.encoded(encoder)).collect();
                let mut starts = vec![0];
                let mut end = 0;
                starts.extend(pieces.iter().map(|piece| {
                    end += piece.len();
                    end
                }));
                (pieces.concat().into(), starts)
            }
        };
        self.encodings.push(Encoding {
            encoder: Arc::clone(encoder),
            bytes,
            starts,
        });
        self.encodings.len() - 1
    }
}
