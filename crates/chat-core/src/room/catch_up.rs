//! How a member that fell behind is given what it missed: one way for members in process, followers and connections.
//!
//! Invariant: every place between where the member was and where it goes live is given as a message, or as part of a
//! gap that says why it is missing. A log that can't be read is a gap, too: catching up never ends in silence.

use crate::event::Missed;
use crate::log::{BatchSlice, Epoch, Gap, Seq, Span};
use crate::room::delivery::Cursor;
use crate::room::room::Room;
use std::collections::VecDeque;

/// How many messages a member in process reads at a time.
const PAGE: usize = 256;

/// A part of a room's log that a member is being given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CatchUp {
    /// It begins after this place.
    pub(crate) after: Seq,
    /// It ends with this place.
    pub(crate) through: Seq,
    /// What the member is told first.
    missed: Option<Missed>,
    /// The life of the log that the places are in; `None` until something is read.
    epoch: Option<Epoch>,
}

/// The next messages of a part that is being given.
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

    /// What lies between where a member was and this place. If the log began anew in between, the member is told, and is
    /// given what follows.
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

    /// Reads at most `limit` messages and moves the beginning past them. If the log can't be read, the rest is missing.
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
            // The places mean nothing any more. The item that tells so is among those that follow.
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

/// What a newcomer asks to be given of what was said before it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resume {
    /// The place of the last message that it has seen.
    pub(crate) after: Option<Seq>,
    /// Which life of the log that place is in; `None`: the present one.
    pub(crate) epoch: Option<Epoch>,
    /// How many messages it is given at most, the latest ones.
    pub(crate) limit: Option<usize>,
}

/// What a newcomer is given of what was said before it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// What it is told first that it is not given.
    pub(crate) missed: Option<Missed>,
    pub(crate) catch_up: CatchUp,
}

impl Resume {
    /// Whether nothing is asked for.
    pub(crate) fn is_empty(self) -> bool {
        self.after.is_none() && self.limit.unwrap_or_default() == 0
    }

    /// Finds what a newcomer is given, up to the end of the log when it came. Cancel safe.
    pub(crate) async fn plan(self, room: &Room, joined: Cursor) -> Plan {
        let through = joined.seq;
        let (epoch, reset_at) = room.since(joined);
        if reset_at.is_some() {
            // The places mean nothing any more. The item that tells so follows.
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
            // Newcomers who name no place miss nothing: they asked for the latest.
            if known.is_some() && self.has_any(room, left_out).await {
                plan.missed = Some(Missed::BeyondLimit(left_out));
            }
        }
        plan
    }

    /// Whether the log has, or had, messages in this range: places need not grow by one.
    async fn has_any(self, room: &Room, range: Gap) -> bool {
        let after = Seq(range.from.0.saturating_sub(1));
        let Ok(page) = room.read(Span::After(after), 1).await else {
            return true;
        };
        page.gap.is_some() || page.first().is_some_and(|first| first <= range.to)
    }
}

/// A part of a log that is read in process, a page at a time and given slice by slice.
#[derive(Debug)]
pub(crate) struct Backlog {
    catch_up: CatchUp,
    page: VecDeque<BatchSlice>,
}

/// What a step of reading a [`Backlog`] gives.
#[derive(Debug)]
pub(crate) enum Step {
    /// Messages.
    Slice(BatchSlice),
    /// Messages that are not given.
    Missed(Missed),
    /// A page was read; there may be more.
    GoOn,
    /// It is done.
    Done,
}

impl Backlog {
    pub(crate) fn new(room: &Room, was: Cursor, through: Seq) -> Self {
        Self {
            catch_up: CatchUp::from(room, was, through),
            page: VecDeque::new(),
        }
    }

    /// What a newcomer is given.
    pub(crate) const fn of(catch_up: CatchUp) -> Self {
        Self {
            catch_up,
            page: VecDeque::new(),
        }
    }

    /// The next of it. Cancel safe.
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
