//! From listeners to connections.

pub mod listener;
mod serve;

pub use serve::{Server, serve, serve_connection};
