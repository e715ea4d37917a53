//! Rooms in the browser, on the port of the chat server: a page, WebSocket, and requests for `curl`.
//!
//! [`Web`] recognises HTTP by its request line and answers it with hyper, on the stream of the connection. Connections
//! that speak other protocols are not affected.
//!
//! Invariant: nothing of a request, neither its head nor its body, becomes a chat message, whatever the answer is.

#![deny(missing_docs)]

mod api;
mod http;
mod limits;
mod page;
mod web;
mod ws;

pub use limits::WebLimits;
pub use web::Web;

/// The example of this package's README is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
