//! One room as the screen has it.

use crate::editor::Editor;
use crate::names;
use crate::scrollback::{Entry, Scrollback, What};
use crate::wrap;
use chat_core::text;
use std::borrow::Cow;
use unicode_segmentation::UnicodeSegmentation;

/// How many members are listed by name.
const MEMBERS_MAX: usize = 500;

/// How many messages may wait in a room until the server takes them.
const PENDING_MAX: usize = 1_000;

/// How long a name may be, whatever the server says: a little more than it allows.
const NAME_GRAPHEMES_MAX: usize = 64;
const NAME_BYTES_MAX: usize = 256;

/// How many characters one of a name's graphemes may have, for marks without end make one: a family has eleven.
const GRAPHEME_CHARS_MAX: usize = 16;

/// What stands before a correspondent's nick in the name of a window for direct messages.
const DIRECT: char = '@';

/// How long a text may be, whatever the server says.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// A room, or what is left of it.
#[derive(Debug, Default)]
pub(crate) struct Room {
    pub(crate) name: String,
    pub(crate) presence: Presence,
    pub(crate) topic: String,
    pub(crate) scrollback: Scrollback,
    pub(crate) editor: Editor,
    /// Who is here, by name; at most so many.
    pub(crate) members: Vec<String>,
    /// How many are here.
    pub(crate) count: usize,
    pub(crate) unread: usize,
    pub(crate) mentions: usize,
    /// The last entry that was read when the room was left.
    pub(crate) marker: Option<i64>,
    /// Which life of its log the room is in; empty before it is known.
    pub(crate) epoch: String,
    /// The furthest place in it that has come, or is known to be missing.
    pub(crate) passed: Option<u64>,
    /// The position of the latest message, and that of the last one that was read.
    pub(crate) latest: Option<Place>,
    pub(crate) read: Option<Place>,
    /// What was typed and not said yet.
    pub(crate) pending: Vec<Pending>,
    /// The user has opened this window for direct messages, or written in it.
    pub(crate) is_answered: bool,
    pub(crate) older: Older,
    /// The last search, and where it ended.
    pub(crate) found: Option<Found>,
}

/// Whether the client is in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Presence {
    /// It is being joined.
    #[default]
    Wanted,
    /// It is in it, and comes back to it after a break.
    In,
    /// It left, was taken out, or was not let in.
    Out,
}

/// A place in a room's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) epoch: String,
    pub(crate) seq: u64,
}

/// A message that the server has not taken yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) id: u64,
    pub(crate) text: String,
    pub(crate) is_action: bool,
    /// Its place in the log, once the server has taken it; it will come as all others do.
    pub(crate) taken_as: Option<u64>,
}

/// Where a search for these words goes on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) words: String,
    pub(crate) at: FoundAt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FoundAt {
    /// An entry of what is loaded.
    Loaded(i64),
    /// A place in the log, before which the server searches; `None`: before all that is loaded.
    Server(Option<u64>),
}

/// Whether what is older than what is loaded was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Older {
    #[default]
    Unasked,
    Asked,
}

/// What is said at the top when there is nothing older, and when it does not fit.
pub(crate) const NOTHING_OLDER: &str = "nothing older is kept";
pub(crate) const NO_LOG: &str = "direct messages are kept in this window only";
pub(crate) const NO_SPACE: &str =
    "no more is loaded: /search WORDS and /around PLACE show what is older";

impl Room {
    pub(crate) fn new(name: String) -> Self {
        Self {
            name,
            ..Self::default()
        }
    }

    /// Whether a room of this name is meant, however it is spelled.
    pub(crate) fn is_called(&self, other: &str) -> bool {
        names::is_same(&self.name, &name(other))
    }

    /// Whether it is none of the server's rooms, but what one correspondent and the user tell each other.
    pub(crate) fn is_direct(&self) -> bool {
        self.correspondent().is_some()
    }

    /// With whom the user exchanges direct messages here.
    pub(crate) fn correspondent(&self) -> Option<&str> {
        self.name.strip_prefix(DIRECT)
    }

    /// Whether it is a window for direct messages that a correspondent has opened, and nothing was typed in it.
    pub(crate) fn is_unanswered(&self) -> bool {
        let is_touched = self.is_answered || !self.pending.is_empty() || self.editor.holds_text();
        self.is_direct() && !is_touched
    }

    /// Whether this stands for the server's lobby, whose name is not known yet.
    pub(crate) const fn is_nameless(&self) -> bool {
        self.name.is_empty()
    }

    /// Whether nothing would be lost with it.
    pub(crate) fn is_empty(&self) -> bool {
        self.latest.is_none() && self.pending.is_empty() && !self.editor.holds_text()
    }

    /// Whether so many messages more may wait here until the server takes them.
    pub(crate) fn has_space_for(&self, messages: usize) -> bool {
        self.pending.len() + messages <= PENDING_MAX
    }

    /// Who is here now.
    pub(crate) fn set_members(&mut self, members: &[String], count: usize) {
        self.members = members
            .iter()
            .take(MEMBERS_MAX)
            .map(|nick| name(nick))
            .collect();
        self.members.sort_by_key(|nick| nick.to_lowercase());
        self.count = count;
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
    }

    pub(crate) fn rename_member(&mut self, nick: &str, to: &str) {
        self.remove_member(nick);
        self.add_member(to);
    }

    /// Another life of the room's log may have begun: what is known of places is of the one before.
    pub(crate) fn be_in(&mut self, epoch: &str) {
        if self.epoch != epoch {
            let is_known = !self.epoch.is_empty();
            epoch.clone_into(&mut self.epoch);
            if is_known {
                self.begin_anew();
            }
        }
    }

    /// The room's log begins anew.
    pub(crate) fn begin_anew(&mut self) {
        self.scrollback.begin_anew();
        self.older = Older::Unasked;
        self.found = None;
        self.passed = None;
        self.pending.retain(|pending| pending.taken_as.is_none());
    }

    /// Messages up to this place don't come any more: none of them is pending.
    pub(crate) fn pass(&mut self, seq: u64) {
        self.passed = self.passed.max(Some(seq));
        let passed = self.passed;
        self.pending
            .retain(|pending| pending.taken_as.is_none() || pending.taken_as > passed);
    }

    /// Whether a message of this life of the log is on the screen or above it.
    pub(crate) fn has_loaded(&self, message: &chat_json::Message) -> bool {
        let latest = self.latest.as_ref();
        let oldest = self.scrollback.oldest_seq();
        latest.is_some_and(|latest| latest.epoch == message.epoch && message.seq <= latest.seq)
            && oldest.is_some_and(|oldest| oldest <= message.seq)
    }

    /// The room comes onto the screen: everything in it is being read.
    pub(crate) fn enter(&mut self) {
        (self.unread, self.mentions) = (0, 0);
        self.read_all();
    }

    /// The room leaves the screen: what comes from now on is unread.
    pub(crate) fn leave(&mut self) {
        self.read_all();
        self.marker = Some(self.scrollback.range().end - 1);
    }

    /// Everything that has come is read. What an earlier session has read stays so, if that is further.
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

    /// Finds the latest message before the last find that holds all these words; other words begin at the end.
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

/// A name as it is shown: no control character, not endless.
pub(crate) fn name(name: &str) -> String {
    // What comes after so much is of no use, and need not be looked at.
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

/// The name of the window for a correspondent's direct messages: no room of a server can be called so.
pub(crate) fn direct(nick: &str) -> String {
    format!("{DIRECT}{}", name(nick))
}

/// A text as it is shown: no control character, not endless.
pub(crate) fn words(words: &str) -> String {
    let clean = text::clean(words);
    clean[..clean.floor_char_boundary(TEXT_BYTES_MAX)].to_owned()
}

/// The columns that the time takes, and the space behind it.
pub(crate) const TIME_COLUMNS: usize = 6;

/// What stands before an entry's text, the time not counted, and the text; both as they are drawn.
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

/// How many lines an entry takes at this width.
pub(crate) fn height(entry: &Entry, width: usize) -> usize {
    let (prefix, text) = parts(entry);
    let first = TIME_COLUMNS + wrap::columns(&prefix);
    let day = usize::from(entry.day.is_some());
    wrap::wrap(&text, width, first, TIME_COLUMNS).len() + day
}
