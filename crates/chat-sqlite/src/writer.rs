//! The one thread that writes: whatever waits is one transaction, and is answered when that is committed.
//!
//! Invariant: nothing is answered that is not committed, and messages stand in the log in the order in which they were
//! handed over.

use crate::error::Failure;
use crate::expiry::Expiry;
use crate::file::Opened;
use crate::options::Options;
use crate::rooms::{Key, Rooms};
use crate::store::{self, Room};
use chat_core::log::{Batch, Drafts, JournalError, Timestamp};
use chat_core::{RoomName, Seq};
use rusqlite::{Connection, TransactionBehavior};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// How many appends may wait for the thread.
pub(crate) const WAITING_MAX: usize = 4096;

/// How many bytes of messages one transaction takes: it is done in some tens of milliseconds.
const TRANSACTION_BYTES_MAX: usize = 2 << 20;

/// How many messages one step of removal takes while nobody waits.
const REMOVED_AT_ONCE: u64 = 500;

/// How often a failure is logged at most.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// What the thread is asked.
#[derive(Debug)]
pub(crate) enum Task {
    Open {
        key: Key,
        name: String,
        done: oneshot::Sender<Result<Room, JournalError>>,
    },
    Append {
        room: Key,
        name: RoomName,
        drafts: Drafts,
        done: oneshot::Sender<Result<Arc<Batch>, JournalError>>,
    },
    /// A log is not used any more.
    Close { room: Key },
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
    rooms: Rooms,
    expiry: Expiry,
    logged: Option<Instant>,
}

impl Writer {
    pub(crate) fn new(opened: Opened, options: &Options) -> Self {
        Self {
            rooms: Rooms::new(opened.progress),
            opened,
            expiry: Expiry::new(options),
            logged: None,
        }
    }

    /// Works until nobody can ask any more.
    pub(crate) fn run(mut self, mut tasks: mpsc::Receiver<Task>) {
        let mut waiting = Vec::new();
        self.look_for_expired();
        loop {
            while self.expiry.has_any() && tasks.is_empty() && !tasks.is_closed() {
                self.expire_some(REMOVED_AT_ONCE);
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
                let before = self.rooms.progress().appended;
                self.perform(now);
                let appended = self.rooms.progress().appended - before;
                if self.expiry.has_any() && appended > 0 {
                    // Twice as much as has come, so that removal catches up though there is never a pause.
                    self.expire_some(appended.saturating_mul(2));
                }
            }
        }
        self.tidy_up();
    }

    /// Leaves the file in one piece, for the next one to open it, or to copy it.
    fn tidy_up(&mut self) {
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        let connection = &self.opened.connection;
        match connection.query_row(checkpoint, [], |row| row.get::<_, i64>(0)) {
            // Nobody was in its way: all of it is in the file, and on the disk.
            Ok(0) => {
                if let Err(error) = self.opened.state.end(self.rooms.progress()) {
                    tracing::debug!(%error, "it can't be noted that all is on the disk");
                }
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "the log of changes is left beside the file"),
        }
    }

    /// Does what was asked, in one transaction, and answers.
    fn perform(&mut self, tasks: Vec<Task>) {
        let (mut answers, mut unanswered) = (Vec::new(), Vec::new());
        let (mut closed, mut expires) = (Vec::new(), false);
        let mut changes = self.rooms.begin();
        let rooms = &self.rooms;
        let mut tasks = tasks.into_iter();
        let committed = transact(&mut self.opened, |connection| {
            for task in tasks.by_ref() {
                match task {
                    Task::Open { key, name, done } => {
                        match rooms.find(&mut changes, connection, &key, &name) {
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
                        let progress = &mut changes.progress;
                        let Some(room) = rooms.known(&mut changes.rooms, &room) else {
                            drop(done.send(Err(JournalError::Gone)));
                            continue;
                        };
                        let seqs = (room.tail.next().0..).map(Seq);
                        let batch = Arc::new(drafts.number(name, seqs));
                        answers.push(Answer::Appended(Arc::clone(&batch), done));
                        store::append(connection, room, progress, &batch)?;
                    }
                    // Those that were opened along with it are counted first.
                    Task::Close { room } => closed.push(room),
                    Task::Expire => expires = true,
                }
            }
            for room in changes.rooms.values() {
                store::update(connection, room)?;
            }
            store::update_progress(connection, changes.progress)
        });
        match committed {
            Ok(()) => {
                for (key, room) in &changes.rooms {
                    self.expiry.note_growth(key, room);
                }
                self.rooms.commit(changes);
                self.note_progress();
                for answer in answers {
                    self.answer(answer);
                }
            }
            Err(failure) => {
                self.log(&failure);
                refuse(
                    &failure,
                    answers,
                    unanswered.into_iter().chain(tasks),
                    &mut closed,
                );
            }
        }
        for room in closed {
            self.rooms.closed(&room);
        }
        if expires {
            self.look_for_expired();
        }
    }

    /// Writes beside the file how much is in it.
    fn note_progress(&mut self) {
        if let Err(error) = self.opened.state.write(self.rooms.progress())
            && self.may_log()
        {
            // Then less than was done is known, which only hides that something was lost.
            tracing::warn!(%error, "how much is kept can't be noted beside the file");
        }
    }

    fn answer(&mut self, answer: Answer) {
        // Whoever asked may have gone; it is done all the same.
        match answer {
            Answer::Opened(room, done) => {
                let key = Arc::clone(&room.key);
                self.rooms.opened(&key);
                if done.send(Ok(room)).is_err() {
                    self.rooms.closed(&key);
                }
            }
            Answer::Appended(batch, done) => drop(done.send(Ok(batch))),
        }
    }

    /// Notes all rooms: there may be something to remove in each.
    fn look_for_expired(&mut self) {
        if self.expiry.is_idle() {
            return;
        }
        match store::rooms(&self.opened.connection) {
            Ok(rooms) => rooms
                .into_iter()
                .for_each(|room| self.expiry.note(room.key)),
            Err(error) => self.log(&error.into()),
        }
    }

    /// Removes at most so many messages that are no longer kept, in one transaction.
    fn expire_some(&mut self, limit: u64) {
        let now = Timestamp::now();
        let mut changes = self.rooms.begin();
        let (rooms, expiry) = (&self.rooms, &mut self.expiry);
        let mut unfinished = None;
        let removed = transact(&mut self.opened, |connection| {
            let mut left = limit;
            while left > 0
                && let Some(key) = expiry.next()
            {
                let keep = expiry.keep(&key);
                let removed = match rooms.known(&mut changes.rooms, &key) {
                    Some(room) => store::expire(connection, room, keep, now, left)?,
                    None => match store::find(connection, &key)? {
                        Some(mut room) => store::expire(connection, &mut room, keep, now, left)?,
                        None => continue,
                    },
                };
                left -= removed.count;
                unfinished = removed.has_more.then_some(key);
            }
            Ok(())
        });
        match removed {
            Ok(()) => {
                self.rooms.commit(changes);
                if let Some(key) = unfinished {
                    self.expiry.note(key);
                }
            }
            Err(failure) => {
                self.log(&failure);
                self.expiry.give_up();
            }
        }
    }

    fn log(&mut self, failure: &Failure) {
        if self.may_log() {
            let (why, what_to_do) = (failure.reason(), failure.advice());
            tracing::error!(error = %failure, what_to_do, "messages can't be kept: {why}");
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

/// Tells all who wait that nothing of the transaction is kept.
fn refuse(
    failure: &Failure,
    answers: Vec<Answer>,
    tasks: impl Iterator<Item = Task>,
    closed: &mut Vec<Key>,
) {
    for answer in answers {
        match answer {
            Answer::Opened(_, done) => drop(done.send(Err(failure.unavailable()))),
            Answer::Appended(_, done) => drop(done.send(Err(failure.unavailable()))),
        }
    }
    for task in tasks {
        match task {
            Task::Open { done, .. } => drop(done.send(Err(failure.unavailable()))),
            Task::Append { done, .. } => drop(done.send(Err(failure.unavailable()))),
            Task::Close { room } => closed.push(room),
            Task::Expire => {}
        }
    }
}

/// Does this in a transaction, which is rolled back if any of it fails.
fn transact<T>(
    opened: &mut Opened,
    act: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T, Failure> {
    if !opened.place.is_kept() {
        return Err(Failure::Moved);
    }
    let connection = &mut opened.connection;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = act(&transaction)?;
    transaction.commit()?;
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file;
    use chat_core::log::SessionId;
    use chat_core::{Kind, Nick};

    fn append(key: &Key) -> Task {
        let nick = Nick::parse("alice").unwrap();
        let mut drafts = Drafts::new(SessionId(1), nick, Timestamp(0));
        drafts.push(Kind::Said, "hi");
        Task::Append {
            room: Key::clone(key),
            name: RoomName::parse(key).unwrap(),
            drafts,
            done: oneshot::channel().0,
        }
    }

    #[test]
    fn a_room_that_is_not_used_any_more_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options::default();
        let opened = file::open(&dir.path().join("log.db"), &options).unwrap();
        let mut writer = Writer::new(opened, &options);
        let key = Key::from("ops");
        let open = || {
            let (done, opened) = oneshot::channel();
            let key = Key::clone(&key);
            let name = key.to_string();
            (Task::Open { key, name, done }, opened)
        };
        let close = || Task::Close {
            room: Key::clone(&key),
        };
        let (task, opened) = open();
        writer.perform(vec![task]);
        assert!(writer.rooms.is_used(&key));
        // Its last message and its end come along with another use, and with that one's end.
        let (task, again) = open();
        writer.perform(vec![append(&key), close(), task]);
        assert!(writer.rooms.is_used(&key));
        writer.perform(vec![append(&key), close()]);
        assert!(!writer.rooms.is_used(&key));
        drop((opened, again));
        // Whoever asked has gone.
        let (task, gone) = open();
        drop(gone);
        writer.perform(vec![task]);
        assert!(!writer.rooms.is_used(&key));
        assert_eq!(writer.rooms.progress().appended, 2);
    }
}
