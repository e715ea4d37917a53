//! The handshake of WebSocket, the server's side (RFC 6455, section 4.2).
//!
//! Invariant: a request is accepted only if it asks for version 13 of WebSocket exactly as the RFC requires. The bytes
//! after any other request are never read as chat.

use crate::ws::dialect::{FrameEncoder, InFrames};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chat_core::protocol::Dialect;
use chat_json::JsonLines;
use http::header::{
    ALLOW, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use sha1::{Digest, Sha1};
use std::fmt;
use std::io;
use std::sync::Arc;

type Body = BoxBody<Bytes, io::Error>;

/// Accepts WebSocket connections. Their dialects share one encoder.
#[derive(Clone)]
pub(crate) struct WebSockets {
    json: JsonLines,
    encoder: Arc<FrameEncoder>,
}

/// A handshake that was accepted.
pub(crate) struct Accepted {
    /// The response to send: status 101. After this response, the connection speaks `dialect`.
    pub(crate) response: Response<Body>,
    /// The dialect that the connection speaks, with the framing of WebSocket.
    pub(crate) dialect: Box<dyn Dialect>,
}

/// The subprotocol of JSON: one object of `chat/1` in each text frame.
const CHAT_V1: &str = "chat.v1";

/// The version of the protocol that RFC 6455 defines.
const VERSION: HeaderValue = HeaderValue::from_static("13");

/// The value that is hashed together with the client's key (RFC 6455, section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The length of a client's key in bytes, before it is encoded.
const KEY_BYTES: usize = 16;

impl WebSockets {
    /// Accepts connections that speak this dialect.
    pub(crate) fn new(json: JsonLines) -> Self {
        let encoder = Arc::new(FrameEncoder::new(json.dialect().encoder()));
        Self { json, encoder }
    }

    /// Checks a request for a WebSocket. Does not check whether pages of the request's origin may open a WebSocket.
    ///
    /// # Errors
    ///
    /// Returns the response to a request that is refused: 405 if the method is not GET, 426 if the request does not ask
    /// for WebSocket or asks for another version, and 400 if the request is invalid.
    pub(crate) fn accept<T>(&self, request: &Request<T>) -> Result<Accepted, Box<Response<Body>>> {
        let key = key(request).map_err(|refusal| Box::new(refusal.response()))?;
        let mut response = Response::new(empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept_key(key));
        // If a client offers only other subprotocols, the response names no subprotocol, and the server speaks JSON.
        // The client may then close the connection.
        if items(request.headers(), &SEC_WEBSOCKET_PROTOCOL).any(|name| name == CHAT_V1) {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(CHAT_V1));
        }
        let dialect = InFrames::new(self.json.dialect(), Arc::clone(&self.encoder));
        Ok(Accepted {
            response,
            dialect: Box::new(dialect),
        })
    }
}

impl fmt::Debug for WebSockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSockets")
            .field("json", &self.json)
            .finish_non_exhaustive()
    }
}

/// Why a handshake is refused.
#[derive(Debug, Clone, Copy)]
enum Refusal {
    NotGet,
    /// The request does not ask for WebSocket in version 13.
    NotWebSocket,
    Invalid(&'static str),
}

impl Refusal {
    fn response(self) -> Response<Body> {
        let (status, text) = match self {
            Self::NotGet => (StatusCode::METHOD_NOT_ALLOWED, "use GET"),
            Self::NotWebSocket => (
                StatusCode::UPGRADE_REQUIRED,
                "this address speaks WebSocket, version 13",
            ),
            Self::Invalid(why) => (StatusCode::BAD_REQUEST, why),
        };
        let text = Bytes::from([text, "\n"].concat());
        let mut response = Response::new(Full::new(text).map_err(|never| match never {}).boxed());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        match self {
            Self::NotGet => {
                headers.insert(ALLOW, HeaderValue::from_static("GET"));
            }
            Self::NotWebSocket => {
                headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                // RFC 9110, section 7.8: `Upgrade` is sent together with this option of `Connection`.
                headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
                headers.insert(SEC_WEBSOCKET_VERSION, VERSION);
            }
            Self::Invalid(_) => {}
        }
        response
    }
}

/// Checks that a request opens a WebSocket, and returns the key that the client has sent.
fn key<T>(request: &Request<T>) -> Result<&HeaderValue, Refusal> {
    let headers = request.headers();
    if request.method() != Method::GET {
        return Err(Refusal::NotGet);
    }
    let asks = |name, word: &str| items(headers, name).any(|item| item.eq_ignore_ascii_case(word));
    if !asks(&UPGRADE, "websocket") {
        return Err(Refusal::NotWebSocket);
    }
    if request.version() != Version::HTTP_11 {
        return Err(Refusal::Invalid("WebSocket needs HTTP/1.1"));
    }
    if !asks(&CONNECTION, "upgrade") {
        return Err(Refusal::Invalid(
            "the header Connection: Upgrade is missing",
        ));
    }
    if single(headers, &SEC_WEBSOCKET_VERSION) != Some(&VERSION) {
        return Err(Refusal::NotWebSocket);
    }
    let key = single(headers, &SEC_WEBSOCKET_KEY);
    let key = key.filter(|key| {
        let decoded = STANDARD.decode(key);
        decoded.is_ok_and(|decoded| decoded.len() == KEY_BYTES)
    });
    key.ok_or(Refusal::Invalid(
        "the header Sec-WebSocket-Key must be 16 bytes in base64",
    ))
}

/// Returns the proof that the server has read the client's key.
fn accept_key(key: &HeaderValue) -> HeaderValue {
    let digest = Sha1::new_with_prefix(key).chain_update(GUID).finalize();
    HeaderValue::try_from(STANDARD.encode(digest)).expect("base64 is ASCII")
}

/// Returns a header that must be sent exactly once. Returns `None` if the header is missing or repeated.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Returns the items of a header whose value is a list with commas. The header may be sent several times.
fn items<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter();
    let values = values.filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    /// The headers of the example in RFC 6455, section 1.3.
    const VALID: [(&str, &str); 5] = [
        ("host", "server.example.com"),
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-key", KEY),
        ("sec-websocket-version", "13"),
    ];

    fn request<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Request<()> {
        let mut request = Request::new(());
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
        request
    }

    /// Returns the valid headers with another value for one header. If the value is empty, leaves the header out.
    fn changed(name: &'static str, value: &'static str) -> Vec<(&'static str, &'static str)> {
        let headers = VALID.into_iter().filter(|(other, _)| *other != name);
        let changed = Some((name, value)).filter(|_| !value.is_empty());
        headers.chain(changed).collect()
    }

    fn answer(request: &Request<()>) -> Response<Body> {
        match WebSockets::new(JsonLines::default()).accept(request) {
            Ok(accepted) => accepted.response,
            Err(response) => *response,
        }
    }

    #[test]
    fn the_example_of_the_rfc_is_accepted() {
        let response = answer(&request(VALID));
        assert_eq!(response.status(), 101);
        let headers = response.headers();
        assert_eq!(headers["upgrade"], "websocket");
        assert_eq!(headers["connection"], "Upgrade");
        assert_eq!(
            headers["sec-websocket-accept"],
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        assert!(!headers.contains_key("sec-websocket-protocol"));
        assert!(!headers.contains_key("sec-websocket-extensions"));
    }

    #[test]
    fn valid_spellings_are_accepted() {
        for (name, value) in [
            ("upgrade", "WebSocket"),
            ("upgrade", "h2c, websocket"),
            ("connection", "keep-alive, Upgrade"),
            ("connection", "upgrade"),
            ("sec-websocket-extensions", "permessage-deflate"),
        ] {
            let response = answer(&request(changed(name, value)));
            assert_eq!(response.status(), 101, "{name}: {value}");
        }
    }

    #[test]
    fn an_invalid_handshake_is_refused() {
        for (name, value, status) in [
            ("upgrade", "", 426),
            ("upgrade", "h2c", 426),
            ("connection", "", 400),
            ("connection", "close", 400),
            ("sec-websocket-version", "", 426),
            ("sec-websocket-version", "8", 426),
            ("sec-websocket-version", "013", 426),
            ("sec-websocket-version", "13, 8", 426),
            ("sec-websocket-key", "", 400),
            ("sec-websocket-key", "c2hvcnQ=", 400),
            ("sec-websocket-key", "not base64 at all!", 400),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ", 400),
            (
                "sec-websocket-key",
                "dGhlIHNhbXBsZSBub25jZSBhbmQgbW9yZQ==",
                400,
            ),
        ] {
            let response = answer(&request(changed(name, value)));
            assert_eq!(response.status(), status, "{name}: {value}");
            if status == 426 {
                assert_eq!(response.headers()["sec-websocket-version"], "13");
                assert_eq!(response.headers()["upgrade"], "websocket");
            }
        }
    }

    #[test]
    fn repeated_headers_another_method_and_another_version_of_http_are_refused() {
        for repeated in ["sec-websocket-key", "sec-websocket-version"] {
            let again = VALID.into_iter().filter(|(name, _)| *name == repeated);
            let response = answer(&request(VALID.into_iter().chain(again)));
            assert!(response.status().is_client_error(), "{repeated}");
        }
        let mut post = request(VALID);
        *post.method_mut() = Method::POST;
        assert_eq!(answer(&post).status(), 405);
        let mut old = request(VALID);
        *old.version_mut() = Version::HTTP_10;
        assert_eq!(answer(&old).status(), 400);
    }

    #[test]
    fn the_subprotocol_is_chosen_from_those_that_the_client_offers() {
        for (offers, chosen) in [
            (&["chat.v1"][..], Some("chat.v1")),
            (&["superchat, chat.v1"], Some("chat.v1")),
            (&["superchat", "chat.v1"], Some("chat.v1")),
            (&["superchat"], None),
            (&["CHAT.V1"], None),
            (&[], None),
        ] {
            let offers_header = offers
                .iter()
                .map(|offer| ("sec-websocket-protocol", *offer));
            let response = answer(&request(VALID.into_iter().chain(offers_header)));
            assert_eq!(response.status(), 101, "{offers:?}");
            let protocol = response.headers().get("sec-websocket-protocol");
            let protocol = protocol.map(|protocol| protocol.to_str().unwrap());
            assert_eq!(protocol, chosen, "{offers:?}");
        }
    }
}
