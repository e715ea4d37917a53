//! What a room sends to all its members, and how a dialect writes it.

use crate::event::presence::Presence;
use crate::log::{Batch, Gap};
use crate::name::RoomName;
use std::ops::Range;

/// What a room sends to all its members: one item of its broadcast, borrowed.
///
/// A later version may have other items: an encoder writes nothing for one that it does not know.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Broadcast<'a> {
    /// Some of a batch's messages.
    Messages(&'a Batch, Range<usize>),
    /// Who is in the room changed.
    Presence(&'a Presence),
    /// How many members there are, in a room that has too many to announce each.
    Count(&'a RoomName, usize),
    /// Messages that the member missed and is not given.
    Missed(&'a RoomName, Missed),
}

/// Messages that a member missed and is not given, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Missed {
    /// The log no longer holds them.
    Expired(Gap),
    /// There are more than the member asked for.
    BeyondLimit(Gap),
    /// The log can't be read now. `None` if the range is unknown.
    Unreadable(Option<Gap>),
    /// The log that they were in is gone, or was restored: the range is unknown.
    OtherEpoch,
}

impl Missed {
    /// Which messages they are; `None` if that is not known.
    #[must_use]
    pub const fn gap(&self) -> Option<Gap> {
        match self {
            Self::Expired(gap) | Self::BeyondLimit(gap) => Some(*gap),
            Self::Unreadable(gap) => *gap,
            Self::OtherEpoch => None,
        }
    }
}

/// How one dialect writes what a room sends.
///
/// A room makes each encoding at most once for all members that share an encoder, so it must depend on nothing but the
/// item. Encoders are told apart by the address of their `Arc`: share one, don't make one for each connection.
pub trait Encoder: Send + Sync + 'static {
    /// Appends the item's bytes; nothing if this encoder doesn't show it.
    fn encode(&self, item: &Broadcast<'_>, moment: Moment, out: &mut bytes::BytesMut);
}

/// Whether an item is shown as it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// It has just happened, or since the member came: lag is repaired as if nothing had been.
    Live,
    /// It happened before the member came, or it asked to see it again.
    Replay,
}
