//! Rooms are opened when somebody comes.
//!
//! Invariant: a room's log is opened by one at a time, and stands for the room from then on until it is forgotten: so its
//! end, as it was when it was opened, is the room's.

use crate::hub::hub::Hub;
use crate::log::{BatchSlice, DynLog, JournalError, Said, Seq, Timestamp};
use crate::name::RoomName;
use crate::room::{JoinError, Opener, Room};
use std::sync::Arc;

/// How many messages of a log that were said under keys are remembered.
const RECALLED_MAX: usize = 16_384;

impl Hub {
    /// The room with this name, opened if need be, in the name of `opener`. The caller has a member join it or lets it go.
    pub(crate) async fn open(
        &self,
        name: &RoomName,
        key: &str,
        opener: Opener,
    ) -> Result<Arc<Room>, JoinError> {
        if let Some(room) = self.0.rooms.lock().take(key) {
            return Ok(room);
        }
        // One at a time: a log that was opened before another life of the room, and comes after it, has an old end.
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

    /// As [`open`](Self::open), but only a room that has members or something in its log; `None` if it has neither. The
    /// lobby is never missing.
    ///
    /// A name that was mistyped takes no other room's place.
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

    /// The room with this key, if it is open, to be used; nothing of it if it has neither members nor messages.
    fn take_known(&self, key: &str) -> Option<Option<Arc<Room>>> {
        let mut rooms = self.0.rooms.lock();
        if rooms.by_key.get(key)?.is_blank() {
            return Some(None);
        }
        rooms.take(key).map(Some)
    }

    /// Opens a log. The caller has the turn of its room: there are never two logs of one room.
    async fn open_log(&self, name: &RoomName, key: &str) -> Result<Arc<dyn DynLog>, JoinError> {
        let log = self.0.journal.open(name, key).await;
        log.map_err(JoinError::Journal)
    }

    /// Makes a room of a log that was opened in the same turn.
    async fn insert(
        &self,
        name: &RoomName,
        key: &str,
        opener: Opener,
        log: Arc<dyn DynLog>,
    ) -> Result<Arc<Room>, JoinError> {
        if let Err(error) = self.recall_keys(log.as_ref()).await {
            // What was said lately can't be read. What is said now can be kept all the same.
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

    /// Remembers the keys under which something was said lately in a room whose log is older than this hub: whoever was
    /// cut off by its end may say it again.
    async fn recall_keys(&self, log: &dyn DynLog) -> Result<(), JournalError> {
        if log.head().tail == Seq::START {
            return Ok(());
        }
        let lifetime = self.limits().key_lifetime.as_millis();
        let lifetime = lifetime.try_into().unwrap_or(u64::MAX);
        let since = Timestamp(self.now().0.saturating_sub(lifetime));
        // One at a time, so that many rooms that are opened at once take no more memory than one.
        let _turn = self.0.recalls.lock().await;
        let limit = self.limits().keys.get().min(RECALLED_MAX);
        // The oldest first, as they were said.
        for BatchSlice { batch, range } in log.keyed(since, limit).await?.slices {
            for (key, owner, seq) in batch.owned_keys(range) {
                let room = batch.room().clone();
                self.0.keys.remember(owner, &key, Said { room, seq });
            }
        }
        Ok(())
    }
}
