//! The one thread that writes to the file. The thread performs all waiting tasks in one transaction, and answers them
//! when the transaction is committed.
//!
//! Invariant: a task is answered only after its transaction was committed. The messages of a log have the order in
//! which they were queued.

use crate::error::Failure;
use crate::expiry::Expiry;
use crate::file::Opened;
use crate::keeper::{Backlog, INDEXED_AT_ONCE};
use crate::options::{Options, Sync};
use crate::queue::{Append, Index, Leases, Open, TASKS_MAX, Task};
use crate::rooms::Rooms;
use crate::scan::is_damage;
use crate::store::{self, Indexed};
use chat_core::Seq;
use chat_core::log::{JournalError, Timestamp};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, TransactionBehavior};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// The number of message bytes after which a transaction takes no more tasks. Such a transaction takes some tens of
/// milliseconds.
const TRANSACTION_BYTES_MAX: usize = 2 << 20;

/// The maximum number of messages that one step removes while no task waits.
const REMOVED_AT_ONCE: u64 = 500;

/// The minimum time between two logged failures.
const LOG_EVERY: Duration = Duration::from_secs(1);

pub(crate) struct Writer {
    opened: Opened,
    rooms: Rooms,
    expiry: Expiry,
    leases: Leases,
    backlog: Arc<Backlog>,
    /// The durability of commits that append messages.
    sync: Sync,
    /// The time at which a failure was last logged.
    logged: Option<Instant>,
    /// Whether the last transaction failed.
    has_failed: bool,
    /// Whether commits currently do not wait for the disk; see [`relax`](Self::relax).
    is_relaxed: bool,
}

impl Writer {
    pub(crate) fn new(
        opened: Opened,
        options: &Options,
        leases: Leases,
        backlog: Arc<Backlog>,
    ) -> Self {
        Self {
            rooms: Rooms::new(opened.progress),
            opened,
            expiry: Expiry::new(options),
            leases,
            backlog,
            sync: options.sync,
            logged: None,
            has_failed: false,
            is_relaxed: false,
        }
    }

    /// Runs until all senders of tasks are dropped, or until a [`Task::End`].
    pub(crate) fn run(mut self, mut tasks: mpsc::Receiver<Task>) {
        let mut waiting = Vec::new();
        self.look_for_expired();
        self.look_for_unindexed();
        loop {
            while self.expiry.has_any() && tasks.is_empty() && !tasks.is_closed() {
                self.expire_some(REMOVED_AT_ONCE);
            }
            if tasks.is_empty() {
                for room in self.leases.late() {
                    self.rooms.closed(&room);
                }
            }
            if tasks.blocking_recv_many(&mut waiting, TASKS_MAX) == 0 {
                break;
            }
            let mut left = waiting.drain(..).peekable();
            while left.peek().is_some() {
                let mut bytes = 0;
                let mut now = Vec::new();
                while bytes < TRANSACTION_BYTES_MAX
                    && let Some(task) = left.next()
                {
                    match &task {
                        Task::Append(append) => bytes += append.drafts.bytes(),
                        Task::End => tasks.close(),
                        _ => {}
                    }
                    now.push(task);
                }
                let before = self.rooms.progress().appended;
                self.perform(now);
                let appended = self.rooms.progress().appended - before;
                if self.expiry.has_any() && appended > 0 {
                    // Removes twice as many messages as were appended. So removal catches up even if there is always a
                    // waiting task.
                    self.expire_some(appended.saturating_mul(2));
                }
            }
        }
        self.backlog.end();
        self.tidy_up();
    }

    /// Merges the WAL into the file, so that the file is complete for the next opening or a copy.
    fn tidy_up(&mut self) {
        if let Err(failure) = self.opened.place.look() {
            self.leave_alone(&failure);
        } else {
            self.put_together();
        }
        self.opened.place.held().release();
    }

    /// Leaves a damaged file unchanged, so that the operator can repair it.
    fn leave_alone(&self, failure: &Failure) {
        let what_to_do = failure.advice();
        tracing::error!(error = %failure, what_to_do, "the file is left as it is");
        let config = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
        if let Err(error) = self.opened.connection.set_db_config(config, true) {
            tracing::debug!(%error, "the log of changes may be put into it");
        }
    }

    fn put_together(&mut self) {
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        let connection = &self.opened.connection;
        match connection.query_row(checkpoint, [], |row| row.get::<_, i64>(0)) {
            // No reader has blocked the checkpoint, so all data is in the file and on the disk.
            Ok(0) => {
                if let Err(error) = self.opened.state.end(self.rooms.progress()) {
                    tracing::debug!(%error, "it can't be noted that all is on the disk");
                }
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "the log of changes is left beside the file"),
        }
    }

    /// Performs the tasks. Appends come first, in one transaction. So a room that is opened by a later task includes
    /// the appended messages.
    fn perform(&mut self, tasks: Vec<Task>) {
        let (mut appends, mut opens, mut closed) = (Vec::new(), Vec::new(), Vec::new());
        let (mut expires, mut indexes) = (false, Vec::new());
        for task in tasks {
            match task {
                Task::Append(append) => appends.push(append),
                Task::Open(open) => opens.push(open),
                Task::Close(room) => closed.push(room),
                Task::Index(index) => indexes.push(index),
                Task::Expire => expires = true,
                Task::End => {}
            }
        }
        if !appends.is_empty() {
            self.append(appends);
        }
        for open in opens {
            self.open(open);
        }
        // The logs that were opened above are already counted. So a room that is closed and opened again keeps an open
        // log, and stays in the cache.
        for room in closed {
            self.rooms.closed(&room);
        }
        for Index { room, done } in indexes {
            if done.send(self.index(room)).is_err() {
                tracing::debug!("nobody waits for the index any more");
            }
        }
        if expires {
            self.look_for_expired();
        }
    }

    /// Indexes a part of a room's log. Returns `None` if the step failed and must be tried again.
    fn index(&mut self, room: i64) -> Option<Indexed> {
        // No member waits for this commit, so it need not wait for the disk. A power cut may undo the commit. The
        // record of the indexed part is then undone too, and the journal indexes the same messages again.
        let indexed = self.relax().and_then(|()| {
            transact(&mut self.opened, |connection| {
                store::index(connection, room, INDEXED_AT_ONCE)
            })
        });
        if let Err(failure) = self.restrain() {
            self.log(&failure);
        }
        match indexed {
            Ok(indexed) => Some(indexed),
            Err(Failure::Sqlite(error)) if is_damage(&error) => {
                tracing::warn!(%error, room, "what is damaged is not indexed");
                Some(Indexed::default())
            }
            Err(failure) => {
                if self.may_log() {
                    tracing::warn!(error = %failure, what_to_do = failure.advice(), "the index of searches is not written");
                }
                None
            }
        }
    }

    /// Makes the next commits return before the data is on the disk. Used for commits that no member waits for.
    fn relax(&mut self) -> Result<(), Failure> {
        if self.sync == Sync::Full {
            self.is_relaxed = true;
            let connection = &self.opened.connection;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
        }
        Ok(())
    }

    /// Undoes [`relax`](Self::relax): the next commits wait for the disk again.
    fn restrain(&mut self) -> Result<(), Failure> {
        if self.is_relaxed {
            let connection = &self.opened.connection;
            connection.pragma_update(None, "synchronous", "FULL")?;
            self.is_relaxed = false;
        }
        Ok(())
    }

    /// Adds the rooms that have unindexed messages to the backlog. A crash or an older version of this crate leaves
    /// such messages.
    fn look_for_unindexed(&mut self) {
        match store::unindexed(&self.opened.connection) {
            Ok(rooms) => rooms.into_iter().for_each(|room| self.backlog.note(room)),
            Err(error) => self.log(&error.into()),
        }
    }

    fn append(&mut self, appends: Vec<Append>) {
        let (mut done, mut changes) = (Vec::new(), self.rooms.begin());
        let restrained = self.restrain();
        let rooms = &mut self.rooms;
        let mut appends = appends.into_iter();
        let opened = &mut self.opened;
        let append = |connection: &Connection| {
            for append in appends.by_ref() {
                let Some(room) = rooms.known(&mut changes.rooms, &append.room) else {
                    drop(append.done.send(Err(JournalError::Gone)));
                    continue;
                };
                if !rooms.claim(&append.room, append.log) {
                    let why = "another hub writes to it, and a journal has one";
                    drop(append.done.send(Err(JournalError::Unavailable(why.into()))));
                    continue;
                }
                let seqs = (room.tail.next().0..).map(Seq);
                let batch = Arc::new(append.drafts.number(append.name, seqs));
                done.push((append.done, append.weight, Arc::clone(&batch)));
                store::append(connection, room, &mut changes.progress, &batch)?;
            }
            for room in changes.rooms.values() {
                store::update(connection, room)?;
            }
            store::update_progress(connection, changes.progress)
        };
        let committed = restrained.and_then(|()| transact(opened, append));
        // A send below fails if the caller has dropped its future. The messages are committed nevertheless.
        match committed {
            Ok(()) => {
                for (key, room) in &changes.rooms {
                    self.expiry.note_growth(key, room);
                    if let Some(id) = room.id {
                        self.backlog.note(id);
                    }
                }
                self.rooms.commit(changes);
                // If the file was cut short before the commit, the committed messages will be lost.
                if let Err(failure) = self.opened.place.look() {
                    self.log(&failure);
                    self.has_failed = true;
                    for (done, ..) in done {
                        drop(done.send(Err(failure.uncertain())));
                    }
                    return;
                }
                self.note_progress();
                for (done, _weight, batch) in done {
                    drop(done.send(Ok(batch)));
                }
                // `FILE-state` is synced after the appends were answered, so that no member waits for the sync.
                if let Err(error) = self.opened.state.sync_sometimes() {
                    tracing::debug!(%error, "what stands beside the file can't be synced");
                }
                if std::mem::take(&mut self.has_failed) {
                    tracing::info!("messages are kept again");
                }
            }
            Err(failure) => {
                self.log(&failure);
                self.has_failed = true;
                let done = done.into_iter().map(|(done, ..)| done);
                for done in done.chain(appends.map(|append| append.done)) {
                    drop(done.send(Err(failure.refusal())));
                }
            }
        }
    }

    /// Opens a room's log. Opening a log only reads, so it works even if the file can't be written.
    fn open(&mut self, Open { key, name, done }: Open) {
        let mut changes = self.rooms.begin();
        let connection = &self.opened.connection;
        match self.rooms.find(&mut changes, connection, &key, &name) {
            Ok(room) => {
                self.rooms.commit(changes);
                let number = self.rooms.opened(&key);
                // If the caller has dropped its future, the send fails and drops the lease.
                drop(done.send(Ok((room, self.leases.lease(&key, number)))));
            }
            Err(error) => {
                let failure = Failure::from(error);
                self.log(&failure);
                drop(done.send(Err(failure.unavailable())));
            }
        }
    }

    /// Writes to `FILE-state`, the file beside the database, how often the database was opened for writing and how many
    /// messages were appended to it.
    fn note_progress(&mut self) {
        if let Err(error) = self.opened.state.write(self.rooms.progress())
            && self.may_log()
        {
            // The number of messages in `FILE-state` is now too low, so a later loss of messages may go undetected.
            tracing::warn!(%error, "how much is kept can't be noted beside the file");
        }
    }

    /// Logs how many messages were removed since the last call. Then schedules a check of every room that holds
    /// messages, because each of these rooms may have expired messages.
    fn look_for_expired(&mut self) {
        if self.expiry.is_idle() {
            return;
        }
        let removed = std::mem::take(&mut self.expiry.removed);
        if removed > 0 {
            tracing::info!(messages = removed, "removed what is no longer kept");
        }
        match store::filled(&self.opened.connection) {
            Ok(keys) => keys.into_iter().for_each(|key| self.expiry.note(key)),
            Err(error) => self.log(&error.into()),
        }
    }

    /// Removes expired messages in one transaction, at most `limit`.
    fn expire_some(&mut self, limit: u64) {
        let now = Timestamp::now();
        let mut changes = self.rooms.begin();
        let (rooms, expiry) = (&self.rooms, &mut self.expiry);
        let (mut unfinished, mut total) = (None, 0);
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
                // Checking a room has a cost even if no message is removed, so the check counts as at least one
                // message.
                left = left.saturating_sub(removed.count.max(1));
                total += removed.count;
                unfinished = removed.has_more.then_some(key);
            }
            Ok(())
        });
        match removed {
            Ok(()) => {
                self.rooms.commit(changes);
                self.expiry.removed += total;
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

/// Runs `act` in a transaction and rolls it back on any error.
fn transact<T>(
    opened: &mut Opened,
    act: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T, Failure> {
    opened.place.look()?;
    let connection = &mut opened.connection;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = act(&transaction)?;
    transaction.commit().map_err(Failure::Commit)?;
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file;
    use crate::queue::{Lease, queue};
    use crate::rooms::Key;
    use crate::store::Room;
    use chat_core::log::{Drafts, SessionId};
    use chat_core::{Kind, Nick, RoomName};
    use tokio::sync::oneshot;

    type Opening = oneshot::Receiver<Result<(Room, Lease), JournalError>>;

    fn open(key: &Key) -> (Task, Opening) {
        let (done, opened) = oneshot::channel();
        let key = Key::clone(key);
        let name = key.to_string();
        (Task::Open(Open { key, name, done }), opened)
    }

    /// After the WAL is cut short, the next write makes the WAL as long as before, with a hole in it.
    #[cfg(unix)]
    #[test]
    fn a_file_that_is_cut_short_while_it_is_written_is_found_to_be_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.db");
        let mut opened = file::open(&path, &Options::default()).unwrap();
        let write = |connection: &Connection| {
            connection.execute("UPDATE progress SET appended = appended + 1", [])
        };
        for _ in 0..3 {
            transact(&mut opened, write).unwrap();
        }
        transact(&mut opened, |connection| {
            let wal = std::fs::OpenOptions::new()
                .write(true)
                .open(file::beside(&path, "-wal"))
                .unwrap();
            wal.set_len(32).unwrap();
            // Closing this descriptor would release the locks of SQLite.
            std::mem::forget(wal);
            write(connection)
        })
        .unwrap();
        for _ in 0..2 {
            let refused = transact(&mut opened, write);
            assert!(matches!(refused, Err(Failure::CutShort)), "{refused:?}");
        }
    }

    #[test]
    fn a_room_that_is_not_used_any_more_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options::default();
        let opened = file::open(&dir.path().join("log.db"), &options).unwrap();
        let (queue, mut waiting, leases) = queue();
        let mut writer = Writer::new(opened, &options, leases, Arc::default());
        let key = Key::from("ops");
        let append = |log| {
            let nick = Nick::parse("alice").unwrap();
            let mut drafts = Drafts::new(SessionId(1), nick, Timestamp(0));
            drafts.push(Kind::Said, "hi");
            Task::Append(Append {
                room: Key::clone(&key),
                log,
                name: RoomName::parse("ops").unwrap(),
                weight: queue.weigh(&drafts).unwrap(),
                drafts,
                done: oneshot::channel().0,
            })
        };
        let mut works = |mut tasks: Vec<Task>| {
            while let Ok(task) = waiting.try_recv() {
                tasks.push(task);
            }
            writer.perform(tasks);
            writer.rooms.is_used(&key)
        };
        let (task, first) = open(&key);
        assert!(works(vec![task]));
        // The writer performs three tasks together: the last append, the close of the first log, and the opening of a
        // second log.
        let (task, second) = open(&key);
        drop(first);
        assert!(works(vec![append(1), task]));
        drop(second);
        assert!(!works(vec![append(2)]));
        // The caller drops its future before the writer answers. In a second case, the caller drops its future after
        // the answer.
        let (task, gone) = open(&key);
        drop(gone);
        works(vec![task]);
        assert!(!works(Vec::new()));
        let (task, going) = open(&key);
        assert!(works(vec![task]));
        drop(going);
        assert!(!works(Vec::new()));
        // If the queue is full at the time at which a log is closed, the log's key is listed as late.
        let (task, late) = open(&key);
        works(vec![task]);
        while queue.send(Task::Expire).is_ok() {}
        drop(late);
        assert_eq!(writer.leases.late(), [key]);
        assert_eq!(writer.rooms.progress().appended, 2);
    }
}
