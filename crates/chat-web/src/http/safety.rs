//! Protects the members against the pages of other sites.
//!
//! Invariant: a browser acts in the name of its user only for pages of this server. A page of another site can't
//! publish, can't open a WebSocket, and can't make its own name stand for this server (DNS rebinding).

use super::answer::Refusal;
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use http::uri::Authority;
use http::{Method, StatusCode, Uri, Version, header};
use std::net::IpAddr;

/// Allows the page's own files and connections, and no inline script, so that a text of a member that becomes a part of
/// the page by mistake is not executed.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; \
    media-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

/// The headers of every answer.
pub(crate) const HEADERS: [(&str, &str); 5] = [
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a request only reads, so that pages of other sites may send it. They can't read the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Reads,
    Acts,
}

impl Effect {
    /// A request with one of the methods that only read, unless it opens a WebSocket.
    pub(crate) fn of(method: &Method, headers: &HeaderMap) -> Self {
        let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(method);
        if reads && !headers.contains_key(header::UPGRADE) {
            Self::Reads
        } else {
            Self::Acts
        }
    }
}

/// Adds the headers of every answer, except those that the answer has already.
pub(crate) fn protect(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        let name = HeaderName::from_static(name);
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
}

/// Allows the WebSockets of this server in the policy of a page. In browsers before Safari 15.4, `'self'` does not
/// include them.
///
/// `host` has passed [`check`], so it is no name of another site.
pub(crate) fn name_web_sockets(headers: &mut HeaderMap, host: &Authority) {
    let name = host.host();
    // The policy has no form for an IPv6 address, and its directives end with a semicolon.
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
    if !name.bytes().all(is_name) {
        return;
    }
    let port = host.port_u16().map(|port| format!(":{port}"));
    let port = port.unwrap_or_default();
    let own = format!("connect-src 'self' ws://{name}{port} wss://{name}{port};");
    let policy = POLICY.replace("connect-src 'self';", &own);
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
}

/// Checks that the request names this server, and that it does not come from a page of another site. Returns
/// the name; `None` if the request is of HTTP/1.0 and names no server.
///
/// # Errors
///
/// Returns the refusal if it does not.
pub(crate) fn check(
    effect: Effect,
    version: Version,
    uri: &Uri,
    headers: &HeaderMap,
    hosts: &[String],
) -> Result<Option<Authority>, Refusal> {
    let host = host(version, headers)?;
    for named in uri.authority().into_iter().chain(&host) {
        if !is_allowed(named.host(), hosts) {
            return Err(misdirected(named.host()));
        }
    }
    if effect == Effect::Acts && !is_same_site(headers, host.as_ref()) {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "denied",
            "this request comes from a page of another site",
        )
        .closing());
    }
    Ok(host)
}

/// Returns what the request names as its server. `None` if it is of HTTP/1.0, which needs no `Host`.
fn host(version: Version, headers: &HeaderMap) -> Result<Option<Authority>, Refusal> {
    let mut named = headers.get_all(HOST).iter();
    let host = match (named.next(), named.next()) {
        (None, _) if version < Version::HTTP_11 => return Ok(None),
        (None, _) => return Err(Refusal::bad_request("the request has no Host")),
        (Some(host), None) => host,
        (Some(_), Some(_)) => return Err(Refusal::bad_request("the request has several Hosts")),
    };
    match Authority::try_from(host.as_bytes()) {
        Ok(host) if !host.as_str().contains('@') => Ok(Some(host)),
        _ => Err(Refusal::bad_request("the Host is malformed")),
    }
}

/// Returns whether the server may be reached under this name. A page of another site can give its own name the address
/// of this server, but it can't do so with an address or with `localhost`.
fn is_allowed(name: &str, hosts: &[String]) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let address = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    address.unwrap_or(name).parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
}

fn misdirected(name: &str) -> Refusal {
    Refusal::new(
        StatusCode::MISDIRECTED_REQUEST,
        "denied",
        format!(
            "this server is not known as {name}; its operator can allow the name with chat-server --web-host {name}"
        ),
    )
    .closing()
}

/// Returns whether the request comes from a page of this server, from its user or from a program that is no browser.
fn is_same_site(headers: &HeaderMap, host: Option<&Authority>) -> bool {
    let mut sites = headers.get_all(FETCH_SITE).iter().peekable();
    if sites.peek().is_some() {
        return sites.all(|site| site == "same-origin" || site == "none");
    }
    let mut origins = headers.get_all(ORIGIN).iter();
    origins.all(|origin| host.is_some_and(|host| is_origin(origin, host)))
}

/// Returns whether the origin is this host, at the same port. The scheme may be either one: with a TLS proxy in front,
/// the origin is `https://` although this server speaks `http://`.
///
/// This is safe, because a page of another site can choose neither its host nor its port. A page of the other scheme at
/// this host and port is served by this server or by the proxy in front of it, since a port has one listener. A port
/// that is left out is that of the origin's scheme, so `http://host` and `https://host` are different ports.
fn is_origin(origin: &HeaderValue, host: &Authority) -> bool {
    let origin = origin.to_str().unwrap_or_default();
    let (authority, default_port) = if let Some(authority) = origin.strip_prefix("http://") {
        (authority, 80)
    } else if let Some(authority) = origin.strip_prefix("https://") {
        (authority, 443)
    } else {
        return false;
    };
    let Ok(origin) = authority.parse::<Authority>() else {
        return false;
    };
    let port = |authority: &Authority| authority.port_u16().unwrap_or(default_port);
    origin.host().eq_ignore_ascii_case(host.host()) && port(&origin) == port(host)
}

#[cfg(test)]
mod tests;
