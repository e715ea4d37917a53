//! The one thread that writes: whatever waits is one transaction, and is answered when that is committed.
//!
//! Invariant: nothing is answered that is not committed, and messages stand in the log in the order in which they were
//! handed over.

use crate::error::{advice, reason, unavailable};
use crate::file::Opened;
use crate::options::{Keep, Options};
use crate::store::{self, Memory, Room};
use chat_core::log::{Batch, Drafts, JournalError, Timestamp};
use chat_core::{RoomName, Seq};
use rusqlite::{Connection, TransactionBehavior};
use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// How many appends may wait for the thread.
pub(crate) const WAITING_MAX: usize = 4096;

/// How many bytes of messages one transaction takes: it is done in some tens of milliseconds.
const TRANSACTION_BYTES_MAX: usize = 2 << 20;

/// How often a failure is logged at most.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// What the thread is asked.
#[derive(Debug)]
pub(crate) enum Task {
    Open {
        key: String,
        name: String,
        done: oneshot::Sender<Result<Room, JournalError>>,
    },
    Append {
        room: i64,
        name: RoomName,
        drafts: Drafts,
        done: oneshot::Sender<Result<Arc<Batch>, JournalError>>,
    },
    /// A log is not used any more.
    Close { room: i64 },
    /// Time has passed: there may be more that is no longer kept.
    Expire,
}

/// An answer that waits for the commit.
enum Answer {
    Opened(Room, oneshot::Sender<Result<Room, JournalError>>),
    Appended(
        Arc<Batch>,
        oneshot::Sender<Result<Arc<Batch>, JournalError>>,
    ),
}

pub(crate) struct Writer {
    opened: Opened,
    memory: Memory,
    /// How many logs of a room are in use.
    uses: HashMap<i64, usize>,
    next_id: i64,
    keep: Keep,
    /// Rooms in which there may be something to remove.
    expiring: VecDeque<String>,
    logged: Option<Instant>,
}

impl Writer {
    pub(crate) fn new(opened: Opened, options: &Options) -> rusqlite::Result<Self> {
        Ok(Self {
            memory: Memory {
                progress: opened.progress,
                ..Memory::default()
            },
            uses: HashMap::new(),
            next_id: store::next_id(&opened.connection)?,
            opened,
            keep: options.keep,
            expiring: VecDeque::new(),
            logged: None,
        })
    }

    /// Works until nobody can ask any more.
    pub(crate) fn run(mut self, mut tasks: mpsc::Receiver<Task>) {
        let mut waiting = Vec::new();
        self.look_for_expired();
        loop {
            // Removal is done while nobody waits, a step at a time.
            while !self.expiring.is_empty() && tasks.is_empty() && !tasks.is_closed() {
                self.expire_some();
            }
            if tasks.blocking_recv_many(&mut waiting, WAITING_MAX) == 0 {
                break;
            }
            let mut left = waiting.drain(..).peekable();
            while left.peek().is_some() {
                let mut bytes = 0;
                let mut now = Vec::new();
                while bytes < TRANSACTION_BYTES_MAX
                    && let Some(task) = left.next()
                {
                    if let Task::Append { drafts, .. } = &task {
                        bytes += drafts.bytes();
                    }
                    now.push(task);
                }
                self.perform(now);
            }
        }
        // So that the next one to open it, or to copy it, finds it in one piece.
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        let done = self
            .opened
            .connection
            .query_row(checkpoint, [], |row| row.get::<_, i64>(0));
        if let Err(error) = done {
            tracing::debug!(%error, "the log of changes is left beside the file");
        }
    }

    /// Does what was asked, in one transaction, and answers.
    fn perform(&mut self, tasks: Vec<Task>) {
        let (mut answers, mut failed) = (Vec::new(), None);
        let mut changed = Memory {
            progress: self.memory.progress,
            ..Memory::default()
        };
        let Self {
            opened,
            memory,
            next_id,
            uses,
            ..
        } = self;
        let mut tasks = tasks.into_iter();
        let mut unanswered = Vec::new();
        let mut expires = false;
        let committed = transact(&mut opened.connection, |connection| {
            for task in tasks.by_ref() {
                match task {
                    Task::Open { key, name, done } => {
                        let found = open(connection, memory, &mut changed, &key, &name, next_id);
                        match found {
                            Ok(room) => answers.push(Answer::Opened(room, done)),
                            Err(error) => {
                                unanswered.push(Task::Open { key, name, done });
                                return Err(error);
                            }
                        }
                    }
                    Task::Append {
                        room,
                        name,
                        drafts,
                        done,
                    } => {
                        let Memory { rooms, progress } = &mut changed;
                        let Some(room) = known(memory, rooms, room) else {
                            drop(done.send(Err(JournalError::Gone)));
                            continue;
                        };
                        let seqs = (room.tail.next().0..).map(Seq);
                        let batch = Arc::new(drafts.number(name, seqs));
                        answers.push(Answer::Appended(Arc::clone(&batch), done));
                        store::append(connection, room, progress, &batch)?;
                    }
                    Task::Close { room } => close(memory, uses, room),
                    Task::Expire => expires = true,
                }
            }
            for room in changed.rooms.values().filter(|room| room.is_stored) {
                store::update(connection, room)?;
            }
            store::update_progress(connection, changed.progress)
        });
        if let Err(error) = committed {
            failed = Some(error);
        }
        if let Some(error) = failed {
            self.fail(&error, answers, unanswered.into_iter().chain(tasks));
            return;
        }
        self.memory.progress = changed.progress;
        if self.keep != Keep::Everything {
            let keys = changed.rooms.values().map(|room| room.key.clone());
            self.expiring.extend(keys);
        }
        self.memory.rooms.extend(changed.rooms);
        if let Err(error) = self.opened.state.write(self.memory.progress)
            && self.may_log()
        {
            // Then less than was done is known, which only hides that something was lost.
            tracing::warn!(%error, "how much is kept can't be noted beside the file");
        }
        for answer in answers {
            self.answer(answer);
        }
        if expires {
            self.look_for_expired();
        }
    }

    fn answer(&mut self, answer: Answer) {
        // Whoever asked may have gone; it is done all the same.
        match answer {
            Answer::Opened(room, done) => {
                let id = room.id;
                *self.uses.entry(id).or_default() += 1;
                if done.send(Ok(room)).is_err() {
                    close(&mut self.memory, &mut self.uses, id);
                }
            }
            Answer::Appended(batch, done) => drop(done.send(Ok(batch))),
        }
    }

    /// Nothing of the transaction is kept.
    fn fail(
        &mut self,
        error: &rusqlite::Error,
        answers: Vec<Answer>,
        tasks: impl Iterator<Item = Task>,
    ) {
        if self.may_log() {
            let (why, what_to_do) = (reason(error), advice(error));
            tracing::error!(%error, what_to_do, "messages can't be kept: {why}");
        }
        for answer in answers {
            match answer {
                Answer::Opened(_, done) => drop(done.send(Err(unavailable(error)))),
                Answer::Appended(_, done) => drop(done.send(Err(unavailable(error)))),
            }
        }
        for task in tasks {
            match task {
                Task::Open { done, .. } => drop(done.send(Err(unavailable(error)))),
                Task::Append { done, .. } => drop(done.send(Err(unavailable(error)))),
                Task::Close { room } => close(&mut self.memory, &mut self.uses, room),
                Task::Expire => {}
            }
        }
    }

    /// Notes all rooms: there may be something to remove in each.
    fn look_for_expired(&mut self) {
        if self.keep == Keep::Everything {
            return;
        }
        match store::rooms(&self.opened.connection) {
            Ok(rooms) => self.expiring = rooms.into_iter().map(|room| room.key).collect(),
            Err(error) => self.fail(&error, Vec::new(), std::iter::empty()),
        }
    }

    /// Removes some of what one room no longer keeps.
    fn expire_some(&mut self) {
        let Some(key) = self.expiring.pop_front() else {
            return;
        };
        let (keep, now) = (self.keep, Timestamp::now());
        let removed = transact(&mut self.opened.connection, |connection| {
            let Some(mut room) = store::find(connection, &key)? else {
                return Ok((None, false));
            };
            let has_more = store::expire(connection, &mut room, keep, now)?;
            Ok((Some(room), has_more))
        });
        match removed {
            Ok((room, has_more)) => {
                // Between transactions the row is all that there is to remember.
                if let Some(room) = room
                    && let Some(known) = self.memory.rooms.get_mut(&room.id)
                {
                    *known = room;
                }
                if has_more {
                    self.expiring.push_front(key);
                } else {
                    self.expiring.retain(|other| *other != key);
                }
            }
            Err(error) => self.fail(&error, Vec::new(), std::iter::empty()),
        }
    }

    fn may_log(&mut self) -> bool {
        let is_news = self.logged.is_none_or(|at| at.elapsed() >= LOG_EVERY);
        if is_news {
            self.logged = Some(Instant::now());
        }
        is_news
    }
}

/// The room with this key, as it is within the transaction.
fn open(
    connection: &Connection,
    memory: &Memory,
    changed: &mut Memory,
    key: &str,
    name: &str,
    next_id: &mut i64,
) -> rusqlite::Result<Room> {
    let mut remembered = changed.rooms.values().chain(memory.rooms.values());
    if let Some(room) = remembered.find(|room| room.key == key) {
        return Ok(room.clone());
    }
    let room = match store::find(connection, key)? {
        Some(room) => room,
        None => {
            *next_id += 1;
            store::new_room(connection, *next_id - 1, key, name)?
        }
    };
    changed.rooms.insert(room.id, room.clone());
    Ok(room)
}

/// A room that a log of is in use, to be changed within the transaction.
fn known<'a>(
    memory: &Memory,
    changed: &'a mut HashMap<i64, Room>,
    room: i64,
) -> Option<&'a mut Room> {
    match changed.entry(room) {
        Entry::Occupied(known) => Some(known.into_mut()),
        Entry::Vacant(place) => Some(place.insert(memory.rooms.get(&room)?.clone())),
    }
}

/// Forgets a room when its last log is no longer used.
fn close(memory: &mut Memory, uses: &mut HashMap<i64, usize>, room: i64) {
    let Some(count) = uses.get_mut(&room) else {
        return;
    };
    *count -= 1;
    if *count == 0 {
        uses.remove(&room);
        memory.rooms.remove(&room);
    }
}

/// Does this in a transaction, which is rolled back if any of it fails.
fn transact<T>(
    connection: &mut Connection,
    act: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = act(&transaction)?;
    transaction.commit()?;
    Ok(done)
}
