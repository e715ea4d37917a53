//! Accepts connections from listeners and drives them.

mod drive;
pub mod listener;
mod serve;

pub use serve::{Server, serve, serve_connection};
