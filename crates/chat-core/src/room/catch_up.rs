//! How a lagging member receives what it missed: one way for members in process, followers and connections.
//!
//! Invariant: every position between where the member was and where it goes live is delivered as a message, or as part
//! of a gap that says why it is missing. A log that can't be read is a gap, too, so nothing is skipped silently. All
//! positions of one [`CatchUp`] are of one epoch: they and the epoch are taken under one lock.

use crate::event::{Missed, RoomInfo};
use crate::log::{BatchSlice, Epoch, Gap, Page, Position, Seq, Span};
use crate::room::delivery::Tail;
use crate::room::item::Cursor;
use crate::room::room::{Room, State, Subscription};
use std::collections::VecDeque;

/// How many messages a member in process reads at a time.
const PAGE: usize = 256;

/// The part of a room's log that a member has yet to receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CatchUp {
    /// The part begins after this position.
    pub(crate) after: Seq,
    /// The part ends with this position.
    pub(crate) through: Seq,
    /// The epoch of the positions.
    epoch: Epoch,
    /// Reported to the member before the messages.
    missed: Option<Missed>,
    /// The log can't be followed now, which is reported after the messages.
    is_lost: bool,
    /// The member receives no items any more, so it is notified here if the log begins a new epoch.
    is_last: bool,
}

/// The next messages of a [`CatchUp`].
#[derive(Debug)]
pub(crate) struct CaughtUp {
    /// What is missing before the messages.
    pub(crate) missed: Option<Missed>,
    pub(crate) slices: Vec<BatchSlice>,
}

/// Why a part of a log was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    /// The log can't be read now.
    Failed,
    /// The room's log began a new epoch, so the positions are invalid. An item reports this.
    BeganAnew,
}

impl CatchUp {
    /// Covers the log from one position to another.
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

    /// Covers no messages for a member that joins. It is told if the log can't be followed now.
    pub(crate) const fn none(joined: JoinedAt) -> Self {
        Self::up_to(joined.position.seq, joined)
    }

    /// Covers the log from a position to where it ended when a member joined. The member is told if the log can't be
    /// followed now.
    pub(crate) const fn up_to(after: Seq, joined: JoinedAt) -> Self {
        Self {
            is_lost: joined.is_lost,
            ..Self::new(after, joined.position)
        }
    }

    /// Covers no messages, only the report that they were missed.
    pub(crate) const fn unread(missed: Missed, joined: JoinedAt) -> Self {
        Self {
            missed: Some(missed),
            // The same report is not made twice.
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

    /// Leaves everything out, for a member that can be shown nothing.
    pub(crate) const fn skip(&mut self) {
        self.after = self.through;
        self.missed = None;
        self.is_lost = false;
    }

    /// Reads at most `limit` messages and moves the beginning past them. If the log can't be read, the rest is reported
    /// as missing.
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
    /// Moves a lagging member to the live end. Returns what it must receive first, and whether it missed changes of
    /// presence.
    pub(crate) fn go_live(&self, tail: &Tail) -> (CatchUp, bool) {
        let state = self.state.lock();
        let was = tail.go_live(state.cursor);
        let missed_presence = was.presences != state.cursor.presences;
        (self.catch_up(&state, was), missed_presence)
    }

    /// Subscribes again, at the live end, for a member that was here. Returns what it must receive first. If there were
    /// changes of presence since, returns the room's members now.
    pub(crate) fn subscribe_anew(&self, was: Cursor) -> (Subscription, CatchUp, Option<RoomInfo>) {
        let state = self.state.lock();
        let subscription = Subscription {
            rx: self.tx.subscribe(),
            cursor: state.cursor,
        };
        let missed_presence = state.cursor.presences != was.presences;
        let info = missed_presence.then(|| self.whole_info(&state));
        (subscription, self.catch_up(&state, was), info)
    }

    /// Returns the live end, for a follower that was here, and what the follower must receive first. If it missed
    /// changes of presence, returns the room's members now.
    ///
    /// `missed_whispers`: the follower may also have missed changes that only followers receive.
    pub(crate) fn live_end(
        &self,
        was: Cursor,
        missed_whispers: bool,
    ) -> (Cursor, CatchUp, Option<RoomInfo>) {
        let state = self.state.lock();
        let missed_presence =
            state.cursor.presences != was.presences || (missed_whispers && state.hushed);
        let info = missed_presence.then(|| self.whole_info(&state));
        (state.cursor, self.catch_up(&state, was), info)
    }

    /// Returns what a member that was here has yet to receive: up to its end if it has left, or to the end of the log.
    pub(crate) fn rest(&self, was: Cursor, ended: Option<Seq>) -> CatchUp {
        let state = self.state.lock();
        let rest = CatchUp {
            is_last: true,
            ..self.catch_up(&state, was)
        };
        match ended {
            None => rest,
            Some(through) if was.epoch == rest.epoch => CatchUp { through, ..rest },
            // It is not known in which of the epochs the member has left.
            Some(_) => CatchUp {
                after: rest.through,
                ..rest
            },
        }
    }

    /// Reads a part of the log by positions of this epoch.
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
        // The log may begin anew before the room is told.
        let is_present = page.epoch.is_none_or(|read| read == epoch);
        if is_present {
            Ok(page)
        } else {
            Err(Unread::Failed)
        }
    }

    /// Covers the log from where a member was up to its end. If the log began a new epoch in between, the member is
    /// notified and receives what follows.
    fn catch_up(&self, state: &State, was: Cursor) -> CatchUp {
        let now = state.cursor.position();
        let is_reset = was.epoch != now.epoch;
        let after = if is_reset { state.epoch_began } else { was.seq };
        let following = self.following.as_ref();
        CatchUp {
            missed: is_reset.then_some(Missed::OtherEpoch),
            is_lost: following.is_some_and(|following| following.has_lost_after(was.next)),
            ..CatchUp::new(after, now)
        }
    }
}

/// Which earlier messages a joining member asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resume {
    /// The position of the last message that it has seen.
    pub(crate) after: Option<Seq>,
    /// The epoch of that position. `None` for the present one.
    pub(crate) epoch: Option<Epoch>,
    /// How many messages it receives at most: the latest ones.
    pub(crate) limit: Option<usize>,
}

/// Where a room was when a member joined it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JoinedAt {
    /// The end of the log.
    pub(crate) position: Position,
    /// The log could not be followed, which members that joined earlier have been told.
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
    /// Whether the member receives everything after the position that it named. `None` if it named none.
    pub(crate) is_whole: Option<bool>,
}

impl Resume {
    /// Whether nothing is asked for.
    pub(crate) fn is_empty(self) -> bool {
        self.after.is_none() && self.limit.unwrap_or_default() == 0
    }

    /// Decides what a joining member receives, up to the end of the log at its join. Cancel safe.
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

    /// Decides what a joining member receives that may not see earlier messages: the report that they are missing, if
    /// it named a position.
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

    /// Whether a position is one of the log that the member joined.
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

    /// Whether the log holds everything to be replayed, within the limit. What is beyond the limit is left out.
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
            // The replay tries again, and reports the error if it fails.
            return false;
        };
        // The read that finds the position is bounded, whatever the peer asks for.
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
    /// Covers at most `limit` messages before a position; `None` if there are none.
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

/// A part of a log that is read in process: page by page, and yielded slice by slice.
#[derive(Debug)]
pub(crate) struct Backlog {
    catch_up: CatchUp,
    page: VecDeque<BatchSlice>,
}

/// What one step of reading a [`Backlog`] yields.
#[derive(Debug)]
pub(crate) enum Step {
    /// Messages.
    Slice(BatchSlice),
    /// Messages that can't be delivered.
    Missed(Missed),
    /// A page was read; there may be more.
    GoOn,
    /// Everything was read.
    Done,
}

impl Backlog {
    pub(crate) const fn new(catch_up: CatchUp) -> Self {
        Self {
            catch_up,
            page: VecDeque::new(),
        }
    }

    /// Takes the next step. Cancel safe.
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
