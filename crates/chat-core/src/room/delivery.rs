//! Delivers a room's items to the members that are reached over connections. A few tasks serve all these members of a
//! room.
//!
//! Invariant: a member receives each item of its room exactly once and in order. The member's cursor holds the number
//! of the item that the member needs next. If a later item arrives instead, items are missing, and the member reads
//! from the journal until it has caught up. So neither a lagging task nor a full socket can lose an item silently.
//!
//! ```text
//!        an item is missing,                  the connection's
//!        or the queue is full                 queue is empty
//!  live ----------------------> lagging ----------------------> live, after a replay of the missed messages
//! ```

use crate::log::{Batch, Epoch, Position, Seq, SessionId};
use crate::log_gate::LogGate;
use crate::room::item::{Answered, Cursor, DeliveryOptions, Echo, Item};
use crate::room::outbound::{Delivered, Outbound};
use crate::room::round::Round;
use crate::stats::Counters;
use crate::sync::Mutex;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{Semaphore, SemaphorePermit, broadcast};

/// The most members that a task serves before it yields to other tasks. Writing to this many members takes about 0.3
/// ms.
const MEMBERS_PER_TURN: usize = 64;

/// The most changes of presence that a task collects while it waits for its turn to deliver them.
const ANNOUNCEMENTS_MAX: usize = 128;

/// The delivery adds no further item to a [`Round`] whose items have at least this many bytes.
const ROUND_BYTES_MAX: usize = 256 * 1024;

/// What the delivery tasks of a room know of a member that is reached over a connection.
pub(crate) struct Tail {
    pub(crate) session: SessionId,
    outbound: Arc<Outbound>,
    state: Mutex<TailState>,
}

struct TailState {
    cursor: Cursor,
    /// Whether the member receives items from the delivery tasks. If not, the member is lagging or paused, or has left
    /// the room.
    live: bool,
    /// The end of the log when the member left the room; `None` if the member is in the room.
    ended: Option<Seq>,
    options: DeliveryOptions,
    /// The session's messages to which the connection has replied before delivery reached them. Used only with
    /// [`Echo::Reply`]. Boxed, because few members have such messages.
    answered: Option<Box<Answered>>,
}

impl Tail {
    /// Creates the delivery state of a member that receives items from `cursor` on. `appended` is the last position
    /// that the hub has appended or delivered. With [`Echo::Reply`], the session's messages up to `appended` get no
    /// reply, because the session published them before this member joined.
    pub(crate) fn new(
        session: SessionId,
        outbound: Arc<Outbound>,
        options: DeliveryOptions,
        cursor: Cursor,
        appended: Position,
    ) -> Self {
        let answered = match options.echo {
            Echo::Reply => Answered::through(appended),
            Echo::Include | Echo::Exclude => None,
        };
        Self {
            session,
            outbound,
            state: Mutex::new(TailState {
                cursor,
                live: true,
                ended: None,
                options,
                answered,
            }),
        }
    }

    /// Returns the member's cursor if the member is lagging.
    pub(crate) fn behind(&self) -> Option<Cursor> {
        let state = self.state.lock();
        (!state.live && state.ended.is_none()).then_some(state.cursor)
    }

    /// Returns whether delivery to the member is still before the position `at`, and will reach it. `lost_at` is `None`
    /// while the room follows its log. If the room can't follow its log, `lost_at` is the number of the item that
    /// reports this to the members. Delivery stops after that item.
    pub(crate) fn awaits(&self, at: Position, lost_at: Option<u64>) -> bool {
        let Cursor {
            next, seq, epoch, ..
        } = self.state.lock().cursor;
        epoch == at.epoch && seq < at.seq && lost_at.is_none_or(|lost_at| next <= lost_at)
    }

    pub(crate) fn echo(&self) -> Echo {
        self.state.lock().options.echo
    }

    /// Notes that the connection has replied to the session's messages up to and including `batch`. Delivery may not
    /// have reached these messages yet.
    pub(crate) fn note_answered(&self, batch: Arc<Batch>, epoch: Epoch) {
        let seq = batch.last();
        self.state.lock().answered = Some(Box::new(Answered {
            through: Position { epoch, seq },
            last: Some(batch),
        }));
    }

    /// Returns whether the connection has replied to these messages of the session.
    pub(crate) fn has_answered(&self, batch: &Batch, epoch: Epoch) -> bool {
        let state = self.state.lock();
        let answered = state.answered.as_ref();
        answered.is_some_and(|answered| answered.has(batch, epoch))
    }

    /// Makes the member receive items from `cursor` on. Returns the cursor that the member had before.
    pub(crate) fn go_live(&self, cursor: Cursor) -> Cursor {
        let mut state = self.state.lock();
        state.live = state.ended.is_none();
        std::mem::replace(&mut state.cursor, cursor)
    }

    /// Stops delivery to the member. Returns the member's cursor. If the member has left the room, also returns the
    /// position at which the log ended when the member left.
    pub(crate) fn stop(&self) -> (Cursor, Option<Seq>) {
        let mut state = self.state.lock();
        state.live = false;
        (state.cursor, state.ended)
    }

    /// Marks the member as having left the room. The member receives nothing after the position `at`.
    pub(crate) fn end(&self, at: Seq) {
        let mut state = self.state.lock();
        state.live = false;
        state.ended = Some(at);
    }

    /// Changes how the member receives items. If the echo changes to [`Echo::Reply`], the connection does not reply to
    /// the session's messages up to `appended`, because they were published before the change.
    pub(crate) fn set_delivery_options(&self, options: DeliveryOptions, appended: Position) {
        let mut state = self.state.lock();
        if options.echo == Echo::Reply && state.options.echo != Echo::Reply {
            state.answered = Answered::through(appended);
        }
        state.options = options;
    }

    /// Calls [`deliver`](Self::deliver) and catches a panic of the member's stream or encoder. A panic ends only this
    /// member's connection. Returns `false` after a panic.
    fn deliver_safely(&self, round: &mut Round<'_>, queue_max: usize) -> bool {
        let delivered = catch_unwind(AssertUnwindSafe(|| self.deliver(round, queue_max)));
        if delivered.is_err() {
            self.state.lock().live = false;
            self.outbound.fail();
        }
        delivered.is_ok()
    }

    /// Writes the items of the round that the member has not received yet. If the member missed earlier items or its
    /// queue is full, marks the member as lagging.
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
                    // The output now holds back later deliveries until the connection has written the reply.
                    Some((own, batch)) if self.outbound.cork_for_reply(batch) => {
                        state.cursor = round.items[own].end;
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
            // One of the missing messages may be the session's own, and the peer may still wait for the reply to it.
            // The connection checks this when it wakes.
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

/// The members that one delivery task serves. A member keeps its index, so that a task that goes through the members
/// neither skips nor repeats a member.
#[derive(Debug, Default)]
pub(crate) struct Shard {
    places: Mutex<Places>,
    /// How many members the shard has.
    live: AtomicUsize,
}

#[derive(Debug, Default)]
struct Places {
    tails: Vec<Option<Arc<Tail>>>,
    /// The indexes of `tails` that hold no member.
    free: Vec<usize>,
}

/// The index of a member among the members that one delivery task serves.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    shard: Arc<Shard>,
    at: usize,
}

impl Shard {
    /// Adds a member. The caller must hold the room's lock from the read of the member's cursor to the end of this
    /// call. Otherwise, the room could send an item in between, and the member would miss it.
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

    /// Copies the next members to `turn`, at most [`MEMBERS_PER_TURN`], so that the caller writes to these members
    /// without holding the lock. Returns the index at which the next turn begins; `None` if this turn is the last.
    fn next_turn(&self, from: usize, turn: &mut Vec<Arc<Tail>>) -> Option<usize> {
        let places = self.places.lock();
        let end = places.tails.len().min(from + MEMBERS_PER_TURN);
        turn.extend(places.tails[from..end].iter().flatten().cloned());
        (end < places.tails.len()).then_some(end)
    }
}

impl Place {
    /// Removes the member. The member receives no more items.
    pub(crate) fn remove(self) {
        let mut places = self.shard.places.lock();
        places.tails[self.at] = None;
        places.free.push(self.at);
        self.shard.live.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Delivers a room's items to the members of `shard` until the room is gone.
///
/// `announcing` limits how many tasks, in all rooms of the hub, deliver changes of presence at the same time.
///
/// Runs without Tokio's cooperative budget, which would make a writable socket look full after 128 operations. The task
/// yields after every [`MEMBERS_PER_TURN`] members instead.
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
                // The number of the next item shows each member which items it lacks.
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            }
            // This yield lets connections that are ready to publish run first, so that their messages are delivered
            // together with this item.
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
                // This yield lets other tasks run before the next changes of presence are delivered.
                tokio::task::yield_now().await;
            }
        }
    })
    .await;
}

/// Waits until this task may deliver changes of presence. Returns at once if the last item is not a change of presence,
/// so that messages do not wait.
///
/// A session may join or leave many rooms at once, and each of these rooms announces the change. Only a few rooms
/// announce at a time, so that a message in another room waits for only a few announcements.
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
                // The number of the next item shows each member which items it lacks.
                Err(RecvError::Lagged(_)) => items.clear(),
                Err(RecvError::Closed) => return None,
            },
        }
    }
    None
}

/// Adds an item. If items are missing between the last item and this one, first drops all earlier items. Members read
/// the missing and the dropped items from the journal.
fn take(items: &mut Vec<Arc<Item>>, item: Arc<Item>) {
    if items
        .last()
        .is_some_and(|last| last.number + 1 != item.number)
    {
        items.clear();
    }
    items.push(item);
}

/// Adds the items that wait in `rx`, until all items together have at least [`ROUND_BYTES_MAX`] bytes.
fn take_waiting(rx: &mut broadcast::Receiver<Arc<Item>>, items: &mut Vec<Arc<Item>>) {
    let mut bytes: usize = items.iter().map(|item| item.bytes()).sum();
    while bytes < ROUND_BYTES_MAX {
        match rx.try_recv() {
            Ok(item) => {
                bytes += item.bytes();
                take(items, item);
            }
            Err(TryRecvError::Lagged(_)) => {
                // The ring has dropped items that come before the next item. Members read these items from the journal,
                // and also the items that are dropped here.
                items.clear();
            }
            Err(TryRecvError::Empty | TryRecvError::Closed) => break,
        }
    }
}
