//! One room: the order of everything that happens in it, and its members.
//!
//! Invariant: every change takes the room's lock, appends or counts, and sends one item before it releases the lock. So
//! all members see one order, and a member that joins knows exactly which item is its first.
//!
//! Lock order: the hub's rooms, room, then roster, keys, tail or shard, then outbound. No lock is held across an
//! `.await`, except the turn to open a room, which is taken before all others.

use crate::event::Presence;
use crate::limits::Limits;
use crate::log::{
    Append, Appended, Batch, Claim, Drafts, DynLog, Epoch, Head, JournalError, Page, Position, Seq,
    SessionId, Span, Timestamp, Topic,
};
use crate::log_gate::LogGate;
use crate::name::{Nick, RoomName};
use crate::room::delivery::Shard;
use crate::room::error::PublishError;
use crate::room::feed::Feed;
use crate::room::following::{Following, LOST};
use crate::room::item::{Body, Cursor, Item};
use crate::room::occupant::Occupant;
use crate::room::search_queue::{SearchQueue, Searched};
use crate::stats::Counters;
use crate::sync::Mutex;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::sync::{Notify, Semaphore, broadcast, oneshot};
use tokio_util::task::TaskTracker;

/// How many appends may wait for a slow journal, per room. Each publisher waits for its own append, so only callers
/// that drop the future reach this limit.
const PENDING_APPENDS_MAX: usize = 1024;

/// How many messages with keys are searched for one that may be in the log: more than can have followed it.
const LOOKED_THROUGH_MAX: usize = 4096;

/// The address whose session opened a room. `None` if the opener is not counted; all such openers count as one.
pub(crate) type Opener = Option<IpAddr>;

/// Something that happened in a room.
#[derive(Clone)]
pub(crate) struct Told {
    pub(crate) room: Arc<Room>,
    pub(crate) what: What,
}

#[derive(Clone)]
pub(crate) enum What {
    /// The members received it, too.
    Item(Arc<Item>),
    /// Only followers receive it: the room has too many members to announce each change of presence.
    Whisper(Arc<Presence>),
}

/// What a hub gives to each of its rooms.
#[derive(Debug, Clone)]
pub(crate) struct RoomContext {
    pub(crate) limits: Arc<Limits>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) tasks: TaskTracker,
    /// Delivers what happens to the followers of the hub.
    pub(crate) feed: Arc<Feed<Told>>,
    pub(crate) searches: Arc<SearchQueue>,
    /// Limits how often a failing journal is logged.
    pub(crate) journal_log: Arc<LogGate>,
    /// Has one permit for each round of presence that may be delivered at the same time.
    pub(crate) announcing: Arc<Semaphore>,
    /// How many delivery tasks a big room has at most.
    pub(crate) shards_max: usize,
}

pub(crate) struct Room {
    pub(crate) name: RoomName,
    pub(crate) key: Arc<str>,
    /// The address whose session opened the room.
    pub(crate) opener: Opener,
    /// Where the room began when it was opened.
    pub(crate) begin: Cursor,
    /// What is known of a log that other hubs append to, too. `None` if only this hub appends, and delivers what it
    /// appends.
    pub(super) following: Option<Following>,
    pub(super) log: Arc<dyn DynLog>,
    pub(super) tx: broadcast::Sender<Arc<Item>>,
    pub(super) context: RoomContext,
    pub(super) state: Mutex<State>,
    /// Notified when no append is pending.
    settled: Notify,
}

pub(super) struct State {
    pub(super) members: BTreeMap<SessionId, Occupant>,
    /// The nicks of members on other nodes.
    pub(super) elsewhere: BTreeMap<SessionId, Nick>,
    /// Nicks that sessions of one account may share, and how many of its sessions are in the room under each.
    pub(super) shared: HashMap<Nick, usize>,
    /// How many sessions are in the room under a nick that another session has, too.
    pub(super) doubles: usize,
    /// Where a member that joins now begins.
    pub(super) cursor: Cursor,
    /// The end of the log when its epoch began, or when the room was opened.
    pub(super) epoch_began: Seq,
    pub(super) topic: Topic,
    /// The room has too many members to announce each change of presence.
    pub(super) hushed: bool,
    /// A task is about to announce the number of members.
    pub(super) counting: bool,
    pub(super) lifecycle: Lifecycle,
    /// How many sessions use the room without being in it.
    pub(super) visits: usize,
    pub(super) shards: Vec<Arc<Shard>>,
    /// The log may hold messages that were not delivered: members read it before the next message.
    pub(super) is_uncertain: bool,
    /// Appends that the journal has not finished, oldest first.
    pub(super) pending: VecDeque<PendingAppend>,
    /// A task works on `pending`. Until it is done, every append is queued behind it.
    pub(super) sequencing: bool,
}

/// In whose name messages are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// In the name of a member, which must be in the room.
    Member,
    /// In the name of a session that need not be in the room.
    Outside,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lifecycle {
    Open,
    /// The hub drains: members stay to the end, but nothing more is appended.
    Sealed,
    /// The hub has forgotten this room; a session that wants to join must open it anew.
    Gone,
}

pub(super) struct PendingAppend {
    /// When the hub accepted it.
    at: Timestamp,
    /// The log's epoch at that time.
    epoch: Epoch,
    claims: Vec<Claim>,
    append: BoxFuture<'static, Result<Appended, JournalError>>,
    done: oneshot::Sender<Result<Appended, PublishError>>,
}

impl RoomContext {
    /// Logs that a journal failed, once a second at most. The cause is for the operator, not for the peer.
    pub(crate) fn log_journal_failure(&self, room: &str, error: &JournalError) {
        if self.journal_log.opens() {
            let cause = std::error::Error::source(error)
                .map(ToString::to_string)
                .unwrap_or_default();
            tracing::warn!(%error, cause, room.name = room, "a journal failed");
        }
    }
}

impl Room {
    pub(super) fn new(
        name: RoomName,
        key: Arc<str>,
        opener: Opener,
        log: Arc<dyn DynLog>,
        context: RoomContext,
        following: Option<Following>,
    ) -> Self {
        let Head { epoch, tail, topic } = log.head();
        let begin = Cursor::begin(epoch, tail);
        let (tx, _) = broadcast::channel(context.limits.ring());
        let state = State {
            members: BTreeMap::new(),
            elsewhere: BTreeMap::new(),
            shared: HashMap::new(),
            doubles: 0,
            cursor: begin,
            epoch_began: tail,
            topic,
            hushed: false,
            counting: false,
            lifecycle: Lifecycle::Open,
            visits: 0,
            shards: Vec::new(),
            is_uncertain: false,
            pending: VecDeque::new(),
            sequencing: false,
        };
        Self {
            name,
            key,
            opener,
            begin,
            following,
            log,
            tx,
            context,
            state: Mutex::new(state),
            settled: Notify::new(),
        }
    }

    /// The log's present epoch.
    pub(crate) fn epoch(&self) -> Epoch {
        self.state.lock().cursor.epoch
    }

    /// Whether other hubs append to the log, too. Such a log checks keys itself, and each message with a key is
    /// appended alone.
    pub(crate) const fn is_shared(&self) -> bool {
        self.following.is_some()
    }

    /// The position up to which this hub has appended, or later.
    pub(crate) fn appended(&self) -> Position {
        self.appended_in(&self.state.lock())
    }

    pub(super) fn appended_in(&self, state: &State) -> Position {
        let Position { epoch, seq } = state.cursor.position();
        let following = self.following.as_ref();
        let seq = following.map_or(seq, |following| seq.max(following.appended()));
        Position { epoch, seq }
    }

    /// The number of the item that reports that the log can't be followed now, if it can't.
    pub(crate) fn lost_at(&self) -> Option<u64> {
        let following = self.following.as_ref()?;
        following.is_lost().then(|| following.lost_at())
    }

    /// Whether the log can't be followed now.
    pub(crate) fn is_lost(&self) -> bool {
        self.following.as_ref().is_some_and(Following::is_lost)
    }

    /// Whether the hub has forgotten or closed the room.
    pub(crate) fn is_gone(&self) -> bool {
        self.state.lock().lifecycle == Lifecycle::Gone
    }

    /// Where a member that joins now begins.
    pub(crate) fn cursor(&self) -> Cursor {
        self.state.lock().cursor
    }

    /// Appends messages to the log and delivers them once the journal has them. A log that other hubs append to
    /// delivers them itself, see [`Room::open`].
    ///
    /// The claimed keys are settled together with the append. Dropping the future does not take the messages back.
    pub(crate) async fn publish(
        self: &Arc<Self>,
        drafts: Drafts,
        claims: Vec<Claim>,
        standing: Standing,
    ) -> Result<Appended, PublishError> {
        let done = {
            let mut state = self.state.lock();
            if standing == Standing::Member && !state.members.contains_key(&drafts.author()) {
                return Err(PublishError::NotAMember);
            }
            match state.lifecycle {
                Lifecycle::Open => {}
                Lifecycle::Sealed => return Err(PublishError::Draining),
                Lifecycle::Gone => return Err(PublishError::NotAMember),
            }
            if self.is_lost() {
                return Err(PublishError::Journal(JournalError::Unavailable(
                    LOST.into(),
                )));
            }
            if state.pending.len() >= PENDING_APPENDS_MAX {
                return Err(PublishError::Busy);
            }
            let (at, epoch) = (drafts.at(), state.cursor.epoch);
            let append = match self.log.append(drafts) {
                Append::Done(result) if !state.sequencing => {
                    return self.commit(&mut state, result, claims, at, epoch);
                }
                Append::Done(result) => Box::pin(ready(result)),
                Append::Pending(append) => append,
            };
            let (done, outcome) = oneshot::channel();
            state.pending.push_back(PendingAppend {
                at,
                epoch,
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

    /// How many messages one replay reads at most.
    pub(crate) fn history_max(&self) -> usize {
        self.context.limits.history_max
    }

    /// Logs that the journal failed, once a second at most.
    pub(crate) fn log_failure(&self, error: &JournalError) {
        self.context.log_journal_failure(self.name.as_str(), error);
    }

    /// Searches the log when it is this search's turn.
    pub(crate) async fn search(&self, text: &str, before: Seq, limit: usize) -> Searched {
        let search = self.log.search(text, before, limit);
        self.context.searches.run(search).await
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.state.lock().members.is_empty()
    }

    /// Refuses all further appends.
    pub(crate) fn seal(&self) {
        let mut state = self.state.lock();
        if state.lifecycle == Lifecycle::Open {
            state.lifecycle = Lifecycle::Sealed;
        }
    }

    /// Makes each member in process check whether its session is closing.
    pub(crate) fn nudge(self: &Arc<Self>) {
        self.send(&mut self.state.lock(), SessionId(0), Body::Nudge);
    }

    /// Keeps the room from being forgotten, unless it is already.
    pub(crate) fn begin_visit(&self) {
        self.state.lock().visits += 1;
    }

    /// Ends a visit. Returns whether it was the last one.
    pub(crate) fn end_visit(&self) -> bool {
        let mut state = self.state.lock();
        state.visits = state.visits.saturating_sub(1);
        state.visits == 0
    }

    /// Marks the room as gone if it has no members, no visits and no pending appends. Returns whether the room is gone.
    pub(crate) fn retire(&self) -> bool {
        let mut state = self.state.lock();
        if state.members.is_empty() && state.visits == 0 && self.has_settled(&state) {
            self.set_gone(&mut state);
        }
        state.lifecycle == Lifecycle::Gone
    }

    /// Returns whether the room has no members and its log is empty.
    pub(crate) fn is_blank(&self) -> bool {
        let state = self.state.lock();
        state.members.is_empty() && state.cursor.seq == Seq::START
    }

    /// Marks the room as gone: no session can join it. A room that follows its log stops following.
    pub(super) fn set_gone(&self, state: &mut State) {
        state.lifecycle = Lifecycle::Gone;
        if let Some(following) = &self.following {
            following.stop();
        }
    }

    /// Handles the result of an append and delivers what the journal has.
    fn commit(
        self: &Arc<Self>,
        state: &mut State,
        appended: Result<Appended, JournalError>,
        claims: Vec<Claim>,
        at: Timestamp,
        epoch: Epoch,
    ) -> Result<Appended, PublishError> {
        let batch = match appended {
            Ok(Appended::Batch(batch)) => batch,
            Ok(Appended::Duplicate(seq)) => {
                for claim in claims {
                    claim.settle_at(self.name.clone(), seq);
                }
                return Ok(Appended::Duplicate(seq));
            }
            // Following the log shows whether the messages are in it. Their keys are released: the log knows them.
            Err(error) if self.is_shared() => return Err(PublishError::Journal(error)),
            Err(error) => {
                if let JournalError::Uncertain(_) | JournalError::Gone = error {
                    state.is_uncertain = true;
                    self.look_for(claims, at);
                }
                return Err(PublishError::Journal(error));
            }
        };
        claims.into_iter().for_each(|claim| claim.settle(&batch));
        self.context.counters.messages_in.add(batch.len());
        match &self.following {
            // The positions of an earlier epoch say nothing about what is to be delivered.
            Some(following) if epoch == state.cursor.epoch => following.note_appended(&batch),
            Some(_) => {}
            None => self.deliver(state, Arc::clone(&batch)),
        }
        Ok(Appended::Batch(batch))
    }

    /// Delivers messages that are in the log, after all earlier ones.
    pub(super) fn deliver(self: &Arc<Self>, state: &mut State, batch: Arc<Batch>) {
        if std::mem::take(&mut state.is_uncertain) {
            // Skips a number: a member that notices reads the log from its position.
            state.cursor.next += 1;
        }
        state.cursor.seq = batch.last();
        if let Some(topic) = batch.topic() {
            state.topic = topic;
        }
        self.send(state, batch.author(), Body::Messages(batch));
    }

    /// Settles the claims of messages that may be in the log, if they are. Until that is known, a client that repeats
    /// such a message waits.
    fn look_for(self: &Arc<Self>, claims: Vec<Claim>, since: Timestamp) {
        if claims.is_empty() {
            return;
        }
        let room = Arc::clone(self);
        self.context.tasks.spawn(async move {
            match room.log.keyed(since, LOOKED_THROUGH_MAX).await {
                Ok(page) => claims.into_iter().for_each(|claim| {
                    claim.settle_if_in(&page.slices);
                }),
                Err(error) => {
                    tracing::warn!(%error, room.name = %room.name, "what may have been kept can't be looked for");
                }
            }
        });
    }

    pub(super) fn send(self: &Arc<Self>, state: &mut State, author: SessionId, body: Body) {
        let item = Arc::new(Item::new(state.cursor, author, body));
        state.cursor = item.end;
        self.context.feed.send(|| Told {
            room: Arc::clone(self),
            what: What::Item(Arc::clone(&item)),
        });
        // Fails if the room has no receiver, which is not an error.
        drop(self.tx.send(item));
    }

    /// Delivers the pending appends in order, as the journal finishes them.
    async fn sequence(self: Arc<Self>) {
        while let Some(PendingAppend {
            at,
            epoch,
            claims,
            append,
            done,
        }) = self.next_pending()
        {
            // A journal that panics loses this append only.
            let appended = AssertUnwindSafe(append).catch_unwind().await;
            let appended = appended.unwrap_or(Err(JournalError::Gone));
            let outcome = self.commit(&mut self.state.lock(), appended, claims, at, epoch);
            // The caller may have dropped its future; the message is delivered anyway.
            drop(done.send(outcome));
        }
    }

    /// Whether the journal has everything that was accepted, and it is delivered.
    pub(crate) fn is_settled(&self) -> bool {
        self.has_settled(&self.state.lock())
    }

    fn has_settled(&self, state: &State) -> bool {
        let following = self.following.as_ref();
        !state.sequencing
            && following.is_none_or(|following| following.has_passed(state.cursor.seq))
    }

    /// Wakes the tasks that wait for everything to settle, if it has.
    pub(super) fn notify_settled(&self, state: &State) {
        if self.has_settled(state) {
            self.settled.notify_waiters();
        }
    }

    /// Waits until the journal has everything that was accepted, and it is delivered.
    pub(crate) async fn settled(&self) {
        let mut settled = std::pin::pin!(self.settled.notified());
        // Registers before it checks, so that no notification is missed in between.
        settled.as_mut().enable();
        if !self.is_settled() {
            settled.await;
        }
    }

    fn next_pending(&self) -> Option<PendingAppend> {
        let mut state = self.state.lock();
        let next = state.pending.pop_front();
        state.sequencing = next.is_some();
        self.notify_settled(&state);
        next
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A receiver, and the first item that it yields.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) rx: broadcast::Receiver<Arc<Item>>,
    pub(crate) cursor: Cursor,
}
