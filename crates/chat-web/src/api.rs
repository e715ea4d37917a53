//! Requests for programs: publishing, history, search, rooms and server-sent events.

use crate::http::{Body, Context, Form, Refusal};
use bytes::Bytes;
use http::{Request, Response, StatusCode};

/// Answers a request under `/rooms` whose body was read.
#[expect(clippy::unused_async, reason = "answers will wait for the hub")]
pub(crate) async fn answer(context: &Context, request: &Request<Bytes>) -> Response<Body> {
    tracing::trace!(hub = ?context.hub, peer = ?context.peer, bytes = request.body().len(), "request");
    let message = "this is not built yet";
    Refusal::new(StatusCode::NOT_IMPLEMENTED, "unavailable", message).into_response(Form::Json)
}
