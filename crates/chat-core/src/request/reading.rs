//! Reading logs and lists for a peer.

use crate::admission::Cost;
use crate::event::RoomSummary;
use crate::hub::Hub;
use crate::limits::Limits;
use crate::log::{Epoch, JournalError, Page, Seq, Span};
use crate::protocol::Refusal;
use crate::room::{Room, Searched};
use tokio::time::Instant;

/// Maximum number of rooms in one answer: as many as a screen shows.
const ROOMS_LISTED_MAX: usize = 100;

/// Returns the maximum number of messages in an answer if the peer asks for `asked` messages.
pub(crate) fn page_limit(limits: &Limits, asked: Option<usize>) -> usize {
    asked.unwrap_or(limits.history).min(limits.history_max)
}

/// Reads a page of a room's log. `epoch` is the epoch of the positions in `span`; `None` if the peer named none.
///
/// # Errors
///
/// Returns a refusal if the log can't be read, or is in another epoch.
///
/// # Cancel safety
///
/// Cancel safe.
pub(crate) async fn read_page(
    room: &Room,
    epoch: Option<Epoch>,
    span: Span,
    limit: usize,
) -> Result<Page, Refusal> {
    let is_other = |read: Epoch| epoch.is_some_and(|epoch| epoch != read);
    if is_other(room.epoch()) {
        return Err(Refusal::other_epoch());
    }
    let page = room.read(span, limit).await.map_err(|error| {
        room.log_failure(&error);
        Refusal::unreadable(&error)
    })?;
    // The log may have begun a new epoch while the page was read.
    if page.epoch.is_some_and(is_other) {
        return Err(Refusal::other_epoch());
    }
    Ok(page)
}

/// Searches a room's log. Also returns the cost of the search, which the peer is charged whatever the result is.
///
/// # Cancel safety
///
/// Cancel safe.
pub(crate) async fn search(
    room: &Room,
    text: &str,
    before: Option<Seq>,
    limit: usize,
) -> (Result<Page, Refusal>, Cost) {
    let search = room.search(text, before.unwrap_or(Seq::END), limit);
    let Searched { page, took } = search.await;
    let page = page.map_err(|error| {
        if !matches!(error, JournalError::TooBroad) {
            room.log_failure(&error);
        }
        Refusal::unreadable(&error)
    });
    (page, Cost::work(took))
}

/// Lists the rooms after the name `after` for whose keys `sees` returns `true`, and whether more rooms follow. Also
/// returns the cost, which grows with the number of hidden rooms, because the policy is asked about each room.
pub(crate) fn list_rooms(
    hub: &Hub,
    after: &str,
    limit: Option<usize>,
    sees: impl Fn(&str) -> bool,
) -> (Vec<RoomSummary>, bool, Cost) {
    let began = Instant::now();
    let limit = limit.unwrap_or(ROOMS_LISTED_MAX).clamp(1, ROOMS_LISTED_MAX);
    // Asks for one room more than the limit, to learn whether more rooms follow.
    let mut rooms = hub.rooms_seen(after, limit + 1, sees);
    let has_more = rooms.len() > limit;
    rooms.truncate(limit);
    (rooms, has_more, Cost::work(began.elapsed()))
}
