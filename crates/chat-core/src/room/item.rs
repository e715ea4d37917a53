//! The items of a room's broadcast, and the options with which a member over a connection receives items.
//!
//! Invariant: an item is encoded at most once for each encoder, however many tasks deliver it.

use crate::event::{Broadcast, Encoder, Missed, Moment, Presence};
use crate::log::{Batch, Epoch, Position, Seq, SessionId};
use crate::name::RoomName;
use crate::room::outbound::SharedChange;
use crate::sync::Mutex;
use bytes::{Bytes, BytesMut};
use std::fmt;
use std::sync::Arc;

/// One item of a room's broadcast. Everything that members receive is an item, and all members receive the items in one
/// order.
pub(crate) struct Item {
    /// The number of the item in its room. Numbers grow by one. If the log may hold messages that were not delivered,
    /// the room skips a number. Members notice the skipped number and read the log.
    pub(crate) number: u64,
    /// The [`Cursor`] of a member that has received this item.
    pub(crate) end: Cursor,
    /// The session that caused the item.
    pub(crate) author: SessionId,
    pub(crate) body: Body,
    /// The encodings of the item that were made so far, one for each encoder in use.
    encodings: Mutex<Vec<(Arc<dyn Encoder>, Bytes)>>,
}

pub(crate) enum Body {
    /// Messages of the author that are in the log.
    Messages(Arc<Batch>),
    /// A change of the room's members.
    Presence(Arc<Presence>),
    /// The number of members. Sent instead of each change of presence in a room with too many members.
    Count(RoomName, usize),
    /// The room is closed: the number of the closed room, and the reason. The item notifies members in process and
    /// followers. A member over a connection is notified by its connection, without this item.
    Missed(RoomName, Missed),
    /// The room is closed. The values are the number of the closed room, and the reason. The item notifies members in
    /// process. A connection notifies its peer in another way.
    Closed(u64, Arc<str>),
    /// Shows nothing to the peer. Makes each in-process member check whether its session is ending.
    Nudge,
}

impl Item {
    /// Creates the item that a member at `cursor` needs next. The item's `end` is the same cursor with the next number.
    pub(crate) const fn new(cursor: Cursor, author: SessionId, body: Body) -> Self {
        Self {
            number: cursor.next,
            end: Cursor {
                next: cursor.next + 1,
                ..cursor
            },
            author,
            body,
            encodings: Mutex::new(Vec::new()),
        }
    }

    /// Returns whether a session receives this item. A session receives its own messages only if it asked for them. A
    /// topic that the session set is an exception, because nothing on the peer's screen shows the topic yet. A session
    /// never receives its own changes of presence.
    pub(super) fn is_for(&self, session: SessionId, echo: Echo) -> bool {
        self.author != session
            || match (&self.body, echo) {
                (Body::Messages(_), Echo::Include) => true,
                (Body::Messages(batch), Echo::Exclude) => batch.is_state(),
                // With `Echo::Reply`, the connection writes a reply in place of each of the session's own messages.
                _ => false,
            }
    }

    /// Returns the change of a session that this item announces. Returns `None` if no other room announces the same
    /// change.
    pub(super) fn shared_change(&self) -> Option<SharedChange> {
        match &self.body {
            Body::Presence(presence) => Some((presence.session, presence.number?)),
            _ => None,
        }
    }

    /// Returns whether the item holds only presence: a change or a number of members.
    pub(super) const fn is_announcement(&self) -> bool {
        matches!(self.body, Body::Presence(_) | Body::Count(..))
    }

    /// Returns how many messages or changes of presence the item holds.
    pub(super) fn len(&self) -> usize {
        match &self.body {
            Body::Messages(batch) => batch.len(),
            Body::Presence(_) => 1,
            Body::Count(..) | Body::Missed(..) | Body::Closed(..) | Body::Nudge => 0,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match &self.body {
            Body::Messages(batch) => batch.bytes(),
            Body::Presence(_)
            | Body::Count(..)
            | Body::Missed(..)
            | Body::Closed(..)
            | Body::Nudge => 0,
        }
    }

    /// Returns the item in this encoder's format. The item is encoded at most once for each encoder, however many tasks
    /// deliver it.
    pub(super) fn encoded(&self, encoder: &Arc<dyn Encoder>) -> Bytes {
        let mut encodings = self.encodings.lock();
        if let Some((_, bytes)) = encodings
            .iter()
            .find(|(known, _)| Arc::ptr_eq(known, encoder))
        {
            return bytes.clone();
        }
        let mut out = BytesMut::with_capacity(self.bytes() + self.bytes() / 2 + 64);
        let item = match &self.body {
            Body::Messages(batch) => Broadcast::Messages(batch, 0..batch.len()),
            Body::Presence(presence) => Broadcast::Presence(presence),
            Body::Count(room, count) => Broadcast::Count(room, *count),
            Body::Missed(room, missed) => Broadcast::Missed(room, *missed),
            Body::Closed(..) | Body::Nudge => return Bytes::new(),
        };
        encoder.encode(&item, Moment::Live, &mut out);
        let bytes = out.freeze();
        encodings.push((Arc::clone(encoder), bytes.clone()));
        bytes
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Item")
            .field("number", &self.number)
            .field("tail", &self.end.seq)
            .finish_non_exhaustive()
    }
}

/// The messages of a session that the connection has answered before delivery reached them; see [`Echo::Reply`].
#[derive(Debug)]
pub(super) struct Answered {
    /// The connection has replied to all messages of the session up to this position.
    pub(super) through: Position,
    /// The batch to which the connection has replied last. The batch counts as answered whatever its epoch is.
    pub(super) last: Option<Arc<Batch>>,
}

impl Answered {
    pub(super) fn through(through: Position) -> Option<Box<Self>> {
        Some(Box::new(Self {
            through,
            last: None,
        }))
    }

    /// Returns whether the connection has already replied to `batch`, whose author is the session. `epoch` is the epoch
    /// in which the log holds the batch.
    pub(super) fn has(&self, batch: &Batch, epoch: Epoch) -> bool {
        let is_last = |last: &Arc<Batch>| last.last() == batch.last() && last.at() == batch.at();
        self.through.epoch == epoch && batch.last() <= self.through.seq
            || self.last.as_ref().is_some_and(is_last)
    }
}

/// How far a member has received its room's items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// The number of the item that the member needs next.
    pub(crate) next: u64,
    /// The end of the log when the previous item was sent.
    pub(crate) seq: Seq,
    /// The epoch of the log when the previous item was sent.
    pub(crate) epoch: Epoch,
    /// The number of changes of presence that the room had announced by the end of the previous item.
    pub(crate) presences: u64,
}

impl Cursor {
    pub(crate) const fn position(self) -> Position {
        Position {
            epoch: self.epoch,
            seq: self.seq,
        }
    }

    /// Returns the cursor before the first item of a room whose log ends at this position.
    pub(crate) const fn begin(epoch: Epoch, seq: Seq) -> Self {
        Self {
            next: 0,
            seq,
            epoch,
            presences: 0,
        }
    }
}

/// How a member over a connection wants to receive its room's items.
#[derive(Clone)]
pub(crate) struct DeliveryOptions {
    pub(crate) encoder: Arc<dyn Encoder>,
    pub(crate) echo: Echo,
    /// Whether the peer receives a change of a session only once, even if several of its rooms announce the change.
    pub(crate) has_changes_once: bool,
}

/// Whether a member receives its own messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    /// The member receives its own messages, in their order among the messages of other members. This suits a program
    /// that shows a message once it is published.
    Include,
    /// The member does not receive its own messages. This suits a terminal, which already shows what was typed. Over a
    /// connection, the member still receives a topic that it set.
    Exclude,
    /// For peers over a connection only. For a member in process, `Reply` has the same effect as `Exclude`, because the
    /// methods of the member return the positions.
    ///
    /// The peer does not receive its own messages. Its dialect writes
    /// [`Reply::Published`](crate::protocol::Reply::Published) in place of each message: after the earlier messages of
    /// the room, and before the later ones. This suits a protocol with labelled echoes.
    ///
    /// Each message is published alone, and the peer's next command waits for the reply. If the message is part of a
    /// gap, the reply follows the report of the gap. The dialect waits for at most
    /// [`Limits::stall_timeout`](crate::Limits::stall_timeout) until the room has delivered up to the message, and then
    /// writes the reply. A message in a room that the session is not in, and a duplicate, are answered at once.
    Reply,
}
