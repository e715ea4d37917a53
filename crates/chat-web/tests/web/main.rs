//! HTTP on the port of a chat server: bytes in, bytes out.

#![expect(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

mod addresses;
mod answers;
mod bad_input;
mod connections;
mod harness;
mod page;
mod safety;
mod spares;
