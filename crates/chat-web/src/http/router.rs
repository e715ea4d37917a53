//! Checks a request, and passes it to the part that answers it.

use super::answer::{Form, Refusal};
use super::body::{read_body, too_long};
use super::connection::wait_until;
use super::pace::Cost;
use super::safety::{self, Effect};
use super::state::State;
use super::{Body, Context, full};
use crate::api;
use bytes::Bytes;
use chat_core::AddressMeter;
use http::header::{
    ALLOW, CONNECTION, EXPECT, HeaderMap, HeaderValue, TRANSFER_ENCODING, USER_AGENT,
};
use http::{Method, Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};

/// The methods that this server knows. Another one is answered with 501.
const KNOWN: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::OPTIONS,
    Method::PUT,
    Method::DELETE,
    Method::PATCH,
    Method::TRACE,
    Method::CONNECT,
];

/// The target that opens a WebSocket.
const WEB_SOCKET: &str = "/ws";

/// The methods of the page's files.
pub(crate) const READS: &str = "GET, HEAD, OPTIONS";

/// What the address pays for a request for a file, in bytes of an answer, besides the file itself: an eighth of a line,
/// as the connection pays.
const FILE_BYTES: usize = 1024;

/// Answers a request. An error becomes an answer, too.
pub(super) async fn answer(
    context: &Context,
    state: &State,
    request: Request<Incoming>,
) -> Response<Body> {
    let form = if is_api(request.uri().path()) {
        Form::Json
    } else {
        Form::Text
    };
    let has_body = !request.body().is_end_stream();
    let reads_body = reads_body(&request);
    let answer = route(context, state, request).await;
    let is_body_left = has_body && (answer.is_err() || !reads_body);
    let mut response = answer.unwrap_or_else(|refusal| refusal.into_response(form));
    if is_body_left {
        // hyper would read the next head as soon as the body has arrived, even if the peer has not taken this answer.
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    safety::protect(response.headers_mut());
    response
}

/// Returns whether the answer to a request depends on its body. The bodies of other requests have no meaning.
fn reads_body(request: &Request<Incoming>) -> bool {
    request.method() == Method::POST && is_api(request.uri().path())
}

async fn route(
    context: &Context,
    state: &State,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    check_head(context, &request)?;
    let effect = Effect::of(request.method(), request.headers());
    let path = request.uri().path();
    // A stream of events opens a room, so a page of another site may not ask for it.
    let effect = if path == WEB_SOCKET || api::opens_room(path) {
        Effect::Acts
    } else {
        effect
    };
    let host = safety::check(
        effect,
        request.version(),
        request.uri(),
        request.headers(),
        &context.site.hosts,
    )?;
    if path == WEB_SOCKET {
        return open_websocket(context, state, &request);
    }
    if is_api(path) {
        return answer_api(context, state, request).await;
    }
    if path == "*" && request.method() == Method::OPTIONS {
        return Ok(options("GET, HEAD, POST, OPTIONS"));
    }
    let page = &context.site.page;
    let mut file = page.answer(request.method(), path, request.headers()).await;
    if let (Ok(file), Some(host)) = (&mut file, &host) {
        safety::name_web_sockets(file.headers_mut(), host);
    }
    let answer = charged(state.meter(), request.method(), file)?;
    let is_refused = answer.status() == StatusCode::TOO_MANY_REQUESTS;
    if !is_refused && request.method() == Method::GET && is_from_browser(request.headers()) {
        context.hub.expect_spare_connections(&context.peer);
    }
    Ok(answer)
}

/// Returns whether the peer is a browser, which opens spare connections. If a proxy has sent the request, the peer is
/// that proxy.
///
/// The `User-Agent` of every browser begins with `Mozilla/`, and that of most programs does not. `Sec-Fetch-Site` would
/// tell more, but a browser does not send it over plain HTTP to an address that is not loopback.
fn is_from_browser(headers: &HeaderMap) -> bool {
    let agent = headers.get(USER_AGENT).map(HeaderValue::as_bytes);
    let is_forwarded = ["forwarded", "via", "x-forwarded-for"]
        .iter()
        .any(|name| headers.contains_key(*name));
    agent.is_some_and(|agent| agent.starts_with(b"Mozilla/")) && !is_forwarded
}

/// Answers a request for programs. The peer is asked for its body only if it may send it.
async fn answer_api(
    context: &Context,
    state: &State,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let (head, body) = request.into_parts();
    let guest = match api::admit(context, &head).await {
        Ok(guest) => guest,
        Err(mut refused) => {
            if !body.is_end_stream() {
                let close = HeaderValue::from_static("close");
                refused.headers_mut().insert(CONNECTION, close);
            }
            return Ok(refused);
        }
    };
    let body = if head.method == Method::POST {
        state.begin_body();
        let body = read_body(&context.limits, state, body).await;
        let paid_at = state.end_body();
        let body = body?;
        if let Some(paid_at) = paid_at {
            wait_until(paid_at).await;
        }
        body
    } else {
        Bytes::new()
    };
    Ok(api::answer(guest, &Request::from_parts(head, body)).await)
}

/// Charges the peer's address for a file of the page. A file that the peer has already costs nothing.
fn charged(
    meter: &AddressMeter,
    method: &Method,
    file: Result<Response<Body>, Refusal>,
) -> Result<Response<Body>, Refusal> {
    let bytes = match &file {
        Ok(known) if known.status() == StatusCode::NOT_MODIFIED => return file,
        Ok(file) if *method == Method::GET => file.body().size_hint().lower(),
        Ok(_) | Err(_) => 0,
    };
    if let Err(refusal) = meter.may_ask() {
        return Ok(api::refused(&refusal));
    }
    meter.charge_answer(FILE_BYTES + usize::try_from(bytes).unwrap_or(usize::MAX / 2));
    file
}

/// Checks what hyper leaves to its caller: that the server knows the method, understands the body and can meet the
/// expectation.
fn check_head(context: &Context, request: &Request<Incoming>) -> Result<(), Refusal> {
    if !KNOWN.contains(request.method()) {
        let status = StatusCode::NOT_IMPLEMENTED;
        return Err(Refusal::new(
            status,
            "unknown_method",
            "this server does not know the method",
        ));
    }
    let target = request.uri();
    let target_bytes = target
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    if target_bytes > context.limits.header_bytes.get() / 2 {
        let status = StatusCode::URI_TOO_LONG;
        return Err(Refusal::new(status, "too_long", "the target is too long"));
    }
    let mut encodings = request.headers().get_all(TRANSFER_ENCODING).iter();
    if encodings.any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        let status = StatusCode::NOT_IMPLEMENTED;
        let message = "this server knows only the transfer encoding chunked";
        return Err(Refusal::new(status, "unknown_encoding", message).closing());
    }
    let mut expectations = request.headers().get_all(EXPECT).iter();
    if expectations.any(|expects| !expects.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        let status = StatusCode::EXPECTATION_FAILED;
        let message = "this server meets only the expectation 100-continue";
        return Err(Refusal::new(status, "unknown_expectation", message).closing());
    }
    let length_max = context.limits.body_bytes.get();
    if request.body().size_hint().lower() > length_max as u64 {
        return Err(too_long(length_max));
    }
    Ok(())
}

/// Answers the opening of a WebSocket. The connection continues in the dialect of the WebSocket after the answer.
fn open_websocket(
    context: &Context,
    state: &State,
    request: &Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    if !request.body().is_end_stream() {
        return Err(Refusal::bad_request("a WebSocket is opened without a body"));
    }
    match context.site.web_sockets.accept(request) {
        Ok(accepted) => {
            state.continue_with(accepted.dialect);
            Ok(accepted.response)
        }
        Err(response) => Ok(*response),
    }
}

/// Answers OPTIONS with the methods of the target.
pub(crate) fn options(allow: &'static str) -> Response<Body> {
    let mut response = Response::new(full(""));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let allow = HeaderValue::from_static(allow);
    response.headers_mut().insert(ALLOW, allow);
    response
}

/// Returns what a request costs.
pub(super) fn cost(request: &Request<Incoming>) -> Cost {
    let path = request.uri().path();
    if is_api(path) || path == WEB_SOCKET {
        Cost::Request
    } else {
        Cost::File
    }
}

fn is_api(path: &str) -> bool {
    path == "/rooms" || path.starts_with("/rooms/")
}
