//! A message to a single session.

use crate::log::Timestamp;
use crate::name::Nick;
use std::sync::Arc;

/// A message to a single session.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Direct {
    /// The sender's nick.
    pub from: Nick,
    /// The time at which the hub accepted the message.
    pub at: Timestamp,
    /// The text of the message, without control characters.
    pub text: Arc<str>,
}

impl Direct {
    /// Creates a direct message, for tests of a dialect. Control characters in `text` are not removed.
    #[must_use]
    pub const fn new(from: Nick, at: Timestamp, text: Arc<str>) -> Self {
        Self { from, at, text }
    }
}
