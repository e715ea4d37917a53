//! WebSocket: the handshake, the framing, and a dialect in frames.

use crate::http::{Body, Form, Refusal};
use chat_core::protocol::Dialect;
use chat_json::JsonLines;
use http::{Request, Response, StatusCode};

/// Accepts WebSocket connections.
#[derive(Debug, Clone)]
pub(crate) struct WebSockets {
    _json: JsonLines,
}

/// A handshake that was accepted.
pub(crate) struct Accepted {
    /// The response to send: status 101.
    pub(crate) response: Response<Body>,
    /// The dialect that continues on the stream after the response.
    pub(crate) dialect: Box<dyn Dialect>,
}

impl WebSockets {
    pub(crate) const fn new(json: JsonLines) -> Self {
        Self { _json: json }
    }

    /// Checks a request that asks for a WebSocket.
    ///
    /// # Errors
    ///
    /// Returns the response to a request that is refused.
    #[expect(clippy::unused_self, reason = "the stub has no dialect")]
    pub(crate) fn accept<T>(&self, _request: &Request<T>) -> Result<Accepted, Box<Response<Body>>> {
        let message = "WebSocket is not built yet";
        let refusal = Refusal::new(StatusCode::NOT_IMPLEMENTED, "unavailable", message);
        Err(Box::new(refusal.into_response(Form::Text)))
    }
}
