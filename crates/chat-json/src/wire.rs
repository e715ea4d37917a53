//! The lines that clients and servers send: one JSON object on each line, in UTF-8.
//!
//! Invariant: both sides ignore fields and events that they do not know. So later versions can add fields and events.

mod event;
mod reply;
mod request;

pub use event::{Entry, Event, Why};
pub use reply::{
    Affected, Allowed, Awayness, Empty, Fault, Histories, Hole, Incoming, Listed, MaskEntry, Modes,
    Named, Place, Present, Profile, Published, Refused, Reply, RoomsList, Sent, Topic, Welcome,
    Whois,
};
pub use request::{Id, JoinRoom, Position, Request};

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

/// The version of the protocol that this crate speaks.
pub const VERSION: u32 = 1;

/// The default maximum length in bytes of a line that a client sends, without its terminator.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// The maximum length in bytes of a line that a server sends. The longest line is the reply to a `hello` that joins 64
/// rooms. Each room has the longest topic, and 100 members with the longest nicks.
pub const REPLY_BYTES_MAX: usize = 2 * 1024 * 1024;

/// A string in a parsed line. The string borrows from the line unless the JSON string has escapes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
