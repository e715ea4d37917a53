//! Messages that one read brought: drafted, numbered, stored and encoded together.
//!
//! Invariant: every text in a batch has been cleaned of control characters, and positions grow within it.

use crate::log::key::{Key, Owner, TokenDigest};
use crate::log::position::{Seq, SessionId, Timestamp};
use crate::name::{Nick, RoomName};
use crate::text;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// What a message in a room's log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Somebody said something.
    Said,
    /// Somebody did something (`/me`).
    Acted,
    /// Somebody set the room's topic; an empty text takes it away.
    Topic,
}

/// Messages of one author that are about to be appended to a room's log.
#[derive(Debug, Clone)]
pub struct Drafts {
    author: SessionId,
    from: Nick,
    at: Timestamp,
    text: String,
    entries: Vec<Entry>,
}

impl Drafts {
    /// Starts a batch of this author's messages.
    #[must_use]
    pub const fn new(author: SessionId, from: Nick, at: Timestamp) -> Self {
        Self {
            author,
            from,
            at,
            text: String::new(),
            entries: Vec::new(),
        }
    }

    /// Adds a message; its control characters are removed here, and if nothing is left, nothing is added.
    ///
    /// Only a topic may be empty: that takes it away.
    pub fn push(&mut self, kind: Kind, text: &str) {
        self.add(kind, text, None);
    }

    /// As [`push`](Self::push), with the key under which its owner may say it again. Returns whether it was added.
    pub(crate) fn add(&mut self, kind: Kind, text: &str, key: Option<(&Key, Owner)>) -> bool {
        let text = text::clean(text);
        // An empty topic takes the topic away.
        let is_visible = kind == Kind::Topic && text.is_empty() || text::is_visible(&text);
        if is_visible {
            let key = key.map(|(key, owner)| match owner {
                Owner::Session(_) => (key, None),
                Owner::Token(token) => (key, Some(token)),
            });
            self.enter(kind, &text, key);
        }
        is_visible
    }

    /// Adds a message as a log has kept it, for a journal that makes a batch again of what it has stored.
    ///
    /// Adds exactly one message, so that the places given to [`number`](Self::number) meet the messages that they
    /// belong to. A text and a [`kept_key`](MessageRef::kept_key) that came from a [`Batch`] come back unchanged. Control
    /// characters that got into the store by another way are removed all the same, and what no key can be is no key.
    ///
    /// What an earlier process wrote is [`SessionId::NOBODY`]'s: a hub may keep from a session what it wrote itself.
    ///
    /// # Examples
    ///
    /// ```
    /// use chat_core::log::{Drafts, SessionId, Timestamp};
    /// use chat_core::{Kind, Nick, RoomName, Seq};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut drafts = Drafts::new(SessionId::NOBODY, Nick::parse("alice")?, Timestamp(0));
    /// drafts.restore(Kind::Said, "hi", Some("k1"));
    /// let batch = drafts.number(RoomName::parse("ops")?, [Seq(17)]);
    /// let message = batch.messages(0..1).next();
    /// assert_eq!(message.and_then(|message| message.key), Some("k1"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn restore(&mut self, kind: Kind, text: &str, kept_key: Option<&str>) {
        let (key, token) = match kept_key.map(|kept| kept.split_once(OWNER_MARK).ok_or(kept)) {
            None => (None, None),
            Some(Err(key)) => (Key::parse(key).ok(), None),
            Some(Ok((key, token))) => (Key::parse(key).ok(), TokenDigest::parse(token)),
        };
        self.enter(
            kind,
            &text::clean(text),
            key.as_ref().map(|key| (key, token)),
        );
    }

    fn enter(&mut self, kind: Kind, text: &str, key: Option<(&Key, Option<TokenDigest>)>) {
        self.text.push_str(text);
        let end = self.text.len();
        self.text.push_str(key.map_or("", |(key, _)| key.as_str()));
        let key_end = self.text.len();
        if let Some((_, Some(token))) = key {
            self.text.push(OWNER_MARK);
            token.write(&mut self.text);
        }
        self.entries.push(Entry {
            seq: Seq::START,
            end,
            key_end,
            has_owner: self.text.len() > key_end,
            kind,
        });
    }

    /// The messages in the order in which they were added, for a journal to store.
    ///
    /// # Examples
    ///
    /// ```
    /// use chat_core::log::{Drafts, SessionId, Timestamp};
    /// use chat_core::{Kind, Nick};
    ///
    /// # fn main() -> Result<(), chat_core::name::NameError> {
    /// let mut drafts = Drafts::new(SessionId::NOBODY, Nick::parse("alice")?, Timestamp(0));
    /// drafts.push(Kind::Said, "one");
    /// drafts.push(Kind::Acted, "waves");
    /// let texts: Vec<_> = drafts.messages().map(|draft| draft.text).collect();
    /// assert_eq!(texts, ["one", "waves"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn messages(&self) -> impl Iterator<Item = DraftRef<'_>> {
        let mut start = 0;
        self.entries.iter().map(move |entry| {
            let (text, next) = (&self.text[start..entry.end], entry.next());
            start = next;
            let part = |end| Some(&self.text[entry.end..end]).filter(|key| !key.is_empty());
            DraftRef {
                kind: entry.kind,
                text,
                key: part(entry.key_end),
                kept_key: part(next),
            }
        })
    }

    /// The nick of their author.
    #[must_use]
    pub const fn from(&self) -> &Nick {
        &self.from
    }

    /// When the hub took them.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// How many messages there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether there is no message.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many bytes the messages take to hold: their text, and a little for each.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.text.len() + self.entries.len() * size_of::<Entry>()
    }

    /// The session in whose name they are.
    #[must_use]
    pub const fn author(&self) -> SessionId {
        self.author
    }

    /// Gives the messages their places, one each and growing, and makes them a batch of that room.
    ///
    /// A journal calls this once it has the messages. Places that `seqs` does not give are counted on by one.
    #[must_use]
    pub fn number(mut self, room: RoomName, seqs: impl IntoIterator<Item = Seq>) -> Batch {
        let mut seqs = seqs.into_iter();
        let mut last = Seq::START;
        for entry in &mut self.entries {
            last = seqs.next().unwrap_or_else(|| last.next());
            entry.seq = last;
        }
        let Self {
            author,
            from,
            at,
            text,
            entries,
        } = self;
        Batch {
            room,
            author,
            from,
            at,
            text,
            entries,
        }
    }
}

/// One message that is about to be appended, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DraftRef<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its text, without control characters.
    pub text: &'a str,
    /// The key that its author gave it.
    pub key: Option<&'a str>,
    /// The key as a journal keeps it; see [`MessageRef::kept_key`].
    pub kept_key: Option<&'a str>,
}

/// Messages of one author, in a room's log.
#[derive(Debug)]
pub struct Batch {
    room: RoomName,
    author: SessionId,
    from: Nick,
    at: Timestamp,
    text: String,
    entries: Vec<Entry>,
}

impl Batch {
    /// The room in whose log the messages are.
    #[must_use]
    pub const fn room(&self) -> &RoomName {
        &self.room
    }

    /// The session that wrote them.
    #[must_use]
    pub const fn author(&self) -> SessionId {
        self.author
    }

    /// The nick that session had.
    #[must_use]
    pub const fn from(&self) -> &Nick {
        &self.from
    }

    /// When the hub took them.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// How many messages there are; at least one.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether there is no message, which no journal makes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether it sets a topic, and nothing else.
    pub(crate) fn is_topic(&self) -> bool {
        self.entries.iter().all(|entry| entry.kind == Kind::Topic)
    }

    /// How many bytes the messages take to hold: their text, and a little for each.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.text.len() + self.entries.len() * size_of::<Entry>()
    }

    /// How many bytes of memory the batch takes besides itself, what is allocated and not used included.
    pub(crate) const fn heap_bytes(&self) -> usize {
        self.text.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    /// The place of the first message.
    #[must_use]
    pub fn first(&self) -> Seq {
        self.entries.first().map_or(Seq::START, |entry| entry.seq)
    }

    /// The place of the last message.
    #[must_use]
    pub fn last(&self) -> Seq {
        self.entries.last().map_or(Seq::START, |entry| entry.seq)
    }

    /// The messages with these numbers within the batch, counted from 0.
    pub fn messages(&self, range: Range<usize>) -> impl Iterator<Item = MessageRef<'_>> {
        let mut start = self.start(range.start);
        self.entries[range].iter().map(move |entry| {
            let text = &self.text[start..entry.end];
            start = entry.next();
            MessageRef {
                seq: entry.seq,
                kind: entry.kind,
                text,
                key: self.key(entry),
                kept_key: Some(&self.text[entry.end..start]).filter(|key| !key.is_empty()),
            }
        })
    }

    /// Where the text of this message begins.
    fn start(&self, index: usize) -> usize {
        index
            .checked_sub(1)
            .map_or(0, |before| self.entries[before].next())
    }

    fn key(&self, entry: &Entry) -> Option<&str> {
        Some(&self.text[entry.end..entry.key_end]).filter(|key| !key.is_empty())
    }

    /// Whether the author can learn of this message by its key: it was said under one, by this session or with this
    /// owner's token.
    pub(crate) fn is_keyed_by(&self, index: usize, session: SessionId, owner: Owner) -> bool {
        let Some(entry) = self.entries.get(index) else {
            return false;
        };
        entry.end < entry.key_end
            && (self.author == session
                || matches!(owner, Owner::Token(_)) && self.owner(entry) == Some(owner))
    }

    fn owner(&self, entry: &Entry) -> Option<Owner> {
        let kept = &self.text[entry.key_end..entry.next()];
        TokenDigest::parse(kept.strip_prefix(OWNER_MARK)?).map(Owner::Token)
    }

    /// The keys under which messages were said with a token, and their places.
    pub(crate) fn owned_keys(
        &self,
        range: Range<usize>,
    ) -> impl Iterator<Item = (Key, Owner, Seq)> {
        self.entries[range].iter().filter_map(|entry| {
            let key = Key::parse(self.key(entry)?).ok()?;
            Some((key, self.owner(entry)?, entry.seq))
        })
    }

    /// The place of the last of these messages that was said under this key of this owner.
    pub(crate) fn place_of(&self, range: Range<usize>, key: &Key, owner: Owner) -> Option<Seq> {
        let mut entries = self.entries[range].iter().rev();
        let found = entries.find(|entry| {
            let is_owner = match owner {
                Owner::Session(session) => self.author == session && !entry.has_owner,
                Owner::Token(_) => self.owner(entry) == Some(owner),
            };
            is_owner && self.key(entry) == Some(key.as_str())
        });
        found.map(|entry| entry.seq)
    }

    /// The place of the message with this number within the batch.
    pub(crate) fn seq(&self, index: usize) -> Option<Seq> {
        self.entries.get(index).map(|entry| entry.seq)
    }

    /// How many of the messages stand at or before this place.
    #[must_use]
    pub fn count_through(&self, seq: Seq) -> usize {
        self.entries.partition_point(|entry| entry.seq <= seq)
    }

    /// The last text of this kind, if there is one.
    pub(crate) fn last_of(&self, kind: Kind) -> Option<MessageRef<'_>> {
        self.messages(0..self.len())
            .filter(|message| message.kind == kind)
            .last()
    }
}

/// One message of a batch, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageRef<'a> {
    /// Its place in the room's log.
    pub seq: Seq,
    /// What it is.
    pub kind: Kind,
    /// Its text, without control characters.
    pub text: &'a str,
    /// The key that its author gave it, so that it can be said again without being said twice.
    pub key: Option<&'a str>,
    /// The key as a journal keeps it: with a mark of the client whose key it is, if that is known by a token. It is for
    /// [`Drafts::restore`] alone, and never shown to a peer.
    pub kept_key: Option<&'a str>,
}

/// One message of a batch, shared: cheap to clone and to keep.
#[derive(Clone)]
pub struct Message {
    batch: Arc<Batch>,
    index: usize,
}

impl Message {
    pub(crate) const fn new(batch: Arc<Batch>, index: usize) -> Self {
        Self { batch, index }
    }

    /// The room it was said in.
    #[must_use]
    pub fn room(&self) -> &RoomName {
        &self.batch.room
    }

    /// Its place in the room's log.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.entry().seq
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.entry().kind
    }

    /// The session that wrote it.
    #[must_use]
    pub fn author(&self) -> SessionId {
        self.batch.author
    }

    /// The nick that session had.
    #[must_use]
    pub fn from(&self) -> &Nick {
        &self.batch.from
    }

    /// When the hub took it.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.batch.at
    }

    /// Its text, without control characters.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.batch.text[self.batch.start(self.index)..self.entry().end]
    }

    /// The key that its author gave it, if there is one.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.batch.key(self.entry())
    }

    fn entry(&self) -> &Entry {
        &self.batch.entries[self.index]
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("room", self.room())
            .field("seq", &self.seq())
            .field("kind", &self.kind())
            .field("from", self.from())
            .field("text", &self.text())
            .finish()
    }
}

#[derive(Debug, Clone)]
struct Entry {
    seq: Seq,
    /// Where its text ends in the batch's; it begins where the one before ends, key and all.
    end: usize,
    /// Where its key ends, which follows the text.
    key_end: usize,
    /// Whether a mark of the key's owner follows the key.
    has_owner: bool,
    kind: Kind,
}

impl Entry {
    /// Where the next text begins.
    const fn next(&self) -> usize {
        if self.has_owner {
            self.key_end + OWNER_BYTES
        } else {
            self.key_end
        }
    }
}

/// Stands between a key and the mark of its owner: no key holds a control character.
const OWNER_MARK: char = '\x1f';

/// The mark, and the digits of a digest.
const OWNER_BYTES: usize = 1 + 2 * TokenDigest::BYTES;

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: Owner = Owner::Session(SessionId(1));

    fn batch() -> Batch {
        let mut drafts = Drafts::new(SessionId(1), Nick::parse("alice").unwrap(), Timestamp(0));
        drafts.push(Kind::Said, "one");
        drafts.push(Kind::Acted, "\x1b[2Jtwo");
        drafts.push(Kind::Said, " \x07");
        drafts.push(Kind::Topic, "");
        drafts.number(RoomName::parse("ops").unwrap(), [Seq(5), Seq(8), Seq(9)])
    }

    #[test]
    fn each_message_keeps_its_place_kind_and_text() {
        let batch = batch();
        let found: Vec<_> = batch
            .messages(0..3)
            .map(|m| (m.seq.0, m.kind, m.text))
            .collect();
        assert_eq!(
            found,
            [
                (5, Kind::Said, "one"),
                (8, Kind::Acted, "[2Jtwo"),
                (9, Kind::Topic, "")
            ]
        );
        assert_eq!(
            batch.messages(1..2).map(|m| m.text).collect::<Vec<_>>(),
            ["[2Jtwo"]
        );
        assert_eq!(
            (
                batch.count_through(Seq(4)),
                batch.count_through(Seq(7)),
                batch.count_through(Seq(9))
            ),
            (0, 1, 3)
        );
        let batch = Arc::new(batch);
        assert_eq!(Message::new(batch.clone(), 1).text(), "[2Jtwo");
        assert_eq!(Message::new(batch, 2).text(), "");
    }

    #[test]
    fn a_key_belongs_to_its_message_and_is_no_part_of_a_text() {
        let mut drafts = Drafts::new(SessionId(1), Nick::parse("alice").unwrap(), Timestamp(0));
        assert!(drafts.add(Kind::Said, "one", Some((&Key::parse("k1").unwrap(), ALICE))));
        assert!(drafts.add(Kind::Said, "two", None));
        assert!(!drafts.add(
            Kind::Said,
            "\x07",
            Some((&Key::parse("k3").unwrap(), ALICE))
        ));
        let batch = Arc::new(drafts.number(RoomName::parse("ops").unwrap(), [Seq(1)]));
        let found: Vec<_> = batch.messages(0..2).map(|m| (m.text, m.key)).collect();
        assert_eq!(found, [("one", Some("k1")), ("two", None)]);
        let second = Message::new(batch, 1);
        assert_eq!((second.text(), second.key()), ("two", None));
    }

    #[test]
    fn whose_key_it_is_is_kept_and_not_shown() {
        let [token, other] = [1, 2].map(|byte| Owner::Token(TokenDigest::new([byte; 16])));
        let (key, session) = (Key::parse("k1").unwrap(), SessionId(1));
        let nick = || Nick::parse("alice").unwrap();
        let mut drafts = Drafts::new(session, nick(), Timestamp(0));
        assert!(drafts.add(Kind::Said, "one", Some((&key, token))));
        assert!(drafts.add(Kind::Said, "two", Some((&key, ALICE))));
        assert!(drafts.add(Kind::Said, "three", None));
        let batch = drafts.number(RoomName::parse("ops").unwrap(), [Seq(1)]);
        let mut restored = Drafts::new(SessionId::NOBODY, nick(), Timestamp(0));
        for message in batch.messages(0..3) {
            restored.restore(message.kind, message.text, message.kept_key);
        }
        let restored = restored.number(RoomName::parse("ops").unwrap(), [Seq(1)]);
        for (batch, is_session) in [(batch, true), (restored, false)] {
            let shown: Vec<_> = batch.messages(0..3).map(|m| (m.text, m.key)).collect();
            let expected = [("one", Some("k1")), ("two", Some("k1")), ("three", None)];
            assert_eq!(shown, expected);
            let owned: Vec<_> = batch.owned_keys(0..3).collect();
            assert_eq!(owned, [(key.clone(), token, Seq(1))]);
            let nobody = SessionId(9);
            assert!(batch.is_keyed_by(0, nobody, token) && !batch.is_keyed_by(0, nobody, other));
            assert!(!batch.is_keyed_by(1, nobody, Owner::Session(nobody)));
            assert_eq!(batch.is_keyed_by(1, session, other), is_session);
            assert!(!batch.is_keyed_by(2, session, token));
        }
    }

    #[test]
    fn a_journal_can_read_what_it_is_given_to_append() {
        let token = Owner::Token(TokenDigest::new([1; 16]));
        let mut drafts = Drafts::new(SessionId(1), Nick::parse("alice").unwrap(), Timestamp(7));
        drafts.add(Kind::Said, "one", Some((&Key::parse("k1").unwrap(), token)));
        drafts.push(Kind::Topic, "");
        drafts.push(Kind::Acted, "waves");
        assert_eq!(
            (drafts.from().as_str(), drafts.at()),
            ("alice", Timestamp(7))
        );
        let read: Vec<_> = drafts.messages().map(|m| (m.kind, m.text, m.key)).collect();
        let expected = [
            (Kind::Said, "one", Some("k1")),
            (Kind::Topic, "", None),
            (Kind::Acted, "waves", None),
        ];
        assert_eq!(read, expected);
        let kept: Vec<_> = drafts
            .messages()
            .map(|m| m.kept_key.map(str::to_owned))
            .collect();
        let batch = drafts.number(RoomName::parse("ops").unwrap(), [Seq(1)]);
        let of_batch = batch.messages(0..3).map(|m| m.kept_key.map(str::to_owned));
        assert_eq!(kept, of_batch.collect::<Vec<_>>());
    }

    #[test]
    fn what_a_log_has_kept_is_restored_one_message_a_call() {
        let mut drafts = Drafts::new(
            SessionId::NOBODY,
            Nick::parse("alice").unwrap(),
            Timestamp(0),
        );
        drafts.restore(Kind::Said, "one \t two", Some("k1"));
        drafts.restore(Kind::Said, "\x07", Some(&"k".repeat(65)));
        drafts.restore(Kind::Topic, "\x1b[2J", None);
        let batch = drafts.number(RoomName::parse("ops").unwrap(), [Seq(3), Seq(5), Seq(9)]);
        let found: Vec<_> = batch
            .messages(0..3)
            .map(|m| (m.seq.0, m.text, m.key))
            .collect();
        assert_eq!(
            found,
            [
                (3, "one \t two", Some("k1")),
                (5, "", None),
                (9, "[2J", None)
            ]
        );
    }
}
