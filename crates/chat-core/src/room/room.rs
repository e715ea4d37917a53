//! One room: the order of everything that happens in it, and its members.
//!
//! Invariant: every change is made under the room's lock, and the item that announces the change is sent before the
//! lock is released. So all members see one order, and a member that joins knows exactly which item is its first.
//!
//! Locks are taken in this order: the hub's rooms; the room; one of roster, keys, tail and shard; outbound. No lock is
//! held across an `.await`, with one exception: the lock for opening a room, which is taken before all other locks.

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
use crate::room::occupant::{Elsewhere, Occupant};
use crate::room::participant::Participant;
use crate::room::rights::Rights;
use crate::room::search_queue::{SearchQueue, Searched};
use crate::stats::Counters;
use crate::sync::Mutex;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Weak};
use tokio::sync::{Notify, Semaphore, broadcast, oneshot};
use tokio_util::task::TaskTracker;

/// The most appends of one room that may wait for a slow journal. A caller of [`Room::publish`] waits for its own
/// append, so this limit is reached only if callers drop the future.
const PENDING_APPENDS_MAX: usize = 1024;

/// The most messages with keys that the room reads when it searches the log for a message that the journal may have
/// stored. The limit assumes that fewer messages with keys have followed the message.
const LOOKED_THROUGH_MAX: usize = 4096;

/// The address whose session opened a room. `None` if the limits for addresses do not apply to the session; all such
/// sessions count as one address.
pub(crate) type Opener = Option<IpAddr>;

/// What a follower receives: a room, and what happened in the room.
#[derive(Clone)]
pub(crate) struct Told {
    pub(crate) room: Arc<Room>,
    pub(crate) what: What,
}

#[derive(Clone)]
pub(crate) enum What {
    /// An item that the members of the room receive, too.
    Item(Arc<Item>),
    /// A change of presence that only followers receive, because the room has too many members to announce each change.
    Whisper(Arc<Presence>),
}

/// A closed room, which the feed remembers for lagging followers.
#[derive(Clone)]
pub(crate) struct Closed {
    pub(crate) room: Weak<Room>,
    pub(crate) name: RoomName,
    /// The folded name of the room, which is the same for all spellings of the name.
    pub(crate) key: Arc<str>,
    pub(crate) reason: Arc<str>,
}

/// What a hub gives to each of its rooms.
#[derive(Debug, Clone)]
pub(crate) struct RoomContext {
    pub(crate) limits: Arc<Limits>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) tasks: TaskTracker,
    /// Sends what happens in the room to the followers of the hub.
    pub(crate) feed: Arc<Feed<Told, Closed>>,
    pub(crate) searches: Arc<SearchQueue>,
    /// The key of the lobby, whose first member does not become its operator.
    pub(crate) lobby: Arc<str>,
    /// Maps a name to its key; see [`NameRules::fold`](crate::name::NameRules).
    pub(crate) fold: fn(&str) -> String,
    /// Limits how often the failures of a journal are logged.
    pub(crate) journal_log: Arc<LogGate>,
    /// Limits how many tasks, in all rooms of the hub, deliver changes of presence at the same time.
    pub(crate) announcing: Arc<Semaphore>,
    /// The most delivery tasks that a room has.
    pub(crate) shards_max: usize,
}

pub(crate) struct Room {
    pub(crate) name: RoomName,
    pub(crate) key: Arc<str>,
    pub(crate) opener: Opener,
    /// The [`Cursor`] of a member that has received none of the room's items.
    pub(crate) begin: Cursor,
    /// The state of a log that other hubs append to, too. `None` if only this hub appends to the log. The room then
    /// delivers the messages that this hub appends.
    pub(super) following: Option<Following>,
    pub(super) log: Arc<dyn DynLog>,
    pub(super) tx: broadcast::Sender<Arc<Item>>,
    pub(super) context: RoomContext,
    pub(super) state: Mutex<State>,
    /// Notified when the room has settled: the journal has finished all appends, and the room has delivered their
    /// messages.
    settled: Notify,
}

pub(super) struct State {
    pub(super) members: BTreeMap<SessionId, Occupant>,
    /// The sessions on other nodes that are in the room.
    pub(super) elsewhere: BTreeMap<SessionId, Elsewhere>,
    /// The nicks of the sessions that have an account, and how many sessions in the room have each of these nicks. Only
    /// sessions of one account share a nick.
    pub(super) shared: HashMap<Nick, usize>,
    /// The number of sessions in the room, minus the number of different nicks of these sessions.
    pub(super) doubles: usize,
    /// The cursor of a member that joins now.
    pub(super) cursor: Cursor,
    /// The end of the log when the room was opened. If the log began a new epoch later, the end of the log when the
    /// room learned of this epoch.
    pub(super) epoch_began: Seq,
    pub(super) topic: Topic,
    pub(super) rights: Rights,
    /// Whether the room has too many members to announce each change of presence.
    pub(super) hushed: bool,
    /// Whether a task is about to announce the number of members.
    pub(super) counting: bool,
    pub(super) lifecycle: Lifecycle,
    /// The last item of the room, which reports that the room is closed; `None` if the room is not closed.
    pub(super) closed: Option<Arc<Item>>,
    /// How many sessions use the room without being in it.
    pub(super) visits: usize,
    pub(super) shards: Vec<Arc<Shard>>,
    /// Whether the log may hold messages that were not delivered. If so, each member reads the log before it receives
    /// the next message. If the room is closed, each member receives a report instead: messages may be missing.
    pub(super) is_uncertain: bool,
    /// The appends whose journal has not finished, in the order in which the room accepted them.
    pub(super) pending: VecDeque<PendingAppend>,
    /// Whether a task commits the appends in `pending`. While a task does this, every new append is queued in
    /// `pending`.
    pub(super) sequencing: bool,
}

/// In whose name messages are published.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Standing<'a> {
    /// In the name of a member, which must be in the room.
    Member,
    /// In the name of this session, which may be outside the room.
    Outside(&'a Participant),
    /// In the name of the program, which the room's modes do not concern.
    Program,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lifecycle {
    Open,
    /// The hub is shutting down. Members stay in the room, but no message is appended any more.
    Sealed,
    /// The hub closes the room once the room has delivered the messages of all pending appends. Until then, members
    /// stay in the room, but no message is appended any more.
    Closing,
    /// The hub has forgotten or closed this room. A session that wants to join must open the room anew.
    Gone,
}

pub(super) struct PendingAppend {
    /// The time at which the hub accepted the messages.
    at: Timestamp,
    /// The log's epoch at the time when the hub accepted the messages.
    epoch: Epoch,
    claims: Vec<Claim>,
    append: BoxFuture<'static, Result<Appended, JournalError>>,
    done: oneshot::Sender<Result<Appended, PublishError>>,
}

impl RoomContext {
    /// Logs that a journal failed, at most once a second. The log line has the cause, which peers do not see.
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
        let Head {
            epoch,
            tail,
            topic,
            modes,
        } = log.head();
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
            rights: Rights::new(modes),
            hushed: false,
            counting: false,
            lifecycle: Lifecycle::Open,
            closed: None,
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

    pub(crate) fn epoch(&self) -> Epoch {
        self.state.lock().cursor.epoch
    }

    /// Returns whether other hubs append to the log, too. A log that several hubs append to checks keys itself, and
    /// each message with a key is appended alone.
    pub(crate) const fn is_shared(&self) -> bool {
        self.following.is_some()
    }

    /// Returns the last position that this hub has appended or delivered, whichever is later.
    pub(crate) fn appended(&self) -> Position {
        self.appended_in(&self.state.lock())
    }

    pub(super) fn appended_in(&self, state: &State) -> Position {
        let Position { epoch, seq } = state.cursor.position();
        let following = self.following.as_ref();
        let seq = following.map_or(seq, |following| seq.max(following.appended()));
        Position { epoch, seq }
    }

    /// Returns the number of the item that reports that the log can't be followed now; `None` if the log is followed.
    pub(crate) fn lost_at(&self) -> Option<u64> {
        let following = self.following.as_ref()?;
        following.is_lost().then(|| following.lost_at())
    }

    /// Returns whether the log can't be followed now.
    pub(crate) fn is_lost(&self) -> bool {
        self.following.as_ref().is_some_and(Following::is_lost)
    }

    /// Returns whether the hub has forgotten or closed the room.
    pub(crate) fn is_gone(&self) -> bool {
        self.state.lock().lifecycle == Lifecycle::Gone
    }

    /// Returns the cursor of a member that joins now.
    pub(crate) fn cursor(&self) -> Cursor {
        self.state.lock().cursor
    }

    /// Appends messages to the log and delivers them once the journal has stored them. If other hubs append to the log,
    /// too, the messages are delivered when the log yields them; see [`Room::open`].
    ///
    /// When the append ends, the hub remembers or releases the claimed keys of the messages. Dropping the future does
    /// not withdraw the messages.
    pub(crate) async fn publish(
        self: &Arc<Self>,
        drafts: Drafts,
        claims: Vec<Claim>,
        standing: Standing<'_>,
    ) -> Result<Appended, PublishError> {
        let done = {
            let mut state = self.state.lock();
            let is_member = matches!(standing, Standing::Member);
            if is_member && !state.members.contains_key(&drafts.author()) {
                return Err(PublishError::NotAMember);
            }
            if state.rights.is_guarded || drafts.has_modes() {
                let may = self.may_publish(&mut state, &drafts, standing);
                may.map_err(PublishError::Denied)?;
            }
            match state.lifecycle {
                Lifecycle::Open => {}
                Lifecycle::Sealed => return Err(PublishError::Draining),
                Lifecycle::Closing => return Err(PublishError::Busy),
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

    pub(crate) async fn read(&self, span: Span, limit: usize) -> Result<Page, JournalError> {
        self.log.read(span, limit).await
    }

    /// Returns the most messages that one replay reads.
    pub(crate) fn history_max(&self) -> usize {
        self.context.limits.history_max
    }

    /// Logs that the journal failed, at most once a second.
    pub(crate) fn log_failure(&self, error: &JournalError) {
        self.context.log_journal_failure(self.name.as_str(), error);
    }

    /// Searches the log; see [`SearchQueue::run`].
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

    /// Begins the use of the room by a session that is not a member. The room is not forgotten before
    /// [`end_visit`](Self::end_visit). Has no effect if the hub has forgotten the room already.
    pub(crate) fn begin_visit(&self) {
        self.state.lock().visits += 1;
    }

    /// Ends the use of the room by a session that is not a member. Returns whether no other session uses the room in
    /// this way.
    pub(crate) fn end_visit(&self) -> bool {
        let mut state = self.state.lock();
        state.visits = state.visits.saturating_sub(1);
        state.visits == 0
    }

    /// Marks the room as gone if it has no members, no session outside the room uses it, no append is pending, and the
    /// hub is not about to close it. Returns whether the room is gone.
    pub(crate) fn retire(&self) -> bool {
        let mut state = self.state.lock();
        let is_unused = state.members.is_empty() && state.visits == 0;
        if is_unused && state.lifecycle != Lifecycle::Closing && self.has_settled(&state) {
            self.set_gone(&mut state);
        }
        state.lifecycle == Lifecycle::Gone
    }

    /// Returns whether the room has no members and its log is empty.
    pub(crate) fn is_blank(&self) -> bool {
        let state = self.state.lock();
        state.members.is_empty() && state.cursor.seq == Seq::START
    }

    /// Marks the room as gone, so that no session can join it. If the room follows its log, stops following.
    pub(super) fn set_gone(&self, state: &mut State) {
        state.lifecycle = Lifecycle::Gone;
        if let Some(following) = &self.following {
            following.stop();
        }
    }

    /// Handles the result of an append. Delivers the messages, unless the room follows its log: the log's stream then
    /// yields them.
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
            // If the log holds the messages, its stream will yield them. Returning drops `claims` and thus releases the
            // keys of the messages. A log that several hubs share checks keys itself.
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
            // Positions of an earlier epoch are ignored, because they do not tell which messages of the current epoch
            // are yet to be delivered.
            Some(following) if epoch == state.cursor.epoch => following.note_appended(&batch),
            Some(_) => {}
            None => self.deliver(state, Arc::clone(&batch)),
        }
        Ok(Appended::Batch(batch))
    }

    /// Delivers messages that were appended to the log. All earlier messages must have been delivered. If the room is
    /// closed, delivers nothing.
    pub(super) fn deliver(self: &Arc<Self>, state: &mut State, batch: Arc<Batch>) {
        if state.closed.is_some() {
            return;
        }
        if std::mem::take(&mut state.is_uncertain) {
            // Skips the number of an item. A member that notices the gap in the numbers reads the log from the position
            // that it has reached.
            state.cursor.next += 1;
        }
        state.cursor.seq = batch.last();
        if batch.has_state() {
            if let Some(topic) = batch.topic() {
                state.topic = topic;
            }
            self.apply_modes(state, &batch);
        }
        self.send(state, batch.author(), Body::Messages(batch));
    }

    /// Searches the log for the messages of `claims`: the journal did not report whether it stored them. Remembers the
    /// keys of the messages that it finds, and releases all other keys. A client that repeats one of the messages waits
    /// until the search ends.
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

    /// Sends an item to the members and to the followers of the hub. Sends nothing if the room is closed.
    pub(super) fn send(self: &Arc<Self>, state: &mut State, author: SessionId, body: Body) {
        if state.closed.is_none() {
            let item = Item::new(state.cursor, author, body);
            self.send_item(state, Arc::new(item));
        }
    }

    pub(super) fn send_item(self: &Arc<Self>, state: &mut State, item: Arc<Item>) {
        state.cursor = item.end;
        self.context.feed.send(|| Told {
            room: Arc::clone(self),
            what: What::Item(Arc::clone(&item)),
        });
        // Sending fails if the room has no receiver, which is not an error.
        drop(self.tx.send(item));
    }

    /// Commits the pending appends in order, as the journal finishes them.
    async fn sequence(self: Arc<Self>) {
        while let Some(PendingAppend {
            at,
            epoch,
            claims,
            append,
            done,
        }) = self.next_pending()
        {
            // If the journal panics, only this append fails.
            let appended = AssertUnwindSafe(append).catch_unwind().await;
            let appended = appended.unwrap_or(Err(JournalError::Gone));
            let outcome = self.commit(&mut self.state.lock(), appended, claims, at, epoch);
            // Sending fails if the caller has dropped its future. The messages are delivered nevertheless.
            drop(done.send(outcome));
        }
    }

    /// Returns whether the journal has finished all appends and the room has delivered their messages. Also returns
    /// `true` if the room is gone, because the room then delivers nothing more.
    pub(crate) fn is_settled(&self) -> bool {
        self.has_settled(&self.state.lock())
    }

    pub(super) fn has_settled(&self, state: &State) -> bool {
        let following = self.following.as_ref();
        let has_passed =
            || following.is_none_or(|following| following.has_passed(state.cursor.seq));
        state.lifecycle == Lifecycle::Gone || !state.sequencing && has_passed()
    }

    /// If the room has settled, wakes the tasks that wait in [`settled`](Self::settled).
    pub(super) fn notify_settled(&self, state: &State) {
        if self.has_settled(state) {
            self.settled.notify_waiters();
        }
    }

    /// Waits until the room has settled; see [`is_settled`](Self::is_settled).
    pub(crate) async fn settled(&self) {
        let mut settled = std::pin::pin!(self.settled.notified());
        // `enable` registers the waiter before the check, so that no notification is missed in between.
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

/// A receiver of a room's broadcast, and the cursor before the first item that the receiver yields.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) rx: broadcast::Receiver<Arc<Item>>,
    pub(crate) cursor: Cursor,
}
