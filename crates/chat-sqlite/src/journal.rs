//! The journal that a hub uses, and the logs of its rooms.
//!
//! Invariant: this module does not write to the file. Appends are queued for the writer thread; reads and searches use
//! the pool of read-only connections. A page reports messages that have expired or can't be read as a gap.

use crate::error::OpenError;
use crate::expiry::Expiry;
use crate::file;
use crate::index::{Query, TooBroad};
use crate::keeper::{Backlog, Keeper};
use crate::options::Options;
use crate::queue::{Append, Lease, Open, Queue, Task, queue};
use crate::readers::Readers;
use crate::rooms::Key;
use crate::rows::{self, COLUMNS, PLACE_MAX, Stored};
use crate::scan::is_damage;
use crate::search::{Found, keyed, search};
use crate::store::{self, Room};
use crate::thread::{self, State};
use crate::writer::Writer;
use chat_core::log::{
    Appended, Drafts, Gap, Head, Journal, JournalError, Log, Page, Span, Timestamp, Topic,
};
use chat_core::name::NameRules;
use chat_core::rooms::Modes;
use chat_core::{RoomName, Seq};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::fmt;
use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::{oneshot, watch};

/// Stores the logs of all rooms in one file. Clones are cheap and share the file.
///
/// # Overload
///
/// At most 4,096 batches wait to be written. A further batch is rejected with [`JournalError::Unavailable`]. Every
/// batch is rejected in this way while more than 64 MiB of messages wait.
///
/// At most four reads and two searches run at the same time. Further reads and searches wait. At most 32 searches
/// wait; a further search is rejected with [`JournalError::Unavailable`]. A search that takes longer than 400 ms ends
/// with [`JournalError::TooBroad`]. A search whose future is dropped ends at once.
///
/// Messages are written to the search index after they were committed, at most 512 KiB of text a second. A search reads
/// messages that are not indexed yet one by one, for at most half of the time limit of the search. The [`Page::gap`] of
/// the result has the messages that the search did not reach.
///
/// # On drop
///
/// Dropping the last handle or the last log writes all waiting batches, and blocks the thread until they are written.
#[derive(Clone)]
pub struct SqliteJournal(Arc<Inner>);

struct Inner {
    queue: Option<Queue>,
    readers: Arc<Readers>,
    names: NameRules,
    /// How often the file has been opened for writing, including this time.
    life: u64,
    thread: Mutex<Option<JoinHandle<()>>>,
    thread_state: watch::Receiver<State>,
}

/// The log of one room in the file of a [`SqliteJournal`].
pub struct SqliteLog {
    journal: Arc<Inner>,
    name: RoomName,
    room: Room,
    lease: Lease,
}

impl SqliteJournal {
    /// Opens a file, and creates it if it does not exist. The call blocks the thread, so make it before the program
    /// serves connections.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn open(path: &Path, options: &Options) -> Result<Self, OpenError> {
        let opened = file::open(path, options)?;
        let life = opened.progress.generation;
        let readers = Arc::new(Readers::new(&opened.place, options.search_time_max));
        let (queue, waiting, leases) = queue();
        let backlog = Arc::new(Backlog::default());
        let keeper = Keeper {
            backlog: Arc::clone(&backlog),
            tasks: queue.downgrade(),
            readers: Arc::downgrade(&readers),
            expires: !Expiry::new(options).is_idle(),
            indexed_per_second: options.indexed_per_second,
        };
        let writer = Writer::new(opened, options, leases, backlog);
        let keeper = std::thread::Builder::new()
            .name("chat-sqlite-keep".into())
            .spawn(move || keeper.run())
            .map_err(OpenError::Thread)?;
        let read = Arc::clone(&readers);
        let write = move || {
            writer.run(waiting);
            read.close();
            if keeper.join().is_err() {
                tracing::error!("the thread that has searches indexed has panicked");
            }
        };
        let (thread, thread_state) = thread::start(write).map_err(OpenError::Thread)?;
        Ok(Self(Arc::new(Inner {
            queue: Some(queue),
            readers,
            names: options.names,
            life,
            thread: Mutex::new(Some(thread)),
            thread_state,
        })))
    }
}

impl SqliteJournal {
    /// Returns the number of messages in the file, of all rooms together.
    ///
    /// # Errors
    ///
    /// Returns an error if the file can't be read now.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn kept(&self) -> Result<u64, JournalError> {
        let sql = "SELECT coalesce(sum(kept), 0) FROM rooms";
        let kept = self
            .0
            .readers
            .read(move |connection| connection.query_row(sql, [], |row| row.get::<_, i64>(0)));
        Ok(kept.await?.cast_unsigned())
    }

    /// Writes all waiting batches and closes the file. Later operations are rejected with [`JournalError::Gone`].
    ///
    /// # Errors
    ///
    /// Returns [`JournalError::Gone`] if the writer thread has panicked, at any time. Batches that were waiting may
    /// then not be in the file.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the writer thread continues to write, closes the file and ends by itself. After this
    /// call, dropping the last handle does not wait for the writer thread. So a program can limit how long it waits for
    /// a disk that hangs.
    pub async fn close(&self) -> Result<(), JournalError> {
        let thread = self.0.thread.lock();
        drop(thread.unwrap_or_else(PoisonError::into_inner).take());
        if let Ok(queue) = self.0.queue() {
            queue.end().await;
        }
        let mut state = self.0.thread_state.clone();
        let end = state.wait_for(|state| *state != State::Runs).await;
        match end.as_deref() {
            Ok(State::Ended) => Ok(()),
            _ => Err(JournalError::Gone),
        }
    }

    /// Completes when the writer thread panics, and never otherwise. After a panic the journal can't store messages any
    /// more, so the program should be restarted.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn failed(&self) {
        let mut state = self.0.thread_state.clone();
        let failed = state.wait_for(|state| *state == State::Panicked).await;
        if failed.is_err() {
            std::future::pending().await
        }
    }

    /// Returns the number of messages that are not in the search index yet. A search reads such messages one by one.
    ///
    /// # Errors
    ///
    /// Returns an error if the file can't be read now.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn unindexed(&self) -> Result<u64, JournalError> {
        let count = self
            .0
            .readers
            .read(|connection| store::count_unindexed(connection));
        count.await
    }
}

impl Inner {
    fn queue(&self) -> Result<&Queue, JournalError> {
        self.queue.as_ref().ok_or(JournalError::Gone)
    }
}

impl Journal for SqliteJournal {
    type Log = SqliteLog;

    async fn open(&self, room: &RoomName, key: &str) -> Result<SqliteLog, JournalError> {
        let (done, opened) = oneshot::channel();
        self.0.queue()?.send(Task::Open(Open {
            key: key.into(),
            name: room.as_str().to_owned(),
            done,
        }))?;
        let (opened, lease) = opened.await.map_err(|_| JournalError::Gone)??;
        Ok(SqliteLog {
            name: room.clone(),
            room: opened,
            journal: Arc::clone(&self.0),
            lease,
        })
    }
}

impl Log for SqliteLog {
    fn head(&self) -> Head {
        let Room {
            topic, topic_set, ..
        } = &self.room;
        let by = topic_set
            .as_ref()
            .map(|(by, at)| (self.journal.names.restore_nick(by), *at));
        let topic = match by {
            Some((Ok(by), at)) => Topic::new(&**topic, by, at),
            // The topic is shown without an author: the author is unknown, or the rules for names do not allow the
            // stored nick.
            Some((Err(_), _)) | None => topic.as_str().into(),
        };
        let head = Head::new(self.room.epoch, self.room.tail, topic);
        head.with_modes(Modes::clone(&self.room.modes))
    }

    fn append(
        &self,
        drafts: Drafts,
    ) -> impl Future<Output = Result<Appended, JournalError>> + Send + 'static {
        let (done, appended) = oneshot::channel();
        // The batch is queued now, in the order of the calls, even if the caller drops the future.
        let sent = self.journal.queue().and_then(|queue| {
            queue.send(Task::Append(Append {
                room: Arc::clone(&self.room.key),
                log: self.lease.number(),
                name: self.name.clone(),
                weight: queue.weigh(&drafts)?,
                drafts,
                done,
            }))
        });
        async move {
            sent?;
            appended
                .await
                .map_err(|_| JournalError::Gone)?
                .map(Appended::Batch)
        }
    }

    async fn read(&self, span: Span, limit: usize) -> Result<Page, JournalError> {
        let key = Arc::clone(&self.room.key);
        let readers = &self.journal.readers;
        let done = readers.read(move |connection| read(connection, &key, span, limit));
        let (gap, mut rows) = done.await?.of(span)?;
        rows.truncate(limit);
        Ok(self.page(gap, rows))
    }

    async fn search(&self, text: &str, before: Seq, limit: usize) -> Result<Page, JournalError> {
        let query = match Query::of(text) {
            Ok(Some(query)) => query,
            Ok(None) => return Ok(Page::default()),
            Err(TooBroad) => return Err(JournalError::TooBroad),
        };
        let key = Arc::clone(&self.room.key);
        let readers = &self.journal.readers;
        let found = readers.search(move |connection, budget| {
            search(connection, budget, &key, &query, before, limit)
        });
        let Found { gap, rows } = found.await?;
        Ok(self.page(gap, rows))
    }

    async fn keyed(&self, since: Timestamp, limit: usize) -> Result<Page, JournalError> {
        let key = Arc::clone(&self.room.key);
        let readers = &self.journal.readers;
        let found = readers.read(move |connection| keyed(connection, &key, since, limit));
        Ok(self.page(None, found.await?))
    }
}

impl SqliteLog {
    fn page(&self, gap: Option<Gap>, rows: Vec<Stored>) -> Page {
        let slices = rows::slices(rows, &self.name, &self.journal.names, self.journal.life);
        Page::new(gap, slices)
    }
}

/// The messages of one span of a log, and the positions that show which messages of the span are missing.
#[derive(Debug, Default)]
struct Part {
    /// The room's id.
    room: i64,
    /// The position up to which messages have expired.
    floor: Seq,
    /// The last position of the log.
    tail: Seq,
    /// The messages of the span, oldest first.
    rows: Vec<Stored>,
    /// The position of the last damaged message that the read has skipped.
    passed: Option<Seq>,
}

impl Part {
    /// Returns the messages, and a gap if messages are missing where the span begins.
    ///
    /// The positions of the messages must grow by one. If they do not, the file is damaged. The result then has only
    /// the messages between the beginning of the span and the damage, and the next page begins with a gap. A span
    /// [`Before`](Span::Before) a position is read backwards, so it begins at its latest message.
    fn of(mut self, span: Span) -> Result<(Option<Gap>, Vec<Stored>), JournalError> {
        let damaged = || JournalError::Unavailable("its file is damaged".into());
        let follows = |a: &Stored, b: &Stored| a.seq.next() == b.seq;
        let rows = &mut self.rows;
        let is_of_span = |row: &Stored| match span {
            Span::After(after) => row.seq > after && row.seq <= self.tail,
            Span::Before(before) => row.seq < before && row.seq > self.floor,
            _ => false,
        };
        if !rows
            .iter()
            .all(|row| row.room == self.room && is_of_span(row))
        {
            return Err(damaged());
        }
        match span {
            Span::After(after) => {
                let run = rows
                    .windows(2)
                    .take_while(|pair| follows(&pair[0], &pair[1]));
                rows.truncate(run.count() + 1);
                let first = rows.first().map(|first| first.seq);
                let beyond = self.passed.unwrap_or(self.tail).next();
                let first = first.unwrap_or(beyond);
                let missing = Gap {
                    from: after.next(),
                    to: Seq(first.0.saturating_sub(1)),
                };
                Ok(((!missing.is_empty()).then_some(missing), self.rows))
            }
            Span::Before(before) => {
                let end = before.min(self.tail.next());
                let last = match (rows.last(), self.passed) {
                    (Some(last), _) => last.seq,
                    (None, Some(passed)) => Seq(passed.0.saturating_sub(1)),
                    (None, None) => self.floor,
                };
                if last.next() < end {
                    let missing = Gap {
                        from: last.next(),
                        to: Seq(end.0.saturating_sub(1)),
                    };
                    return Ok((Some(missing), Vec::new()));
                }
                let run = rows.windows(2).rev();
                let run = run.take_while(|pair| follows(&pair[0], &pair[1]));
                let beyond = rows.len().saturating_sub(run.count() + 1);
                Ok((None, self.rows.split_off(beyond)))
            }
            _ => Err(JournalError::Unavailable(
                "it does not know that part of a log".into(),
            )),
        }
    }
}

/// Reads at most `limit` messages of a span. Also reads the positions that show which messages are missing.
fn read(
    connection: &mut Connection,
    room: &Key,
    span: Span,
    limit: usize,
) -> rusqlite::Result<Part> {
    // One transaction, so that both queries see the same state of the file.
    let view = connection.transaction()?;
    let Some((id, floor, tail)) = stored(&view, room)? else {
        return Ok(Part::default());
    };
    // Reads at least one message, because without a message the end of a gap is unknown.
    let limit = limit.max(1);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let (low, high, order) = match span {
        Span::After(after) => (rows::id(id, after), rows::id(id, Seq(PLACE_MAX)), "ASC"),
        Span::Before(before) => {
            let last = Seq(before.0.saturating_sub(1));
            (rows::id(id, Seq::START), rows::id(id, last), "DESC")
        }
        _ => return Ok(Part::default()),
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM messages m WHERE m.id > ?1 AND m.id <= ?2 ORDER BY m.id {order} LIMIT ?3"
    );
    let mut statement = view.prepare_cached(&sql)?;
    let mut found = statement.query(params![low, high, limit])?;
    let (mut rows, mut passed) = (Vec::new(), None);
    loop {
        let row = match found.next() {
            Ok(Some(row)) => row,
            Ok(None) => break,
            // The messages that were read before the damage are valid.
            Err(error) if is_damage(&error) && !rows.is_empty() => break,
            Err(error) => return Err(error),
        };
        match Stored::read(row) {
            Ok(stored) => rows.push(stored),
            Err(error) => {
                tracing::warn!(%error, room = &**room, "a message is damaged");
                passed = Some(rows::seq(row.get(0)?));
            }
        }
    }
    drop(found);
    drop(statement);
    if order == "DESC" {
        rows.reverse();
    }
    Ok(Part {
        room: id,
        floor,
        tail,
        rows,
        passed,
    })
}

/// Returns a room's id, the position up to which messages have expired, and the log's last position. Returns `None` if
/// the room has no row in the table `rooms`.
fn stored(connection: &Connection, room: &Key) -> rusqlite::Result<Option<(i64, Seq, Seq)>> {
    let sql = "SELECT id, floor, tail FROM rooms WHERE key = ?1";
    let seq = |number: i64| Seq(number.cast_unsigned());
    let read = |row: &Row<'_>| Ok((row.get(0)?, seq(row.get(1)?), seq(row.get(2)?)));
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_row([&**room], read).optional()
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue = None;
        let thread = self
            .thread
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that keeps messages has panicked");
        }
    }
}

impl fmt::Debug for SqliteJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteJournal").finish_non_exhaustive()
    }
}

impl fmt::Debug for SqliteLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteLog")
            .field("room", &self.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_close_tells_a_panic_from_an_end() {
        let dir = tempfile::tempdir().unwrap();
        for (file, panics) in [("ends.db", false), ("panics.db", true)] {
            let file = dir.path().join(file);
            let mut journal = SqliteJournal::open(&file, &Options::default()).unwrap();
            let (proceed, waits) = std::sync::mpsc::channel::<()>();
            let work = move || {
                waits.recv().unwrap();
                assert!(!panics, "as this test has it");
            };
            let (_thread, state) = thread::start(work).unwrap();
            Arc::get_mut(&mut journal.0).unwrap().thread_state = state;
            // The thread ends or panics while `close` waits for the thread.
            let close = journal.close();
            let (closed, ()) = tokio::join!(close, async { proceed.send(()).unwrap() });
            assert_eq!(matches!(closed, Err(JournalError::Gone)), panics);
            assert_eq!(journal.close().await.is_err(), panics);
        }
    }
}
