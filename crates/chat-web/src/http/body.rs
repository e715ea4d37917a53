//! Reads the body of a request, bounded in length and in time.

use super::answer::Refusal;
use crate::limits::WebLimits;
use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};

/// Reads a whole body.
///
/// # Errors
///
/// Returns a refusal that closes the connection if the body is too long (413), does not arrive in time (408) or is
/// malformed (400).
///
/// # Cancel safety
///
/// Dropping the future loses the body. The connection then ends after its answer.
pub(super) async fn read_body(limits: &WebLimits, body: Incoming) -> Result<Bytes, Refusal> {
    let length_max = limits.body_bytes.get();
    if body.size_hint().lower() > length_max as u64 {
        return Err(too_long(length_max));
    }
    let reading = Limited::new(body, length_max).collect();
    match tokio::time::timeout(limits.body_timeout, reading).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_long(length_max)),
        Ok(Err(_)) => Err(Refusal::bad_request("the body is malformed or incomplete")),
        Err(_) => Err(Refusal::new(
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
