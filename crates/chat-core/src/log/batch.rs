//! Messages with positions in a room's log, stored and encoded together.
//!
//! Invariant: every text in a batch has been cleaned of control characters, and positions grow within the batch.

use crate::log::account::Account;
use crate::log::key::{Key, Owner, TokenDigest};
use crate::log::kind::Kind;
use crate::log::mode_change::RoomKey;
use crate::log::position::{Seq, SessionId, Timestamp};
use crate::log::user_host::UserHost;
use crate::name::{Nick, RoomName};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// One or more messages of one author in a room's log, with their positions.
#[derive(Debug)]
pub struct Batch {
    pub(super) room: RoomName,
    pub(super) author: SessionId,
    pub(super) account: Option<Account>,
    pub(super) user_host: Option<UserHost>,
    pub(super) from: Nick,
    pub(super) at: Timestamp,
    pub(super) text: String,
    pub(super) entries: Vec<Entry>,
    /// The keys that the changes of modes among the messages set, in order. The texts do not show them.
    pub(super) room_keys: Box<[RoomKey]>,
}

impl Batch {
    /// Returns the name of the room in whose log the messages are.
    #[must_use]
    pub const fn room(&self) -> &RoomName {
        &self.room
    }

    /// Returns the session that wrote the messages.
    #[must_use]
    pub const fn author(&self) -> SessionId {
        self.author
    }

    /// Returns the account that the author's session had; `None` if the session had none. The account identifies the
    /// author under any nick.
    #[must_use]
    pub const fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    /// Returns the user name and the host that the author's session had. Journals do not store them: `None` if the
    /// batch was read from a store, or if another hub has appended it.
    #[must_use]
    pub const fn user_host(&self) -> Option<&UserHost> {
        self.user_host.as_ref()
    }

    /// Returns the nick that the author had.
    #[must_use]
    pub const fn from(&self) -> &Nick {
        &self.from
    }

    /// Returns the time at which the hub accepted the messages.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// Returns how many messages the batch holds: at least one.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether the batch holds no messages. No journal creates such a batch.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns whether the batch holds nothing but changes of the room's state: topics, and changes of modes.
    pub(crate) fn is_state(&self) -> bool {
        self.entries.iter().all(Entry::is_state)
    }

    /// Returns whether the batch holds changes of the room's state: a topic, or a change of modes.
    pub(crate) fn has_state(&self) -> bool {
        self.entries.iter().any(Entry::is_state)
    }

    /// Returns the approximate size of the messages in bytes: the bytes of their texts, and a constant number of bytes
    /// for each message.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.text.len() + self.entries.len() * size_of::<Entry>()
    }

    /// Returns how many bytes of heap memory the batch takes, including allocated memory that is not used.
    pub(crate) const fn heap_bytes(&self) -> usize {
        let keys = self.room_keys.len() * (size_of::<RoomKey>() + RoomKey::BYTES_MAX);
        self.text.capacity() + self.entries.capacity() * size_of::<Entry>() + keys
    }

    /// Returns the position of the first message.
    #[must_use]
    pub fn first(&self) -> Seq {
        self.entries.first().map_or(Seq::START, |entry| entry.seq)
    }

    /// Returns the position of the last message.
    #[must_use]
    pub fn last(&self) -> Seq {
        self.entries.last().map_or(Seq::START, |entry| entry.seq)
    }

    /// Returns the messages with these indexes in the batch, counted from 0.
    ///
    /// # Panics
    ///
    /// Panics if the range ends after the batch's last message.
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

    /// Returns the offset in the batch's text at which the text of the message with this index begins.
    pub(super) fn start(&self, index: usize) -> usize {
        index
            .checked_sub(1)
            .map_or(0, |before| self.entries[before].next())
    }

    fn key(&self, entry: &Entry) -> Option<&str> {
        Some(&self.text[entry.end..entry.key_end]).filter(|key| !key.is_empty())
    }

    /// Returns whether `session` can look up the message with this index by the message's key. `owner` is the owner of
    /// the session's keys. The message must have a key, and must have been written by this session or by a client with
    /// the same token.
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

    /// Returns the keys of the messages whose authors have a token. Each key comes with its owner and the position of
    /// the message.
    pub(crate) fn owned_keys(
        &self,
        range: Range<usize>,
    ) -> impl Iterator<Item = (Key, Owner, Seq)> {
        self.entries[range].iter().filter_map(|entry| {
            let key = Key::parse(self.key(entry)?).ok()?;
            Some((key, self.owner(entry)?, entry.seq))
        })
    }

    /// Returns the position of the last message in the range that this owner wrote under this key.
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

    /// Returns the position of the message with this index in the batch.
    pub(crate) fn seq(&self, index: usize) -> Option<Seq> {
        self.entries.get(index).map(|entry| entry.seq)
    }

    /// Returns how many of the messages are at or before this position.
    #[must_use]
    pub fn count_through(&self, seq: Seq) -> usize {
        self.entries.partition_point(|entry| entry.seq <= seq)
    }
}

/// One message of a batch. Borrows the message from the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageRef<'a> {
    /// The position of the message in the room's log.
    pub seq: Seq,
    /// The kind of the message.
    pub kind: Kind,
    /// The text, without control characters.
    pub text: &'a str,
    /// The key that the author gave the message, by which a repetition of the message is recognised. `None` if the
    /// message has no key.
    pub key: Option<&'a str>,
    /// The key in the form in which a journal stores it. If the client that owns the key has a token, the form includes
    /// the digest of the token. A journal passes this form to [`Drafts::restore`](crate::log::Drafts::restore). This
    /// form must not be shown to peers.
    pub kept_key: Option<&'a str>,
}

/// A message in a room's log. A clone is cheap: it shares the text.
///
/// A message has a position, [`seq`](Self::seq), but no epoch. A program that stores positions must store the log's
/// epoch with them. [`RoomInfo::position`](crate::rooms::RoomInfo::position) holds the epoch
/// ([`MemberHandle::info`](crate::MemberHandle::info), [`Hub::position`](crate::Hub::position)). The messages of a
/// member are of one epoch until the member receives [`Missed::OtherEpoch`](crate::Missed::OtherEpoch) as an
/// [`Event::Gap`](crate::Event::Gap). Then the program discards the stored position, reads the new epoch, and stores
/// the epoch with the position of the next message.
#[derive(Clone)]
pub struct Message {
    batch: Arc<Batch>,
    index: usize,
}

impl Message {
    pub(crate) const fn new(batch: Arc<Batch>, index: usize) -> Self {
        Self { batch, index }
    }

    /// Returns the name of the room in whose log the message is.
    #[must_use]
    pub fn room(&self) -> &RoomName {
        &self.batch.room
    }

    /// Returns the message's position in the room's log.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.entry().seq
    }

    /// Returns what the message is: a text, an action, a notice or a topic.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.entry().kind
    }

    /// Returns the session that wrote the message.
    #[must_use]
    pub fn author(&self) -> SessionId {
        self.batch.author
    }

    /// Returns the account that the author's session had; `None` if the session had none. The account identifies the
    /// author under any nick.
    #[must_use]
    pub fn account(&self) -> Option<&Account> {
        self.batch.account.as_ref()
    }

    /// Returns the user name and the host that the author's session had; `None` if they are unknown. See
    /// [`Batch::user_host`].
    #[must_use]
    pub fn user_host(&self) -> Option<&UserHost> {
        self.batch.user_host.as_ref()
    }

    /// Returns the nick that the author had.
    #[must_use]
    pub fn from(&self) -> &Nick {
        &self.batch.from
    }

    /// Returns the time at which the hub accepted the message.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.batch.at
    }

    /// Returns the text of the message, without control characters.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.batch.text[self.batch.start(self.index)..self.entry().end]
    }

    /// Returns the key that the author gave the message; `None` if the message has no key.
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
pub(super) struct Entry {
    pub(super) seq: Seq,
    /// The offset in the batch's text at which the message's text ends. The message's text begins at
    /// [`next`](Self::next) of the previous entry.
    pub(super) end: usize,
    /// The offset in the batch's text at which the message's key ends. The key follows the message's text.
    pub(super) key_end: usize,
    /// Whether [`OWNER_MARK`] and the digest of the owner's token follow the key.
    pub(super) has_owner: bool,
    pub(super) kind: Kind,
}

impl Entry {
    /// Returns whether the message changes the room's state.
    pub(super) const fn is_state(&self) -> bool {
        self.kind.is_state()
    }

    /// Returns the offset in the batch's text at which the next message's text begins.
    pub(super) const fn next(&self) -> usize {
        if self.has_owner {
            self.key_end + OWNER_BYTES
        } else {
            self.key_end
        }
    }
}

/// In a stored key, the character between the key and the digest of the owner's token. No key contains a control
/// character.
pub(super) const OWNER_MARK: char = '\x1f';

/// The length in bytes of [`OWNER_MARK`] and the digest that follows it. Each byte of a digest is written as two
/// hexadecimal digits.
const OWNER_BYTES: usize = 1 + 2 * TokenDigest::BYTES;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::drafts::Drafts;

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
