//! The answers to requests, and the status of each refusal.

use crate::api::Body;
use bytes::Bytes;
use chat_core::protocol::{Code, Hint, Refusal};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde::Serialize;
use std::borrow::Cow;
use std::time::Duration;

/// How long a program waits before it repeats a request that the server can't perform now.
const RETRY_UNAVAILABLE: Duration = Duration::from_secs(1);

/// How long a program waits before it repeats a request that was refused because of a limit.
const RETRY_FULL: Duration = Duration::from_secs(5);

/// The body of a refusal.
#[derive(Serialize)]
struct Fault<'a> {
    code: &'a str,
    msg: &'a str,
}

/// Returns an answer of this object, and a newline, because many people read it in a terminal. Caches do not store it.
/// Also returns the length of the body.
pub(super) fn json(status: StatusCode, object: &impl Serialize) -> (Response<Body>, usize) {
    let json = serde_json::to_vec(object);
    debug_assert!(json.is_ok(), "our own types can be written");
    let mut json = json.unwrap_or_default();
    json.push(b'\n');
    let bytes = json.len();
    (typed(status, "application/json", full(json)), bytes)
}

/// Returns an answer of this content, which is not stored by caches.
pub(super) fn typed(status: StatusCode, content: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Returns a body of these bytes.
pub(super) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed()
}

/// Returns the answer to a request that is refused.
pub(crate) fn refused(refusal: &Refusal) -> Response<Body> {
    let fault = Fault {
        code: refusal.code.as_str(),
        msg: &message(refusal),
    };
    let (mut response, _) = json(status(refusal.code), &fault);
    if let Some(wait) = retry_after(refusal) {
        let seconds = HeaderValue::from(wait.as_secs().max(1));
        response.headers_mut().insert(RETRY_AFTER, seconds);
    }
    response
}

/// Returns the answer to a request with a method that its target does not have.
pub(super) fn method_not_allowed(allow: &'static str) -> Response<Body> {
    let fault = Fault {
        code: "method_not_allowed",
        msg: &format!("this target has only {allow}"),
    };
    let (mut response, _) = json(StatusCode::METHOD_NOT_ALLOWED, &fault);
    let allow = HeaderValue::from_static(allow);
    response.headers_mut().insert(ALLOW, allow);
    response
}

/// Returns the answer to a request for the methods of a target.
pub(super) fn options(allow: &'static str) -> Response<Body> {
    let mut response = Response::new(full(""));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let allow = HeaderValue::from_static(allow);
    response.headers_mut().insert(ALLOW, allow);
    response
}

/// Returns the status of a refusal.
pub(super) const fn status(code: Code) -> StatusCode {
    match code {
        Code::BadRequest | Code::UnknownCmd | Code::BadName => StatusCode::BAD_REQUEST,
        Code::Denied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::NickTaken => StatusCode::CONFLICT,
        Code::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
        Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Code::Full | Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn retry_after(refusal: &Refusal) -> Option<Duration> {
    refusal.retry_after.or(match refusal.code {
        Code::Unavailable | Code::RateLimited => Some(RETRY_UNAVAILABLE),
        Code::Full => Some(RETRY_FULL),
        _ => None,
    })
}

/// Returns the text of a refusal: what was wrong, and which request may help.
fn message(refusal: &Refusal) -> Cow<'_, str> {
    match refusal.hint {
        Some(Hint::ListRooms | Hint::JoinListed) => {
            format!("{} (GET /rooms lists them)", refusal.message).into()
        }
        _ => refusal.message.as_str().into(),
    }
}
