//! A message to one session alone.

use crate::log::Timestamp;
use crate::name::Nick;
use std::sync::Arc;

/// A message to one session alone.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Direct {
    /// Who sent it.
    pub from: Nick,
    /// When the hub took it.
    pub at: Timestamp,
    /// Its text, without control characters.
    pub text: Arc<str>,
}

impl Direct {
    /// Creates a message, to test what a dialect makes of it. The text is taken as it is.
    #[must_use]
    pub const fn new(from: Nick, at: Timestamp, text: Arc<str>) -> Self {
        Self { from, at, text }
    }
}
