//! Rooms in the browser, on the port of the chat server: a page, WebSocket, and requests for `curl`.

#![deny(missing_docs)]

mod api;
mod http;
mod page;
mod ws;
