//! Requests for programs: publishing, history, search, rooms and server-sent events.
//!
//! Invariant: a request is decided by the policy and charged to the peer's address as over a connection. The rules are
//! those of [`Guest`]; this module only translates.

mod answers;
mod events;
mod publish;
mod query;
mod read;
mod target;
#[cfg(test)]
mod tests;

use crate::http::{Body, Context, options};
use answers::method_not_allowed;
pub(crate) use answers::refused;
use bytes::Bytes;
use chat_core::protocol::Refusal;
use chat_core::{Guest, Hub, Peer};
use http::request::Parts;
use http::{Method, Request, Response};
use query::Query;
use std::sync::Arc;
use target::Target;
use tokio::sync::OnceCell;

/// The name of HTTP for policies.
const DIALECT: &str = "http";

/// In whose name the requests of a connection ask. The authenticator is asked once for each connection.
#[derive(Debug, Default)]
pub(crate) struct Caller(OnceCell<Guest>);

impl Caller {
    /// Returns the guest, or why the peer may not ask for anything.
    pub(crate) async fn guest(&self, hub: &Hub, peer: &Arc<Peer>) -> Result<&Guest, Refusal> {
        let begin = || hub.guest(Arc::clone(peer), DIALECT);
        self.0.get_or_try_init(begin).await
    }
}

/// Returns whether a request with this path, whatever its method, may open a room.
pub(crate) fn opens_room(path: &str) -> bool {
    matches!(Target::parse(path), Ok(Target::Events(_)))
}

/// Returns the guest that makes a request. Checks that the peer may make requests, and for a `POST` that the peer may
/// publish under the nick of the request. The body of the request has not been read yet.
///
/// # Errors
///
/// Returns the answer if the peer may not ask for anything, or may not publish under the nick of the request.
pub(crate) async fn admit<'a>(
    context: &'a Context,
    head: &Parts,
) -> Result<&'a Guest, Response<Body>> {
    let admitting = async {
        let guest = context.caller.guest(&context.hub, &context.peer).await?;
        if head.method == Method::POST {
            let query = Query::parse(head.uri.query().unwrap_or_default())?;
            guest.check(query.get("nick")).await?;
        }
        Ok(guest)
    };
    let admitted: Result<_, Refusal> = admitting.await;
    admitted.map_err(|refusal| refused(&refusal))
}

/// Answers a request under `/rooms` whose body was read.
///
/// The answer to a request for events is endless: its body ends when the room is closed, when the policy no longer
/// admits the peer, or when the hub drains.
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
