//! A journal that several hubs in one process share, with delays between them: a cluster without a network.
//!
//! Invariant: a room has one log, whichever node appends to it. Each node follows the whole log in the order of the
//! log. A batch reaches each node after a separate delay. The same seed gives the same delays.

use crate::random::Random;
use chat_core::log::{
    Appended, Batch, BatchSlice, Drafts, Epoch, Followed, Gap, Head, Journal, JournalError, Log,
    Page, Position, SessionId, Span, Topic,
};
use chat_core::rooms::Modes;
use chat_core::{RoomName, Seq};
use futures::stream::{self, BoxStream};
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

/// The longest delay of an append, of its answer, or of its batch to another node, in milliseconds.
const DELAY_MAX: usize = 20;

/// The maximum number of appends that wait in a node's log of one room. A hub has fewer waiting appends.
const WAITING_MAX: usize = 2048;

/// A journal that several hubs share. Create a [`node`](Self::node) for each hub.
///
/// Each append, its answer, and the transfer of its batch to each other node are each delayed by a random time of up to
/// 20 ms. Use the journal with paused time.
///
/// # Examples
///
/// ```
/// use chat_core::{Echo, Event, Hub};
/// use chat_testkit::SharedJournal;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// let shared = SharedJournal::new(1);
/// let [here, there] = [1, 2].map(|node| Hub::builder().journal(shared.node(node)).build());
/// # }
/// # );
/// ```
#[derive(Debug, Clone)]
pub struct SharedJournal(Arc<Shared>);

/// The journal of one hub that shares a [`SharedJournal`]. Clones are the same node.
#[derive(Debug, Clone)]
pub struct SharedNode {
    shared: Arc<Shared>,
    node: Arc<Node>,
}

/// A node's handle of one room's log.
pub struct SharedLog {
    node: Arc<Node>,
    room: Arc<Room>,
    name: RoomName,
    appends: mpsc::Sender<Append>,
    /// Ends the append task when the log is dropped.
    _worker: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    seed: u64,
    rooms: Mutex<HashMap<String, Arc<Room>>>,
}

#[derive(Debug)]
struct Node {
    incarnation: u32,
    random: Mutex<Random>,
    control: watch::Sender<Control>,
}

/// How a test disturbs a node.
#[derive(Debug, Clone, Copy)]
struct Control {
    /// Whether the node's streams of followed items are stopped.
    is_held: bool,
    /// Whether the node reports that it can reach the journal.
    is_reachable: bool,
    /// Whether the streams of followed items end.
    is_broken: bool,
    /// Whether answers to the node's appends are held back.
    holds_answers: bool,
    /// Whether each append of the node fails with [`JournalError::Uncertain`] although its messages are in the log.
    loses_answers: bool,
}

#[derive(Debug)]
struct Room {
    entries: Mutex<Entries>,
    /// Counts the changes of the log. A change wakes the followers.
    changes: watch::Sender<u64>,
}

/// The log of a room.
#[derive(Debug)]
struct Entries {
    epoch: Epoch,
    entries: Vec<Entry>,
    tail: Seq,
    /// The positions whose messages were removed, in order.
    holes: Vec<Gap>,
    topic: Topic,
    modes: Modes,
    keys: HashMap<String, Seq>,
}

/// A batch in two forms: as the node that appended it sees the batch (`own`), and as all other nodes see it
/// (`foreign`).
#[derive(Debug)]
struct Entry {
    incarnation: u32,
    own: Arc<Batch>,
    foreign: Arc<Batch>,
}

struct Append {
    drafts: Drafts,
    done: oneshot::Sender<Result<Appended, JournalError>>,
}

impl SharedJournal {
    /// Creates a journal without nodes. The seed determines the delays, and how far apart the positions of consecutive
    /// messages are.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Shared {
            seed,
            rooms: Mutex::default(),
        }))
    }

    /// Creates the journal for one hub. `incarnation` is the number of the hub: not 0, and a different number for each
    /// hub. By this number, the other nodes recognise which hub has appended a batch.
    #[must_use]
    pub fn node(&self, incarnation: u32) -> SharedNode {
        let seed = self.0.seed.wrapping_mul(0x9e37_79b9) ^ u64::from(incarnation);
        let (control, _) = watch::channel(Control {
            is_held: false,
            is_reachable: true,
            is_broken: false,
            holds_answers: false,
            loses_answers: false,
        });
        SharedNode {
            shared: Arc::clone(&self.0),
            node: Arc::new(Node {
                incarnation,
                random: Mutex::new(Random::new(seed)),
                control,
            }),
        }
    }

    /// Removes all messages of a room's log. A reader gets a gap instead of the messages. A node that has not followed
    /// the messages yet gets a gap, too.
    pub fn let_go(&self, room: &str) {
        self.0.room(room).change(|log| {
            log.entries.clear();
            log.holes = vec![Gap {
                from: Seq::START.next(),
                to: log.tail,
            }];
        });
    }

    /// Removes the batches of a room's log that lie within this range. The range may be in the middle of the log. A
    /// reader gets a gap instead of the batches. A node that has not followed the batches yet gets a gap, too.
    pub fn lose(&self, room: &str, range: Gap) {
        self.0.room(room).change(|log| {
            let is_lost =
                |entry: &Entry| entry.own.first() >= range.from && entry.own.last() <= range.to;
            log.entries.retain(|entry| !is_lost(entry));
            log.holes.push(range);
            log.holes.sort_unstable_by_key(|hole| hole.from);
        });
    }

    /// Replaces a room's log by an empty log with another epoch. The nodes that follow the log receive a reset.
    pub fn reset(&self, room: &str) {
        self.0.room(room).change(|log| *log = Entries::new());
    }
}

impl SharedNode {
    /// Stops this node from following: the node receives no batches until [`release`](Self::release) is called.
    pub fn hold(&self) {
        self.node
            .control
            .send_modify(|control| control.is_held = true);
    }

    /// Lets this node follow again after [`hold`](Self::hold).
    pub fn release(&self) {
        self.node
            .control
            .send_modify(|control| control.is_held = false);
    }

    /// Sets whether this node reports that it can reach the journal. Only the report changes: appends, reads and
    /// following work in either case.
    pub fn set_reachable(&self, is_reachable: bool) {
        let control = &self.node.control;
        control.send_modify(|control| control.is_reachable = is_reachable);
    }

    /// Sets whether the logs of this node can't be followed. With `true`, the streams of followed items end, and a new
    /// stream ends at once. Appends and reads work in either case.
    pub fn set_broken(&self, is_broken: bool) {
        let control = &self.node.control;
        control.send_modify(|control| control.is_broken = is_broken);
    }

    /// Sets whether the answers to this node's appends are held back. With `true`, an append does not complete,
    /// although its messages are in the log. With `false`, the waiting appends complete.
    pub fn hold_answers(&self, holds_answers: bool) {
        let control = &self.node.control;
        control.send_modify(|control| control.holds_answers = holds_answers);
    }

    /// Sets whether this node's appends fail with [`JournalError::Uncertain`], although their messages are in the log.
    pub fn lose_answers(&self, loses_answers: bool) {
        let control = &self.node.control;
        control.send_modify(|control| control.loses_answers = loses_answers);
    }
}

impl Journal for SharedNode {
    type Log = SharedLog;

    async fn open(&self, name: &RoomName, key: &str) -> Result<SharedLog, JournalError> {
        self.node.delay().await;
        let room = self.shared.room(key);
        let (appends, waiting) = mpsc::channel(WAITING_MAX);
        let mut worker = JoinSet::new();
        let (node, worked_at) = (Arc::clone(&self.node), Arc::clone(&room));
        worker.spawn(work(node, worked_at, name.clone(), waiting));
        Ok(SharedLog {
            node: Arc::clone(&self.node),
            room,
            name: name.clone(),
            appends,
            _worker: worker,
        })
    }
}

/// Performs the appends of a node one after the other.
async fn work(
    node: Arc<Node>,
    room: Arc<Room>,
    name: RoomName,
    mut waiting: mpsc::Receiver<Append>,
) {
    while let Some(Append { drafts, done }) = waiting.recv().await {
        node.delay().await;
        let step = node
            .random
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .below(3);
        let appended = room.change(|log| log.append(&node, &name, drafts, step as u64 + 1));
        node.delay().await;
        let mut control = node.control.subscribe();
        // This wait can't fail: the sender lives as long as the node.
        drop(control.wait_for(|control| !control.holds_answers).await);
        let is_lost = node.control.borrow().loses_answers;
        let answer = match appended {
            Ok(_) if is_lost => Err(JournalError::Uncertain("the answer is lost".into())),
            answer => answer,
        };
        // The send fails if the caller has dropped its future. The messages are in the log nevertheless.
        drop(done.send(answer));
    }
}

impl Log for SharedLog {
    fn head(&self) -> Head {
        self.room.lock().head()
    }

    fn append(
        &self,
        drafts: Drafts,
    ) -> impl Future<Output = Result<Appended, JournalError>> + Send + 'static {
        let (done, answer) = oneshot::channel();
        let sent = self.appends.try_send(Append { drafts, done });
        async move {
            sent.map_err(|_| JournalError::Unavailable("too much waits".into()))?;
            answer.await.unwrap_or(Err(JournalError::Gone))
        }
    }

    fn follow(&self, after: Position) -> Option<BoxStream<'static, Followed>> {
        let follower = Follower {
            node: Arc::clone(&self.node),
            room: Arc::clone(&self.room),
            after,
            is_reachable: true,
        };
        Some(Box::pin(stream::unfold(follower, |mut follower| async {
            let followed = follower.next().await?;
            Some((followed, follower))
        })))
    }

    async fn read(&self, span: Span, limit: usize) -> Result<Page, JournalError> {
        self.node.delay().await;
        let incarnation = self.node.incarnation;
        self.room.lock().read(incarnation, span, limit)
    }
}

/// The position of a node in a log that it follows.
struct Follower {
    node: Arc<Node>,
    room: Arc<Room>,
    after: Position,
    is_reachable: bool,
}

impl Follower {
    /// Returns the next item. Returns `None` once [`SharedNode::set_broken`] has ended the stream.
    async fn next(&mut self) -> Option<Followed> {
        let mut changes = self.room.changes.subscribe();
        let mut control = self.node.control.subscribe();
        loop {
            let Control {
                is_held,
                is_reachable,
                is_broken,
                ..
            } = *control.borrow_and_update();
            changes.mark_unchanged();
            if is_broken {
                return None;
            }
            if std::mem::replace(&mut self.is_reachable, is_reachable) != is_reachable {
                return Some(Followed::Reachable(is_reachable));
            }
            if !is_held && let Some(followed) = self.take() {
                self.node.delay().await;
                return Some(followed);
            }
            // These waits can't fail: both senders live as long as this follower.
            tokio::select! {
                _ = changes.changed() => {}
                _ = control.changed() => {}
            }
        }
    }

    /// Returns the next item to follow, if there is one now.
    fn take(&mut self) -> Option<Followed> {
        let log = self.room.lock();
        if log.epoch != self.after.epoch {
            self.after = Position {
                epoch: log.epoch,
                seq: Seq::START,
            };
            return Some(Followed::Reset(Head::new(log.epoch, Seq::START, "".into())));
        }
        let mut entries = log.entries.iter();
        let entry = entries.find(|entry| entry.own.last() > self.after.seq);
        if let Some(gap) = log.hole_after(self.after.seq)
            && entry.is_none_or(|entry| entry.own.last() > gap.to)
        {
            self.after.seq = gap.to;
            return Some(Followed::Gap(gap));
        }
        let entry = entry?;
        self.after.seq = entry.own.last();
        Some(Followed::Batch(entry.seen_by(self.node.incarnation)))
    }
}

impl Shared {
    fn room(&self, key: &str) -> Arc<Room> {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let room = rooms.entry(key.to_owned()).or_insert_with(|| {
            Arc::new(Room {
                entries: Mutex::new(Entries::new()),
                changes: watch::channel(0).0,
            })
        });
        Arc::clone(room)
    }
}

impl Node {
    async fn delay(&self) {
        let millis = {
            let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
            random.below(DELAY_MAX + 1)
        };
        tokio::time::sleep(Duration::from_millis(millis as u64)).await;
    }
}

impl Room {
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Entries) -> T) -> T {
        let changed = change(&mut self.lock());
        self.changes.send_modify(|changes| *changes += 1);
        changed
    }
}

impl Entries {
    fn new() -> Self {
        Self {
            epoch: Epoch::random(),
            entries: Vec::new(),
            tail: Seq::START,
            holes: Vec::new(),
            topic: Topic::default(),
            modes: Modes::default(),
            keys: HashMap::new(),
        }
    }

    fn head(&self) -> Head {
        Head::new(self.epoch, self.tail, self.topic.clone()).with_modes(self.modes.clone())
    }

    fn append(
        &mut self,
        node: &Node,
        name: &RoomName,
        drafts: Drafts,
        step: u64,
    ) -> Result<Appended, JournalError> {
        let mut keys = Vec::new();
        for draft in drafts.messages() {
            keys.extend(draft.key_id(node.incarnation));
        }
        if !keys.is_empty() && drafts.len() > 1 {
            return Err(JournalError::Failed(
                "a message with a key is appended alone".into(),
            ));
        }
        if let Some(first) = keys.first().and_then(|key| self.keys.get(key)) {
            return Ok(Appended::Duplicate(*first));
        }
        let author = SessionId::new(node.incarnation, drafts.author().counter());
        let mut foreign = Drafts::new(author, drafts.from().clone(), drafts.at())
            .with_account(drafts.account().cloned());
        for draft in drafts.messages() {
            foreign.restore(draft.kind, draft.text, draft.kept_key);
        }
        let first = self.tail.0 + step;
        let number = |drafts: Drafts| Arc::new(drafts.number(name.clone(), (first..).map(Seq)));
        let entry = Entry {
            incarnation: node.incarnation,
            own: number(drafts),
            foreign: number(foreign),
        };
        let own = Arc::clone(&entry.own);
        self.tail = own.last();
        if let Some(topic) = own.topic() {
            self.topic = topic;
        }
        self.modes.apply(&own);
        self.keys
            .extend(keys.into_iter().map(|key| (key, own.last())));
        self.entries.push(entry);
        Ok(Appended::Batch(own))
    }

    /// Returns the first hole that ends after the position `after`. The returned hole begins after `after`.
    fn hole_after(&self, after: Seq) -> Option<Gap> {
        let hole = self.holes.iter().find(|hole| hole.to > after)?;
        Some(Gap {
            from: hole.from.max(after.next()),
            ..*hole
        })
    }

    fn read(&self, incarnation: u32, span: Span, limit: usize) -> Result<Page, JournalError> {
        let all = self.entries.iter().flat_map(|entry| {
            let batch = entry.seen_by(incarnation);
            (0..batch.len()).map(move |at| (Arc::clone(&batch), at))
        });
        let seq = |batch: &Batch, at: usize| batch.messages(at..at + 1).next().map(|m| m.seq);
        let (gap, found) = match span {
            Span::After(after) => {
                let found: Vec<_> = all
                    .filter(|(batch, at)| seq(batch, *at) > Some(after))
                    .take(limit)
                    .collect();
                self.until_hole(after, found, seq)
            }
            Span::Before(before) => {
                let mut found: Vec<_> = all
                    .filter(|(batch, at)| seq(batch, *at) < Some(before))
                    .collect();
                found.drain(..found.len().saturating_sub(limit));
                (None, found)
            }
            _ => return Err(JournalError::Unavailable("this part can't be read".into())),
        };
        let slices = found.into_iter().map(|(batch, at)| BatchSlice {
            batch,
            range: at..at + 1,
        });
        Ok(Page::new(gap, slices.collect()).in_epoch(self.epoch))
    }

    /// Returns the messages of `found` that precede the next hole. If that hole precedes all messages of `found`,
    /// returns the hole, and the messages between it and the following hole.
    fn until_hole(
        &self,
        after: Seq,
        mut found: Vec<(Arc<Batch>, usize)>,
        seq: impl Fn(&Batch, usize) -> Option<Seq>,
    ) -> (Option<Gap>, Vec<(Arc<Batch>, usize)>) {
        let first = found.first().and_then(|(batch, at)| seq(batch, *at));
        let gap = self.hole_after(after);
        let gap = gap.filter(|gap| first.is_none_or(|first| first > gap.to));
        let reached = gap.map_or(after, |gap| gap.to);
        if let Some(next) = self.hole_after(reached) {
            found.retain(|(batch, at)| seq(batch, *at) < Some(next.from));
        }
        (gap, found)
    }
}

impl Entry {
    fn seen_by(&self, incarnation: u32) -> Arc<Batch> {
        Arc::clone(if incarnation == self.incarnation {
            &self.own
        } else {
            &self.foreign
        })
    }
}

impl fmt::Debug for SharedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedLog")
            .field("name", &self.name)
            .field("node", &self.node.incarnation)
            .finish_non_exhaustive()
    }
}
