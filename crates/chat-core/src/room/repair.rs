//! The part of a room's log that somebody in process reads before it goes on live.

use crate::log::{BatchSlice, Gap, JournalError, Seq, Span};
use crate::room::room::Room;
use std::collections::VecDeque;

/// How many messages lag repair reads at a time.
const REPAIR_PAGE: usize = 256;

/// A part of a log that is being read.
#[derive(Debug)]
pub(crate) struct Repair {
    after: Seq,
    through: Seq,
    page: VecDeque<BatchSlice>,
}

/// What a step of a repair gives.
#[derive(Debug)]
pub(crate) enum Step {
    /// Messages.
    BatchSlice(BatchSlice),
    /// Messages that the log no longer holds.
    Gap(Gap),
    /// A page was read; there may be more.
    GoOn,
    /// It is done.
    Done,
}

impl Repair {
    pub(crate) const fn new(after: Seq, through: Seq) -> Self {
        Self {
            after,
            through,
            page: VecDeque::new(),
        }
    }

    /// The next of it. Cancel safe.
    pub(crate) async fn step(&mut self, room: &Room) -> Result<Step, JournalError> {
        if let Some(slice) = self.page.pop_front() {
            return Ok(Step::BatchSlice(slice));
        }
        if self.after >= self.through {
            return Ok(Step::Done);
        }
        let mut page = room.read(Span::After(self.after), REPAIR_PAGE).await?;
        page.clip(self.through);
        self.after = page.reaches().unwrap_or(self.through);
        self.page = page.slices.into();
        Ok(page.gap.map_or(Step::GoOn, Step::Gap))
    }

    /// What is left of it, if it can't be read.
    pub(crate) fn give_up(&mut self) -> Gap {
        let from = self.after.next();
        self.after = self.through;
        Gap {
            from,
            to: self.through,
        }
    }
}
