//! Answers, and requests that are refused.

use super::{Body, safety};
use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde::Serialize;
use std::borrow::Cow;
use std::fmt::Write;

/// Why a request is not executed.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// A stable code for programs, such as `not_found`.
    pub(crate) code: &'static str,
    /// What was wrong, and what to do, for people.
    pub(crate) message: Cow<'static, str>,
    /// The methods that the target has, for 405.
    pub(crate) allow: Option<&'static str>,
    /// Whether no further request may follow on the connection.
    pub(crate) closes: bool,
}

/// Marks an answer, in its extensions, that has no end of its own. It ends when the peer ends its side of the
/// connection, when the policy no longer admits the peer, when the room is closed, or when the hub drains.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Endless;

/// The form of the body of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Json,
}

#[derive(Serialize)]
struct AsJson<'a> {
    code: &'a str,
    msg: &'a str,
}

impl Refusal {
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            allow: None,
            closes: false,
        }
    }

    /// Refuses a request whose meaning is not clear: where its body ends, for example.
    pub(crate) fn bad_request(message: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message).closing()
    }

    /// Refuses a request that hyper can't parse, with the status that hyper has chosen.
    pub(crate) fn unparsed(status: StatusCode) -> Self {
        let (code, message) = match status {
            StatusCode::URI_TOO_LONG => ("too_long", "the target is too long"),
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => (
                "too_long",
                "the head of the request is too long, or has too many lines",
            ),
            _ => ("bad_request", "the request is malformed"),
        };
        Self::new(status, code, message).closing()
    }

    /// Refuses a method that the target does not have.
    pub(crate) fn method(allow: &'static str) -> Self {
        Self {
            allow: Some(allow),
            ..Self::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                format!("this target has only {allow}"),
            )
        }
    }

    /// Closes the connection after this answer.
    pub(crate) fn closing(mut self) -> Self {
        self.closes = true;
        self
    }

    pub(crate) fn into_response(self, form: Form) -> Response<Body> {
        let mut response = match form {
            Form::Text => text(self.status, format!("{}\n", self.message)),
            Form::Json => {
                let json = AsJson {
                    code: self.code,
                    msg: &self.message,
                };
                // Two strings can always be written.
                let json = serde_json::to_vec(&json).unwrap_or_default();
                typed(self.status, "application/json", json)
            }
        };
        let headers = response.headers_mut();
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if self.closes {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// Returns the whole answer as bytes, for a connection on which no further answer follows.
    pub(crate) fn to_bytes(&self) -> Bytes {
        let reason = self.status.canonical_reason().unwrap_or_default();
        let mut answer = format!("HTTP/1.1 {} {reason}\r\n", self.status.as_str());
        for (name, value) in safety::HEADERS {
            // Writing to a `String` never fails.
            let _infallible = write!(answer, "{name}: {value}\r\n");
        }
        let _infallible = write!(
            answer,
            "content-type: text/plain; charset=utf-8\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{}\n",
            self.message.len() + 1,
            self.message,
        );
        answer.into()
    }
}

/// Returns a body of these bytes.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed()
}

/// Returns an answer in plain text.
pub(super) fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    typed(status, "text/plain; charset=utf-8", text)
}

fn typed(
    status: StatusCode,
    content_type: &'static str,
    bytes: impl Into<Bytes>,
) -> Response<Body> {
    let mut response = Response::new(full(bytes));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
