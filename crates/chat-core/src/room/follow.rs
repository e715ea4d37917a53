//! Following a log that several hubs append to: the room delivers what the log yields.
//!
//! Invariant: members receive each message after the log's head once and in the log's order, whichever hub appended it,
//! or an explicit gap. The result of an append only answers its author.

use crate::event::Missed;
use crate::log::{Batch, DynLog, Followed, Gap, Head, SessionId};
use crate::name::RoomName;
use crate::room::delivery::Body;
use crate::room::following::Following;
use crate::room::room::{Opener, Room, RoomContext, State};
use crate::time_slice::TimeSlice;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// Delivers what the log yields, until the room is gone or the log is lost.
fn deliver(
    room: &Arc<Room>,
    mut followed: BoxStream<'static, Followed>,
) -> impl Future<Output = ()> + Send + use<> {
    let stop = room.following.as_ref().map(Following::stopped);
    // Only the room's users keep it alive; this task does not.
    let room = Arc::downgrade(room);
    async move {
        let Some(stop) = stop else { return };
        let mut slice = TimeSlice::begin();
        loop {
            let next = AssertUnwindSafe(followed.next()).catch_unwind();
            let next = tokio::select! {
                () = stop.cancelled() => return,
                next = next => next,
            };
            let Some(room) = room.upgrade() else { return };
            match next {
                Ok(Some(followed)) => room.take_followed(followed),
                // A log that panics is lost, too.
                Ok(None) | Err(_) => return room.lose_log(),
            }
            drop(room);
            slice.yield_if_over().await;
        }
    }
}

impl Room {
    /// Creates a room from a log that was just opened, and follows the log if it supports that.
    pub(crate) fn open(
        name: RoomName,
        key: Arc<str>,
        opener: Opener,
        log: Arc<dyn DynLog>,
        context: RoomContext,
    ) -> Arc<Self> {
        let followed = log.follow();
        let following = followed.is_some().then(|| Following::new(log.head().tail));
        let room = Arc::new(Self::new(name, key, opener, log, context, following));
        if let Some(followed) = followed {
            room.context.tasks.spawn(deliver(&room, followed));
        }
        room
    }

    /// Handles one event of the followed log.
    fn take_followed(self: &Arc<Self>, followed: Followed) {
        let mut state = self.state.lock();
        match followed {
            Followed::Batch(batch) => self.take_batch(&mut state, batch),
            Followed::Gap(gap) => self.take_gap(&mut state, gap),
            Followed::Reset(head) => self.take_reset(&mut state, head),
            Followed::Reachable(true) => {
                tracing::info!(room.name = %self.name, "the room's log can be reached again");
            }
            Followed::Reachable(false) => {
                self.context.counters.journal_outages.add(1);
                if self.context.journal_log.opens() {
                    tracing::warn!(room.name = %self.name, "the room's log can't be reached");
                }
            }
        }
        self.notify_settled(&state);
    }

    fn take_batch(self: &Arc<Self>, state: &mut State, batch: Arc<Batch>) {
        if batch.is_empty() || batch.last() <= state.cursor.seq {
            return;
        }
        // Some of it was delivered before: members read what they lack.
        state.is_uncertain |= batch.first() <= state.cursor.seq;
        self.deliver(state, batch);
    }

    fn take_gap(self: &Arc<Self>, state: &mut State, gap: Gap) {
        let from = gap.from.max(state.cursor.seq.next());
        let gap = Gap { from, ..gap };
        if gap.is_empty() {
            return;
        }
        state.cursor.seq = gap.to;
        self.send_missed(state, Missed::Expired(gap));
    }

    fn take_reset(self: &Arc<Self>, state: &mut State, head: Head) {
        let Head { epoch, tail, topic } = head;
        state.topic = topic;
        state.cursor.epoch = epoch;
        state.cursor.seq = tail;
        state.epoch_began = tail;
        if let Some(following) = &self.following {
            following.reset(tail);
        }
        self.send_missed(state, Missed::OtherEpoch);
    }

    /// Reports that the stream has ended: nothing more can be delivered.
    fn lose_log(self: &Arc<Self>) {
        tracing::error!(room.name = %self.name, "the room's log can't be followed any more");
        let mut state = self.state.lock();
        if let Some(following) = &self.following {
            following.lose();
        }
        self.send_missed(&mut state, Missed::Unreadable(None));
        self.notify_settled(&state);
    }

    fn send_missed(self: &Arc<Self>, state: &mut State, missed: Missed) {
        let body = Body::Missed(self.name.clone(), missed);
        self.send(state, SessionId::NOBODY, body);
    }
}
