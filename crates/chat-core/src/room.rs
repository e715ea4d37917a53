//! One room: the order of everything that happens in it, and who is there to see it.
//!
//! Invariant: every change takes the room's lock, appends or counts, and sends one item before it lets go. So all
//! members see one order, and a member that joins knows exactly which item is its first.
//!
//! Lock order: hub's rooms, room, then roster, keys, tail or shard, then outbound. No lock is held across an `.await`.

use crate::batch::{Batch, Drafts, Epoch, Kind, Position, Seq, SessionId};
use crate::delivery::{self, Body, Cursor, Item, Place, Shard, Tail, Taste};
use crate::event::{CloseReason, Presence, PresenceChange};
use crate::journal::{Append, DynLog, Head, JournalError, Page, Span};
use crate::key::Claim;
use crate::limits::Limits;
use crate::name::{Nick, RoomName};
use crate::outbound::Outbound;
use crate::stats::Counters;
use crate::sync::Mutex;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, broadcast, oneshot};
use tokio_util::task::TaskTracker;

/// How many nicks a [`Roll`] names: all of a room whose arrivals are announced one by one by default, so that programs
/// can keep count, and few enough for one line.
const ROLL_NICKS_MAX: usize = 100;

/// How many appends may wait for a slow journal, per room. Each publisher waits for its own, so this is only reached
/// by callers that drop the future.
const PENDING_APPENDS_MAX: usize = 1024;

/// The largest ring: its slots are allocated at once, and far smaller ones are as good.
const RING_BATCHES_MAX: usize = 1 << 16;

/// How often a room with too many members to announce each tells how many there are, at most.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// From how many members on a room's delivery is worth a second task.
const MEMBERS_PER_SHARD_MIN: usize = 128;

/// What a hub hands to each of its rooms.
#[derive(Debug, Clone)]
pub(crate) struct RoomContext {
    pub(crate) limits: Arc<Limits>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) tasks: TaskTracker,
    /// How many delivery tasks a big room has.
    pub(crate) shards_max: usize,
}

pub(crate) struct Room {
    pub(crate) name: RoomName,
    pub(crate) key: Arc<str>,
    pub(crate) epoch: Epoch,
    log: Arc<dyn DynLog>,
    tx: broadcast::Sender<Arc<Item>>,
    context: RoomContext,
    state: Mutex<State>,
    /// Notified when no append is pending any more.
    settled: Notify,
}

struct State {
    members: BTreeMap<SessionId, Nick>,
    /// Where a member that joined now would begin.
    cursor: Cursor,
    topic: Arc<str>,
    /// There are too many members to announce each.
    hushed: bool,
    /// A task is about to tell how many there are.
    counting: bool,
    lifecycle: Lifecycle,
    shards: Vec<Arc<Shard>>,
    /// Appends whose journal is not done yet, oldest first.
    pending: VecDeque<PendingAppend>,
    /// A task works on `pending`; until it is done, every append queues up behind it.
    sequencing: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lifecycle {
    Open,
    /// The hub drains: members stay to the end, but nothing more is appended.
    Sealed,
    /// The hub has forgotten this room; who wants to join must open it anew.
    Gone,
}

struct PendingAppend {
    claims: Vec<Claim>,
    append: BoxFuture<'static, Result<Arc<Batch>, JournalError>>,
    done: oneshot::Sender<Result<Arc<Batch>, PublishError>>,
}

/// Who is in a room, as far as one line can tell.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Roll {
    /// The room.
    pub room: RoomName,
    /// How many members there are.
    pub count: usize,
    /// The first 100 of them, in the order in which their sessions began.
    pub nicks: Vec<Nick>,
    /// The topic; empty if there is none.
    pub topic: Arc<str>,
    /// There are too many members to announce who comes and goes.
    pub is_hushed: bool,
    /// The end of the room's log.
    pub position: Position,
}

/// One of a hub's rooms.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RoomSummary {
    /// The room.
    pub room: RoomName,
    /// How many members there are.
    pub count: usize,
    /// The topic; empty if there is none.
    pub topic: Arc<str>,
}

/// Why messages were not published.
#[derive(Debug)]
#[non_exhaustive]
pub enum PublishError {
    /// The text is longer than this many bytes.
    TooLong(usize),
    /// The hub is shutting down; the room's log takes nothing more.
    Draining,
    /// Nothing visible is left of the text.
    Empty,
    /// Too many appends wait for the journal.
    Busy,
    /// The session has ended, or left the room.
    NotAMember,
    /// The journal failed.
    Journal(JournalError),
}

impl Room {
    pub(crate) fn new(
        name: RoomName,
        key: Arc<str>,
        log: Arc<dyn DynLog>,
        context: RoomContext,
    ) -> Self {
        let Head { epoch, tail, topic } = log.head();
        let (tx, _) = broadcast::channel(context.limits.ring_batches.get().min(RING_BATCHES_MAX));
        let state = State {
            members: BTreeMap::new(),
            cursor: Cursor {
                next: 0,
                seq: tail,
                presences: 0,
            },
            topic,
            hushed: false,
            counting: false,
            lifecycle: Lifecycle::Open,
            shards: Vec::new(),
            pending: VecDeque::new(),
            sequencing: false,
        };
        Self {
            name,
            key,
            epoch,
            log,
            tx,
            context,
            state: Mutex::new(state),
            settled: Notify::new(),
        }
    }

    /// Adds a member with a receiver of its own. `None`: the room is gone.
    pub(crate) fn join(
        self: &Arc<Self>,
        session: SessionId,
        nick: &Nick,
    ) -> Option<(Roll, Subscription)> {
        let mut state = self.state.lock();
        let roll = self.enter(&mut state, session, nick)?;
        Some((
            roll,
            Subscription {
                rx: self.tx.subscribe(),
                cursor: state.cursor,
            },
        ))
    }

    /// Adds a member that the room's delivery tasks serve. `None`: the room is gone.
    ///
    /// What happens from now on is written to `outbound`; cork it first if something has to precede.
    pub(crate) fn join_wire(
        self: &Arc<Self>,
        session: SessionId,
        nick: &Nick,
        outbound: Arc<Outbound>,
        taste: Taste,
    ) -> Option<(Roll, Arc<Tail>, Place)> {
        let mut state = self.state.lock();
        let roll = self.enter(&mut state, session, nick)?;
        let tail = Arc::new(Tail::new(session, outbound, taste, state.cursor));
        let place = self.shard(&mut state).insert(Arc::clone(&tail));
        Some((roll, tail, place))
    }

    /// Takes a member out and announces it. Returns whether it was there and the room is empty now.
    pub(crate) fn leave(self: &Arc<Self>, session: SessionId, reason: Option<CloseReason>) -> bool {
        let mut state = self.state.lock();
        let Some(nick) = state.members.remove(&session) else {
            return false;
        };
        let limit = self.context.limits.announce;
        if !state.hushed {
            self.announce(&mut state, session, nick, PresenceChange::Left { reason });
        } else if state.members.len() <= limit - limit / 4 {
            // Below the limit by a quarter, so that one member coming and going does not toggle it.
            state.hushed = false;
            self.announce(&mut state, session, nick, PresenceChange::Unhushed);
        } else {
            self.count_soon(&mut state);
            if self.tx.receiver_count() > state.shards.len() {
                // The one that left may be among those in process.
                self.send(&mut state, session, Body::Nudge);
            }
        }
        state.members.is_empty()
    }

    /// Gives a member another nick and announces it.
    pub(crate) fn rename(&self, session: SessionId, to: &Nick) {
        let mut state = self.state.lock();
        let Some(nick) = state.members.get_mut(&session) else {
            return;
        };
        let nick = std::mem::replace(nick, to.clone());
        if !state.hushed {
            self.announce(
                &mut state,
                session,
                nick,
                PresenceChange::Renamed { to: to.clone() },
            );
        }
    }

    /// Appends messages to the log and delivers them when the journal has them.
    ///
    /// The keys that are claimed settle with it. Dropping the future does not take the messages back.
    pub(crate) async fn publish(
        self: &Arc<Self>,
        drafts: Drafts,
        claims: Vec<Claim>,
    ) -> Result<Arc<Batch>, PublishError> {
        let done = {
            let mut state = self.state.lock();
            if !state.members.contains_key(&drafts.author()) {
                return Err(PublishError::NotAMember);
            }
            if state.lifecycle != Lifecycle::Open {
                return Err(PublishError::Draining);
            }
            if state.pending.len() >= PENDING_APPENDS_MAX {
                return Err(PublishError::Busy);
            }
            let append = match self.log.append(drafts) {
                Append::Done(result) if !state.sequencing => {
                    return self.commit(&mut state, result, claims);
                }
                Append::Done(result) => Box::pin(ready(result)),
                Append::Pending(append) => append,
            };
            let (done, outcome) = oneshot::channel();
            state.pending.push_back(PendingAppend {
                claims,
                append,
                done,
            });
            if !std::mem::replace(&mut state.sequencing, true) {
                self.context.tasks.spawn(Arc::clone(self).sequence());
            }
            outcome
        };
        done.await
            .unwrap_or(Err(PublishError::Journal(JournalError::Gone)))
    }

    /// Reads from the log.
    pub(crate) async fn read(&self, span: Span, limit: usize) -> Result<Page, JournalError> {
        self.log.read(span, limit).await
    }

    /// Puts a member that fell behind back at the live end. What lies between where it was and where it is now is to
    /// be replayed from the log.
    pub(crate) fn go_live(&self, tail: &Tail) -> (Cursor, Cursor) {
        let state = self.state.lock();
        (tail.go_live(state.cursor), state.cursor)
    }

    /// Subscribes anew, at the live end.
    pub(crate) fn subscribe(&self) -> Subscription {
        let state = self.state.lock();
        Subscription {
            rx: self.tx.subscribe(),
            cursor: state.cursor,
        }
    }

    /// The roll without the nicks; `None` if nobody is in.
    pub(crate) fn summary(&self) -> Option<RoomSummary> {
        let state = self.state.lock();
        (!state.members.is_empty()).then(|| RoomSummary {
            room: self.name.clone(),
            count: state.members.len(),
            topic: Arc::clone(&state.topic),
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.state.lock().members.is_empty()
    }

    pub(crate) fn roll(&self) -> Roll {
        self.call_roll(&self.state.lock())
    }

    /// Lets nothing more be appended.
    pub(crate) fn seal(&self) {
        let mut state = self.state.lock();
        if state.lifecycle == Lifecycle::Open {
            state.lifecycle = Lifecycle::Sealed;
        }
    }

    /// Has each member in process look whether its session is to close.
    pub(crate) fn nudge(&self) {
        self.send(&mut self.state.lock(), SessionId(0), Body::Nudge);
    }

    /// Lets nobody in any more, if nobody is in. Returns whether the room is gone.
    pub(crate) fn retire(&self) -> bool {
        let mut state = self.state.lock();
        if state.members.is_empty() && !state.sequencing {
            state.lifecycle = Lifecycle::Gone;
        }
        state.lifecycle == Lifecycle::Gone
    }

    /// Returns whether nobody is in it and there is nothing to remember.
    pub(crate) fn is_blank(&self) -> bool {
        let state = self.state.lock();
        state.members.is_empty() && state.cursor.seq == Seq::START
    }

    fn enter(self: &Arc<Self>, state: &mut State, session: SessionId, nick: &Nick) -> Option<Roll> {
        if state.lifecycle == Lifecycle::Gone {
            return None;
        }
        state.members.insert(session, nick.clone());
        let limit = self.context.limits.announce;
        if state.members.len() <= limit && !state.hushed {
            self.announce(state, session, nick.clone(), PresenceChange::Joined);
        } else if !std::mem::replace(&mut state.hushed, true) {
            self.announce(
                state,
                session,
                nick.clone(),
                PresenceChange::Hushed { limit },
            );
        }
        if state.hushed {
            self.count_soon(state);
        }
        Some(self.call_roll(state))
    }

    /// Has the members over wires told how many there are, a second from now.
    fn count_soon(self: &Arc<Self>, state: &mut State) {
        if !state.shards.is_empty() && !std::mem::replace(&mut state.counting, true) {
            let room = Arc::clone(self);
            self.context.tasks.spawn(async move {
                tokio::time::sleep(COUNT_EVERY).await;
                let mut state = room.state.lock();
                state.counting = false;
                if state.hushed {
                    let body = Body::Count(room.name.clone(), state.members.len());
                    room.send(&mut state, SessionId(0), body);
                }
            });
        }
    }

    fn call_roll(&self, state: &State) -> Roll {
        Roll {
            room: self.name.clone(),
            count: state.members.len(),
            nicks: state
                .members
                .values()
                .take(ROLL_NICKS_MAX)
                .cloned()
                .collect(),
            topic: Arc::clone(&state.topic),
            is_hushed: state.hushed,
            position: Position {
                epoch: self.epoch,
                seq: state.cursor.seq,
            },
        }
    }

    fn announce(&self, state: &mut State, session: SessionId, nick: Nick, change: PresenceChange) {
        state.cursor.presences += 1;
        let presence = Presence {
            room: self.name.clone(),
            session,
            nick,
            change,
        };
        self.send(state, session, Body::Presence(Arc::new(presence)));
    }

    /// Delivers what the journal has.
    fn commit(
        &self,
        state: &mut State,
        appended: Result<Arc<Batch>, JournalError>,
        claims: Vec<Claim>,
    ) -> Result<Arc<Batch>, PublishError> {
        let batch = appended.map_err(PublishError::Journal)?;
        claims.into_iter().for_each(|claim| claim.settle(&batch));
        self.context.counters.messages_in.add(batch.len());
        state.cursor.seq = batch.last();
        if let Some(topic) = batch.last_of(Kind::Topic) {
            state.topic = topic.text.into();
        }
        self.send(state, batch.author(), Body::Messages(Arc::clone(&batch)));
        Ok(batch)
    }

    fn send(&self, state: &mut State, author: SessionId, body: Body) {
        let Cursor {
            next,
            seq,
            presences,
        } = state.cursor;
        state.cursor.next += 1;
        // Fails when nobody listens, which is no error for a room.
        drop(
            self.tx
                .send(Arc::new(Item::new(next, seq, presences, author, body))),
        );
    }

    /// Delivers the pending appends in their order, as the journal gets done with them.
    async fn sequence(self: Arc<Self>) {
        while let Some(PendingAppend {
            claims,
            append,
            done,
        }) = self.next_pending()
        {
            // A journal that panics has lost this append, and no more than this.
            let appended = AssertUnwindSafe(append).catch_unwind().await;
            let appended = appended.unwrap_or(Err(JournalError::Gone));
            let outcome = self.commit(&mut self.state.lock(), appended, claims);
            // Whoever waited may be gone; the message is delivered all the same.
            drop(done.send(outcome));
        }
    }

    /// Whether the journal has everything that was accepted.
    pub(crate) fn is_settled(&self) -> bool {
        !self.state.lock().sequencing
    }

    /// Waits until the journal has everything that was accepted.
    pub(crate) async fn settled(&self) {
        let mut settled = std::pin::pin!(self.settled.notified());
        // Listens first and looks then, so that it can't fall between.
        settled.as_mut().enable();
        if !self.is_settled() {
            settled.await;
        }
    }

    fn next_pending(&self) -> Option<PendingAppend> {
        let mut state = self.state.lock();
        let next = state.pending.pop_front();
        state.sequencing = next.is_some();
        if !state.sequencing {
            self.settled.notify_waiters();
        }
        next
    }

    /// The shard for one more member: the emptiest, or a new one while all are well filled.
    fn shard(&self, state: &mut State) -> Arc<Shard> {
        let emptiest = state.shards.iter().min_by_key(|shard| shard.len());
        if let Some(shard) = emptiest
            && (shard.len() < MEMBERS_PER_SHARD_MIN
                || state.shards.len() >= self.context.shards_max)
        {
            return Arc::clone(shard);
        }
        let shard = Arc::new(Shard::default());
        let queue_max = self.context.limits.queue_bytes.get();
        self.context.tasks.spawn(delivery::deliver(
            Arc::clone(&shard),
            self.tx.subscribe(),
            queue_max,
            Arc::clone(&self.context.counters),
        ));
        state.shards.push(Arc::clone(&shard));
        shard
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A receiver and the first item that it gives.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) rx: broadcast::Receiver<Arc<Item>>,
    pub(crate) cursor: Cursor,
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(limit) => write!(f, "message too long (limit {limit} bytes)"),
            Self::Empty => f.write_str("nothing visible to say"),
            Self::Draining => f.write_str("not delivered: the server is shutting down"),
            Self::Busy => {
                f.write_str("not delivered: too much waits for the room's log, try again")
            }
            Self::NotAMember => f.write_str("not delivered: you are not in that room"),
            Self::Journal(_) => {
                f.write_str("not delivered: the room's log can't be used now, try again")
            }
        }
    }
}

impl std::error::Error for PublishError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Journal(source) => Some(source),
            _ => None,
        }
    }
}
