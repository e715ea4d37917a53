//! How a lagging member receives what it missed: one way for members in process, followers and connections.
//!
//! Invariant: every position between where the member was and where it goes live is delivered as a message, or as part
//! of a gap that says why it is missing. A log that can't be read is a gap, too, so nothing is skipped silently.

use crate::event::Missed;
use crate::log::{BatchSlice, Epoch, Gap, Seq, Span};
use crate::room::delivery::Cursor;
use crate::room::room::Room;
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
    /// Reported to the member before the messages.
    missed: Option<Missed>,
    /// The epoch of the positions. `None` until something is read.
    epoch: Option<Epoch>,
}

/// The next messages of a [`CatchUp`].
#[derive(Debug, Default)]
pub(crate) struct CaughtUp {
    /// What is missing before the messages.
    pub(crate) missed: Option<Missed>,
    pub(crate) slices: Vec<BatchSlice>,
}

impl CatchUp {
    pub(crate) const fn new(after: Seq, through: Seq) -> Self {
        Self {
            after,
            through,
            missed: None,
            epoch: None,
        }
    }

    /// Covers the log from where a member was up to a position. If the log began a new epoch in between, the member is
    /// notified and receives what follows.
    pub(crate) fn from(room: &Room, was: Cursor, through: Seq) -> Self {
        let (epoch, reset_at) = room.since(was);
        Self {
            after: reset_at.unwrap_or(was.seq),
            through,
            missed: reset_at.map(|_| Missed::OtherEpoch),
            epoch: Some(epoch),
        }
    }

    pub(crate) const fn is_done(self) -> bool {
        self.missed.is_none() && self.after.0 >= self.through.0
    }

    /// Reads at most `limit` messages and moves the beginning past them. If the log can't be read, the rest is reported
    /// as missing.
    ///
    /// Cancel safe.
    pub(crate) async fn next_page(&mut self, room: &Room, limit: usize) -> CaughtUp {
        if self.missed.is_some() || self.is_done() {
            return CaughtUp {
                missed: self.missed.take(),
                slices: Vec::new(),
            };
        }
        let epoch = *self.epoch.get_or_insert_with(|| room.epoch());
        match room.read(Span::After(self.after), limit).await {
            // The log began a new epoch, so the positions are invalid. A later item reports this.
            _ if room.epoch() != epoch => {
                self.after = self.through;
                CaughtUp::default()
            }
            Ok(mut page) => {
                page.clip(self.through);
                self.after = page.reaches().unwrap_or(self.through);
                CaughtUp {
                    missed: page.gap.map(Missed::Expired),
                    slices: page.slices,
                }
            }
            Err(error) => {
                room.log_failure(&error);
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

/// Which earlier messages a joining member receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Reported first: which of the requested messages it does not receive.
    pub(crate) missed: Option<Missed>,
    pub(crate) catch_up: CatchUp,
}

impl Resume {
    /// Whether nothing is asked for.
    pub(crate) fn is_empty(self) -> bool {
        self.after.is_none() && self.limit.unwrap_or_default() == 0
    }

    /// Decides what a joining member receives, up to the end of the log at its join. Cancel safe.
    pub(crate) async fn plan(self, room: &Room, joined: Cursor) -> Plan {
        let through = joined.seq;
        let (epoch, reset_at) = room.since(joined);
        if reset_at.is_some() {
            // The log began a new epoch, so the positions are invalid. The item that reports this follows.
            return Plan {
                missed: None,
                catch_up: CatchUp::new(through, through),
            };
        }
        let limit = self.limit.map(|limit| limit.min(room.history_max()));
        let is_present = self.epoch.is_none_or(|seen| seen == epoch);
        let known = self.after.filter(|after| is_present && *after <= through);
        let is_unknown = self.after.is_some() && known.is_none();
        let after = known.unwrap_or(Seq::START);
        let mut plan = Plan {
            missed: is_unknown.then_some(Missed::OtherEpoch),
            catch_up: CatchUp {
                epoch: Some(epoch),
                ..CatchUp::new(after, through)
            },
        };
        let Some(limit) = limit.filter(|_| after < through) else {
            return plan;
        };
        let latest = match room.read(Span::Before(through.next()), limit).await {
            Ok(latest) => latest,
            Err(error) => {
                room.log_failure(&error);
                let rest = Gap {
                    from: after.next(),
                    to: through,
                };
                plan.missed = Some(Missed::Unreadable(known.map(|_| rest)));
                plan.catch_up.after = through;
                return plan;
            }
        };
        let kept = latest.first().unwrap_or_else(|| through.next());
        if kept > after.next() {
            plan.catch_up.after = Seq(kept.0.saturating_sub(1));
            let left_out = Gap {
                from: after.next(),
                to: plan.catch_up.after,
            };
            // A member that names no position misses nothing: it asked for the latest messages.
            if known.is_some() && self.has_any(room, left_out).await {
                plan.missed = Some(Missed::BeyondLimit(left_out));
            }
        }
        plan
    }

    /// Whether the log has, or had, messages in this range: positions may skip numbers.
    async fn has_any(self, room: &Room, range: Gap) -> bool {
        let after = Seq(range.from.0.saturating_sub(1));
        let Ok(page) = room.read(Span::After(after), 1).await else {
            return true;
        };
        page.gap.is_some() || page.first().is_some_and(|first| first <= range.to)
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
    pub(crate) fn new(room: &Room, was: Cursor, through: Seq) -> Self {
        Self {
            catch_up: CatchUp::from(room, was, through),
            page: VecDeque::new(),
        }
    }

    /// Creates a backlog of what a joining member receives.
    pub(crate) const fn of(catch_up: CatchUp) -> Self {
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
