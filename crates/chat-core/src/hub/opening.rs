//! Opens rooms when they are first used.
//!
//! Invariant: only one task at a time opens a room's log, and the room uses this log until the hub forgets the room. So
//! no other task of the hub appends to the log between the opening of the log and the creation of the room.

use crate::hub::hub::Hub;
use crate::log::{BatchSlice, DynLog, JournalError, Said, Seq, Timestamp};
use crate::name::RoomName;
use crate::room::{JoinError, Opener, Room};
use std::sync::Arc;

/// Maximum number of messages whose keys are read from one log when its room is opened.
const RECALLED_MAX: usize = 16_384;

impl Hub {
    /// Returns the room with this name. Opens the room if it is not open; the room then counts toward the limit of the
    /// address `opener`. The caller must let a member join the room, or call [`Hub::let_go`].
    pub(crate) async fn open(
        &self,
        name: &RoomName,
        key: &str,
        opener: Opener,
    ) -> Result<Arc<Room>, JoinError> {
        if let Some(room) = self.0.rooms.lock().take(key) {
            return Ok(room);
        }
        // Only one task at a time opens this room. Otherwise messages of another task could be appended to the log
        // after this task has read where the log ends.
        let _turn = self.0.openings.turn(key).await;
        {
            let mut rooms = self.0.rooms.lock();
            if let Some(room) = rooms.take(key) {
                return Ok(room);
            }
            rooms.make_place(key, opener, self.limits())?;
        }
        let log = self.open_log(name, key).await?;
        self.insert(name, key, opener, log).await
    }

    /// As [`open`](Self::open), but returns `None` if the room has no members and its log is empty. The lobby is
    /// returned in any case.
    ///
    /// Thus a mistyped name creates no room.
    pub(crate) async fn open_known(
        &self,
        name: &RoomName,
        key: &str,
        opener: Opener,
    ) -> Result<Option<Arc<Room>>, JoinError> {
        if *key == self.fold(self.lobby().as_str()) {
            return self.open(name, key, opener).await.map(Some);
        }
        if let Some(found) = self.take_known(key) {
            return Ok(found);
        }
        let _turn = self.0.openings.turn(key).await;
        if let Some(found) = self.take_known(key) {
            return Ok(found);
        }
        let log = self.open_log(name, key).await?;
        if log.head().tail == Seq::START {
            return Ok(None);
        }
        self.insert(name, key, opener, log).await.map(Some)
    }

    /// Returns the open room with this key, and marks the room as in use. Returns `Some(None)` if the open room has
    /// neither members nor messages, and `None` if the room is not open.
    fn take_known(&self, key: &str) -> Option<Option<Arc<Room>>> {
        let mut rooms = self.0.rooms.lock();
        if rooms.by_key.get(key)?.is_blank() {
            return Some(None);
        }
        rooms.take(key).map(Some)
    }

    /// Opens a room's log. The caller must hold the room's turn, a lock that `openings` keeps for each room. So a room
    /// never has two open logs.
    async fn open_log(&self, name: &RoomName, key: &str) -> Result<Arc<dyn DynLog>, JoinError> {
        let log = self.0.journal.open(name, key).await;
        log.map_err(JoinError::Journal)
    }

    /// Creates a room from its log. The caller must have held the room's turn of `openings` since it opened the log.
    async fn insert(
        &self,
        name: &RoomName,
        key: &str,
        opener: Opener,
        log: Arc<dyn DynLog>,
    ) -> Result<Arc<Room>, JoinError> {
        if let Err(error) = self.recall_keys(log.as_ref()).await {
            // The keys of recent messages can't be read, but new messages can still be appended.
            self.log_journal_failure(name.as_str(), &error);
        }
        let mut rooms = self.0.rooms.lock();
        if self.is_draining() {
            return Err(JoinError::Draining);
        }
        rooms.make_place(key, opener, self.limits())?;
        let context = self.0.context.clone();
        let room = Room::open(name.clone(), key.into(), opener, log, context);
        room.set_elsewhere(self.0.participants.elsewhere_in(key));
        rooms.insert(Arc::clone(&room));
        Ok(room)
    }

    /// Reads the keys of recent messages from a log. A client that was disconnected when an earlier hub ended may send
    /// its messages again under the same keys, and they must not be published twice.
    async fn recall_keys(&self, log: &dyn DynLog) -> Result<(), JournalError> {
        if log.head().tail == Seq::START {
            return Ok(());
        }
        let lifetime = self.limits().key_lifetime.as_millis();
        let lifetime = lifetime.try_into().unwrap_or(u64::MAX);
        let since = Timestamp(self.now().0.saturating_sub(lifetime));
        // One log is read at a time, so that opening many rooms at once takes no more memory than opening one.
        let _turn = self.0.recalls.lock().await;
        let limit = self.limits().keys.get().min(RECALLED_MAX);
        // The keys are remembered in the order in which their messages were published, the oldest first.
        for BatchSlice { batch, range } in log.keyed(since, limit).await?.slices {
            for (key, owner, seq) in batch.owned_keys(range) {
                let room = batch.room().clone();
                self.0.keys.remember(owner, &key, Said { room, seq });
            }
        }
        Ok(())
    }
}
