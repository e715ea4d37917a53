//! A room follows a log that several hubs append to: it delivers the messages that the log's stream yields.
//!
//! Invariant: members receive each message that any hub appends after the room was opened, once and in the log's order.
//! If the message can't be read, members receive a gap instead. The result of an append is used only for the reply to
//! the author. If the stream of a log ends, the room follows the log again, from the last position that the room has
//! delivered.

use crate::event::Missed;
use crate::log::{Batch, DynLog, Followed, Gap, Head, Seq, SessionId};
use crate::name::RoomName;
use crate::room::following::Following;
use crate::room::item::Body;
use crate::room::room::{Opener, Room, RoomContext, State};
use crate::time_slice::TimeSlice;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// The shortest and the longest pause before a room tries to follow its log again, after the log's stream has ended.
/// Each attempt doubles the pause. After a stream that lasted for at least the longest pause, the next pause is the
/// shortest one again.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// The time that a new stream of a lost log must last, if it yields nothing, before the log counts as followed again. A
/// log may return a stream before it knows whether it can connect.
const FOUND_AFTER: Duration = Duration::from_secs(1);

/// Delivers the items of the log's stream to the members until the room is gone. When the stream ends, asks the log for
/// a new stream.
fn deliver(
    room: &Arc<Room>,
    mut followed: BoxStream<'static, Followed>,
) -> impl Future<Output = ()> + Send + use<> {
    let stop = room.following.as_ref().map(Following::stopped);
    // The weak reference lets the room be dropped while this task runs.
    let room = Arc::downgrade(room);
    async move {
        let Some(stop) = stop else { return };
        let deliver = async {
            let mut pause = RETRY_MIN;
            let mut is_lost = false;
            loop {
                let began = Instant::now();
                is_lost = deliver_all(&room, followed, is_lost).await?;
                if !std::mem::replace(&mut is_lost, true) {
                    room.upgrade()?.lose_log();
                }
                if began.elapsed() >= RETRY_MAX {
                    pause = RETRY_MIN;
                }
                followed = loop {
                    tokio::time::sleep(pause).await;
                    pause = RETRY_MAX.min(pause * 2);
                    if let Some(followed) = room.upgrade()?.follow_again() {
                        break followed;
                    }
                };
            }
        };
        // Both possible results mean that the room is gone.
        let _: Option<Option<Infallible>> = stop.run_until_cancelled(deliver).await;
    }
}

/// Delivers the items of the stream until the stream ends. If `is_lost`, the room has lost the log: it can't follow the
/// log. The log is found again once the stream yields an item or has lasted for [`FOUND_AFTER`]. Returns whether the
/// log is still lost. Returns `None` if the room is gone.
async fn deliver_all(
    room: &Weak<Room>,
    mut followed: BoxStream<'static, Followed>,
    mut is_lost: bool,
) -> Option<bool> {
    let mut slice = TimeSlice::begin();
    let found_at = Instant::now() + FOUND_AFTER;
    loop {
        let next = AssertUnwindSafe(followed.next()).catch_unwind();
        let next = if is_lost {
            tokio::time::timeout_at(found_at, next).await.ok()
        } else {
            Some(next.await)
        };
        // If the stream has ended or panicked, the room can't follow the log now.
        if let Some(Ok(None) | Err(_)) = next {
            return Some(is_lost);
        }
        let room = room.upgrade()?;
        if std::mem::take(&mut is_lost) {
            room.find_log();
        }
        if let Some(Ok(Some(followed))) = next {
            room.take_followed(followed);
        }
        drop(room);
        slice.yield_if_over().await;
    }
}

impl Room {
    /// Creates a room from a log that was just opened. If the log returns a stream, starts a task that follows the log.
    pub(crate) fn open(
        name: RoomName,
        key: Arc<str>,
        opener: Opener,
        log: Arc<dyn DynLog>,
        context: RoomContext,
    ) -> Arc<Self> {
        let head = log.head();
        let followed = log.follow(head.position());
        let following = followed.is_some().then(|| Following::new(head.tail));
        let room = Arc::new(Self::new(name, key, opener, log, context, following));
        if let Some(followed) = followed {
            room.context.tasks.spawn(deliver(&room, followed));
        }
        room
    }

    /// Handles one item of the stream that the log returned.
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
        // Some messages of the batch may have been delivered before. `is_uncertain` then makes each member read the
        // messages that it lacks from the log.
        state.is_uncertain |= batch.first() <= state.cursor.seq;
        self.deliver(state, batch);
    }

    fn take_gap(self: &Arc<Self>, state: &mut State, gap: Gap) {
        let from = gap.from.max(state.cursor.seq.next());
        let gap = Gap { from, ..gap };
        if gap.is_empty() {
            return;
        }
        // The messages that are missing may have changed the topic and the modes. Roles of members are not in the head.
        if let Some(Head { topic, modes, .. }) = self.head_after(state, gap.to) {
            state.topic = topic;
            state.rights.set_modes(modes);
        }
        state.cursor.seq = gap.to;
        self.send_missed(state, Missed::Expired(gap));
    }

    /// Returns the latest state of the log; `None` if it is of another epoch, or older than the message at this position.
    pub(super) fn head_after(&self, state: &State, seq: Seq) -> Option<Head> {
        let head = self.log.head();
        (head.epoch == state.cursor.epoch && head.tail >= seq).then_some(head)
    }

    fn take_reset(self: &Arc<Self>, state: &mut State, head: Head) {
        let Head {
            epoch,
            tail,
            topic,
            modes,
        } = head;
        state.topic = topic;
        state.rights.set_modes(modes);
        state.cursor.epoch = epoch;
        state.cursor.seq = tail;
        state.epoch_began = tail;
        if let Some(following) = &self.following {
            following.reset(tail);
        }
        self.send_missed(state, Missed::OtherEpoch);
    }

    /// Reports to the members that the stream has ended: the room can't deliver messages until it follows the log
    /// again.
    fn lose_log(self: &Arc<Self>) {
        self.context.counters.journal_outages.add(1);
        if self.context.journal_log.opens() {
            tracing::warn!(room.name = %self.name, "the room's log can't be followed");
        }
        let mut state = self.state.lock();
        if let Some(following) = &self.following {
            following.lose(state.cursor.next);
        }
        self.send_missed(&mut state, Missed::Unreadable(None));
        self.notify_settled(&state);
    }

    /// Follows the lost log again, from the last position that the room has delivered. Returns `None` if the log
    /// returns no stream or panics.
    fn follow_again(&self) -> Option<BoxStream<'static, Followed>> {
        let after = self.cursor().position();
        catch_unwind(AssertUnwindSafe(|| self.log.follow(after))).ok()?
    }

    /// Records that the room follows its log again after the log was lost. Also writes a line to the program's log.
    fn find_log(&self) {
        if let Some(following) = &self.following {
            let _state = self.state.lock();
            following.find();
        }
        if self.context.journal_log.opens() {
            tracing::info!(room.name = %self.name, "the room's log is followed again");
        }
    }

    /// Tells all members of the room which messages none of them receives, and why.
    pub(super) fn send_missed(self: &Arc<Self>, state: &mut State, missed: Missed) {
        let body = Body::Missed(self.name.clone(), missed);
        self.send(state, SessionId::NOBODY, body);
    }
}
