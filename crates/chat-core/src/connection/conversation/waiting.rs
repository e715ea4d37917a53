//! Messages that wait to be published together.
//!
//! Invariant: all waiting messages are from one session and for one room, and fit into one batch.

use crate::hub::{IfMissing, Visit};
use crate::log::{Claim, Drafts, Kind};
use std::borrow::Cow;

/// Messages that wait to be published together, and their target.
pub(in crate::connection) struct Waiting {
    pub(in crate::connection) target: Target,
    pub(in crate::connection) drafts: Drafts,
    /// The reservations of the keys: one for each message that has a key.
    pub(in crate::connection) claims: Vec<Claim>,
}

/// Where messages are published.
pub(in crate::connection) enum Target {
    /// In a room that the session is in. The value is the index of the session's member in that room.
    Member(usize),
    /// In a room that the session is not in.
    Outside(Visit),
}

/// A message of the peer that is not among the waiting messages yet.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::connection) struct Draft<'a> {
    pub(in crate::connection) kind: Kind,
    pub(in crate::connection) place: Place<'a>,
    pub(in crate::connection) text: Cow<'a, str>,
    pub(in crate::connection) key: Option<Cow<'a, str>>,
}

/// Where a message is to be published.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::connection) enum Place<'a> {
    /// In a room that the session must be in; `None` is the room that the session joined last.
    Joined(Option<Cow<'a, str>>),
    /// In the room with this name, whether or not the session is in the room.
    Any {
        room: Cow<'a, str>,
        if_missing: IfMissing,
    },
}

impl Waiting {
    /// Returns whether the message `text` can be added: the target is the same, and the batch stays within
    /// `batch_bytes` bytes.
    pub(super) fn has_space_for(&self, target: &Target, text: &str, batch_bytes: usize) -> bool {
        self.target.is(target) && self.drafts.bytes() + text.len() <= batch_bytes
    }
}

impl Target {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Member(one), Self::Member(other)) => one == other,
            (one, Self::Outside(other)) => one.is_outside(&other.key),
            _ => false,
        }
    }

    /// Returns whether the target is the room with the folded name `key`, and the session is not in that room.
    pub(in crate::connection) fn is_outside(&self, key: &str) -> bool {
        matches!(self, Self::Outside(visit) if *visit.key == *key)
    }
}
