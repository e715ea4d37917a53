//! Using a room without joining it.

use crate::hub::hub::Hub;
use crate::hub::rooms::Visit;
use crate::log::{Appended, Claim, Drafts};
use crate::name::RoomName;
use crate::room::{JoinError, Opener, Participant, PublishError, Standing};

impl Hub {
    /// Opens a room for a session that does not join it. Returns `None` if the room does not exist and `if_missing`
    /// does not allow its creation.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: if the future is dropped, the hub may forget the room that it has opened.
    pub(crate) async fn visit(
        &self,
        name: &RoomName,
        key: &str,
        opener: Opener,
        if_missing: IfMissing,
    ) -> Result<Option<Visit>, JoinError> {
        loop {
            let room = match if_missing {
                IfMissing::Create => Some(self.open(name, key, opener).await?),
                IfMissing::Refuse => self.open_known(name, key, opener).await?,
            };
            let Some(room) = room else {
                return Ok(None);
            };
            let visit = Visit::new(room, self.clone());
            // If the hub forgot the room before the visit began, the room is opened again.
            if !visit.is_gone() {
                return Ok(Some(visit));
            }
        }
    }
}

impl Visit {
    /// Publishes in the name of a session; see [`Session::publish`].
    pub(crate) async fn publish_as(
        &self,
        session: &Participant,
        drafts: Drafts,
        claims: Vec<Claim>,
    ) -> Result<Appended, PublishError> {
        if session.is_closing() {
            return Err(PublishError::NotAMember);
        }
        let standing = Standing::Outside(session);
        self.publish(drafts, claims, standing).await
    }
}

/// What to do if a room has no members and its log is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IfMissing {
    /// Refuses the command: the room's name may be mistyped.
    Refuse,
    /// Opens the room.
    Create,
}
