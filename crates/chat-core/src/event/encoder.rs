//! The items that a room sends to all its members, and the trait with which a dialect writes them.

use crate::event::presence::Presence;
use crate::log::{Batch, Gap};
use crate::name::RoomName;
use std::ops::Range;

/// One item that a room sends to all its members, borrowed.
///
/// A later version may add items. An encoder writes nothing for an item that it does not know.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Broadcast<'a> {
    /// Some of the messages of a batch.
    Messages(&'a Batch, Range<usize>),
    /// The members of the room changed.
    Presence(&'a Presence),
    /// The number of members, in a room that has too many members to announce each change.
    Count(&'a RoomName, usize),
    /// Messages that the member missed and does not receive.
    Missed(&'a RoomName, Missed),
}

/// Messages that a member missed and does not receive, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Missed {
    /// The log no longer holds them.
    Expired(Gap),
    /// There are more messages than the member asked for.
    BeyondLimit(Gap),
    /// The log can't be read now. `None` if the range is unknown: also if a log that other hubs append to can't be
    /// followed now. Then its messages follow when that is possible again.
    Unreadable(Option<Gap>),
    /// The log that held them is gone or was restored. The range is unknown.
    OtherEpoch,
}

impl Missed {
    /// Returns the range of the missed messages; `None` if it is unknown.
    #[must_use]
    pub const fn gap(&self) -> Option<Gap> {
        match self {
            Self::Expired(gap) | Self::BeyondLimit(gap) => Some(*gap),
            Self::Unreadable(gap) => *gap,
            Self::OtherEpoch => None,
        }
    }
}

/// Writes a room's items in one dialect.
///
/// A room makes each encoding at most once for all members that share an encoder, so the encoding must depend on
/// nothing but the item. Rooms distinguish encoders by the address of their `Arc`, so connections should share one
/// encoder instead of creating one each.
pub trait Encoder: Send + Sync + 'static {
    /// Appends the item's bytes, or nothing if this encoder doesn't show the item.
    fn encode(&self, item: &Broadcast<'_>, moment: Moment, out: &mut bytes::BytesMut);
}

/// Whether an item is shown as it happens or later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The item has just happened, or happened after the member joined. A lagging member that catches up gets its items
    /// as live, too.
    Live,
    /// The item happened before the member joined, or the member asked to see it again.
    Replay,
}
