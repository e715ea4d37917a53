//! The loaded entries of a room, and the part of them that is on the screen.
//!
//! Invariant: a room keeps a limited number of entries and of bytes. While the newest entry is on the screen, the
//! newest entries are kept. While older entries are on the screen, the visible part does not move.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::collections::VecDeque;

/// The most entries that a room keeps.
pub(crate) const ENTRIES_MAX: usize = 5_000;

/// The most bytes of text that a room keeps, approximately.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// One entry of a room: a message, or a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The time in milliseconds since 1970 (UTC). `None` for an entry without a time.
    pub(crate) at: Option<u64>,
    /// The entry's position in the room's log. `None` if the entry is not in the log.
    pub(crate) seq: Option<u64>,
    /// The date to show above the entry. In a scrollback, only the first entry of each day has a date.
    pub(crate) day: Option<Date>,
    pub(crate) what: What,
}

/// Returns the date in the time zone `zone`. `at` is in milliseconds since 1970 (UTC).
pub(crate) fn day(zone: &TimeZone, at: u64) -> Option<Date> {
    let at = Timestamp::from_millisecond(i64::try_from(at).ok()?).ok()?;
    Some(at.to_zoned(zone.clone()).date())
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    Said {
        from: String,
        text: String,
        is_mention: bool,
    },
    Acted {
        from: String,
        text: String,
    },
    /// The text of a topic change, a join or leave, or the answer to a command.
    Notice(String),
    /// The text of an entry that needs attention, such as a gap or a refusal.
    Alert(String),
    /// A direct message that is shown in a room instead of its own window.
    Told {
        from: String,
        to: String,
        text: String,
    },
}

impl Entry {
    pub(crate) const fn notice(text: String) -> Self {
        Self {
            at: None,
            seq: None,
            day: None,
            what: What::Notice(text),
        }
    }

    pub(crate) const fn alert(text: String) -> Self {
        Self {
            at: None,
            seq: None,
            day: None,
            what: What::Alert(text),
        }
    }

    fn bytes(&self) -> usize {
        let text = match &self.what {
            What::Said { from, text, .. } | What::Acted { from, text } => from.len() + text.len(),
            What::Told { from, to, text } => from.len() + to.len() + text.len(),
            What::Notice(text) | What::Alert(text) => text.len(),
        };
        text + size_of::<Self>()
    }

    /// Returns the text in which a search looks for words.
    pub(crate) fn text(&self) -> &str {
        match &self.what {
            What::Said { text, .. }
            | What::Acted { text, .. }
            | What::Told { text, .. }
            | What::Notice(text)
            | What::Alert(text) => text,
        }
    }
}

/// The entries of a room. Each entry has a number that never changes.
#[derive(Debug, Default)]
pub(crate) struct Scrollback {
    entries: VecDeque<Entry>,
    /// The number of the first entry.
    first: i64,
    /// The number of the first entry whose position is in the current log. Earlier entries are of a replaced log.
    /// `None` if all entries are of the current log.
    anew: Option<i64>,
    /// The number of the entry that says that nothing older can be shown. `None` if there was no such entry yet.
    top: Option<i64>,
    /// The dates of the first and of the last entry that have a date.
    first_day: Option<Date>,
    last_day: Option<Date>,
    bytes: usize,
    /// The lower end of the visible part. `None` if the newest entry is at the lower end.
    anchor: Option<Anchor>,
}

/// The lower end of the visible part of the scrollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Anchor {
    /// The number of the last visible entry.
    pub(crate) number: i64,
    /// How many of this entry's last lines are below the screen.
    pub(crate) hidden: usize,
}

impl Scrollback {
    /// Appends an entry. If the scrollback exceeds its limits, the oldest entries are dropped.
    pub(crate) fn push(&mut self, mut entry: Entry) {
        let day = entry.day.take().filter(|day| self.last_day != Some(*day));
        if day.is_some() {
            self.first_day = self.first_day.or(day);
            (entry.day, self.last_day) = (day, day);
        }
        self.bytes += entry.bytes();
        self.entries.push_back(entry);
        while self.is_over() {
            self.drop_first();
        }
        self.keep_anchor();
    }

    /// If the anchor's entry was dropped, moves the anchor to the first entry.
    fn keep_anchor(&mut self) {
        if let Some(anchor) = &mut self.anchor
            && anchor.number < self.first
        {
            anchor.number = self.first;
        }
    }

    /// Prepends older entries, and returns the number of prepended entries. A full scrollback accepts no more entries.
    pub(crate) fn push_older(&mut self, older: Vec<Entry>) -> usize {
        if !self.has_earlier_log() {
            self.anew = None;
        }
        let mut added = 0;
        for entry in older.into_iter().rev() {
            if !self.has_space_for(&entry) {
                break;
            }
            self.open_day(entry.day);
            self.bytes += entry.bytes();
            self.entries.push_front(entry);
            self.first -= 1;
            added += 1;
        }
        added
    }

    /// Prepares the scrollback for prepending an entry of this date. If the scrollback begins with the same date,
    /// removes the date from the entry that shows it: the new entry shows it instead.
    fn open_day(&mut self, day: Option<Date>) {
        if day.is_none() {
            return;
        }
        if self.first_day == day
            && let Some(first) = self.entries.iter_mut().find(|entry| entry.day.is_some())
        {
            first.day = None;
        }
        self.first_day = day;
        self.last_day = self.last_day.or(day);
    }

    /// Gives `day`, the date of an entry that was dropped, to the entry that is now the first. An entry that has a date
    /// already keeps it.
    fn keep_day(&mut self, day: Option<Date>) {
        let Some(next) = self.entries.front_mut() else {
            (self.first_day, self.last_day) = (None, None);
            return;
        };
        next.day = next.day.or(day);
        self.first_day = next.day.or(self.first_day);
    }

    /// Prepends an entry that says that nothing older can be shown. A full scrollback drops its oldest entries to make
    /// space.
    pub(crate) fn end_at_top(&mut self, why: &str) {
        let entry = Entry::notice(why.to_owned());
        while !self.has_space_for(&entry) && !self.entries.is_empty() {
            self.drop_first();
        }
        self.bytes += entry.bytes();
        self.entries.push_front(entry);
        self.first -= 1;
        self.top = Some(self.first);
        self.keep_anchor();
    }

    /// Returns whether the first entry says that nothing older can be shown.
    pub(crate) fn is_ended_at_top(&self) -> bool {
        self.top == Some(self.first)
    }

    pub(crate) fn get(&self, number: i64) -> Option<&Entry> {
        usize::try_from(number - self.first)
            .ok()
            .and_then(|at| self.entries.get(at))
    }

    /// Returns the range of the numbers of all entries.
    pub(crate) fn range(&self) -> std::ops::Range<i64> {
        self.first..self.first + self.entries.len() as i64
    }

    pub(crate) fn entries(&self) -> impl DoubleEndedIterator<Item = (i64, &Entry)> {
        let first = self.first;
        let numbered = self.entries.iter().enumerate();
        numbered.map(move |(at, entry)| (first + at as i64, entry))
    }

    /// Returns the last visible entry, and how many of its last lines are below the screen. Returns `None` if there are
    /// no entries.
    pub(crate) fn bottom(&self) -> Option<Anchor> {
        let newest = Anchor {
            number: self.range().end - 1,
            hidden: 0,
        };
        (!self.entries.is_empty()).then(|| self.anchor.unwrap_or(newest))
    }

    pub(crate) const fn is_at_end(&self) -> bool {
        self.anchor.is_none()
    }

    /// Returns how many entries are below the visible part.
    pub(crate) fn below(&self) -> usize {
        let last = self.range().end - 1;
        let below = self.anchor.map_or(0, |anchor| last - anchor.number);
        usize::try_from(below).unwrap_or(0)
    }

    /// Scrolls up by `lines`, at most until the first `page` lines are visible. `height` returns how many lines an
    /// entry takes. Returns whether the first loaded entry has been reached.
    pub(crate) fn scroll_up(
        &mut self,
        lines: usize,
        page: usize,
        height: impl Fn(&Entry) -> usize,
    ) -> bool {
        let Some(Anchor { mut number, hidden }) = self.bottom() else {
            return true;
        };
        let mut hidden = hidden + lines;
        while let Some(entry) = self.get(number)
            && hidden >= height(entry)
        {
            hidden -= height(entry);
            number -= 1;
        }
        let highest = self.highest(page, height);
        let wanted = Anchor { number, hidden };
        let is_beyond = highest.is_none_or(|highest| {
            (wanted.number, std::cmp::Reverse(wanted.hidden))
                <= (highest.number, std::cmp::Reverse(highest.hidden))
        });
        if let Some(anchor) = if is_beyond { highest } else { Some(wanted) } {
            self.show(anchor);
        }
        is_beyond
    }

    /// Scrolls down, at most to the newest entry.
    pub(crate) fn scroll_down(&mut self, mut lines: usize, height: impl Fn(&Entry) -> usize) {
        let Some(mut anchor) = self.anchor else {
            return;
        };
        while lines > anchor.hidden {
            lines -= anchor.hidden;
            anchor.number += 1;
            let Some(entry) = self.get(anchor.number) else {
                return self.show_end();
            };
            anchor.hidden = height(entry);
        }
        anchor.hidden -= lines;
        self.show(anchor);
    }

    /// Returns the anchor that shows the topmost page, which has `page` lines. Returns `None` if all entries together
    /// have fewer lines.
    fn highest(&self, page: usize, height: impl Fn(&Entry) -> usize) -> Option<Anchor> {
        let mut lines = 0;
        for (number, entry) in self.entries() {
            lines += height(entry);
            if lines >= page {
                let hidden = lines - page;
                return Some(Anchor { number, hidden });
            }
        }
        None
    }

    /// Makes `anchor` the lower end of the visible part.
    pub(crate) fn show(&mut self, anchor: Anchor) {
        let range = self.range();
        let is_end = anchor.number >= range.end - 1 && anchor.hidden == 0;
        self.anchor = (!is_end).then_some(Anchor {
            number: anchor.number.clamp(range.start, range.end - 1),
            hidden: anchor.hidden,
        });
    }

    pub(crate) const fn show_end(&mut self) {
        self.anchor = None;
    }

    /// Returns the lowest loaded position of the current log.
    pub(crate) fn oldest_seq(&self) -> Option<u64> {
        self.entries()
            .filter(|(number, _)| !self.is_earlier(*number))
            .find_map(|(_, entry)| entry.seq)
    }

    /// Records that a new log has begun. The positions of later entries are in the new log.
    pub(crate) fn begin_anew(&mut self) {
        self.anew = Some(self.range().end);
    }

    /// Returns whether entries of a replaced log are still loaded.
    pub(crate) fn has_earlier_log(&self) -> bool {
        self.entries()
            .take_while(|(number, _)| self.is_earlier(*number))
            .any(|(_, entry)| entry.seq.is_some())
    }

    fn is_earlier(&self, number: i64) -> bool {
        self.anew.is_some_and(|anew| number < anew)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.entries.len() >= ENTRIES_MAX || self.bytes >= BYTES_MAX
    }

    fn has_space_for(&self, entry: &Entry) -> bool {
        self.entries.len() < ENTRIES_MAX && self.bytes + entry.bytes() <= BYTES_MAX
    }

    fn is_over(&self) -> bool {
        self.entries.len() > ENTRIES_MAX || self.bytes > BYTES_MAX && self.entries.len() > 1
    }

    fn drop_first(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= entry.bytes();
            self.first += 1;
            self.keep_day(entry.day);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(seq: u64) -> Entry {
        Entry {
            seq: Some(seq),
            ..Entry::notice(format!("{seq}"))
        }
    }

    #[test]
    fn it_stays_bounded_and_keeps_the_newest() {
        let mut scrollback = Scrollback::default();
        for seq in 0..50_000 {
            scrollback.push(entry(seq));
        }
        assert_eq!(scrollback.range(), 45_000..50_000);
        for _ in 0..10 {
            scrollback.push(Entry::notice("x".repeat(1024 * 1024)));
        }
        assert!(scrollback.bytes <= BYTES_MAX);
    }

    #[test]
    fn what_is_read_stays_on_the_screen_while_more_comes() {
        let mut scrollback = Scrollback::default();
        (10..20).for_each(|seq| scrollback.push(entry(seq)));
        assert!(!scrollback.scroll_up(4, 3, |_| 1));
        scrollback.push(entry(20));
        assert_eq!(scrollback.below(), 5);
        assert_eq!(scrollback.push_older(vec![entry(8), entry(9)]), 2);
        let bottom = scrollback.bottom().unwrap();
        assert_eq!(scrollback.get(bottom.number).unwrap().seq, Some(15));
        assert_eq!(scrollback.oldest_seq(), Some(8));
        scrollback.scroll_down(5, |_| 1);
        assert!(scrollback.is_at_end());
    }

    #[test]
    fn an_entry_that_is_taller_than_the_screen_is_scrolled_through_by_lines() {
        let mut scrollback = Scrollback::default();
        (0..3).for_each(|seq| scrollback.push(entry(seq)));
        let height = |entry: &Entry| if entry.seq == Some(1) { 20 } else { 1 };
        assert!(!scrollback.scroll_up(5, 5, height));
        let (number, hidden) = (1, 4);
        assert_eq!(scrollback.bottom(), Some(Anchor { number, hidden }));
        scrollback.scroll_down(3, height);
        assert_eq!(scrollback.bottom(), Some(Anchor { number, hidden: 1 }));
        assert!(scrollback.scroll_up(100, 5, height));
        assert_eq!(scrollback.bottom(), Some(Anchor { number, hidden: 16 }));
        scrollback.scroll_down(17, height);
        assert!(scrollback.is_at_end());
    }

    #[test]
    fn what_is_full_takes_nothing_older() {
        let mut scrollback = Scrollback::default();
        (0..ENTRIES_MAX as u64).for_each(|seq| scrollback.push(entry(seq)));
        assert_eq!(scrollback.push_older(vec![entry(0)]), 0);
    }
}
