//! How a member that fell behind is given what it missed: one way for members in process, followers and connections.
//!
//! Invariant: every place between where the member was and where it goes live is given as a message, or as part of a
//! gap that says why it is missing. A log that can't be read is a gap, too: catching up never ends in silence.

use crate::event::Missed;
use crate::log::{BatchSlice, Gap, Seq, Span};
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
        Self { after, through }
    }

    pub(crate) const fn is_done(self) -> bool {
        self.after.0 >= self.through.0
    }

    /// Reads at most `limit` messages and moves the beginning past them. If the log can't be read, the rest is missing.
    ///
    /// Cancel safe.
    pub(crate) async fn next_page(&mut self, room: &Room, limit: usize) -> CaughtUp {
        if self.is_done() {
            return CaughtUp::default();
        }
        match room.read(Span::After(self.after), limit).await {
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
    pub(crate) const fn new(after: Seq, through: Seq) -> Self {
        Self {
            catch_up: CatchUp::new(after, through),
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
