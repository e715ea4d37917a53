//! The limits of HTTP.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

/// The limits of HTTP, in addition to the [`Limits`](chat_core::Limits) of the hub. Start from [`WebLimits::default`]
/// and change fields. The description of each field has its default in parentheses.
///
/// The hub's limits apply, too:
///
/// - [`rate`](chat_core::Limits::rate) limits how fast a connection sends requests. A file of the web page costs an
///   eighth of a request.
/// - [`bytes_per_minute`](chat_core::Limits::bytes_per_minute) counts all bytes of requests.
/// - [`answers_per_address`](chat_core::Limits::answers_per_address) counts the bytes of answers and of the web page's
///   files. A file that the browser already has is free.
/// - [`stall_timeout`](chat_core::Limits::stall_timeout) closes a connection whose peer stops reading.
/// - [`connections`](chat_core::Limits::connections) and the limits per address count HTTP connections, too.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WebLimits {
    /// The maximum length of a request's head in bytes (16 KiB). The head is the request line and all header lines. A
    /// longer head is answered with 431, or with 414 if the target is longer than half of this limit.
    ///
    /// A connection buffers at most this many bytes of its input, and at most as many bytes of its output. A limit
    /// below 8 KiB has the effect of 8 KiB, except for the length of the target.
    pub header_bytes: NonZeroUsize,
    /// The most header lines of a request (100). A request with more header lines is answered with 431.
    pub headers: NonZeroUsize,
    /// The longest body of a request in bytes (64 KiB). A longer body is not read, and is answered with 413.
    pub body_bytes: NonZeroUsize,
    /// The most requests of one connection (1,000). The last answer says `Connection: close`.
    pub requests: NonZeroU32,
    /// The longest time from the first byte of a request to the end of its head (10 s). A peer that takes longer is
    /// answered with 408 and disconnected.
    pub header_timeout: Duration,
    /// The longest time in which the body of a request must arrive (30 s). A peer that takes longer is answered with
    /// 408 and disconnected.
    pub body_timeout: Duration,
    /// The longest time without a request, after which the connection is closed (60 s).
    pub idle_timeout: Duration,
}

impl Default for WebLimits {
    fn default() -> Self {
        Self {
            header_bytes: at_least_one(16 * 1024),
            headers: at_least_one(100),
            body_bytes: at_least_one(64 * 1024),
            requests: match NonZeroU32::new(1000) {
                Some(count) => count,
                None => NonZeroU32::MIN,
            },
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
        }
    }
}

const fn at_least_one(n: usize) -> NonZeroUsize {
    match NonZeroUsize::new(n) {
        Some(n) => n,
        None => NonZeroUsize::MIN,
    }
}
