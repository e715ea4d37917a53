//! A journal that records everything that was appended, so that the test can compare it with what members received.

use chat_core::log::{Appended, Batch, Drafts, JournalError, Log};
use chat_testkit::Intercept;
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The [`key`] of each message of one room, by the message's position.
pub(crate) type Record = BTreeMap<u64, String>;

/// The records of all rooms, by the name of the room.
#[derive(Debug, Clone, Default)]
pub(crate) struct Records(Arc<Mutex<HashMap<String, Record>>>);

/// Wraps a journal: records its appends and delays its reads.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    records: Records,
    read_delay: Duration,
}

/// Returns the first word of a message, which is different for each message.
pub(crate) fn key(text: &str) -> &str {
    text.split(' ').next().unwrap_or_default()
}

impl Records {
    pub(crate) fn of(&self, room: &str) -> Record {
        self.0
            .lock()
            .unwrap()
            .get(room)
            .cloned()
            .unwrap_or_default()
    }

    /// Returns the position of the last message in a room.
    pub(crate) fn end(&self, room: &str) -> u64 {
        let records = self.0.lock().unwrap();
        let last = records.get(room).and_then(|record| record.last_key_value());
        last.map_or(0, |(&seq, _)| seq)
    }

    fn note(&self, batch: &Batch) {
        let mut records = self.0.lock().unwrap();
        let record = records.entry(batch.room().to_string()).or_default();
        for message in batch.messages(0..batch.len()) {
            record.insert(message.seq.0, key(message.text).to_owned());
        }
    }
}

impl Recorder {
    pub(crate) fn new(records: &Records, read_delay: Duration) -> Self {
        Self {
            records: records.clone(),
            read_delay,
        }
    }
}

impl Intercept for Recorder {
    fn append(
        &self,
        log: &impl Log,
        drafts: Drafts,
    ) -> impl Future<Output = Result<Appended, JournalError>> + Send + 'static {
        let appended = log.append(drafts);
        let records = self.records.clone();
        async move {
            let appended = appended.await?;
            if let Appended::Batch(batch) = &appended {
                records.note(batch);
            }
            Ok(appended)
        }
    }

    async fn read(&self) -> Result<(), JournalError> {
        if !self.read_delay.is_zero() {
            tokio::time::sleep(self.read_delay).await;
        }
        Ok(())
    }
}
