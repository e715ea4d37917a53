//! The state of one room, or of one window for direct messages.

use crate::editor::Editor;
use crate::names;
use crate::scrollback::{Entry, Scrollback, What};
use crate::wrap;
use chat_core::text;
use std::borrow::Cow;
use unicode_segmentation::UnicodeSegmentation;

/// The most members that are listed by name.
const MEMBERS_MAX: usize = 500;

/// The most messages that may be pending in a room.
const PENDING_MAX: usize = 1_000;

/// The longest name that is shown, whatever the server sends. The limits are slightly higher than the server's limits.
const NAME_GRAPHEMES_MAX: usize = 64;
const NAME_BYTES_MAX: usize = 256;

/// The most characters in one grapheme of a name. Combining marks could make a grapheme endless. A family emoji has
/// eleven characters.
const GRAPHEME_CHARS_MAX: usize = 16;

/// The first character in the name of a window for direct messages. The correspondent's nick follows.
const DIRECT: char = '@';

/// The maximum length of a text on the screen, in bytes. The client cuts a longer text, whatever the server allows.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// The state of one room, or of one window for direct messages.
#[derive(Debug, Default)]
pub(crate) struct Room {
    pub(crate) name: String,
    pub(crate) presence: Presence,
    pub(crate) topic: String,
    pub(crate) scrollback: Scrollback,
    pub(crate) editor: Editor,
    /// The nicks of the members, at most [`MEMBERS_MAX`] of them.
    pub(crate) members: Vec<String>,
    /// Those of `members` that are away.
    pub(crate) away: Vec<String>,
    /// The number of all members.
    pub(crate) count: usize,
    pub(crate) unread: usize,
    pub(crate) mentions: usize,
    /// The number of the last entry that counts as read. Later entries are shown as unread.
    pub(crate) marker: Option<i64>,
    /// The epoch of the room's log. Empty while the epoch is unknown.
    pub(crate) epoch: String,
    /// The highest position in the log whose message was received, or is known to be missing.
    pub(crate) passed: Option<u64>,
    /// The position in the log of the latest message.
    pub(crate) latest: Option<Place>,
    /// The position in the log of the last message that was read.
    pub(crate) read: Option<Place>,
    /// Messages that the user sent and that the server has not delivered back yet.
    pub(crate) pending: Vec<Pending>,
    /// Whether the user opened this window for direct messages, or wrote in it.
    pub(crate) is_answered: bool,
    pub(crate) older: Older,
    /// The words of the last search, and where the search continues.
    pub(crate) found: Option<Found>,
}

/// Whether the client is a member of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Presence {
    /// The client is joining the room.
    #[default]
    Wanted,
    /// The client is in the room, and joins it again after a disconnect.
    In,
    /// The client left the room, was removed from it, or was not admitted.
    Out,
}

/// A position in a room's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) epoch: String,
    pub(crate) seq: u64,
}

/// A message of the user that the server has not delivered back yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) id: u64,
    pub(crate) text: String,
    pub(crate) is_action: bool,
    /// The position in the log at which the server has accepted the message. `None` until then. After that, the server
    /// still has to deliver the message back.
    pub(crate) taken_as: Option<u64>,
}

/// The words of a search, and where the search continues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) words: String,
    pub(crate) at: FoundAt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FoundAt {
    /// The search continues before the loaded entry with this number.
    Loaded(i64),
    /// The search continues on the server, before this position. `None` means before the oldest loaded message.
    Server(Option<u64>),
}

/// The state of the request for messages older than the loaded messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Older {
    #[default]
    Unasked,
    Asked,
}

/// Notices at the top of the scrollback. Each says why nothing older is shown.
pub(crate) const NOTHING_OLDER: &str = "no older messages";
pub(crate) const NO_LOG: &str = "direct messages are stored in this window only";
pub(crate) const NO_SPACE: &str = "no more can be loaded: use /search WORDS and /around NUMBER";

impl Room {
    pub(crate) fn new(name: String) -> Self {
        Self {
            name,
            ..Self::default()
        }
    }

    /// Returns whether the room has the name `other`, in any spelling.
    pub(crate) fn is_called(&self, other: &str) -> bool {
        names::is_same(&self.name, &name(other))
    }

    /// Returns whether this is a window for direct messages.
    pub(crate) fn is_direct(&self) -> bool {
        self.correspondent().is_some()
    }

    /// Returns the correspondent of a window for direct messages.
    pub(crate) fn correspondent(&self) -> Option<&str> {
        self.name.strip_prefix(DIRECT)
    }

    /// Returns whether this is a window for direct messages that the user neither opened nor wrote in.
    pub(crate) fn is_unanswered(&self) -> bool {
        let is_touched = self.is_answered || !self.pending.is_empty() || self.editor.holds_text();
        self.is_direct() && !is_touched
    }

    /// Returns whether this room stands for the server's lobby, whose name is not known yet.
    pub(crate) const fn is_nameless(&self) -> bool {
        self.name.is_empty()
    }

    /// Returns whether closing the room would lose neither messages nor typed text.
    pub(crate) fn is_empty(&self) -> bool {
        self.latest.is_none() && self.pending.is_empty() && !self.editor.holds_text()
    }

    /// Returns whether the room has space for `messages` more pending messages.
    pub(crate) fn has_space_for(&self, messages: usize) -> bool {
        self.pending.len() + messages <= PENDING_MAX
    }

    /// Replaces the list of members. `count` is the number of all members. `members` may name only a part of them.
    pub(crate) fn set_members(&mut self, members: &[String], count: usize) {
        self.members = members
            .iter()
            .take(MEMBERS_MAX)
            .map(|nick| name(nick))
            .collect();
        self.members.sort_by_key(|nick| nick.to_lowercase());
        self.count = count;
    }

    /// Replaces the list of members that are away.
    pub(crate) fn set_away(&mut self, away: &[String]) {
        let away = away.iter().map(|nick| name(nick));
        self.away = away.filter(|nick| self.members.contains(nick)).collect();
    }

    /// Marks a member as away, or as back.
    pub(crate) fn mark_away(&mut self, nick: &str, is_away: bool) {
        self.away.retain(|known| known != nick);
        if is_away && self.members.iter().any(|known| known == nick) {
            self.away.push(nick.to_owned());
        }
    }

    pub(crate) fn is_away(&self, nick: &str) -> bool {
        self.away.iter().any(|known| known == nick)
    }

    pub(crate) fn add_member(&mut self, nick: &str) {
        self.count = self.count.saturating_add(1);
        if self.members.len() < MEMBERS_MAX && !self.members.iter().any(|known| known == nick) {
            let key = nick.to_lowercase();
            let at = self
                .members
                .partition_point(|known| known.to_lowercase() < key);
            self.members.insert(at, nick.to_owned());
        }
    }

    pub(crate) fn remove_member(&mut self, nick: &str) {
        self.count = self.count.saturating_sub(1);
        self.members.retain(|known| known != nick);
        self.away.retain(|known| known != nick);
    }

    pub(crate) fn rename_member(&mut self, nick: &str, to: &str) {
        let is_away = self.is_away(nick);
        self.remove_member(nick);
        self.add_member(to);
        self.mark_away(to, is_away);
    }

    /// Sets the epoch of the room's log. If the epoch changed, positions in the old log are forgotten.
    pub(crate) fn be_in(&mut self, epoch: &str) {
        if self.epoch != epoch {
            let is_known = !self.epoch.is_empty();
            epoch.clone_into(&mut self.epoch);
            if is_known {
                self.begin_anew();
            }
        }
    }

    /// Forgets all positions in the log, because a new log has replaced the old log.
    pub(crate) fn begin_anew(&mut self) {
        self.scrollback.begin_anew();
        self.older = Older::Unasked;
        self.found = None;
        self.passed = None;
        self.pending.retain(|pending| pending.taken_as.is_none());
    }

    /// Notes that all messages up to this position were received or are missing. Accepted messages up to this position
    /// are then no longer pending.
    pub(crate) fn pass(&mut self, seq: u64) {
        self.passed = self.passed.max(Some(seq));
        let passed = self.passed;
        self.pending
            .retain(|pending| pending.taken_as.is_none() || pending.taken_as > passed);
    }

    /// Returns whether a message of the current log is already in the scrollback.
    pub(crate) fn has_loaded(&self, message: &chat_json::Message) -> bool {
        let latest = self.latest.as_ref();
        let oldest = self.scrollback.oldest_seq();
        latest.is_some_and(|latest| latest.epoch == message.epoch && message.seq <= latest.seq)
            && oldest.is_some_and(|oldest| oldest <= message.seq)
    }

    /// Marks the room as read, because it is shown now.
    pub(crate) fn enter(&mut self) {
        (self.unread, self.mentions) = (0, 0);
        self.read_all();
    }

    /// Marks the messages up to now as read, because another room is shown now. Later messages count as unread.
    pub(crate) fn leave(&mut self) {
        self.read_all();
        self.marker = Some(self.scrollback.range().end - 1);
    }

    /// Moves the read position to the latest message. If an earlier session of the user has read further, keeps its
    /// read position.
    fn read_all(&mut self) {
        let is_further =
            |read: &Place, latest: &Place| read.epoch == latest.epoch && read.seq > latest.seq;
        if let Some(latest) = &self.latest
            && !self
                .read
                .as_ref()
                .is_some_and(|read| is_further(read, latest))
        {
            self.read = Some(latest.clone());
        }
    }

    /// Finds the latest entry that contains all `words` and is before the previous match. If the last search was for
    /// other words, the search starts at the end.
    pub(crate) fn search(&mut self, words: &str) -> FoundAt {
        let last = self.found.take().filter(|found| found.words == words);
        let at = match last.map(|found| found.at) {
            Some(FoundAt::Server(before)) => FoundAt::Server(before),
            Some(FoundAt::Loaded(number)) => self.search_loaded(words, number),
            None => self.search_loaded(words, i64::MAX),
        };
        let words = words.to_owned();
        self.found = Some(Found { words, at });
        at
    }

    fn search_loaded(&self, words: &str, before: i64) -> FoundAt {
        let words: Vec<String> = words.split_whitespace().map(str::to_lowercase).collect();
        let found = self.scrollback.entries().rev().find(|(number, entry)| {
            let text = entry.text().to_lowercase();
            *number < before
                && entry.seq.is_some()
                && words.iter().all(|word| text.contains(word.as_str()))
        });
        found.map_or(FoundAt::Server(None), |(number, _)| FoundAt::Loaded(number))
    }
}

/// Returns a name as it is shown: without control characters, and of limited length.
pub(crate) fn name(name: &str) -> String {
    // Text after this limit would be cut off later, so only the text before the limit is cleaned.
    let clean = text::clean(&name[..name.floor_char_boundary(16 * NAME_BYTES_MAX)]);
    let mut shown = String::new();
    for grapheme in clean.graphemes(true).take(NAME_GRAPHEMES_MAX) {
        let end = grapheme.char_indices().nth(GRAPHEME_CHARS_MAX);
        let grapheme = end.map_or(grapheme, |(end, _)| &grapheme[..end]);
        if shown.len() + grapheme.len() > NAME_BYTES_MAX {
            break;
        }
        shown.push_str(grapheme);
    }
    shown
}

/// Returns the name of the window for direct messages with a correspondent. The name begins with `DIRECT`, unlike the
/// name of any room on a server.
pub(crate) fn direct(nick: &str) -> String {
    format!("{DIRECT}{}", name(nick))
}

/// Returns a text as it is shown: without control characters, and of limited length.
pub(crate) fn words(words: &str) -> String {
    let clean = text::clean(words);
    clean[..clean.floor_char_boundary(TEXT_BYTES_MAX)].to_owned()
}

/// The width in columns of the time of day and the space after it.
pub(crate) const TIME_COLUMNS: usize = 6;

/// Returns the prefix and the text of an entry as they are drawn. The prefix does not include the time.
pub(crate) fn parts(entry: &Entry) -> (String, String) {
    let (prefix, text) = match &entry.what {
        What::Said { from, text, .. } => (format!("{from}: "), Cow::Borrowed(text.as_str())),
        What::Acted { from, text } => ("* ".to_owned(), format!("{from} {text}").into()),
        What::Notice(text) => ("* ".to_owned(), text.as_str().into()),
        What::Alert(text) => ("! ".to_owned(), text.as_str().into()),
        What::Told { from, to, text } => (format!("{from} -> {to}: "), text.as_str().into()),
    };
    let drawn = |text: &str| wrap::shown(text).into_owned();
    (drawn(&prefix), drawn(&text))
}

/// Returns how many lines an entry takes on a screen of `width` columns.
pub(crate) fn height(entry: &Entry, width: usize) -> usize {
    let (prefix, text) = parts(entry);
    let first = TIME_COLUMNS + wrap::columns(&prefix);
    let day = usize::from(entry.day.is_some());
    wrap::wrap(&text, width, first, TIME_COLUMNS).len() + day
}
