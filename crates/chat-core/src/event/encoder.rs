//! The items that a room sends to all its members, and the trait with which a dialect writes them.

use crate::event::presence::Presence;
use crate::log::{Batch, Gap};
use crate::name::RoomName;
use std::ops::Range;

/// One item that a room sends to all its members, borrowed.
///
/// A later version may add variants. An encoder writes nothing for a variant that it does not know.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Broadcast<'a> {
    /// The messages of the batch whose indexes are in the range. All messages of a batch have one author.
    Messages(&'a Batch, Range<usize>),
    /// A change of the room's members: a session joined, left, was removed or took another nick. Also reports that the
    /// room begins or ceases to announce such changes.
    Presence(&'a Presence),
    /// The number of members of the room. A room that has too many members to announce each change sends this item
    /// about once a second while members come and go.
    Count(&'a RoomName, usize),
    /// Messages of the room that the member does not receive, and why.
    Missed(&'a RoomName, Missed),
}

/// The messages of a room that a member does not receive, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Missed {
    /// The room's log no longer holds the messages of this range.
    Expired(Gap),
    /// The join request named a position, and more messages followed that position than the request's
    /// [limit](crate::JoinRequest::limit) allows. The messages of this range are left out, but the room's history holds
    /// them. If the [`Policy`](crate::Policy) does not let the peer read the history, all messages up to the join are
    /// left out.
    BeyondLimit(Gap),
    /// The log can't be read now. The member does not receive the messages of this range. `None` if the range is
    /// unknown.
    ///
    /// `None` is also reported if other hubs append to the log and the room can't follow the log now. The member then
    /// receives the messages once the room follows the log again.
    Unreadable(Option<Gap>),
    /// The log was lost or restored, and now has another [`Epoch`](crate::log::Epoch). The number of missing messages
    /// is unknown. The messages of the new epoch follow.
    ///
    /// A position that the program has stored for this room is invalid now. The program reads the new epoch from
    /// [`RoomInfo::position`](crate::rooms::RoomInfo::position) and stores it with the position of the next message
    /// that it sees. A join request with a position after the end of the log also has this result.
    OtherEpoch,
}

impl Missed {
    /// Returns the range of positions whose messages are missing; `None` if the range is unknown.
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
/// A room encodes each item at most once for all members that share an encoder. The bytes must therefore depend on the
/// arguments of [`encode`](Self::encode) alone, not on the member. Rooms distinguish encoders by the address of their
/// `Arc`, so connections should share one encoder instead of creating one each.
pub trait Encoder: Send + Sync + 'static {
    /// Appends the item's bytes to `out`, or nothing if this encoder doesn't show the item.
    fn encode(&self, item: &Broadcast<'_>, moment: Moment, out: &mut bytes::BytesMut);
}

/// Whether an item is new to the member, or part of the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The item happened after the member joined. This includes the items that a lagging member receives late.
    Live,
    /// The item happened before the member joined, or the member asked for it with a command such as `/history`.
    Replay,
}
