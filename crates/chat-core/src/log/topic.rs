//! A room's topic.

use crate::log::batch::Batch;
use crate::log::kind::Kind;
use crate::log::position::Timestamp;
use crate::name::Nick;
use std::sync::Arc;

/// A room's topic, and who set the topic. The default is no topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Topic {
    /// The text; empty if the room has no topic.
    pub text: Arc<str>,
    /// Who set or removed the topic last, and when. `None` if no topic was ever set, or if the topic was stored by an
    /// earlier version of the journal that did not store who set it.
    pub set: Option<TopicSet>,
}

/// Who set a topic, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSet {
    /// The nick that the author had when it set the topic.
    pub by: Nick,
    /// The time at which the hub accepted the topic.
    pub at: Timestamp,
}

impl Topic {
    /// Creates a topic that an author with this nick set at this time.
    #[must_use]
    pub fn new(text: impl Into<Arc<str>>, by: Nick, at: Timestamp) -> Self {
        Self {
            text: text.into(),
            set: Some(TopicSet { by, at }),
        }
    }
}

/// A topic of which only the text is known.
impl From<&str> for Topic {
    fn from(text: &str) -> Self {
        Self {
            text: text.into(),
            set: None,
        }
    }
}

impl Batch {
    /// Returns the topic that the batch's last message of [`Kind::Topic`] sets; `None` if the batch has no such
    /// message. Once the batch is in the log, this topic is the room's topic.
    #[must_use]
    pub fn topic(&self) -> Option<Topic> {
        let last = self
            .entries
            .iter()
            .rposition(|entry| entry.kind == Kind::Topic)?;
        let text = &self.text[self.start(last)..self.entries[last].end];
        Some(Topic::new(text, self.from().clone(), self.at()))
    }
}
