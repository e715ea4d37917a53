//! How a lagging member receives the messages that it missed. Members in process, followers and connections all use
//! this code.
//!
//! Invariant: the member receives every position between its own and the end of the log, as a message or as part of a
//! gap. A gap says why its messages are missing. A log that can't be read is reported as a gap, too, so no message is
//! skipped silently. All positions of one [`CatchUp`] are of one epoch, because the positions and the epoch are read
//! under one lock.

use crate::event::{Missed, RoomInfo};
use crate::log::{BatchSlice, Epoch, Gap, Page, Position, Seq, Span};
use crate::room::delivery::Tail;
use crate::room::item::Cursor;
use crate::room::room::{Room, State, Subscription};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::broadcast;

/// The most messages that a member in process reads at a time.
const PAGE: usize = 256;

/// The part of a room's log that a member has yet to receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CatchUp {
    /// The first message of the part is the one after this position.
    pub(crate) after: Seq,
    /// The last message of the part is at or before this position.
    pub(crate) through: Seq,
    /// The epoch of the log in which `after` and `through` are positions.
    epoch: Epoch,
    /// A report that the member receives before the messages: which other messages the member does not receive, and
    /// why. `None` if there is nothing to report.
    missed: Option<Missed>,
    /// Whether the member must learn, after the messages, that further messages may be missing: the room can't follow
    /// its log now, or was closed before its last messages were delivered.
    is_lost: bool,
    /// Whether the member receives no items of the room after this part of the log. If the log has begun a new epoch,
    /// this `CatchUp` reports the epoch, because no later item reports it to the member.
    is_last: bool,
}

/// The next messages of a [`CatchUp`].
#[derive(Debug)]
pub(crate) struct CaughtUp {
    /// Which messages are missing before `slices`, and why; `None` if no messages are missing.
    pub(crate) missed: Option<Missed>,
    pub(crate) slices: Vec<BatchSlice>,
}

/// Why a part of a log was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    /// The log can't be read now.
    Failed,
    /// The room's log began a new epoch, so the positions are invalid. An item of the room reports the new epoch to the
    /// members.
    BeganAnew,
}

impl CatchUp {
    /// Creates a `CatchUp` on the messages after the position `after`, up to and including `through`.
    pub(crate) const fn new(after: Seq, through: Position) -> Self {
        Self {
            after,
            through: through.seq,
            epoch: through.epoch,
            missed: None,
            is_lost: false,
            is_last: false,
        }
    }

    /// Covers no messages, for a member that joins. The member receives a report if the room could not follow its log
    /// at the time of the join.
    pub(crate) const fn none(joined: JoinedAt) -> Self {
        Self::up_to(joined.position.seq, joined)
    }

    /// Covers the messages after the position `after`, up to the end that the log had when a member joined. After these
    /// messages, the member receives a report if the room could not follow its log at the time of the join.
    pub(crate) const fn up_to(after: Seq, joined: JoinedAt) -> Self {
        Self {
            is_lost: joined.is_lost,
            ..Self::new(after, joined.position)
        }
    }

    /// Covers no messages. Instead, the member receives the report `missed`, which says why it receives no messages.
    pub(crate) const fn unread(missed: Missed, joined: JoinedAt) -> Self {
        Self {
            missed: Some(missed),
            // `Missed::Unreadable(None)` already reports that the room can't follow its log, so no second report
            // follows.
            is_lost: joined.is_lost && !matches!(missed, Missed::Unreadable(None)),
            ..Self::none(joined)
        }
    }

    pub(crate) const fn is_done(self) -> bool {
        self.missed.is_none() && self.is_read() && !self.is_lost
    }

    const fn is_read(self) -> bool {
        self.after.0 >= self.through.0
    }

    /// Skips all messages and all reports. Used for a peer to which nothing can be written.
    pub(crate) const fn skip(&mut self) {
        self.after = self.through;
        self.missed = None;
        self.is_lost = false;
    }

    /// Reads the next messages, at most `limit`, and moves `after` past them. If a report of missing messages is due,
    /// returns only the report. If the log can't be read, reports all remaining messages as missing.
    ///
    /// Cancel safe.
    pub(crate) async fn next_page(&mut self, room: &Room, limit: usize) -> CaughtUp {
        if self.missed.is_some() || self.is_read() {
            let lost = || std::mem::take(&mut self.is_lost).then_some(Missed::Unreadable(None));
            return CaughtUp {
                missed: self.missed.take().or_else(lost),
                slices: Vec::new(),
            };
        }
        let span = Span::After(self.after);
        match room.read_in(self.epoch, span, limit).await {
            Err(Unread::BeganAnew) => {
                self.after = self.through;
                CaughtUp {
                    missed: self.is_last.then_some(Missed::OtherEpoch),
                    slices: Vec::new(),
                }
            }
            Ok(mut page) => {
                page.clip(self.through);
                self.after = page.reaches().unwrap_or(self.through);
                CaughtUp {
                    missed: page.gap.map(Missed::Expired),
                    slices: page.slices,
                }
            }
            Err(Unread::Failed) => {
                let rest = Gap {
                    from: self.after.next(),
                    to: self.through,
                };
                self.after = self.through;
                CaughtUp {
                    missed: Some(Missed::Unreadable(Some(rest))),
                    slices: Vec::new(),
                }
            }
        }
    }
}

impl Room {
    /// Ends the lag of a member: from now on, the delivery tasks deliver the room's next items to the member again.
    /// Returns the part of the log that the member must receive before these items, and whether the member missed
    /// changes of presence.
    pub(crate) fn go_live(&self, tail: &Tail) -> (CatchUp, bool) {
        let state = self.state.lock();
        let was = tail.go_live(state.cursor);
        let missed_presence = was.presences != state.cursor.presences;
        (self.catch_up(&state, was), missed_presence)
    }

    /// Subscribes a peer that does not join the room to the room's next items. Also returns the room's members, topic
    /// and position at the time of the subscription.
    pub(crate) fn subscribe(&self) -> (Subscription, RoomInfo) {
        let state = self.state.lock();
        let subscription = Subscription {
            rx: self.tx.subscribe(),
            cursor: state.cursor,
        };
        (subscription, self.room_info(&state))
    }

    /// Subscribes a lagging member again, to the room's next items. `was` is the cursor that the member had reached.
    /// Returns the part of the log that the member must receive before these items. If the member missed changes of
    /// presence, also returns the room's present members. If the room is closed, the member receives one more item: the
    /// report of the closing.
    pub(crate) fn subscribe_anew(&self, was: Cursor) -> (Subscription, CatchUp, Option<RoomInfo>) {
        let state = self.state.lock();
        let (mut cursor, catch_up, info) = self.end_of(&state, was, false);
        let rx = if let Some(closed) = &state.closed {
            let (tx, rx) = broadcast::channel(1);
            // Sending can't fail, because `rx` receives from this channel.
            drop(tx.send(Arc::clone(closed)));
            cursor.next = closed.number;
            rx
        } else {
            self.tx.subscribe()
        };
        (Subscription { rx, cursor }, catch_up, info)
    }

    /// Returns the room's present cursor, and the part of the log that a follower with the cursor `was` must receive
    /// first. If the follower missed changes of presence and the room is not closed, also returns the room's present
    /// members.
    ///
    /// `missed_whispers` says whether the follower may also have missed changes of presence that only followers
    /// receive.
    pub(crate) fn live_end(
        &self,
        was: Cursor,
        missed_whispers: bool,
    ) -> (Cursor, CatchUp, Option<RoomInfo>) {
        self.end_of(&self.state.lock(), was, missed_whispers)
    }

    fn end_of(
        &self,
        state: &State,
        was: Cursor,
        missed_whispers: bool,
    ) -> (Cursor, CatchUp, Option<RoomInfo>) {
        let missed_presence =
            state.cursor.presences != was.presences || (missed_whispers && state.hushed);
        let info = (missed_presence && state.closed.is_none()).then(|| self.whole_info(state));
        (state.cursor, self.catch_up(state, was), info)
    }

    /// Returns the part of the log that a member has yet to receive after the cursor `was`. If the member has left the
    /// room, the part ends at `ended`, which is the end of the log when the member left. `ended` is `None` if the
    /// member is in the room; the part then ends at the present end of the log.
    pub(crate) fn rest(&self, was: Cursor, ended: Option<Seq>) -> CatchUp {
        let state = self.state.lock();
        let rest = CatchUp {
            is_last: true,
            ..self.catch_up(&state, was)
        };
        match ended {
            None => rest,
            Some(through) if was.epoch == rest.epoch => CatchUp { through, ..rest },
            // The log has begun a new epoch since the cursor `was`. The position `ended` may belong to the old or to
            // the new epoch, so the part has no messages.
            Some(_) => CatchUp {
                after: rest.through,
                ..rest
            },
        }
    }

    /// Reads a part of the log. All positions in `span` and in the returned page are of `epoch`. Returns
    /// [`Unread::BeganAnew`] if the room has begun another epoch.
    pub(crate) async fn read_in(
        &self,
        epoch: Epoch,
        span: Span,
        limit: usize,
    ) -> Result<Page, Unread> {
        let page = self.read(span, limit).await;
        if self.epoch() != epoch {
            return Err(Unread::BeganAnew);
        }
        let page = page.map_err(|error| {
            self.log_failure(&error);
            Unread::Failed
        })?;
        // The log may have begun an epoch that the room does not know yet. The page is then of the new epoch, and is
        // discarded.
        let is_present = page.epoch.is_none_or(|read| read == epoch);
        if is_present {
            Ok(page)
        } else {
            Err(Unread::Failed)
        }
    }

    /// Covers the log from `was`, the cursor that a member had reached, to the end of the log. If the log has begun a
    /// new epoch since that cursor, the member receives a report and then the messages of the new epoch.
    fn catch_up(&self, state: &State, was: Cursor) -> CatchUp {
        let now = state.cursor.position();
        let is_reset = was.epoch != now.epoch;
        let after = if is_reset { state.epoch_began } else { was.seq };
        let following = self.following.as_ref();
        let closed = state.closed.as_ref().filter(|_| state.is_uncertain);
        CatchUp {
            missed: is_reset.then_some(Missed::OtherEpoch),
            is_lost: following.is_some_and(|following| following.has_lost_after(was.next))
                || closed.is_some_and(|closed| was.next < closed.number),
            ..CatchUp::new(after, now)
        }
    }
}

/// Which earlier messages a joining member asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resume {
    /// The position of the last message that the member has seen; `None` if the member names no position.
    pub(crate) after: Option<Seq>,
    /// The epoch of the position `after`. `None` stands for the present epoch of the log.
    pub(crate) epoch: Option<Epoch>,
    /// The most messages that the member receives. If there are more, it receives the latest of them. `None` if the
    /// member names no limit.
    pub(crate) limit: Option<usize>,
}

/// The state of a room's log when a member joined the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JoinedAt {
    /// The end of the log when the member joined.
    pub(crate) position: Position,
    /// Whether the room could not follow the log when the member joined. If so, the earlier members have already
    /// received a report of this failure, but the new member has not.
    pub(crate) is_lost: bool,
}

impl From<&RoomInfo> for JoinedAt {
    fn from(info: &RoomInfo) -> Self {
        Self {
            position: info.position,
            is_lost: info.is_lost,
        }
    }
}

/// Which earlier messages a joining member receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) catch_up: CatchUp,
    /// Whether the member receives all messages after the position that it named. `None` if the member named no
    /// position.
    pub(crate) is_whole: Option<bool>,
}

impl Resume {
    /// Returns whether the member asks for no replay: it names no position, and its limit is absent or 0.
    pub(crate) fn is_empty(self) -> bool {
        self.after.is_none() && self.limit.unwrap_or_default() == 0
    }

    /// Decides which earlier messages a joining member receives. These messages end with the message that was the last
    /// one in the log at the time of the join. Cancel safe.
    pub(crate) async fn plan(self, room: &Room, joined: JoinedAt) -> Plan {
        let Some(after) = self.after else {
            return Plan {
                catch_up: self.plan_latest(room, joined).await,
                is_whole: None,
            };
        };
        let is_known = self.knows(after, joined);
        let after = if is_known { after } else { Seq::START };
        let mut catch_up = CatchUp::up_to(after, joined);
        catch_up.missed = (!is_known).then_some(Missed::OtherEpoch);
        let is_whole = self.is_whole(room, &mut catch_up).await;
        Plan {
            catch_up,
            is_whole: Some(is_known && is_whole),
        }
    }

    /// Decides what a joining member receives if it may not see earlier messages. If the member named a position, it
    /// receives a report that the messages after the position are missing.
    pub(crate) fn withhold(self, joined: JoinedAt) -> Plan {
        let mut catch_up = CatchUp::none(joined);
        let through = joined.position.seq;
        let is_whole = self.after.map(|after| {
            catch_up.missed = match self.knows(after, joined) {
                true if after == through => None,
                true => Some(Missed::BeyondLimit(Gap {
                    from: after.next(),
                    to: through,
                })),
                false => Some(Missed::OtherEpoch),
            };
            catch_up.missed.is_none()
        });
        Plan { catch_up, is_whole }
    }

    /// Returns whether `after` is a position that the log had when the member joined. The position must not be beyond
    /// the end of the log. If the member named an epoch, it must be the log's epoch.
    fn knows(self, after: Seq, joined: JoinedAt) -> bool {
        let Position { epoch, seq } = joined.position;
        self.epoch.is_none_or(|seen| seen == epoch) && after <= seq
    }

    async fn plan_latest(self, room: &Room, joined: JoinedAt) -> CatchUp {
        let nothing = CatchUp::none(joined);
        let Some(limit) = self.limit.filter(|limit| *limit > 0) else {
            return nothing;
        };
        let before = Position {
            seq: joined.position.seq.next(),
            ..joined.position
        };
        match room.latest(before, limit).await {
            Ok(latest) => CatchUp {
                is_lost: joined.is_lost,
                ..latest.unwrap_or(nothing)
            },
            Err(Unread::Failed) => CatchUp::unread(Missed::Unreadable(None), joined),
            Err(Unread::BeganAnew) => nothing,
        }
    }

    /// Returns whether the log holds all messages to be replayed and the limit allows all of them. Returns `false` if
    /// the log can't be read. If there are more messages than the limit, this method removes the earliest from
    /// `catch_up` and reports them there as missing.
    async fn is_whole(self, room: &Room, catch_up: &mut CatchUp) -> bool {
        let CatchUp {
            after,
            through,
            epoch,
            ..
        } = *catch_up;
        if after >= through {
            return true;
        }
        let Ok(first) = room.read_in(epoch, Span::After(after), 1).await else {
            // The replay reads the log again. If that second read fails, too, the replay reports the failure.
            return false;
        };
        // The second read finds where the replay begins. It reads at most `history_max` messages, whatever limit the
        // peer asks for.
        let limit = self.limit.map(|limit| limit.min(room.history_max()));
        let before = Span::Before(through.next());
        if let Some(limit) = limit
            && let Ok(latest) = room.read_in(epoch, before, limit).await
        {
            let kept = latest.first().unwrap_or_else(|| through.next());
            if first.first().is_some_and(|first| first < kept) {
                let left_out = Gap {
                    from: after.next(),
                    to: Seq(kept.0.saturating_sub(1)),
                };
                catch_up.after = left_out.to;
                catch_up.missed.get_or_insert(Missed::BeyondLimit(left_out));
                return false;
            }
        }
        first.gap.is_none()
    }
}

impl Room {
    /// Returns a [`CatchUp`] of the latest messages before a position: at most `limit` messages, and never more than
    /// `history_max`. Returns `None` if the log holds no message before the position.
    pub(crate) async fn latest(
        &self,
        before: Position,
        limit: usize,
    ) -> Result<Option<CatchUp>, Unread> {
        let limit = limit.min(self.history_max());
        let span = Span::Before(before.seq);
        let page = self.read_in(before.epoch, span, limit).await?;
        let ends = page.first().zip(page.last());
        Ok(ends.map(|(first, last)| {
            let through = Position {
                seq: last,
                ..before
            };
            CatchUp::new(Seq(first.0.saturating_sub(1)), through)
        }))
    }
}

/// Reads a part of a log for a member in process. Reads whole pages, and yields the messages slice by slice.
#[derive(Debug)]
pub(crate) struct Backlog {
    catch_up: CatchUp,
    page: VecDeque<BatchSlice>,
}

/// What one step of reading a [`Backlog`] yields.
#[derive(Debug)]
pub(crate) enum Step {
    /// The next messages.
    Slice(BatchSlice),
    /// Messages that can't be delivered, and why.
    Missed(Missed),
    /// Nothing yet: this step has read a page, and the next step continues.
    GoOn,
    /// All messages of the backlog were read.
    Done,
}

impl Backlog {
    pub(crate) const fn new(catch_up: CatchUp) -> Self {
        Self {
            catch_up,
            page: VecDeque::new(),
        }
    }

    /// Yields the next messages of the part, or reads the next page. Cancel safe.
    pub(crate) async fn step(&mut self, room: &Room) -> Step {
        if let Some(slice) = self.page.pop_front() {
            return Step::Slice(slice);
        }
        if self.catch_up.is_done() {
            return Step::Done;
        }
        let CaughtUp { missed, slices } = self.catch_up.next_page(room, PAGE).await;
        self.page = slices.into();
        missed.map_or(Step::GoOn, Step::Missed)
    }
}
