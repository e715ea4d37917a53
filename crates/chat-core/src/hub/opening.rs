//! Rooms are opened when somebody comes.
//!
//! Invariant: a room's log is opened by one at a time, and stands for the room from then on until it is forgotten: so its
//! end, as it was when it was opened, is the room's.

use super::{Hub, JoinError, Opener};
use crate::batch::Seq;
use crate::journal::{DynLog, Excerpt, JournalError, Span};
use crate::key::Said;
use crate::name::RoomName;
use crate::room::Room;
use std::sync::Arc;

/// How many messages of a log are looked at for the keys they were said under, in all and at a time.
const RECALLED_MAX: usize = 16_384;
const RECALLED_PAGE: usize = 1024;

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
        let log = self
            .0
            .journal
            .open(name, key)
            .await
            .map_err(JoinError::Journal)?;
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
        let room = Arc::new(Room::new(name.clone(), key.into(), opener, log, context));
        rooms.insert(Arc::clone(&room));
        Ok(room)
    }

    /// Remembers the keys under which something was said lately in a room whose log is older than this hub: a client
    /// that was cut off by its end may say it again. Only keys that belong to a token are known again: sessions are not.
    async fn recall_keys(&self, log: &dyn DynLog) -> Result<(), JournalError> {
        let lifetime = self.limits().key_lifetime.as_millis();
        let since = self
            .now()
            .0
            .saturating_sub(lifetime.try_into().unwrap_or(u64::MAX));
        let (mut before, mut count) = (Seq::END, 0);
        if log.head().tail == Seq::START {
            return Ok(());
        }
        let (mut found, mut failed) = (Vec::new(), Ok(()));
        while count < RECALLED_MAX {
            let page = match log.read(Span::Before(before), RECALLED_PAGE).await {
                Ok(page) => page,
                Err(error) => {
                    failed = Err(error);
                    break;
                }
            };
            let missing = page.gap.map(|gap| gap.from);
            let Some(first) = page.first().or(missing) else {
                break;
            };
            (before, count) = (first, count + page.len().max(1));
            let is_all = page
                .excerpts
                .iter()
                .all(|excerpt| excerpt.batch.at().0 >= since);
            found.extend(page.excerpts.into_iter().rev());
            if !is_all {
                break;
            }
        }
        // The oldest first, as they were said.
        for Excerpt { batch, range } in found.into_iter().rev() {
            if batch.at().0 < since {
                continue;
            }
            for (key, owner, seq) in batch.owned_keys(range) {
                let room = batch.room().clone();
                self.0.keys.remember(owner, &key, Said { room, seq });
            }
        }
        failed
    }
}
