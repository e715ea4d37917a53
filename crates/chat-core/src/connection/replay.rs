//! Writes parts of a room's log to a peer: what it missed, and what it asks to see again.
//!
//! Invariant: a page is read only when the page before it was taken, so the output that waits for a slow peer stays
//! within the limits. Live events are held back until the replay is done.

use crate::admission::Cost;
use crate::connection::connection::Connection;
use crate::event::{Broadcast, Missed, Moment};
use crate::log::{BatchSlice, Gap, Position, Seq, Span, Timestamp};
use crate::protocol::{JoinRequest, Reply};
use crate::room::{CatchUp, CaughtUp, Echo};
use crate::session::{Repaired, Session, WireMember};
use crate::time_slice::TimeSlice;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::ops::Range;
use tokio::io::AsyncRead;

/// How many messages of a replay are read and written at a time. The longest ones fill half of what may wait.
const REPLAY_PAGE: usize = 32;

/// A replay in progress.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replaying {
    /// The session's member that the replay is for.
    member: usize,
    replay: CatchUp,
    own: Own,
    moment: Moment,
    /// When the last message shown was said; `None` if none was shown.
    shown_at: Option<Timestamp>,
    /// What the peer is first told that it missed.
    missed: Option<Missed>,
}

/// Which of its own messages the peer is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Own {
    /// All, as in history.
    All,
    /// Those without a key. The peer learns of the others by repeating them under their keys.
    Unkeyed,
    /// None, because the replies report them.
    None,
}

impl Replaying {
    /// Replays what happened since the member joined, as live events.
    pub(super) const fn live(member: usize, replay: CatchUp, echo: Echo) -> Self {
        Self {
            member,
            replay,
            own: match echo {
                Echo::Include => Own::All,
                Echo::Exclude => Own::None,
            },
            moment: Moment::Live,
            shown_at: None,
            missed: None,
        }
    }

    /// Replays what happened before the member joined.
    const fn past(member: usize, after: Seq, through: Seq) -> Self {
        Self {
            member,
            replay: CatchUp::new(after, through),
            own: Own::All,
            moment: Moment::Replay,
            shown_at: None,
            missed: None,
        }
    }

    /// Shows no messages, only that they were missed.
    const fn unreplayed(member: usize, through: Seq, missed: Missed) -> Self {
        let mut replaying = Self::past(member, through, through);
        replaying.missed = Some(missed);
        replaying
    }

    pub(super) const fn is_done(&self) -> bool {
        self.missed.is_none() && self.replay.is_done()
    }
}

impl<R: AsyncRead + Send + Unpin> Connection<R> {
    /// Continues a replay, or begins one for a lagging member. Call it when all output is written, except what is held
    /// back.
    pub(super) async fn catch_up(&mut self) {
        if self.replays.is_empty() {
            let Some(member) = self.members.iter().position(WireMember::is_behind) else {
                return;
            };
            self.hub.counters().lag_repairs.add(1);
            self.transport.cork();
            let Repaired {
                replay,
                missed_presence,
            } = self.members[member].go_live();
            self.replays
                .push_back(Replaying::live(member, replay, self.echo()));
            if missed_presence {
                let info = self.seen(self.members[member].info());
                self.reply(&Reply::Present(&info));
            }
        }
        let mut slice = TimeSlice::begin();
        while let Some(mut replaying) = self.replays.front().copied() {
            slice.yield_if_over().await;
            if replaying.is_done() {
                self.replays.pop_front();
                continue;
            }
            let bytes = self.read_replay(&mut replaying).await;
            self.replays[0] = replaying;
            self.transport.send(&bytes);
            if !self.transport.is_flushed() {
                return;
            }
        }
        // An idle connection keeps no memory for replays.
        self.replays = VecDeque::new();
        self.transport.uncork();
    }

    /// Begins the planned replays, unless output waits that must be written first. Uncorks the output if there is
    /// nothing to replay.
    pub(super) async fn catch_up_soon(&mut self) {
        if self.replays.is_empty() {
            self.transport.uncork();
        } else if self.transport.is_flushed() {
            self.catch_up().await;
        }
    }

    /// Returns the next page of a replay, encoded.
    pub(super) async fn read_replay(&mut self, replaying: &mut Replaying) -> Bytes {
        let Replaying {
            member,
            replay,
            own,
            moment,
            shown_at,
            missed,
        } = replaying;
        let missed = missed.take();
        let Some(dialect) = self.conversation.dialect() else {
            // Without a dialect nothing can be shown.
            replay.after = replay.through;
            return Bytes::new();
        };
        let member = &self.members[*member];
        let page = member.read_replay(replay, REPLAY_PAGE).await;
        let CaughtUp {
            missed: missed_now,
            slices,
        } = page;
        let (encoder, mut out) = (dialect.encoder(), BytesMut::new());
        for missed in [missed, missed_now].into_iter().flatten() {
            self.hub.counters().gaps.add(1);
            encoder.encode(&Broadcast::Missed(member.room(), missed), *moment, &mut out);
        }
        let now = self.hub.now();
        for BatchSlice { batch, range } in &slices {
            if *moment == Moment::Replay {
                let previous = shown_at.replace(batch.at()).unwrap_or(now);
                dialect.write_day(previous, batch.at(), now, &mut out);
            }
            let is_own = self.session.as_ref().map(Session::id) == Some(batch.author());
            match (*own, &self.session) {
                (Own::None, _) if is_own && !batch.is_topic() => {}
                (Own::Unkeyed, Some(session)) => {
                    let owner = session.shared().owner();
                    let is_hidden = |at: &usize| batch.is_keyed_by(*at, session.id(), owner);
                    for range in without(range.clone(), is_hidden) {
                        encoder.encode(&Broadcast::Messages(batch, range), *moment, &mut out);
                    }
                }
                _ => {
                    let messages = Broadcast::Messages(batch, range.clone());
                    encoder.encode(&messages, *moment, &mut out);
                }
            }
        }
        if let Some(shown_at) = *shown_at
            && replay.is_done()
        {
            // Live events follow.
            dialect.write_day(shown_at, now, now, &mut out);
        }
        self.hub.counters().bytes_out.add(out.len());
        if *moment == Moment::Replay {
            // The peer asked for a replay, but not for the repair of a lag.
            self.charge(Cost::bytes(out.len()));
        }
        out.freeze()
    }

    /// Plans the replay for the room that was joined last, up to the room's position at the join. Returns whether the
    /// replay is complete; `None` if the peer named no position.
    pub(super) async fn plan_replay(
        &mut self,
        request: &JoinRequest<'_>,
        position: Position,
    ) -> Option<bool> {
        let member = self.members.len() - 1;
        let is_wanted = request.after.is_some() || request.limit.is_some_and(|limit| limit > 0);
        if is_wanted && self.ask_for_history(member).await.is_err() {
            let after = request.after?;
            let is_present = request.epoch.is_none_or(|epoch| epoch == position.epoch);
            if is_present && after == position.seq {
                return Some(true);
            }
            let withheld = if is_present && after < position.seq {
                Missed::BeyondLimit(Gap {
                    from: after.next(),
                    to: position.seq,
                })
            } else {
                Missed::OtherEpoch
            };
            let told = Replaying::unreplayed(member, position.seq, withheld);
            self.replays.push_back(told);
            return Some(false);
        }
        let Some(after) = request.after else {
            let latest = match request.limit {
                None | Some(0) => Ok(None),
                Some(limit) => self.latest(member, position.seq.next(), limit).await,
            };
            self.replays.extend(latest.unwrap_or_else(|missed| {
                Some(Replaying::unreplayed(member, position.seq, missed))
            }));
            return None;
        };
        let is_present = request.epoch.is_none_or(|epoch| epoch == position.epoch);
        let is_known = is_present && after <= position.seq;
        let seq = if is_known { after } else { Seq::START };
        let mut replaying = Replaying::past(member, seq, position.seq);
        if self.echo() == Echo::Exclude {
            replaying.own = Own::Unkeyed;
        }
        replaying.missed = (!is_known).then_some(Missed::OtherEpoch);
        let is_whole = self.is_whole(&mut replaying, request.limit).await;
        if !replaying.is_done() {
            self.replays.push_back(replaying);
        }
        Some(is_known && is_whole)
    }

    /// As [`plan_replay`](Self::plan_replay), for a peer that is not known to read lines: replays as many of the latest
    /// messages as fit into `bytes_max`.
    pub(super) async fn plan_short_replay(
        &mut self,
        request: &JoinRequest<'_>,
        position: Position,
        bytes_max: usize,
    ) {
        let member = self.members.len() - 1;
        let limit = request.limit.unwrap_or_default();
        if limit > 0 && self.ask_for_history(member).await.is_err() {
            return;
        }
        let Some(dialect) = self.conversation.dialect().filter(|_| limit > 0) else {
            return;
        };
        let encoder = dialect.encoder();
        let room = self.members[member].room();
        let before = Span::Before(position.seq.next());
        let page = match self.members[member].read(before, limit).await {
            Ok(page) => page,
            Err(error) => {
                self.hub.log_journal_failure(room.as_str(), &error);
                let unreadable = Missed::Unreadable(None);
                let told = Replaying::unreplayed(member, position.seq, unreadable);
                self.replays.push_back(told);
                return;
            }
        };
        let mut out = BytesMut::new();
        let mut after = None;
        let now = self.hub.now();
        let mut next = now;
        let slices = page.slices.iter().rev();
        let messages = slices.flat_map(|BatchSlice { batch, range }| {
            let places = range.clone().rev();
            places.map(move |at| (batch, at))
        });
        for (batch, at) in messages {
            let message = Broadcast::Messages(batch, at..at + 1);
            encoder.encode(&message, Moment::Replay, &mut out);
            dialect.write_day(batch.at(), next, now, &mut out);
            next = batch.at();
            let mut first = BytesMut::new();
            dialect.write_day(now, next, now, &mut first);
            if out.len() + first.len() > bytes_max {
                break;
            }
            after = batch.messages(at..at + 1).next().map(|first| first.seq);
        }
        self.replays.extend(after.map(|first| {
            let after = Seq(first.0.saturating_sub(1));
            Replaying::past(member, after, position.seq)
        }));
    }

    /// Whether the log holds everything to be replayed, within the limit. What is beyond the limit is left out.
    async fn is_whole(&mut self, replaying: &mut Replaying, limit: Option<usize>) -> bool {
        let CatchUp { after, through, .. } = replaying.replay;
        if after >= through {
            return true;
        }
        let member = &self.members[replaying.member];
        let Ok(first) = member.read(Span::After(after), 1).await else {
            // The replay tries again, and reports the error if it fails.
            return false;
        };
        // The read that finds the position is bounded, whatever the peer asks for.
        let limit = limit.map(|limit| limit.min(self.hub.limits().history_max));
        if let Some(limit) = limit
            && let Ok(latest) = member.read(Span::Before(through.next()), limit).await
        {
            let kept = latest.first().unwrap_or_else(|| through.next());
            if first.first().is_some_and(|first| first < kept) {
                let left_out = Gap {
                    from: after.next(),
                    to: Seq(kept.0.saturating_sub(1)),
                };
                replaying.replay.after = left_out.to;
                replaying
                    .missed
                    .get_or_insert(Missed::BeyondLimit(left_out));
                return false;
            }
        }
        first.gap.is_none()
    }

    /// Plans a replay of at most `limit` messages before a position; `None` if there are none.
    pub(super) async fn latest(
        &mut self,
        member: usize,
        before: Seq,
        limit: usize,
    ) -> Result<Option<Replaying>, Missed> {
        let room = self.members[member].room();
        let limit = limit.min(self.hub.limits().history_max);
        let page = self.members[member].read(Span::Before(before), limit).await;
        let page = page.map_err(|error| {
            self.hub.log_journal_failure(room.as_str(), &error);
            Missed::Unreadable(None)
        })?;
        Ok(match (page.first(), page.last()) {
            (Some(first), Some(through)) => {
                let after = Seq(first.0.saturating_sub(1));
                Some(Replaying::past(member, after, through))
            }
            _ => None,
        })
    }

    /// Whether the peer receives its own messages.
    pub(super) fn echo(&self) -> Echo {
        self.conversation
            .dialect()
            .map_or(Echo::Exclude, |dialect| dialect.echo())
    }
}

/// Returns the parts of a range that remain without the hidden numbers.
fn without(range: Range<usize>, is_hidden: impl Fn(&usize) -> bool) -> Vec<Range<usize>> {
    let (mut parts, mut start) = (Vec::new(), range.start);
    for hidden in range.clone().filter(is_hidden).chain([range.end]) {
        if start < hidden {
            parts.push(start..hidden);
        }
        start = hidden + 1;
    }
    parts
}
