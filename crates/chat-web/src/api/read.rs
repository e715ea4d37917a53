//! `GET /rooms` and `GET /rooms/{room}/messages`: lists rooms, reads and searches logs.

use crate::api::Body;
use crate::api::answers::json;
use crate::api::query::{Query, bad};
use chat_core::log::Span;
use chat_core::protocol::Refusal;
use chat_core::{Guest, GuestPage, Seq};
use chat_json::wire::{Hole, RoomsList};
use chat_json::{found_messages, page_messages};
use http::{Response, StatusCode};
use serde::Serialize;
use serde_json::value::RawValue;

/// The answer to a request for messages.
#[derive(Serialize)]
struct Messages<'a> {
    room: &'a str,
    epoch: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    gap: Option<Hole>,
    messages: &'a RawValue,
}

/// Lists the rooms that have members.
pub(super) async fn rooms(guest: &Guest, query: &Query) -> Result<Response<Body>, Refusal> {
    let after = query.get("after").unwrap_or_default();
    let (rooms, has_more) = guest.rooms(after, query.limit()?).await?;
    Ok(answer(guest, &RoomsList::new(&rooms, has_more)))
}

/// Reads messages of a room's log, or searches it.
pub(super) async fn messages(
    guest: &Guest,
    room: &str,
    query: &Query,
) -> Result<Response<Body>, Refusal> {
    let (after, before) = (query.position("after")?, query.position("before")?);
    let limit = query.limit()?;
    if let Some(text) = query.get("q") {
        if after.is_some() {
            return Err(bad(
                "a search has no \"after\": it finds the latest messages",
            ));
        }
        let page = guest
            .search(room, text, before.map(|before| before.seq), limit)
            .await?;
        return Ok(messages_of(guest, &page, &found_messages(&page.page)));
    }
    let (span, epoch) = match (after, before) {
        (Some(_), Some(_)) => return Err(bad("either \"after\" or \"before\"")),
        (Some(after), None) => (Span::After(after.seq), after.epoch),
        (None, Some(before)) => (Span::Before(before.seq), before.epoch),
        (None, None) => (Span::Before(Seq::END), None),
    };
    let page = guest.history(room, span, epoch, limit).await?;
    Ok(messages_of(guest, &page, &page_messages(span, &page.page)))
}

fn messages_of(guest: &Guest, page: &GuestPage, messages: &RawValue) -> Response<Body> {
    let messages = Messages {
        room: page.room.as_str(),
        epoch: page.epoch.to_string(),
        gap: page.page.gap.map(|gap| Hole {
            from: gap.from.0,
            to: gap.to.0,
        }),
        messages,
    };
    answer(guest, &messages)
}

/// Returns an answer, for which the peer's address is charged.
fn answer(guest: &Guest, object: &impl Serialize) -> Response<Body> {
    let (response, bytes) = json(StatusCode::OK, object);
    guest.charge_answer(bytes);
    response
}
