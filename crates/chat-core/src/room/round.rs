//! A round: items of a room that are delivered together.
//!
//! Invariant: members with the same encoder receive the same bytes, except for the items that a member does not want.
//! The items are encoded once for each encoder.

use crate::event::Encoder;
use crate::log::{Batch, Epoch, Seq, SessionId};
use crate::room::item::{Answered, Body, Cursor, DeliveryOptions, Echo, Item};
use crate::room::outbound::{Delivered, Outbound};
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;

/// Items of a room that are delivered together, in one write for each member.
pub(super) struct Round<'a> {
    pub(super) items: &'a [Arc<Item>],
    /// The number of the first item of the round.
    pub(super) first: u64,
    /// The cursor of a member that has received all items.
    pub(super) end: Cursor,
    /// The authors of the items, sorted. An item's author may not receive the item; see [`Item::is_for`].
    authors: Vec<SessionId>,
    encodings: Vec<Encoding>,
    /// Whether an item announces a change that concerns all rooms of a session, so that each of these rooms announces
    /// it.
    has_shared_changes: bool,
    /// Whether an item of the round is a [`Body::Missed`]: it reports messages that no member receives.
    pub(super) has_missed: bool,
    /// How many messages and changes of presence were delivered so far, summed over the members.
    pub(super) deliveries: usize,
    /// How many bytes were delivered so far, summed over the members.
    pub(super) bytes: usize,
}

/// The items of a round in one encoder's format: their bytes in order, and the offset at which each item begins.
struct Encoding {
    encoder: Arc<dyn Encoder>,
    bytes: Bytes,
    starts: Vec<usize>,
}

impl<'a> Round<'a> {
    pub(super) fn new(items: &'a [Arc<Item>]) -> Self {
        let mut authors: Vec<_> = items.iter().map(|item| item.author).collect();
        authors.sort_unstable();
        authors.dedup();
        let (first, end) = match (items.first(), items.last()) {
            (Some(first), Some(last)) => (first.number, last.end),
            _ => (0, Cursor::begin(Epoch(0), Seq::START)),
        };
        Self {
            items,
            first,
            end,
            authors,
            encodings: Vec::new(),
            has_shared_changes: items.iter().any(|item| item.shared_change().is_some()),
            has_missed: items
                .iter()
                .any(|item| matches!(item.body, Body::Missed(..))),
            deliveries: 0,
            bytes: 0,
        }
    }

    /// Finds the first item, at the index `at` or later, that holds messages of this session to which the connection
    /// has not replied. Returns the index of the item, and the messages.
    pub(super) fn own_message(
        &self,
        session: SessionId,
        at: usize,
        answered: Option<&Answered>,
    ) -> Option<(usize, &'a Arc<Batch>)> {
        self.authors.binary_search(&session).ok()?;
        let items = self.items.iter().enumerate().skip(at);
        let mut own = items.filter(|(_, item)| item.author == session);
        own.find_map(|(at, item)| match &item.body {
            Body::Messages(batch)
                if !answered.is_some_and(|answered| answered.has(batch, item.end.epoch)) =>
            {
                Some((at, batch))
            }
            _ => None,
        })
    }

    /// Returns the cursor of a member that has received the items before the index `at`. `was` is the member's cursor
    /// before the round.
    pub(super) fn cursor_at(&self, at: usize, was: Cursor) -> Cursor {
        let last = at.checked_sub(1).map(|last| &self.items[last]);
        match last.filter(|last| last.number >= was.next) {
            Some(last) => last.end,
            None => was,
        }
    }

    /// Delivers a range of the items to a member. Leaves out the items that are not for the member; see
    /// [`Item::is_for`].
    pub(super) fn deliver(
        &mut self,
        outbound: &Outbound,
        options: &DeliveryOptions,
        session: SessionId,
        range: Range<usize>,
        queue_max: usize,
    ) -> Delivered {
        let at = self.encoding(&options.encoder);
        if options.has_changes_once && self.has_shared_changes {
            return self.deliver_once(at, outbound, options.echo, session, range, queue_max);
        }
        let starts = &self.encodings[at].starts;
        let is_author = self.authors.binary_search(&session).is_ok();
        if !is_author || options.echo == Echo::Include && self.has_only_messages_of(session) {
            let all = starts[range.start]..starts[range.end];
            let count = self.items[range].iter().map(|item| item.len()).sum();
            return self.hand_out(at, outbound, std::slice::from_ref(&all), count, queue_max);
        }
        let is_shown = |item: &Item| item.is_for(session, options.echo);
        let (parts, count) = self.parts(range, starts, is_shown);
        self.hand_out(at, outbound, &parts, count, queue_max)
    }

    /// Delivers as [`deliver`](Self::deliver) does, with one exception: leaves out each change of presence that this
    /// connection has already received from another room.
    fn deliver_once(
        &mut self,
        at: usize,
        outbound: &Outbound,
        echo: Echo,
        session: SessionId,
        range: Range<usize>,
        queue_max: usize,
    ) -> Delivered {
        let Encoding { bytes, starts, .. } = &self.encodings[at];
        let changes = self.items[range.clone()]
            .iter()
            .filter_map(|item| item.shared_change());
        let mut given = (0, 0);
        let delivered = outbound.deliver_once(bytes, changes, queue_max, |told| {
            let is_new = |item: &Item| {
                let change = item.shared_change();
                change.is_none_or(|change| !told.contains(&change))
            };
            let is_shown = |item: &Item| item.is_for(session, echo) && is_new(item);
            let (parts, count) = self.parts(range, starts, is_shown);
            given = (count, parts.iter().map(Range::len).sum());
            parts
        });
        if delivered == Delivered::Taken {
            self.deliveries += given.0;
            self.bytes += given.1;
        }
        delivered
    }

    /// Delivers parts of an encoding to a member's output. The parts hold `count` messages and changes of presence. If
    /// the output accepts the parts, adds `count` and the length of the parts to the totals of the round.
    fn hand_out(
        &mut self,
        at: usize,
        outbound: &Outbound,
        parts: &[Range<usize>],
        count: usize,
        queue_max: usize,
    ) -> Delivered {
        let bytes: usize = parts.iter().map(Range::len).sum();
        if bytes == 0 {
            return Delivered::Taken;
        }
        let delivered = outbound.deliver(&self.encodings[at].bytes, parts, queue_max);
        if delivered == Delivered::Taken {
            self.deliveries += count;
            self.bytes += bytes;
        }
        delivered
    }

    /// Returns whether `session` has caused only messages in this round. A session does not receive its own changes of
    /// presence, because the replies to its commands already report them.
    fn has_only_messages_of(&self, session: SessionId) -> bool {
        self.items
            .iter()
            .all(|item| item.author != session || matches!(item.body, Body::Messages(_)))
    }

    /// Finds the items of `range` for which `is_shown` returns `true`. Returns the parts of an encoding that hold these
    /// items, and the number of messages and changes of presence that these items hold.
    fn parts(
        &self,
        range: Range<usize>,
        starts: &[usize],
        is_shown: impl Fn(&Item) -> bool,
    ) -> (Vec<Range<usize>>, usize) {
        let mut parts: Vec<Range<usize>> = Vec::new();
        let mut count = 0;
        let items = self.items[range.clone()].iter();
        for (item, range) in items.zip(starts[range.start..].windows(2)) {
            if !is_shown(item) {
                continue;
            }
            count += item.len();
            if range[0] == range[1] {
                continue;
            }
            match parts.last_mut() {
                Some(part) if part.end == range[0] => part.end = range[1],
                _ => parts.push(range[0]..range[1]),
            }
        }
        (parts, count)
    }

    /// Returns the index of the round's encoding for this encoder. Encodes the round if it is not encoded yet. A round
    /// of one item shares the encoding of the item. A round of several items has a copy of their encodings in one
    /// buffer.
    fn encoding(&mut self, encoder: &Arc<dyn Encoder>) -> usize {
        if let Some(at) = self
            .encodings
            .iter()
            .position(|known| Arc::ptr_eq(&known.encoder, encoder))
        {
            return at;
        }
        let (bytes, starts) = match self.items {
            [item] => {
                let bytes = item.encoded(encoder);
                let end = bytes.len();
                (bytes, vec![0, end])
            }
            items => {
                let pieces: Vec<Bytes> = items.iter().map(|item| item.encoded(encoder)).collect();
                let mut starts = vec![0];
                let mut end = 0;
                starts.extend(pieces.iter().map(|piece| {
                    end += piece.len();
                    end
                }));
                (pieces.concat().into(), starts)
            }
        };
        self.encodings.push(Encoding {
            encoder: Arc::clone(encoder),
            bytes,
            starts,
        });
        self.encodings.len() - 1
    }
}
