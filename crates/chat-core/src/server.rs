//! From listeners to connections.

mod drive;
pub mod listener;
mod serve;

pub use serve::{Server, serve, serve_connection};
