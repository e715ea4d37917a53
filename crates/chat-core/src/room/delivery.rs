//! Fan-out to the members that are reached over connections: a few tasks for each room, not one for each member.
//!
//! Invariant: a member receives each item of its room exactly once and in order. It knows the number of the item that
//! it needs next. If a later item arrives instead, items are missing, and the member reads from the journal until it
//! has caught up. So neither a lagging task nor a full socket can lose anything silently.
//!
//! ```text
//!     item missing, or queue full                connection: queue empty
//!   Live ----------------------> Behind { seq } -------------------------> Live, and a range to replay
//! ```

use crate::event::{Broadcast, Encoder, Missed, Moment, Presence};
use crate::log::{Batch, Epoch, Position, Seq, SessionId};
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

/// How many members a task serves before it yields to other tasks: about 0.3 ms of writing.
const MEMBERS_PER_TURN: usize = 64;

/// How many changes of presence one round delivers at most.
const ANNOUNCEMENTS_MAX: usize = 128;

/// How many bytes of waiting items one round takes at most.
const ROUND_BYTES_MAX: usize = 256 * 1024;

/// One item of a room's broadcast. Everything that members receive is an item, in one order.
pub(crate) struct Item {
    /// Numbers the room's items. A number is skipped where the log may hold messages that were not delivered.
    pub(crate) number: u64,
    /// Where a member is after this item.
    pub(crate) end: Cursor,
    /// The session that caused it.
    pub(crate) author: SessionId,
    pub(crate) body: Body,
    /// The encodings made so far, one for each encoder in use: a few at most.
    encodings: Mutex<Vec<(Arc<dyn Encoder>, Bytes)>>,
}

pub(crate) enum Body {
    Messages(Arc<Batch>),
    Presence(Arc<Presence>),
    /// How many members there are, in a room with too many members to announce each change of presence.
    Count(RoomName, usize),
    /// Messages that no member receives.
    Missed(RoomName, Missed),
    /// The room is closed. Members over a connection are notified by the connection.
    Closed(Arc<str>),
    /// Nothing to show: members in process check whether their session is ending.
    Nudge,
}

impl Item {
    /// Creates the item that a member at `cursor` needs next, of which only the number is to change.
    pub(crate) const fn new(cursor: Cursor, author: SessionId, body: Body) -> Self {
        Self {
            number: cursor.next,
            end: Cursor {
                next: cursor.next + 1,
                ..cursor
            },
            author,
            body,
            encodings: Mutex::new(Vec::new()),
        }
    }

    /// Whether a session receives this item. It receives its own messages only if it asked for them, except a topic
    /// that it set, which nothing on its screen shows yet. It never receives its own changes of presence.
    fn is_for(&self, session: SessionId, echo: Echo) -> bool {
        self.author != session
            || match (&self.body, echo) {
                (Body::Messages(_), Echo::Include) => true,
                (Body::Messages(batch), Echo::Exclude) => batch.is_topic(),
                // With `Echo::Reply`, delivery stops before its messages.
                _ => false,
            }
    }

    /// Whether these messages of a session are at or before the last one that was answered.
    fn is_answered(&self, answered: Option<&Position>) -> bool {
        answered.is_some_and(|answered| {
            answered.epoch == self.end.epoch && self.end.seq <= answered.seq
        })
    }

    /// The change of a session that this item announces, if other rooms announce it, too.
    fn shared_change(&self) -> Option<SharedChange> {
        match &self.body {
            Body::Presence(presence) => Some((presence.session, presence.number?)),
            _ => None,
        }
    }

    /// Whether the item carries presence only.
    const fn is_announcement(&self) -> bool {
        matches!(self.body, Body::Presence(_) | Body::Count(..))
    }

    /// How many messages or changes of presence the item holds.
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

    /// The item in this encoder's format, encoded at most once for all delivery tasks.
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
            .field("tail", &self.end.seq)
            .finish_non_exhaustive()
    }
}

/// Where a member is in its room's broadcast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// The number of the item that the member needs next.
    pub(crate) next: u64,
    /// The end of the log after the previous item.
    pub(crate) seq: Seq,
    /// The epoch of the log after the previous item.
    pub(crate) epoch: Epoch,
    /// The count of presence changes after the previous item.
    pub(crate) presences: u64,
}

impl Cursor {
    /// The position in the log.
    pub(crate) const fn position(self) -> Position {
        Position {
            epoch: self.epoch,
            seq: self.seq,
        }
    }

    /// The cursor of a member that has received nothing of a room, whose log ends here.
    pub(crate) const fn begin(epoch: Epoch, seq: Seq) -> Self {
        Self {
            next: 0,
            seq,
            epoch,
            presences: 0,
        }
    }
}

/// How a member over a connection wants to receive its room's items.
#[derive(Clone)]
pub(crate) struct DeliveryOptions {
    pub(crate) encoder: Arc<dyn Encoder>,
    pub(crate) echo: Echo,
    /// Delivers a change of a session once, however many rooms announce it.
    pub(crate) has_changes_once: bool,
}

/// Whether a member receives its own messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    /// It does: for a program that needs to know how its messages were published.
    Include,
    /// It does not: for a terminal, which already shows them.
    Exclude,
    /// Its dialect writes [`Reply::Published`](crate::protocol::Reply::Published) in place of each of them: after the
    /// messages that precede it in the room, and before those that follow it. For a protocol with labelled echoes.
    ///
    /// Each message is published alone, and the next command waits for the reply. The reply follows a gap if the message
    /// is part of it. After [`Limits::stall_timeout`](crate::Limits::stall_timeout) it does not wait for its place any
    /// longer. A message in a room that the session is not in, and a duplicate, are answered at once.
    ///
    /// For a member in process this is the same as `Exclude`: its methods return the positions.
    Reply,
}

/// A member over a connection, as the delivery tasks know it.
pub(crate) struct Tail {
    pub(crate) session: SessionId,
    outbound: Arc<Outbound>,
    state: Mutex<TailState>,
}

struct TailState {
    cursor: Cursor,
    live: bool,
    /// The end of the log when the member left the room, if it has left.
    ended: Option<Seq>,
    options: DeliveryOptions,
    /// With [`Echo::Reply`]: the position up to which the session's messages are answered, if that was not in their
    /// places. Boxed, because few members have it.
    answered: Option<Box<Position>>,
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
                answered: None,
            }),
        }
    }

    /// Where the member is, if it is lagging.
    pub(crate) fn behind(&self) -> Option<Cursor> {
        let state = self.state.lock();
        (!state.live && state.ended.is_none()).then_some(state.cursor)
    }

    /// Whether delivery has yet to reach this position.
    pub(crate) fn awaits(&self, seq: Seq) -> bool {
        self.state.lock().cursor.seq < seq
    }

    /// Whether the member receives its own messages.
    pub(crate) fn echo(&self) -> Echo {
        self.state.lock().options.echo
    }

    /// Notes that the session's messages up to this position are answered, wherever delivery is.
    pub(crate) fn note_answered(&self, at: Position) {
        self.state.lock().answered = Some(Box::new(at));
    }

    /// Whether a message of the session at this position is answered.
    pub(crate) fn has_answered(&self, at: Position) -> bool {
        let state = self.state.lock();
        let answered = state.answered.as_ref();
        answered.is_some_and(|answered| answered.epoch == at.epoch && at.seq <= answered.seq)
    }

    /// Makes the member live from `cursor` on. Returns where it was.
    pub(crate) fn go_live(&self, cursor: Cursor) -> Cursor {
        let mut state = self.state.lock();
        state.live = state.ended.is_none();
        std::mem::replace(&mut state.cursor, cursor)
    }

    /// Stops delivery to the member. Returns where it was, and where the log ended if it has left the room.
    pub(crate) fn stop(&self) -> (Cursor, Option<Seq>) {
        let mut state = self.state.lock();
        state.live = false;
        (state.cursor, state.ended)
    }

    /// Marks the member as having left the room: it receives nothing after this position.
    pub(crate) fn end(&self, at: Seq) {
        let mut state = self.state.lock();
        state.live = false;
        state.ended = Some(at);
    }

    /// Changes how the member receives items. `appended` is the position up to which the session's messages are
    /// answered already.
    pub(crate) fn set_delivery_options(&self, options: DeliveryOptions, appended: Position) {
        let mut state = self.state.lock();
        if options.echo == Echo::Reply && state.options.echo != Echo::Reply {
            state.answered = Some(Box::new(appended));
        }
        state.options = options;
    }

    /// As [`deliver`](Self::deliver), but a stream or an encoder that panics ends only its own member. Returns whether
    /// it did not panic.
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
        let mut at = usize::try_from(skip).unwrap_or(usize::MAX);
        loop {
            let TailState {
                options, answered, ..
            } = &*state;
            let own = match options.echo {
                Echo::Reply => round.own_message(self.session, at, answered.as_deref()),
                Echo::Include | Echo::Exclude => None,
            };
            let range = at..own.map_or(round.items.len(), |(own, _)| own);
            let delivered = round.deliver(&self.outbound, options, self.session, range, queue_max);
            if delivered == Delivered::Taken {
                state.cursor = own.map_or(round.end, |(own, _)| round.cursor_at(own, state.cursor));
                match own {
                    None => break,
                    // What follows is held back until the connection has written the reply.
                    Some((own, batch)) if self.outbound.cork_for_reply(batch) => {
                        at = own + 1;
                        continue;
                    }
                    Some(_) => {}
                }
            }
            state.live = false;
            if delivered != Delivered::Closed {
                drop(state);
                self.outbound.wake();
            }
            return;
        }
        if round.has_missed && state.options.echo == Echo::Reply {
            // The message that is to be answered may be among them.
            drop(state);
            self.outbound.wake();
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

/// The members that one delivery task serves. Indices are stable, so that a pass over the members neither skips nor
/// repeats one.
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
    /// Adds a member. Must be called under the room's lock, so that the member's cursor is exact.
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

    /// Copies the next members, so that no lock is held while they are written to.
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
/// `announcing` has one permit for each round of presence that may be delivered at the same time, in all rooms.
///
/// Runs without Tokio's cooperative budget, which would make a writable socket look full after 128 operations. The task
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
                // Each member notices what is missing by the number of the next item.
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            }
            // Connections that are ready to publish run first: their messages join this round.
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
                // Other tasks run before the next round of presence.
                tokio::task::yield_now().await;
            }
        }
    })
    .await;
}

/// Waits until presence may be announced. Returns at once if there is a message, too: messages do not wait.
///
/// A session may join or leave many rooms at once, and each of them announces it. Such rounds take turns, so that a
/// message in another room waits for a few of them at most.
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
                // Each member notices what is missing by the number of the next item.
                Err(RecvError::Lagged(_)) => items.clear(),
                Err(RecvError::Closed) => return None,
            },
        }
    }
    None
}

/// Adds an item to a round. If numbers are missing before it, the earlier items are delivered from the journal, like
/// the missing ones.
fn take(items: &mut Vec<Arc<Item>>, item: Arc<Item>) {
    if items
        .last()
        .is_some_and(|last| last.number + 1 != item.number)
    {
        items.clear();
    }
    items.push(item);
}

/// Takes the items that wait in the ring, up to [`ROUND_BYTES_MAX`].
fn take_waiting(rx: &mut broadcast::Receiver<Arc<Item>>, items: &mut Vec<Arc<Item>>) {
    let mut bytes: usize = items.iter().map(|item| item.bytes()).sum();
    while bytes < ROUND_BYTES_MAX {
        match rx.try_recv() {
            Ok(item) => {
                bytes += item.bytes();
                take(items, item);
            }
            Err(TryRecvError::Lagged(_)) => {
                // The earlier items are delivered from the journal, like the missing ones.
                items.clear();
            }
            Err(TryRecvError::Empty | TryRecvError::Closed) => break,
        }
    }
}

/// Items that are delivered together, in one write for each member.
struct Round<'a> {
    items: &'a [Arc<Item>],
    first: u64,
    end: Cursor,
    /// The authors of the items, sorted. Only an author may have to skip an item.
    authors: Vec<SessionId>,
    encodings: Vec<Encoding>,
    /// Some item announces a change that other rooms announce, too.
    has_shared_changes: bool,
    /// Some item holds messages that no member receives.
    has_missed: bool,
    /// How many messages and changes of presence were delivered so far.
    deliveries: usize,
    bytes: usize,
}

/// A round in one encoder's format: the items' bytes in order, and where each item begins.
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
            (Some(first), Some(last)) => (first.number, last.end),
            _ => (0, Cursor::begin(Epoch(0), Seq::START)),
        };
        Self {
            items,
            first,
            end,
            authors,
            encodings: Vec::new(),
            has_shared_changes: items.iter().any(|item| item.shared_change().is_some()),
            has_missed: items
                .iter()
                .any(|item| matches!(item.body, Body::Missed(..))),
            deliveries: 0,
            bytes: 0,
        }
    }

    /// The first item, from the `at`th on, with messages of this session that are not answered yet.
    fn own_message(
        &self,
        session: SessionId,
        at: usize,
        answered: Option<&Position>,
    ) -> Option<(usize, &'a Arc<Batch>)> {
        self.authors.binary_search(&session).ok()?;
        let items = self.items.iter().enumerate().skip(at);
        let mut own = items.filter(|(_, item)| item.author == session);
        own.find_map(|(at, item)| match &item.body {
            Body::Messages(batch) if !item.is_answered(answered) => Some((at, batch)),
            _ => None,
        })
    }

    /// Where a member is that has received the items before the `at`th one. `was` is where it was before the round.
    fn cursor_at(&self, at: usize, was: Cursor) -> Cursor {
        let last = at.checked_sub(1).map(|last| &self.items[last]);
        match last.filter(|last| last.number >= was.next) {
            Some(last) => last.end,
            None => was,
        }
    }

    /// Delivers a range of the items to a member, without its own if it wants no echo.
    fn deliver(
        &mut self,
        outbound: &Outbound,
        options: &DeliveryOptions,
        session: SessionId,
        range: Range<usize>,
        queue_max: usize,
    ) -> Delivered {
        let at = self.encoding(&options.encoder);
        if options.has_changes_once && self.has_shared_changes {
            return self.deliver_once(at, outbound, options.echo, session, range, queue_max);
        }
        let starts = &self.encodings[at].starts;
        let is_author = self.authors.binary_search(&session).is_ok();
        if !is_author || options.echo == Echo::Include && self.has_only_messages_of(session) {
            let all = starts[range.start]..starts[range.end];
            let count = self.items[range].iter().map(|item| item.len()).sum();
            return self.hand_out(at, outbound, std::slice::from_ref(&all), count, queue_max);
        }
        let is_shown = |item: &Item| item.is_for(session, options.echo);
        let (parts, count) = self.parts(range, starts, is_shown);
        self.hand_out(at, outbound, &parts, count, queue_max)
    }

    /// As [`deliver`](Self::deliver), without the changes of sessions that another room has already delivered to this
    /// connection.
    fn deliver_once(
        &mut self,
        at: usize,
        outbound: &Outbound,
        echo: Echo,
        session: SessionId,
        range: Range<usize>,
        queue_max: usize,
    ) -> Delivered {
        let Encoding { bytes, starts, .. } = &self.encodings[at];
        let changes = self.items[range.clone()]
            .iter()
            .filter_map(|item| item.shared_change());
        let mut given = (0, 0);
        let delivered = outbound.deliver_once(bytes, changes, queue_max, |told| {
            let is_new = |item: &Item| {
                let change = item.shared_change();
                change.is_none_or(|change| !told.contains(&change))
            };
            let is_shown = |item: &Item| item.is_for(session, echo) && is_new(item);
            let (parts, count) = self.parts(range, starts, is_shown);
            given = (count, parts.iter().map(Range::len).sum());
            parts
        });
        if delivered == Delivered::Taken {
            self.deliveries += given.0;
            self.bytes += given.1;
        }
        delivered
    }

    /// Delivers these parts of an encoding, and counts their contents.
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

    /// The author of a change of presence learns of it from the reply to its command.
    fn has_only_messages_of(&self, session: SessionId) -> bool {
        self.items
            .iter()
            .all(|item| item.author != session || matches!(item.body, Body::Messages(_)))
    }

    /// The parts of an encoding that hold those items of a range that are shown, and how many messages and changes of
    /// presence they hold.
    fn parts(
        &self,
        range: Range<usize>,
        starts: &[usize],
        is_shown: impl Fn(&Item) -> bool,
    ) -> (Vec<Range<usize>>, usize) {
        let mut parts: Vec<Range<usize>> = Vec::new();
        let mut count = 0;
        let items = self.items[range.clone()].iter();
        for (item, range) in items.zip(starts[range.start..].windows(2)) {
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

    /// The index of the round in this encoder's format: a single item's own encoding, or all items joined together.
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
