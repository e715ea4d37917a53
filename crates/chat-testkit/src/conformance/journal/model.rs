//! The model of a log: the appended messages, and the number of oldest messages that are gone.

use super::drafts::AUTHORS;
use super::{Rule, Violation, failed};
use chat_core::log::{
    Account, Appended, Batch, Drafts, Epoch, Head, JournalError, MessageRef, SessionId, Timestamp,
    Topic,
};
use chat_core::rooms::{ModeChanges, Modes};
use chat_core::{Kind, Nick, RoomName, Seq};
use std::ops::Range;

/// The expected contents of a room's log.
#[derive(Debug)]
pub(super) struct Model {
    /// The folded name of the room.
    pub(super) key: String,
    pub(super) records: Vec<Record>,
    /// How many of the oldest messages are known to be missing from the log.
    pub(super) gone: usize,
    /// How many of the oldest messages the suite has removed from the store. They may be missing from the log.
    pub(super) expired: usize,
    epoch: Option<Epoch>,
}

/// One message.
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// The message's position; `None` until a result of the journal has shown it.
    pub(super) seq: Option<Seq>,
    pub(super) text: String,
    kind: Kind,
    /// The changes of modes that the message makes. Unlike the text, they hold the keys.
    changes: ModeChanges,
    key: Option<String>,
    from: Nick,
    account: Option<Account>,
    at: Timestamp,
    author: SessionId,
    /// Whether and how the log was closed since the append.
    age: Age,
    /// Whether the future of the append was dropped.
    pub(super) is_abandoned: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Age {
    /// The log has been open since the append.
    Open,
    /// The log was closed and opened again.
    OtherLog,
    /// The journal was closed and opened again, as by a restart.
    OtherProcess,
}

impl Model {
    pub(super) const fn new(key: String) -> Self {
        Self {
            key,
            records: Vec::new(),
            gone: 0,
            expired: 0,
            epoch: None,
        }
    }

    /// Records an append, and returns the indexes of its records. The suite must call this method in the order of the
    /// appends.
    pub(super) fn append(&mut self, drafts: &Drafts, room: &RoomName) -> Range<usize> {
        let start = self.records.len();
        let batch = drafts.clone().number(room.clone(), []);
        let mut changes = batch.mode_changes();
        let records = batch.messages(0..batch.len()).map(|message| Record {
            seq: None,
            text: message.text.into(),
            kind: message.kind,
            changes: match message.kind {
                Kind::Mode => changes.next().unwrap_or_default(),
                _ => ModeChanges::default(),
            },
            key: message.kept_key.map(Into::into),
            from: batch.from().clone(),
            account: batch.account().cloned(),
            at: batch.at(),
            author: batch.author(),
            age: Age::Open,
            is_abandoned: false,
        });
        self.records.extend(records);
        start..self.records.len()
    }

    /// Compares the result of an append with its drafts.
    pub(super) fn appended(
        &mut self,
        records: Range<usize>,
        appended: Result<Appended, JournalError>,
    ) -> Result<(), Violation> {
        let appended = appended.map_err(|error| failed("an append that succeeds", &error))?;
        let Appended::Batch(batch) = appended else {
            let expected = format!("a batch of {} messages", records.len());
            let seen = format!("{appended:?}, and no key is given twice");
            return Err(Violation::new(Rule::Keys, expected, seen));
        };
        if batch.len() != records.len() {
            let expected = format!("a batch of {} messages", records.len());
            return Err(Violation::new(
                Rule::Content,
                expected,
                format!("{} messages", batch.len()),
            ));
        }
        for (index, message) in records.zip(batch.messages(0..batch.len())) {
            self.compare(index, &batch, &message)?;
        }
        Ok(())
    }

    /// Records that the future of an append was dropped.
    pub(super) fn abandon(&mut self, records: Range<usize>) {
        for record in &mut self.records[records] {
            record.is_abandoned = true;
        }
    }

    /// Compares a message with the record of its append, and records the position of the message.
    pub(super) fn compare(
        &mut self,
        index: usize,
        batch: &Batch,
        message: &MessageRef<'_>,
    ) -> Result<(), Violation> {
        let record = &self.records[index];
        let wrong = |what: &str, expected: &dyn std::fmt::Debug, seen: &dyn std::fmt::Debug| {
            let expected = format!("message {:?} with {what} {expected:?}", record.text);
            Err(Violation::new(Rule::Content, expected, format!("{seen:?}")))
        };
        if batch.room().as_str().to_lowercase() != self.key {
            return wrong("room", &self.key, batch.room());
        }
        if message.text != record.text {
            return wrong("text", &record.text, &message.text);
        }
        if message.kind != record.kind {
            return wrong("kind", &record.kind, &message.kind);
        }
        if message.kept_key != record.key.as_deref() {
            return wrong("kept_key", &record.key, &message.kept_key);
        }
        if *batch.from() != record.from {
            return wrong("nick", &record.from, batch.from());
        }
        if batch.account() != record.account.as_ref() {
            return wrong("account", &record.account, &batch.account());
        }
        if batch.at() != record.at {
            return wrong("time", &record.at, &batch.at());
        }
        record.check_author(batch.author())?;
        self.place(index, message.seq)
    }

    /// Finds the record of a message by its text. Empty texts are identified by their times.
    pub(super) fn identify(&self, batch: &Batch, message: &MessageRef<'_>) -> Option<usize> {
        self.records.iter().position(|record| {
            record.text == message.text && (!record.text.is_empty() || record.at == batch.at())
        })
    }

    /// Records the position of a message, or checks that the position has not changed.
    fn place(&mut self, index: usize, seq: Seq) -> Result<(), Violation> {
        let text = &self.records[index].text;
        if let Some(known) = self.records[index].seq {
            let expected = format!("message {text:?} at {known}, where it was");
            return match known == seq {
                true => Ok(()),
                false => Err(Violation::new(Rule::Places, expected, format!("at {seq}"))),
            };
        }
        if seq <= Seq::START {
            let expected = format!("message {text:?} at a place beyond {}", Seq::START);
            return Err(Violation::new(Rule::Places, expected, format!("at {seq}")));
        }
        if let Some(other) = self.records.iter().find(|other| other.seq == Some(seq)) {
            let expected = format!("a place of its own for message {text:?}");
            let seen = format!("at {seq}, the place of {:?}", other.text);
            return Err(Violation::new(Rule::Places, expected, seen));
        }
        let before = self.records[..index]
            .iter()
            .rev()
            .find_map(|record| record.seq);
        let behind = self.records[index..].iter().find_map(|record| record.seq);
        if before.is_some_and(|before| seq < before) || behind.is_some_and(|behind| seq > behind) {
            let (before, behind) = (before.unwrap_or(Seq::START), behind.unwrap_or(Seq::END));
            let expected = format!("message {text:?} between {before} and {behind}");
            return Err(Violation::new(Rule::Order, expected, format!("at {seq}")));
        }
        self.records[index].seq = Some(seq);
        Ok(())
    }

    /// Returns the position of the last message.
    pub(super) fn tail(&self) -> Seq {
        let last = self.records.iter().rev().find_map(|record| record.seq);
        last.unwrap_or(Seq::START)
    }

    /// Checks the head of a log that was just opened. A log that is not durable may be empty, with another epoch.
    pub(super) fn opened(
        &mut self,
        head: &Head,
        is_durable: bool,
        age: Age,
    ) -> Result<(), Violation> {
        let epoch = self.epoch.replace(head.epoch);
        if epoch.is_some_and(|epoch| epoch != head.epoch) {
            if is_durable {
                let expected = "the epoch that the log had before";
                return Err(Violation::new(Rule::Epoch, expected, "another epoch"));
            }
            self.records.clear();
            (self.gone, self.expired) = (0, 0);
        }
        for record in &mut self.records {
            record.age = record.age.max(age);
        }
        // A log that lost its messages but kept its epoch is the worse fault, because clients then rely on wrong
        // positions.
        let rule = if epoch.is_some_and(|_| !is_durable) && head.tail < self.tail() {
            Rule::Epoch
        } else {
            Rule::Head
        };
        if head.tail != self.tail() {
            let expected = format!("the tail {}", self.tail());
            return Err(Violation::new(
                rule,
                expected,
                format!("the tail {}", head.tail),
            ));
        }
        let topic = self
            .records
            .iter()
            .rfind(|record| record.kind == Kind::Topic);
        let topic = topic.map_or_else(Topic::default, |record| {
            Topic::new(&*record.text, record.from.clone(), record.at)
        });
        if head.topic != topic {
            let expected = format!("the topic {topic:?}");
            return Err(Violation::new(rule, expected, format!("{:?}", head.topic)));
        }
        let mut modes = Modes::default();
        for record in &self.records {
            for change in &record.changes {
                modes.change(change, &record.from, record.at);
            }
        }
        if head.modes != modes {
            let expected = format!("the modes {:?}", modes.to_string());
            let seen = format!("{:?}", head.modes.to_string());
            return Err(Violation::new(rule, expected, seen));
        }
        Ok(())
    }
}

impl Record {
    /// Checks the author of a message. The author is the number of a session. The hub does not deliver a message to the
    /// session whose number is the author. So after a restart, the author of an old message must not be a number that a
    /// new session may get.
    fn check_author(&self, author: SessionId) -> Result<(), Violation> {
        let is_somebody = (1..=AUTHORS).contains(&author.0);
        let is_right = match self.age {
            Age::Open => author == self.author,
            Age::OtherLog => author == self.author || !is_somebody,
            Age::OtherProcess => !is_somebody,
        };
        if is_right {
            return Ok(());
        }
        let (rule, expected) = match self.age {
            Age::OtherProcess => (Rule::Author, "an author that no session will be".to_owned()),
            _ => (Rule::Content, format!("author {}", self.author)),
        };
        let expected = format!("message {:?} with {expected}", self.text);
        Err(Violation::new(rule, expected, format!("author {author}")))
    }
}
