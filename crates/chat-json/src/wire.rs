//! The wire format: one JSON object a line, in UTF-8.
//!
//! Invariant: both sides ignore unknown fields and events, so the protocol can grow.

mod event;
mod reply;
mod request;

pub use event::{Entry, Event, Why};
pub use reply::{
    Allowed, Empty, Fault, Histories, Hole, Incoming, Listed, Named, Place, Present, Published,
    Reply, RoomsList, Sent, Topic, Welcome,
};
pub use request::{Id, JoinRoom, Position, Request};

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

/// The version of the protocol.
pub const VERSION: u32 = 1;

/// The longest line that a client may send, in bytes, without its terminator.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// The longest line that the server sends, in bytes: the welcome to 64 rooms, each with 100 members with the longest
/// nicks and the longest topic.
pub const REPLY_BYTES_MAX: usize = 2 * 1024 * 1024;

/// A text that is borrowed from its input line where possible.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

impl Text<'_> {
    /// Converts the text to an owned string.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0.into_owned()
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}
