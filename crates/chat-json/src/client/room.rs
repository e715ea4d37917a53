//! Where a client is in each of its rooms.
//!
//! Invariant: a room's position only grows within an epoch, and a message is shown when it moves the position: so none
//! is shown twice, and what was not shown is asked for from the position on.
//!
//! ```text
//!           events are not read: a message is left in the log
//!   Live ------------------------------------------------------> Behind { to }
//!     ^                                                              |
//!     +---- the log was read from the position up to `to` ----------+
//! ```

use super::GapCause;
use crate::wire::{self, JoinRoom, Position, Text};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// How many keys of others' messages are remembered, to know a message that was said again after its log was lost.
const KEYS_MAX: usize = 1024;

/// How far apart a message and its repetition can be: for so long servers remember keys. Later the same key may be used
/// for something else.
const REPEATED_WITHIN: Duration = Duration::from_secs(10 * 60);

/// A room that the client wants to be in.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) name: String,
    /// The epoch and place of the last message that the caller has.
    pub(super) after: Option<(Option<String>, u64)>,
    /// How many of the latest messages the caller wants.
    pub(super) limit: Option<usize>,
}

impl Wanted {
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
        }
    }
}

/// What is to be done with a message that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detection {
    /// It is new: show it.
    Show,
    /// It was shown.
    Skip,
}

/// A room that the client is in, or comes back to.
#[derive(Debug)]
pub(super) struct Place {
    wanted: Wanted,
    /// The room's name as its members spell it.
    pub(super) name: String,
    pub(super) epoch: String,
    /// How many epochs there were before this one.
    life: u32,
    /// The caller has been told that this epoch began; the server tells, too.
    has_told_epoch: bool,
    /// The last message that was shown, or the end of the log when the client came.
    seq: u64,
    /// While messages from before the client came are shown: the last of them.
    past: Option<u64>,
    /// Messages up to this one were left in the log, because events were not read.
    behind: Option<u64>,
    /// A page of the log is on its way.
    is_reading: bool,
    /// Who came and went was not shown either.
    pub(super) missed_presence: bool,
    keys: Keys,
}

impl Place {
    /// The client has joined for the first time.
    pub(super) fn new(wanted: Wanted, place: &wire::Place<'_>) -> Self {
        let tail = place.seq.unwrap_or_default();
        // Replayed from a position, everything behind it is new; else nothing is, but for the messages asked for.
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

    /// The client is back after a break. Returns whether the log has begun anew meanwhile, which the caller is to be told
    /// at once: the server tells, too, but the connection may break before that.
    pub(super) fn enter_again(&mut self, place: &wire::Place<'_>) -> bool {
        self.name = place.room.to_string();
        self.past = None;
        // What was left in the log is replayed now with the rest.
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

    /// How to join it again, where the client was.
    pub(super) fn request(&self) -> JoinRoom<'static> {
        JoinRoom {
            room: self.wanted.name.clone().into(),
            after: Some(self.position()),
            limit: None,
        }
    }

    /// The position of the last message that was shown.
    pub(super) fn position(&self) -> Position<'static> {
        Position {
            epoch: Some(self.epoch.clone().into()),
            seq: self.seq,
        }
    }

    /// Whether a room of this name is meant, spelled as its members do or as the caller did.
    pub(super) fn is_called(&self, room: &str) -> bool {
        self.name == room || self.wanted.name == room
    }

    /// Whether a room of this name is meant, however it is spelled.
    pub(super) fn is_called_like(&self, room: &str) -> bool {
        let key = |room: &str| room.strip_prefix('#').unwrap_or(room).to_lowercase();
        [&self.name, &self.wanted.name]
            .iter()
            .any(|name| key(name) == key(room))
    }

    /// Whether messages that come now are left in the log.
    pub(super) const fn is_behind(&self) -> bool {
        self.behind.is_some()
    }

    /// Leaves messages up to this one in the log.
    pub(super) fn leave_in_log(&mut self, seq: u64) {
        self.behind = Some(self.behind.unwrap_or_default().max(seq));
    }

    /// Whether a page of the log is to be read now; counts as asked for.
    pub(super) fn starts_reading(&mut self) -> bool {
        self.is_behind() && !std::mem::replace(&mut self.is_reading, true)
    }

    /// A page was read, and all of it taken; it began at this position. Returns what it should have held and did not, if
    /// that can't be had: then the room is live again without it.
    pub(super) fn has_read(&mut self, began: u64) -> Option<Missing> {
        self.is_reading = false;
        let to = self.behind?;
        if self.seq < to && self.seq > began {
            return None;
        }
        self.behind = None;
        self.missing(to)
    }

    /// What was left in the log and is not read any more.
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

    /// Takes a message that came, in its turn.
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
        // Said again after the log was lost that it was in: its author could not know that it had been seen.
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

    /// Takes note of a gap. Returns whether it is one to the caller.
    pub(super) fn skip(&mut self, to: Option<u64>, why: GapCause) -> bool {
        let is_told = why == GapCause::Epoch && std::mem::take(&mut self.has_told_epoch);
        let is_news = why == GapCause::Epoch || to.is_none_or(|to| to > self.seq);
        self.seq = self.seq.max(to.unwrap_or_default());
        is_news && !is_told
    }
}

/// Messages that can't be had.
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

/// The keys of the latest messages, with their authors.
#[derive(Debug, Default)]
struct Keys {
    known: HashMap<(String, String), Seen>,
    order: VecDeque<(String, String)>,
}

/// When a message was seen that bore a key.
#[derive(Debug, Clone, Copy)]
struct Seen {
    life: u32,
    ts: u64,
}

impl Seen {
    /// Whether a message is this one once more: within one life of its log, the server would have known it.
    fn is_repeated_by(self, later: Self) -> bool {
        let apart = Duration::from_millis(later.ts.abs_diff(self.ts));
        self.life != later.life && apart < REPEATED_WITHIN
    }
}

impl Keys {
    /// Notes a key. Returns whether it is a new message's.
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

    fn joined(wanted: Wanted, epoch: &'static str, seq: u64, recovered: Option<bool>) -> Place {
        Place::new(wanted, &found(epoch, seq, recovered))
    }

    fn found(epoch: &'static str, seq: u64, recovered: Option<bool>) -> wire::Place<'static> {
        wire::Place {
            room: "ops".into(),
            epoch: Some(epoch.into()),
            seq: Some(seq),
            recovered,
            count: None,
            members: None,
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

    fn shown(place: &mut Place, seq: u64) -> bool {
        place.take(&entry(seq, None, false)) == Detection::Show
    }

    #[test]
    fn a_message_is_shown_once() {
        let mut place = joined(Wanted::new("ops".into()), "a", 10, None);
        assert!(!shown(&mut place, 10));
        assert!(shown(&mut place, 11) && !shown(&mut place, 11) && shown(&mut place, 13));
        place.enter_again(&found("a", 20, Some(true)));
        assert!(!shown(&mut place, 13) && shown(&mut place, 14));
        assert_eq!(place.position().seq, 14);
    }

    #[test]
    fn history_that_was_asked_for_is_shown_and_is_not_the_position() {
        let mut wanted = Wanted::new("ops".into());
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
        let mut place = joined(Wanted::new("ops".into()), "a", 10, None);
        assert!(place.enter_again(&found("b", 3, Some(false))));
        assert!(!place.skip(None, GapCause::Epoch), "the server's own words");
        assert!(shown(&mut place, 1));
        assert!(place.skip(None, GapCause::Epoch), "another one");
        assert!(!place.enter_again(&found("b", 3, Some(true))));
    }

    #[test]
    fn a_message_that_is_said_again_in_another_epoch_is_known_by_its_key() {
        let mut place = joined(Wanted::new("ops".into()), "a", 0, None);
        assert_eq!(place.take(&entry(1, Some("k1"), false)), Detection::Show);
        place.enter_again(&found("b", 2, Some(false)));
        assert_eq!(place.take(&entry(1, Some("k1"), true)), Detection::Skip);
        assert_eq!(place.take(&entry(2, Some("k2"), true)), Detection::Show);
    }

    #[test]
    fn a_key_that_is_used_again_for_something_else_hides_nothing() {
        let mut place = joined(Wanted::new("ops".into()), "a", 0, None);
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
        let mut place = joined(Wanted::new("ops".into()), "a", 10, None);
        assert!(place.skip(Some(15), GapCause::Expired));
        assert!(!place.skip(Some(15), GapCause::Expired));
        assert!(!shown(&mut place, 15) && shown(&mut place, 16));
    }

    #[test]
    fn what_is_left_in_the_log_is_read_until_it_was_reached() {
        let mut place = joined(Wanted::new("ops".into()), "a", 10, None);
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
        let mut place = joined(Wanted::new("ops".into()), "a", 10, None);
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
