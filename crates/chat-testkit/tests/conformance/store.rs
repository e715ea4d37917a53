//! A journal whose rows survive a restart, as in a database, and the possible faults of such a journal.

use chat_core::log::{
    Account, Appended, Batch, BatchSlice, Drafts, Epoch, Gap, Head, Journal, JournalError, Log,
    Page, SessionId, Span, Timestamp, Topic,
};
use chat_core::rooms::Modes;
use chat_core::{Kind, Nick, RoomName, Seq};
use chat_testkit::conformance::{Durability, Holds, JournalUnderTest};
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex};

/// The database that all logs are stored in.
#[derive(Clone)]
pub(crate) struct Store {
    fault: Fault,
    /// The difference between consecutive positions.
    step: usize,
    /// The most rows that a log keeps.
    kept: usize,
    logs: Arc<Mutex<HashMap<String, Rows>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    DropsABatch,
    SwapsTwo,
    ReusesAPlace,
    ForgetsAGap,
    ForgetsItsTail,
    ForgetsItsEpoch,
    ForgetsKeys,
    ForgetsAccounts,
    KeepsAuthors,
    AppendsWhenPolled,
    ReadsEveryRoom,
    CutsTheWrongEnd,
    InventsAGap,
    ReadsOneTooMany,
    KeepsSpelling,
    ForgetsModes,
}

#[derive(Clone)]
struct Rows {
    epoch: Epoch,
    tail: u64,
    topic: Topic,
    modes: Modes,
    appends: usize,
    rows: Vec<Row>,
    /// The position up to which rows were removed.
    gone: u64,
    /// How many times the store was opened since the log was created. Each restart of the server opens the store once.
    life: usize,
}

#[derive(Clone)]
struct Row {
    life: usize,
    room: RoomName,
    seq: u64,
    at: Timestamp,
    from: Nick,
    account: Option<Account>,
    author: SessionId,
    kind: Kind,
    text: String,
    key: Option<String>,
}

/// The log of one room.
pub(crate) struct StoredLog {
    store: Store,
    room: RoomName,
    key: String,
}

impl Store {
    pub(crate) fn new(fault: Fault) -> Self {
        Self {
            fault,
            step: 1,
            kept: usize::MAX,
            logs: Arc::default(),
        }
    }

    /// Sets the difference between consecutive positions. In a store whose rooms share a counter, the difference is
    /// more than 1.
    pub(crate) fn step(self, step: usize) -> Self {
        Self { step, ..self }
    }

    /// Sets the maximum number of rows that each log keeps. The store removes the oldest rows.
    pub(crate) fn keeps(self, kept: usize) -> Self {
        Self { kept, ..self }
    }

    fn with<T>(&self, key: &str, f: impl FnOnce(&mut Rows) -> T) -> T {
        let mut logs = self.logs.lock().unwrap();
        f(logs.entry(key.into()).or_insert_with(|| Rows {
            epoch: Epoch::random(),
            tail: 0,
            topic: Topic::default(),
            modes: Modes::default(),
            appends: 0,
            rows: Vec::new(),
            gone: 0,
            life: 0,
        }))
    }
}

impl JournalUnderTest for Store {
    type Journal = Self;

    async fn open(&mut self) -> Self {
        for rows in self.logs.lock().unwrap().values_mut() {
            rows.life += 1;
            if self.fault == Fault::ForgetsItsEpoch {
                rows.epoch = Epoch::random();
            }
        }
        self.clone()
    }

    fn durability(&self) -> Durability {
        Durability::OverRestarts
    }

    fn holds(&self) -> Holds {
        match self.kept {
            usize::MAX => Holds::Everything,
            kept => Holds::AtLeast(kept),
        }
    }

    async fn expire(&mut self) -> bool {
        for rows in self.logs.lock().unwrap().values_mut() {
            rows.gone = rows.tail;
            rows.rows.clear();
            if self.fault == Fault::ForgetsItsTail {
                rows.tail = 0;
            }
        }
        true
    }
}

impl Journal for Store {
    type Log = StoredLog;

    async fn open(&self, room: &RoomName, key: &str) -> Result<StoredLog, JournalError> {
        // Room names that differ only in spelling are the same room.
        let is_spelled = self.fault == Fault::KeepsSpelling;
        Ok(StoredLog {
            store: self.clone(),
            room: room.clone(),
            key: if is_spelled { room.as_str() } else { key }.into(),
        })
    }
}

impl Log for StoredLog {
    fn head(&self) -> Head {
        self.store.with(&self.key, |rows| {
            let head = Head::new(rows.epoch, Seq(rows.tail), rows.topic.clone());
            head.with_modes(rows.modes.clone())
        })
    }

    fn append(
        &self,
        drafts: Drafts,
    ) -> impl Future<Output = Result<Appended, JournalError>> + Send + 'static {
        let (store, room, key) = (self.store.clone(), self.room.clone(), self.key.clone());
        let fault = store.fault;
        let append = move || {
            let batch = store.with(&key, |rows| rows.append(drafts, room, &store));
            Ok(batch.into())
        };
        let (now, later) = match fault {
            Fault::AppendsWhenPolled => (None, Some(append)),
            _ => (Some(append()), None),
        };
        async move {
            tokio::task::yield_now().await;
            now.or_else(|| later.map(|append| append())).unwrap()
        }
    }

    async fn read(&self, span: Span, limit: usize) -> Result<Page, JournalError> {
        tokio::task::yield_now().await;
        if self.store.fault == Fault::ReadsEveryRoom {
            let logs = self.store.logs.lock().unwrap();
            let mut all = logs[&self.key].clone();
            all.rows = logs.values().flat_map(|rows| rows.rows.clone()).collect();
            return Ok(all.read(span, limit, self.store.fault));
        }
        let fault = self.store.fault;
        Ok(self
            .store
            .with(&self.key, |rows| rows.read(span, limit, fault)))
    }
}

impl Rows {
    fn append(&mut self, drafts: Drafts, room: RoomName, store: &Store) -> Arc<Batch> {
        let fault = store.fault;
        self.appends += 1;
        if fault == Fault::ReusesAPlace && self.appends == 5 {
            self.tail -= 1;
        }
        let batch = Arc::new(drafts.number(room, (self.tail + 1..).step_by(store.step).map(Seq)));
        self.tail = batch.last().0;
        let is_dropped = fault == Fault::DropsABatch && self.appends == 4;
        if let Some(topic) = batch.topic().filter(|_| !is_dropped) {
            self.topic = topic;
        }
        if !is_dropped && fault != Fault::ForgetsModes {
            self.modes.apply(&batch);
        }
        for message in batch.messages(0..batch.len()).filter(|_| !is_dropped) {
            self.rows.push(Row {
                life: self.life,
                room: batch.room().clone(),
                seq: message.seq.0,
                at: batch.at(),
                from: batch.from().clone(),
                account: batch.account().cloned(),
                author: batch.author(),
                kind: message.kind,
                text: message.text.into(),
                key: message.kept_key.map(Into::into),
            });
        }
        if fault == Fault::SwapsTwo && self.appends == 4 {
            let last = self.rows.len() - 1;
            self.rows.swap(last - 1, last);
        }
        let last = self
            .rows
            .drain(..self.rows.len().saturating_sub(store.kept))
            .next_back();
        if let Some(last) = last
            && fault != Fault::ForgetsAGap
        {
            self.gone = last.seq;
        }
        batch
    }

    fn read(&self, span: Span, limit: usize, fault: Fault) -> Page {
        let rows = self.rows.iter();
        let rows: Vec<&Row> = match span {
            Span::After(after) => rows.filter(|row| row.seq > after.0).collect(),
            Span::Before(before) => rows.filter(|row| row.seq < before.0).collect(),
            _ => Vec::new(),
        };
        let asked = limit;
        let extra = usize::from(fault == Fault::ReadsOneTooMany);
        let limit = limit.saturating_add(extra).min(rows.len());
        let rows = match span {
            Span::Before(_) if fault != Fault::CutsTheWrongEnd => &rows[rows.len() - limit..],
            _ => &rows[..limit],
        };
        let gap = match span {
            Span::After(after) if after.0 < self.gone => Some(Gap {
                from: after.next(),
                to: Seq(self.gone),
            }),
            Span::Before(_) if fault == Fault::InventsAGap => Some(Gap {
                from: Seq(1),
                to: Seq(1),
            }),
            // A read that reaches the beginning of the log may also report a gap.
            Span::Before(before) if rows.len() < asked && self.gone > 0 => {
                let first = rows.first().map_or(before.0, |row| row.seq);
                let is_beyond = self.gone < first;
                is_beyond.then_some(Gap {
                    from: Seq(1),
                    to: Seq(self.gone),
                })
            }
            _ => None,
        };
        let slices = rows.iter().map(|row| self.slice(row, fault)).collect();
        Page::new(gap, slices)
    }

    fn slice(&self, row: &Row, fault: Fault) -> BatchSlice {
        // An author of an earlier process has no session in the present process.
        let is_known = row.life == self.life || fault == Fault::KeepsAuthors;
        let author = if is_known {
            row.author
        } else {
            SessionId::NOBODY
        };
        let key = row.key.as_deref().filter(|_| fault != Fault::ForgetsKeys);
        let account = row.account.clone();
        let account = account.filter(|_| fault != Fault::ForgetsAccounts);
        let mut drafts = Drafts::new(author, row.from.clone(), row.at).with_account(account);
        drafts.restore(row.kind, &row.text, key);
        BatchSlice {
            batch: Arc::new(drafts.number(row.room.clone(), [Seq(row.seq)])),
            range: 0..1,
        }
    }
}
