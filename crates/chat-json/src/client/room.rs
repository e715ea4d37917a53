//! The position of a client in each of its rooms.
//!
//! Invariant: within an epoch a position only grows, and a message is delivered only if it advances the position. So no
//! message is delivered twice. To get missing messages, the client requests the messages after its position.
//!
//! ```text
//!        the caller reads no events: a message is left in the log
//!   Live ------------------------------------------------------> Behind { to }
//!     ^                                                              |
//!     +---- the log was read from the position up to `to` ----------+
//! ```

use super::GapCause;
use crate::wire::{self, JoinRoom, Position, Text};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// The maximum number of keys of messages that the client remembers. By these keys, the client recognises messages that
/// were sent again after the server lost its log.
const KEYS_MAX: usize = 1024;

/// The longest time between a message and its repetition under the same key. Servers remember keys for this long. After
/// this time, a key may be reused for another message.
const REPEATED_WITHIN: Duration = Duration::from_secs(10 * 60);

/// A room to join, and the position to resume from.
#[derive(Debug, Clone)]
pub(super) struct JoinRequest {
    pub(super) name: String,
    /// The epoch and position of the last message that the caller has. An epoch of `None` means the log's current
    /// epoch.
    pub(super) after: Option<(Option<String>, u64)>,
    /// The maximum number of the room's latest messages that the caller wants to receive first.
    pub(super) limit: Option<usize>,
}

impl JoinRequest {
    pub(super) const fn new(name: String) -> Self {
        Self {
            name,
            after: None,
            limit: None,
        }
    }

    pub(super) fn request(&self) -> JoinRoom<'static> {
        JoinRoom {
            room: self.name.clone().into(),
            after: self.after.clone().map(|(epoch, seq)| Position {
                epoch: epoch.map(Text::from),
                seq,
            }),
            limit: self.limit,
            key: None,
        }
    }
}

/// Whether to deliver a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detection {
    /// The message is new: deliver it.
    Show,
    /// The message was delivered before: skip it.
    Skip,
}

/// A room that the client is in, or joins again after a disconnect.
#[derive(Debug)]
pub(super) struct JoinedRoom {
    wanted: JoinRequest,
    /// The room's name as its members spell it.
    pub(super) name: String,
    pub(super) epoch: String,
    /// How many epochs the client has seen in this room before the current one.
    life: u32,
    /// Whether the client has told the caller that the current epoch has begun. The server's own report of the new
    /// epoch arrives later, and is then skipped.
    has_told_epoch: bool,
    /// The position of the last delivered message, or the end of the log at the join.
    seq: u64,
    /// The position of the last delivered message of the requested history. `None` if no more history is expected.
    past: Option<u64>,
    /// The position up to which the client has left messages unread in the log, because the caller did not read its
    /// events fast enough. `None` if no messages are left.
    behind: Option<u64>,
    /// Whether a page of the log was requested and has not arrived.
    is_reading: bool,
    /// Whether events about members were dropped.
    pub(super) missed_presence: bool,
    keys: Keys,
}

impl JoinedRoom {
    /// Creates the state of a room that the client has joined for the first time.
    pub(super) fn new(wanted: JoinRequest, place: &wire::Place<'_>) -> Self {
        let tail = place.seq.unwrap_or_default();
        // Messages after the position `seq` are new. If a resume did not recover all messages, all replayed messages
        // are new. If the caller named no position, only messages after the current end of the log are new.
        let seq = match (&wanted.after, place.recovered) {
            (Some((_, seq)), Some(true)) => *seq,
            (Some(_), _) => 0,
            (None, _) => tail,
        };
        let past = (wanted.after.is_none() && wanted.limit.is_some()).then_some(0);
        Self {
            name: place.room.to_string(),
            epoch: epoch(place),
            life: 0,
            has_told_epoch: false,
            wanted,
            seq,
            past,
            behind: None,
            is_reading: false,
            missed_presence: false,
            keys: Keys::default(),
        }
    }

    /// Updates the state after the client has joined the room again. Returns whether the log has a new epoch. If so,
    /// the client tells the caller of the epoch at once, because the connection may be lost before the server reports
    /// the epoch.
    pub(super) fn enter_again(&mut self, place: &wire::Place<'_>) -> bool {
        self.name = place.room.to_string();
        self.past = None;
        // The server's replay includes the messages that were left unread in the log, so the client need not read them.
        self.behind = None;
        self.is_reading = false;
        self.missed_presence = false;
        let epoch = epoch(place);
        self.has_told_epoch = epoch != self.epoch || place.seq.is_some_and(|tail| tail < self.seq);
        if self.has_told_epoch {
            self.epoch = epoch;
            self.life += 1;
            self.seq = 0;
        }
        self.has_told_epoch
    }

    /// Returns the request to join the room again and resume from the current position.
    pub(super) fn request(&self) -> JoinRoom<'static> {
        JoinRoom {
            room: self.wanted.name.clone().into(),
            after: Some(self.position()),
            limit: None,
            key: None,
        }
    }

    /// Returns the current position: that of the last delivered message, or the end of the log at the join.
    pub(super) fn position(&self) -> Position<'static> {
        Position {
            epoch: Some(self.epoch.clone().into()),
            seq: self.seq,
        }
    }

    /// Returns whether `room` is this room's name as its members spell it, or as the caller spells it.
    pub(super) fn is_called(&self, room: &str) -> bool {
        self.name == room || self.wanted.name == room
    }

    /// Returns whether `room` is this room's name in any spelling.
    pub(super) fn is_called_like(&self, room: &str) -> bool {
        let key = |room: &str| room.strip_prefix('#').unwrap_or(room).to_lowercase();
        [&self.name, &self.wanted.name]
            .iter()
            .any(|name| key(name) == key(room))
    }

    /// Returns whether messages are left unread in the log. If so, new messages are left unread, too.
    pub(super) const fn is_behind(&self) -> bool {
        self.behind.is_some()
    }

    /// Records that messages up to this position are left unread in the log.
    pub(super) fn leave_in_log(&mut self, seq: u64) {
        self.behind = Some(self.behind.unwrap_or_default().max(seq));
    }

    /// Returns whether the client must request a page of the log now. If so, marks the page as requested.
    pub(super) fn starts_reading(&mut self) -> bool {
        self.is_behind() && !std::mem::replace(&mut self.is_reading, true)
    }

    /// Handles the end of a page of the log. `began` is the room's position when the page was requested. If the page
    /// has not advanced the room's position, gives up the unread messages, and returns the range of their positions.
    pub(super) fn has_read(&mut self, began: u64) -> Option<Missing> {
        self.is_reading = false;
        let to = self.behind?;
        if self.seq < to && self.seq > began {
            return None;
        }
        self.behind = None;
        self.missing(to)
    }

    /// Gives up the messages that were left unread in the log. Returns the range of their positions.
    pub(super) fn give_up_log(&mut self) -> Option<Missing> {
        self.is_reading = false;
        let to = self.behind.take()?;
        self.missing(to)
    }

    fn missing(&mut self, to: u64) -> Option<Missing> {
        let from = self.seq + 1;
        self.seq = self.seq.max(to);
        (from <= to).then_some(Missing { from, to })
    }

    /// Advances the position to the message's position. Returns whether to deliver the message or to skip it.
    pub(super) fn take(&mut self, entry: &wire::Entry<'_>) -> Detection {
        let is_new = if entry.seq > self.seq {
            self.seq = entry.seq;
            self.past = None;
            true
        } else {
            let is_past = entry.replay && self.past.is_some_and(|last| entry.seq > last);
            if is_past {
                self.past = Some(entry.seq);
            }
            is_past
        };
        if !is_new {
            return Detection::Skip;
        }
        // Skips a message that its sender has sent again after the server lost its log. The sender could not know that
        // the server had published the message before.
        let seen = Seen {
            life: self.life,
            ts: entry.ts,
        };
        let key = entry.key.as_deref();
        if key.is_some_and(|key| !self.keys.note(&entry.from, key, seen)) {
            return Detection::Skip;
        }
        Detection::Show
    }

    /// Advances the position over a gap. Returns whether the caller must be told of the gap.
    pub(super) fn skip(&mut self, to: Option<u64>, why: GapCause) -> bool {
        let is_told = why == GapCause::Epoch && std::mem::take(&mut self.has_told_epoch);
        let is_news = why == GapCause::Epoch || to.is_none_or(|to| to > self.seq);
        self.seq = self.seq.max(to.unwrap_or_default());
        is_news && !is_told
    }
}

/// The first and the last position of messages that can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) from: u64,
    pub(super) to: u64,
}

fn epoch(place: &wire::Place<'_>) -> String {
    place
        .epoch
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default()
}

/// The keys and senders of the latest messages, at most `KEYS_MAX`.
#[derive(Debug, Default)]
struct Keys {
    known: HashMap<(String, String), Seen>,
    order: VecDeque<(String, String)>,
}

/// The time at which a message with a key was sent: the number of earlier epochs (`life`), and the time in milliseconds
/// since 1970.
#[derive(Debug, Clone, Copy)]
struct Seen {
    life: u32,
    ts: u64,
}

impl Seen {
    /// Returns whether the message `later`, which has the same key, is a repetition. Two messages of one epoch are
    /// never repetitions, because the server itself recognises repetitions.
    fn is_repeated_by(self, later: Self) -> bool {
        let apart = Duration::from_millis(later.ts.abs_diff(self.ts));
        self.life != later.life && apart < REPEATED_WITHIN
    }
}

impl Keys {
    /// Adds the key of a message. Returns whether the message is new.
    fn note(&mut self, from: &str, key: &str, seen: Seen) -> bool {
        let entry = (from.to_owned(), key.to_owned());
        match self.known.insert(entry.clone(), seen) {
            Some(before) => return !before.is_repeated_by(seen),
            None => self.order.push_back(entry),
        }
        if self.order.len() > KEYS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(
        wanted: JoinRequest,
        epoch: &'static str,
        seq: u64,
        recovered: Option<bool>,
    ) -> JoinedRoom {
        JoinedRoom::new(wanted, &found(epoch, seq, recovered))
    }

    fn found(epoch: &'static str, seq: u64, recovered: Option<bool>) -> wire::Place<'static> {
        wire::Place {
            room: "ops".into(),
            epoch: Some(epoch.into()),
            seq: Some(seq),
            recovered,
            count: None,
            members: None,
            roles: std::collections::BTreeMap::new(),
            role: None,
            away: Vec::new(),
            hushed: false,
            topic: None,
            err: None,
        }
    }

    fn entry(seq: u64, key: Option<&'static str>, replay: bool) -> wire::Entry<'static> {
        wire::Entry {
            room: "ops".into(),
            seq,
            ts: 0,
            from: "bob".into(),
            text: "hi".into(),
            key: key.map(Text::from),
            replay,
        }
    }

    fn shown(place: &mut JoinedRoom, seq: u64) -> bool {
        place.take(&entry(seq, None, false)) == Detection::Show
    }

    #[test]
    fn a_message_is_shown_once() {
        let mut place = joined(JoinRequest::new("ops".into()), "a", 10, None);
        assert!(!shown(&mut place, 10));
        assert!(shown(&mut place, 11) && !shown(&mut place, 11) && shown(&mut place, 13));
        place.enter_again(&found("a", 20, Some(true)));
        assert!(!shown(&mut place, 13) && shown(&mut place, 14));
        assert_eq!(place.position().seq, 14);
    }

    #[test]
    fn history_that_was_asked_for_is_shown_and_is_not_the_position() {
        let mut wanted = JoinRequest::new("ops".into());
        wanted.limit = Some(5);
        let mut place = joined(wanted, "a", 10, None);
        for seq in [9, 10] {
            assert_eq!(place.take(&entry(seq, None, true)), Detection::Show);
            assert_eq!(place.take(&entry(seq, None, true)), Detection::Skip);
        }
        assert_eq!(place.position().seq, 10);
        assert!(shown(&mut place, 11));
    }

    #[test]
    fn another_epoch_begins_at_its_start_and_is_told_once() {
        let mut place = joined(JoinRequest::new("ops".into()), "a", 10, None);
        assert!(place.enter_again(&found("b", 3, Some(false))));
        assert!(!place.skip(None, GapCause::Epoch), "the server's own words");
        assert!(shown(&mut place, 1));
        assert!(place.skip(None, GapCause::Epoch), "another one");
        assert!(!place.enter_again(&found("b", 3, Some(true))));
    }

    #[test]
    fn a_message_that_is_said_again_in_another_epoch_is_known_by_its_key() {
        let mut place = joined(JoinRequest::new("ops".into()), "a", 0, None);
        assert_eq!(place.take(&entry(1, Some("k1"), false)), Detection::Show);
        place.enter_again(&found("b", 2, Some(false)));
        assert_eq!(place.take(&entry(1, Some("k1"), true)), Detection::Skip);
        assert_eq!(place.take(&entry(2, Some("k2"), true)), Detection::Show);
    }

    #[test]
    fn a_key_that_is_used_again_for_something_else_hides_nothing() {
        let mut place = joined(JoinRequest::new("ops".into()), "a", 0, None);
        assert_eq!(place.take(&entry(1, Some("k1"), false)), Detection::Show);
        let again = entry(2, Some("k1"), false);
        assert_eq!(place.take(&again), Detection::Show, "the server took it");
        place.enter_again(&found("b", 2, Some(false)));
        let mut much_later = entry(1, Some("k1"), false);
        much_later.ts = 10 * 60 * 1000;
        assert_eq!(place.take(&much_later), Detection::Show);
    }

    #[test]
    fn a_gap_moves_the_position_and_is_told_once() {
        let mut place = joined(JoinRequest::new("ops".into()), "a", 10, None);
        assert!(place.skip(Some(15), GapCause::Expired));
        assert!(!place.skip(Some(15), GapCause::Expired));
        assert!(!shown(&mut place, 15) && shown(&mut place, 16));
    }

    #[test]
    fn what_is_left_in_the_log_is_read_until_it_was_reached() {
        let mut place = joined(JoinRequest::new("ops".into()), "a", 10, None);
        place.leave_in_log(11);
        place.leave_in_log(14);
        assert!(place.starts_reading() && !place.starts_reading());
        assert!(shown(&mut place, 11));
        assert_eq!(place.has_read(10), None);
        assert!(place.is_behind() && place.starts_reading());
        assert!(shown(&mut place, 14));
        assert_eq!(place.has_read(11), None);
        assert!(!place.is_behind());
    }

    #[test]
    fn a_page_that_leads_nowhere_is_the_last_and_what_it_lacks_is_missing() {
        let mut place = joined(JoinRequest::new("ops".into()), "a", 10, None);
        place.leave_in_log(99);
        assert!(place.starts_reading());
        let missing = Missing { from: 11, to: 99 };
        assert_eq!(place.has_read(10), Some(missing));
        assert!(!place.is_behind() && shown(&mut place, 100));
        place.leave_in_log(105);
        let missing = Missing { from: 101, to: 105 };
        assert_eq!(place.give_up_log(), Some(missing));
    }
}
