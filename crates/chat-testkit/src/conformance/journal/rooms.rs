//! The rooms of a journal under test. Each operation is also performed on the room's model, and the results must agree.

use super::drafts::Writer;
use super::model::{Age, Model};
use super::{Durability, JournalUnderTest, Violation, failed};
use crate::random::Random;
use chat_core::log::{Drafts, Journal, Log, Span};
use chat_core::{RoomName, Seq};
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// A journal, its open logs, and the models of these logs.
pub(super) struct Rooms<'u, U: JournalUnderTest> {
    under_test: &'u mut U,
    /// Declared before the journal, so that the logs are dropped first.
    rooms: Vec<Room<<U::Journal as Journal>::Log>>,
    journal: Option<U::Journal>,
    /// The prefix of the names of new rooms.
    prefix: String,
    pub(super) writer: Writer,
    done: Vec<String>,
}

struct Room<L> {
    name: RoomName,
    log: Option<L>,
    model: Model,
}

impl<'u, U: JournalUnderTest> Rooms<'u, U> {
    pub(super) async fn open(under_test: &'u mut U) -> Self {
        let journal = Some(under_test.open().await);
        Self {
            under_test,
            rooms: Vec::new(),
            journal,
            prefix: String::new(),
            writer: Writer::new(),
            done: Vec::new(),
        }
    }

    /// Returns the operations since [`begin`](Self::begin).
    pub(super) fn done(&self) -> &[String] {
        &self.done
    }

    pub(super) fn is_durable(&self) -> bool {
        self.under_test.durability() == Durability::OverRestarts
    }

    /// Closes all rooms, and sets the prefix for the names of the rooms that the suite opens from now on.
    pub(super) fn begin(&mut self, prefix: &str) {
        self.rooms.clear();
        self.done.clear();
        prefix.clone_into(&mut self.prefix);
    }

    /// Opens a new room and returns its number.
    pub(super) async fn add(&mut self, name: &str) -> Result<usize, Violation> {
        let name = format!("{}{name}", self.prefix);
        let key = name.to_lowercase();
        self.rooms.push(Room {
            name: RoomName::parse(&name).expect("the suite's room names are valid"),
            log: None,
            model: Model::new(key),
        });
        let room = self.rooms.len() - 1;
        self.open_log(room, Age::Open).await?;
        Ok(room)
    }

    /// Closes a room's log and opens it again, with the name in another spelling.
    pub(super) async fn reopen(&mut self, room: usize) -> Result<(), Violation> {
        let name = self.rooms[room].name.as_str();
        let name = match name.chars().any(char::is_uppercase) {
            true => name.to_lowercase(),
            false => name.to_uppercase(),
        };
        self.done
            .push(format!("room {room} closed and opened as {name}"));
        self.rooms[room].name = RoomName::parse(&name).expect("the suite's room names are valid");
        self.open_log(room, Age::OtherLog).await
    }

    /// Closes the journal and opens another one over the same store.
    pub(super) async fn restart(&mut self) -> Result<(), Violation> {
        self.close();
        self.done.push("journal closed and opened again".into());
        self.open_again().await
    }

    /// Like [`restart`](Self::restart), but the store removes all messages while the journal is closed. Returns whether
    /// the store has removed them.
    pub(super) async fn expire(&mut self) -> Result<bool, Violation> {
        self.close();
        let has_expired = self.under_test.expire().await;
        self.done
            .push("journal closed, emptied and opened again".into());
        if has_expired {
            for room in &mut self.rooms {
                room.model.expired = room.model.records.len();
            }
        }
        self.open_again().await?;
        Ok(has_expired)
    }

    /// Appends a batch, and waits for the result.
    pub(super) async fn append(&mut self, room: usize, drafts: Drafts) -> Result<(), Violation> {
        let Room { name, log, model } = &mut self.rooms[room];
        let records = model.append(&drafts, name);
        self.done.push(format!(
            "{} appended to room {room}",
            texts(model, &records)
        ));
        let log = log.as_ref().expect("the log is open");
        model.appended(records, log.append(drafts).await)
    }

    /// Begins the appends of several batches without waiting in between. Then polls the futures of the appends in
    /// random order, and drops some of the futures.
    pub(super) async fn append_at_once(
        &mut self,
        room: usize,
        batches: Vec<Drafts>,
        random: &mut Random,
    ) -> Result<(), Violation> {
        let Room { name, log, model } = &mut self.rooms[room];
        let log = log.as_ref().expect("the log is open");
        let tail = model.tail();
        let mut appends: Vec<(Range<usize>, Pin<Box<_>>)> = Vec::new();
        for drafts in batches {
            let records = model.append(&drafts, name);
            let texts = texts(model, &records);
            self.done
                .push(format!("{texts} being appended to room {room}"));
            appends.push((records, Box::pin(log.append(drafts))));
        }
        // The last append follows all others, so the messages of all appends are in the log once the last one is done.
        let last = appends.pop();
        random.shuffle(&mut appends);
        for (records, mut append) in appends {
            let (is_polled, is_dropped) = (random.once_in(2), random.once_in(2));
            let mut context = Context::from_waker(Waker::noop());
            if is_polled && let Poll::Ready(batch) = append.as_mut().poll(&mut context) {
                model.appended(records, batch)?;
            } else if is_dropped {
                drop(append);
                let texts = texts(model, &records);
                self.done.push(format!("the append of {texts} dropped"));
                model.abandon(records);
            } else {
                model.appended(records, append.await)?;
            }
        }
        if let Some((records, append)) = last {
            model.appended(records, append.await)?;
        }
        self.read(room, Span::After(tail), usize::MAX).await?;
        Ok(())
    }

    /// Reads a span and checks the result. Returns the positions of the messages.
    pub(super) async fn read(
        &mut self,
        room: usize,
        span: Span,
        limit: usize,
    ) -> Result<Vec<Seq>, Violation> {
        self.done
            .push(format!("room {room} read: {}", asked(span, limit)));
        let Room { log, model, .. } = &mut self.rooms[room];
        let log = log.as_ref().expect("the log is open");
        let page = log
            .read(span, limit)
            .await
            .map_err(|error| failed("a read that succeeds", &error))?;
        let holds = self.under_test.holds();
        let places = model.check_page(span, limit, &page, holds)?;
        // Successful reads are not listed: only operations that change the log help to reproduce a violation.
        self.done.pop();
        Ok(places)
    }

    /// Begins a read and drops its future.
    pub(super) fn begin_to_read(&self, room: usize, span: Span, limit: usize) {
        let log = self.rooms[room].log.as_ref().expect("the log is open");
        let mut read = std::pin::pin!(log.read(span, limit));
        let mut context = Context::from_waker(Waker::noop());
        let _ready_or_not = read.as_mut().poll(&mut context);
    }

    /// Returns the known positions of a room's messages, including messages that are gone.
    pub(super) fn places(&self, room: usize) -> Vec<Seq> {
        let records = &self.rooms[room].model.records;
        records.iter().filter_map(|record| record.seq).collect()
    }

    /// Returns the position of a room's last message.
    pub(super) fn tail(&self, room: usize) -> Seq {
        self.rooms[room].model.tail()
    }

    fn close(&mut self) {
        for room in &mut self.rooms {
            room.log = None;
        }
        self.journal = None;
    }

    async fn open_again(&mut self) -> Result<(), Violation> {
        self.journal = Some(self.under_test.open().await);
        for room in 0..self.rooms.len() {
            self.open_log(room, Age::OtherProcess).await?;
        }
        Ok(())
    }

    async fn open_log(&mut self, room: usize, age: Age) -> Result<(), Violation> {
        let is_durable = self.is_durable();
        let Room { name, log, model } = &mut self.rooms[room];
        *log = None;
        let journal = self.journal.as_ref().expect("the journal is open");
        let opened = journal.open(name, &model.key).await;
        let opened = opened.map_err(|error| failed("a log that opens", &error))?;
        let head = opened.head();
        *log = Some(opened);
        model.opened(&head, is_durable, age)
    }
}

fn texts(model: &Model, records: &Range<usize>) -> String {
    let texts = model.records[records.clone()]
        .iter()
        .map(|record| &record.text);
    format!("{:?}", texts.collect::<Vec<_>>())
}

fn asked(span: Span, limit: usize) -> String {
    match limit {
        usize::MAX => format!("{span:?}"),
        limit => format!("{span:?}, at most {limit}"),
    }
}
