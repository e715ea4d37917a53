//! Opening a room for a peer that uses it without joining it.

use crate::admission::{AddressAccount, Charge};
use crate::hub::{Hub, IfMissing, Visit};
use crate::name::RoomName;
use crate::protocol::Refusal;
use crate::request::charges::{TooSoon, reserve};
use crate::room::{JoinError, Opener};
use std::sync::Arc;
use tokio::time::Instant;

/// Charges an address for opening the room with this key, unless the room is open. A room that the policy hides from
/// the peer is charged even if it is open, so that the charge does not reveal whether the room is open. Returns when
/// the peer may go on; `None` if it may go on now.
///
/// # Errors
///
/// Returns the time that the address would have to wait, if that is longer than 5 s.
pub(crate) fn charge_opening(
    hub: &Hub,
    account: Option<&Arc<AddressAccount>>,
    key: &str,
    is_hidden: bool,
) -> Result<Option<Instant>, TooSoon> {
    if !is_hidden && hub.find(key).is_some() {
        return Ok(None);
    }
    reserve(account, Charge::Joins, 1, Instant::now())
}

/// Opens a room for a peer that does not join it, and keeps the room open until the visit is dropped. The room then
/// counts for the address `opener`.
///
/// # Errors
///
/// Returns a refusal if the room can't be opened, or if `if_missing` is [`IfMissing::Refuse`] and the room does not
/// exist.
///
/// # Cancel safety
///
/// Cancel safe: if the future is dropped, the hub may forget the room that it has opened.
pub(crate) async fn visit(
    hub: &Hub,
    opener: Opener,
    name: &RoomName,
    key: &str,
    if_missing: IfMissing,
) -> Result<Visit, Refusal> {
    match hub.visit(name, key, opener, if_missing).await {
        Ok(Some(visit)) => Ok(visit),
        Ok(None) => Err(Refusal::missing(name)),
        Err(error) => {
            if let JoinError::Journal(error) = &error {
                hub.log_journal_failure(name.as_str(), error);
            }
            Err(error.into())
        }
    }
}
