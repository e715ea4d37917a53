//! Writes parts of a room's log to a peer: messages that the peer has missed, and messages that it asks to see again.
//!
//! Invariant: a page is read only when the peer has taken the page before it, so the output that waits for a slow peer
//! stays within the limits. Live events are held back until the replay is done.

use crate::admission::Cost;
use crate::connection::connection::Connection;
use crate::event::{Broadcast, Encoder, Missed, Moment};
use crate::log::{BatchSlice, Position, Seq, Span, Timestamp};
use crate::protocol::{Dialect, JoinRequest, Reply};
use crate::room::{CatchUp, CaughtUp, Echo, JoinedAt, Plan, Resume, Unread};
use crate::session::{Session, WireMember};
use crate::time_slice::TimeSlice;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::ops::Range;
use tokio::io::AsyncRead;

/// Maximum number of messages of a replay that are read and written at a time. With the default limits, a page of the
/// longest messages (128 KiB) fills half of the output queue.
const REPLAY_PAGE: usize = 32;

/// A replay in progress.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replaying {
    /// The index in `members` of the member that the replay is for.
    member: usize,
    replay: CatchUp,
    own: Own,
    moment: Moment,
    /// The time of the last message that was shown; `None` if none was shown.
    shown_at: Option<Timestamp>,
}

/// Which of the peer's own messages a replay shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Own {
    /// All messages, as in history.
    All,
    /// Only messages without a key. If a message has a key, the peer sends the message again, and the reply says
    /// whether the message was already published.
    Unkeyed,
    /// No message of the peer but its topics; see [`Echo::Exclude`].
    None,
    /// The reply to the unanswered message is shown in place of the message. Messages that were already answered are
    /// not shown.
    Reply,
}

impl Replaying {
    /// Creates a replay of what happened since the member joined, to be shown as live events.
    pub(super) const fn live(member: usize, replay: CatchUp, echo: Echo) -> Self {
        Self {
            member,
            replay,
            own: match echo {
                Echo::Include => Own::All,
                Echo::Exclude => Own::None,
                Echo::Reply => Own::Reply,
            },
            moment: Moment::Live,
            shown_at: None,
        }
    }

    /// Creates a replay of what happened before the member joined, to be shown as history.
    pub(super) const fn past(member: usize, replay: CatchUp) -> Self {
        Self {
            member,
            replay,
            own: Own::All,
            moment: Moment::Replay,
            shown_at: None,
        }
    }

    pub(super) const fn is_done(&self) -> bool {
        self.replay.is_done()
    }
}

impl<R: AsyncRead + Send + Unpin> Connection<R> {
    /// Continues a replay or a list of members, or begins a replay for a lagging member. Must be called only after the
    /// stream has accepted all output, except the output of rooms that is held back.
    pub(super) async fn catch_up(&mut self) {
        self.write_due();
        if self.listing.is_some() {
            if !self.write_listing().await {
                return;
            }
            self.conversation.expect_follow_up();
        } else if self.replays.is_empty()
            && let Some(member) = self.members.iter().position(WireMember::is_behind)
        {
            self.hub.counters().lag_repairs.add(1);
            self.transport.cork();
            let (replay, missed_presence) = self.members[member].go_live();
            self.replays
                .push_back(Replaying::live(member, replay, self.echo()));
            if missed_presence {
                let info = self.seen(self.members[member].room().info());
                self.reply(&Reply::Present(&info));
                // The dialect may ask for the members that the reply does not list.
                self.conversation.expect_follow_up();
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
        if self.has_passed_owed() {
            self.write_owed_out_of_place();
        }
        self.uncork();
    }

    /// Begins the planned replays if the stream has accepted all earlier output. If no replay is planned, releases the
    /// events that were held back.
    pub(super) async fn catch_up_soon(&mut self) {
        if self.replays.is_empty() {
            self.uncork();
        } else if self.transport.is_flushed() {
            self.catch_up().await;
        }
    }

    /// Reads the next page of a replay, and returns it encoded for the peer.
    pub(super) async fn read_replay(&mut self, replaying: &mut Replaying) -> Bytes {
        let Replaying {
            member,
            replay,
            moment,
            ..
        } = replaying;
        let Some(encoder) = self.conversation.dialect().map(Dialect::encoder) else {
            // Without a dialect there is no encoder, so the replay is skipped.
            replay.skip();
            return Bytes::new();
        };
        let room = self.members[*member].room();
        let CaughtUp { missed, slices } = replay.next_page(room, REPLAY_PAGE).await;
        let mut out = BytesMut::new();
        if let Some(missed) = missed {
            self.hub.counters().gaps.add(1);
            encoder.encode(&Broadcast::Missed(&room.name, missed), *moment, &mut out);
        }
        self.write_slices(&*encoder, replaying, &slices, &mut out);
        self.hub.counters().bytes_out.add(out.len());
        if replaying.moment == Moment::Replay {
            // Only a replay that the peer asked for is charged, not one that repairs a lag.
            self.charge(Cost::bytes(out.len()));
        }
        out.freeze()
    }

    /// Writes the messages of one page, with the dialect's separators between different days.
    fn write_slices(
        &mut self,
        encoder: &dyn Encoder,
        replaying: &mut Replaying,
        slices: &[BatchSlice],
        out: &mut BytesMut,
    ) {
        let now = self.hub.now();
        let moment = replaying.moment;
        for BatchSlice { batch, range } in slices {
            if moment == Moment::Replay {
                let previous = replaying.shown_at.replace(batch.at()).unwrap_or(now);
                self.conversation
                    .write_day(previous, batch.at(), now, &mut *out);
            }
            let is_own = self.session.as_ref().map(Session::id) == Some(batch.author());
            match (replaying.own, &self.session) {
                (Own::None, _) if is_own && !batch.is_state() => {}
                (Own::Reply, _) if is_own && self.conversation.write_owed(batch, out) => {}
                (Own::Reply, _) if is_own && self.members[replaying.member].has_answered(batch) => {
                }
                (Own::Unkeyed, Some(session)) => {
                    let owner = session.shared().owner();
                    let is_hidden = |at: &usize| batch.is_keyed_by(*at, session.id(), owner);
                    for range in without(range.clone(), is_hidden) {
                        encoder.encode(&Broadcast::Messages(batch, range), moment, out);
                    }
                }
                _ => encoder.encode(&Broadcast::Messages(batch, range.clone()), moment, out),
            }
        }
        if let Some(shown_at) = replaying.shown_at
            && replaying.replay.is_done()
        {
            // The last line of the replay may be of an earlier day. Live events are of today, so the separator names
            // today.
            self.conversation.write_day(shown_at, now, now, out);
        }
    }

    /// Plans the replay for the room that was joined last, up to the room's position at the join. Returns whether the
    /// replay has all messages after the position that the peer named; `None` if the peer named no position.
    pub(super) async fn plan_replay(
        &mut self,
        request: &JoinRequest<'_>,
        joined: JoinedAt,
    ) -> Option<bool> {
        let member = self.members.len() - 1;
        let resume = Resume {
            after: request.after,
            epoch: request.epoch,
            limit: request.limit,
        };
        let Plan { catch_up, is_whole } =
            if !resume.is_empty() && self.ask_for_history(member).await.is_err() {
                resume.withhold(joined)
            } else {
                resume.plan(self.members[member].room(), joined).await
            };
        let mut replaying = Replaying::past(member, catch_up);
        if request.after.is_some() && self.echo() == Echo::Exclude {
            replaying.own = Own::Unkeyed;
        }
        if !replaying.is_done() {
            self.replays.push_back(replaying);
        }
        is_whole
    }

    /// Plans a short replay for the room that was joined last, for a peer that is sent a limited number of bytes about
    /// the room. The replay has the latest messages: at most `request.limit`, and only as many as fit into `bytes_max`
    /// bytes. Compare [`plan_replay`](Self::plan_replay).
    pub(super) async fn plan_short_replay(
        &mut self,
        request: &JoinRequest<'_>,
        joined: JoinedAt,
        bytes_max: usize,
    ) {
        let member = self.members.len() - 1;
        let limit = request.limit.unwrap_or_default();
        let catch_up = if limit == 0 || self.ask_for_history(member).await.is_err() {
            CatchUp::none(joined)
        } else {
            self.latest_that_fit(member, joined, limit, bytes_max).await
        };
        let replaying = Replaying::past(member, catch_up);
        if !replaying.is_done() {
            self.replays.push_back(replaying);
        }
    }

    /// Creates a replay of the latest messages: at most `limit`, and only as many as fit into `bytes_max` bytes.
    async fn latest_that_fit(
        &mut self,
        member: usize,
        joined: JoinedAt,
        limit: usize,
        bytes_max: usize,
    ) -> CatchUp {
        let Position { epoch, seq } = joined.position;
        let Some(dialect) = self.conversation.dialect() else {
            return CatchUp::none(joined);
        };
        let encoder = dialect.encoder();
        let before = Span::Before(seq.next());
        let page = self.members[member].room().read_in(epoch, before, limit);
        let page = match page.await {
            Ok(page) => page,
            Err(Unread::BeganAnew) => return CatchUp::none(joined),
            Err(Unread::Failed) => return CatchUp::unread(Missed::Unreadable(None), joined),
        };
        let mut after = seq;
        let mut out = BytesMut::new();
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
            let first = batch.messages(at..at + 1).next().map(|first| first.seq);
            after = first.map_or(after, |first| Seq(first.0.saturating_sub(1)));
        }
        CatchUp::up_to(after, joined)
    }

    pub(super) fn echo(&self) -> Echo {
        self.conversation.echo()
    }
}

/// Splits a range at the numbers that `is_hidden` selects. Returns the parts, without these numbers.
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
