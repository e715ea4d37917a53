//! Using a room without being in it.

use super::{Hub, JoinError, Opener, Visit};
use crate::batch::{Batch, Drafts, Seq};
use crate::command::IfMissing;
use crate::key::Claim;
use crate::name::RoomName;
use crate::room::{PublishError, Standing};
use crate::session::Session;
use std::sync::Arc;

impl Hub {
    /// Opens a room for a session that does not join it; `None` if the room is missing and is to stay so.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a room that was opened in vain is let go.
    pub(crate) async fn visit(
        &self,
        name: &RoomName,
        key: &str,
        opener: Opener,
        if_missing: IfMissing,
    ) -> Result<Option<Visit>, JoinError> {
        loop {
            if if_missing == IfMissing::Refuse && self.is_missing(name, key).await? {
                return Ok(None);
            }
            let room = self.open(name, key, opener).await?;
            let visit = Visit::new(room, self.clone());
            // One that was forgotten in between is opened anew.
            if !visit.is_gone() {
                return Ok(Some(visit));
            }
        }
    }

    /// Whether a room has no members and nothing in its log. The lobby is never missing.
    ///
    /// The log of a room that is not open is only looked at: a name that was mistyped takes no other room's place.
    async fn is_missing(&self, name: &RoomName, key: &str) -> Result<bool, JoinError> {
        if *key == self.fold(self.lobby().as_str()) {
            return Ok(false);
        }
        if let Some(room) = self.find(key) {
            return Ok(room.is_blank());
        }
        let log = self.0.journal.open(name, key).await;
        let log = log.map_err(JoinError::Journal)?;
        Ok(log.head().tail == Seq::START)
    }
}

impl Visit {
    /// Publishes in the name of a session; see [`Session::publish`].
    pub(crate) async fn publish_as(
        &self,
        session: &Session,
        drafts: Drafts,
        claims: Vec<Claim>,
    ) -> Result<Arc<Batch>, PublishError> {
        if session.shared().is_closing() {
            return Err(PublishError::NotAMember);
        }
        self.publish(drafts, claims, Standing::Outside).await
    }
}
