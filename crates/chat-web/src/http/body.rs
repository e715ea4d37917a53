//! Reads the body of a request, bounded in length and in time.

use super::answer::Refusal;
use super::state::State;
use crate::limits::WebLimits;
use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use tokio::time::timeout;

/// Reads a whole body.
///
/// # Errors
///
/// Returns a refusal that closes the connection if the body is too long (413), does not arrive in time (408) or is
/// malformed or incomplete (400).
///
/// # Cancel safety
///
/// Dropping the future loses the body. The connection then ends after its answer.
pub(super) async fn read_body(
    limits: &WebLimits,
    state: &State,
    body: Incoming,
) -> Result<Bytes, Refusal> {
    let length_max = limits.body_bytes.get();
    if body.size_hint().lower() > length_max as u64 {
        return Err(too_long(length_max));
    }
    let reading = Limited::new(body, length_max).collect();
    let mut reading = pin!(timeout(limits.body_timeout, reading));
    let read = poll_fn(|cx| match reading.as_mut().poll(cx) {
        Poll::Ready(read) => Poll::Ready(Some(read)),
        // hyper reads as far as the end only after it has passed on all bytes before it, and then polls this future
        // before it waits.
        Poll::Pending if state.end_is_hidden() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    });
    match read.await {
        Some(Ok(Ok(collected))) => Ok(collected.to_bytes()),
        Some(Ok(Err(error))) if error.is::<LengthLimitError>() => Err(too_long(length_max)),
        Some(Ok(Err(_))) => Err(Refusal::bad_request("the body is malformed")),
        None => Err(Refusal::bad_request("the body is incomplete")),
        Some(Err(_)) => Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            "timeout",
            "the body did not arrive in time",
        )
        .closing()),
    }
}

pub(super) fn too_long(length_max: usize) -> Refusal {
    Refusal::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "too_long",
        format!("the body is too long (limit {length_max} bytes)"),
    )
    .closing()
}
