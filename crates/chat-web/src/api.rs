//! Requests for programs: publishing, history, search, rooms and server-sent events.
//!
//! Invariant: a request is decided by the policy and charged to the peer's address as over a connection. The rules are
//! those of [`Guest`]; this module only translates.

#![cfg_attr(not(test), expect(dead_code, reason = "the router of HTTP calls it"))]

mod answers;
mod events;
mod publish;
mod query;
mod read;
mod target;
#[cfg(test)]
mod tests;

use answers::{method_not_allowed, options, refused};
use bytes::Bytes;
use chat_core::Guest;
use chat_core::protocol::Refusal;
use http::{Method, Request, Response};
use http_body_util::combinators::BoxBody;
use query::Query;
use std::io;
use target::Target;

/// The body of an answer.
pub(crate) type Body = BoxBody<Bytes, io::Error>;

/// Answers a request under `/rooms` whose body was read.
///
/// The answer to a request for events is endless: its body ends when the room is closed or the hub drains.
///
/// # Cancel safety
///
/// Dropping the future does not withdraw a message that is being published.
pub(crate) async fn answer(guest: &Guest, request: &Request<Bytes>) -> Response<Body> {
    match try_answer(guest, request).await {
        Ok(response) => response,
        Err(refusal) => refused(&refusal),
    }
}

async fn try_answer(guest: &Guest, request: &Request<Bytes>) -> Result<Response<Body>, Refusal> {
    let target = Target::parse(request.uri().path())?;
    let query = Query::parse(request.uri().query().unwrap_or_default())?;
    let method = request.method();
    if *method == Method::OPTIONS {
        return Ok(options(target.methods()));
    }
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    match target {
        Target::Rooms if is_read => read::rooms(guest, &query).await,
        Target::Messages(room) if is_read => read::messages(guest, &room, &query).await,
        Target::Messages(room) if *method == Method::POST => {
            publish::publish(guest, &room, &query, request.headers(), request.body()).await
        }
        Target::Events(_) if *method == Method::HEAD => Ok(events::head()),
        Target::Events(room) if is_read => {
            events::follow(guest, &room, &query, request.headers()).await
        }
        target => Ok(method_not_allowed(target.methods())),
    }
}
