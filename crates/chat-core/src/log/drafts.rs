//! Messages that are about to be appended to a room's log.
//!
//! Invariant: every text has been cleaned of control characters.

use crate::log::account::Account;
use crate::log::batch::{Batch, Entry, OWNER_MARK};
use crate::log::key::{Key, Owner, TokenDigest};
use crate::log::kind::Kind;
use crate::log::mode_change::{ModeChanges, RoomKey};
use crate::log::position::{Seq, SessionId, Timestamp};
use crate::log::user_host::UserHost;
use crate::name::{Nick, RoomName};
use crate::text;

/// Messages of one author that are about to be appended to a room's log, and have no positions yet.
#[derive(Debug, Clone)]
pub struct Drafts {
    author: SessionId,
    account: Option<Account>,
    user_host: Option<UserHost>,
    from: Nick,
    at: Timestamp,
    text: String,
    entries: Vec<Entry>,
    has_modes: bool,
    /// The keys that the changes of modes set, in order. The texts do not show them.
    room_keys: Vec<RoomKey>,
}

impl Drafts {
    /// Creates an empty list of messages of this author. `at` is the time at which the hub accepted the messages.
    #[must_use]
    pub const fn new(author: SessionId, from: Nick, at: Timestamp) -> Self {
        Self {
            author,
            account: None,
            user_host: None,
            from,
            at,
            text: String::new(),
            entries: Vec::new(),
            has_modes: false,
            room_keys: Vec::new(),
        }
    }

    /// Returns whether the messages change the room's modes.
    pub(crate) const fn has_modes(&self) -> bool {
        self.has_modes
    }

    /// Returns the changes of modes that the messages of [`Kind::Mode`] make, in order.
    pub(crate) fn mode_changes(&self) -> impl Iterator<Item = ModeChanges> {
        let mut keys = self.room_keys.iter();
        self.messages()
            .filter(|draft| draft.kind == Kind::Mode)
            .map(move |draft| ModeChanges::read_with_keys(draft.text, &mut keys))
    }

    /// Sets the account of the author. By default the author has none.
    #[must_use]
    pub fn with_account(mut self, account: Option<Account>) -> Self {
        self.account = account;
        self
    }

    /// Sets the user name and the host of the author. By default they are unknown. A journal does not store them: the
    /// batch that [`number`](Self::number) creates has them, and a batch that is read from the store has not.
    #[must_use]
    pub fn with_user_host(mut self, user_host: UserHost) -> Self {
        self.user_host = Some(user_host);
        self
    }

    /// Removes the control characters of the text and adds the text as a message. Adds nothing if no visible character
    /// is left.
    ///
    /// A topic is an exception: its text may be empty, which removes the room's topic. The text of a change of modes is
    /// stored with `*` in the place of a room's key; the batch that [`number`](Self::number) creates knows the key.
    pub fn push(&mut self, kind: Kind, text: &str) {
        self.add(kind, text, None);
    }

    /// Adds a message as [`push`](Self::push) does, with its key and the key's owner. Returns whether the message was
    /// added.
    pub(crate) fn add(&mut self, kind: Kind, text: &str, key: Option<(&Key, Owner)>) -> bool {
        let text = text::clean(text);
        // A topic may be empty, which removes the room's topic.
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

    /// Adds a stored message, for a journal that restores a batch.
    ///
    /// Exactly one message is added, so that the positions passed to [`number`](Self::number) match their messages. A
    /// text and a [`kept_key`](crate::log::MessageRef::kept_key) that came from a [`Batch`] are restored unchanged.
    /// Control characters that entered the store in another way are removed, and an invalid key is dropped.
    ///
    /// Messages that an earlier process appended must have the author [`SessionId::NOBODY`]. A session of this process
    /// may have the id of the original author, and a hub may withhold a session's own messages from the session.
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
        if kind == Kind::Mode {
            let text = ModeChanges::hide_keys(text, &mut self.room_keys);
            self.text.push_str(&text);
        } else {
            self.text.push_str(text);
        }
        let end = self.text.len();
        self.text.push_str(key.map_or("", |(key, _)| key.as_str()));
        let key_end = self.text.len();
        if let Some((_, Some(token))) = key {
            self.text.push(OWNER_MARK);
            token.write(&mut self.text);
        }
        self.has_modes |= kind == Kind::Mode;
        self.entries.push(Entry {
            seq: Seq::START,
            end,
            key_end,
            has_owner: self.text.len() > key_end,
            kind,
        });
    }

    /// Returns the messages in the order in which they were added, for a journal to store.
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
                author: self.author,
            }
        })
    }

    /// Returns the account of the author; `None` if the author has none.
    #[must_use]
    pub const fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    /// Returns the nick of the author.
    #[must_use]
    pub const fn from(&self) -> &Nick {
        &self.from
    }

    /// Returns the time at which the hub accepted the messages.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// Returns how many messages there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether there are no messages.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns about how many bytes the messages take: the bytes of their texts, and a constant for each message.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.text.len() + self.entries.len() * size_of::<Entry>()
    }

    /// Returns the session that wrote the messages.
    #[must_use]
    pub const fn author(&self) -> SessionId {
        self.author
    }

    /// Gives the messages the positions `seqs`, and returns the messages as a batch of this room. The positions must
    /// increase.
    ///
    /// A journal calls this when it has stored the messages. If there are fewer positions than messages, each further
    /// position is the previous one plus one.
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
            account,
            user_host,
            from,
            at,
            text,
            entries,
            has_modes: _,
            room_keys,
        } = self;
        Batch {
            room,
            author,
            account,
            user_host,
            from,
            at,
            text,
            entries,
            room_keys: room_keys.into(),
        }
    }
}

/// One message that is about to be appended. Borrows the message from [`Drafts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DraftRef<'a> {
    /// What the message is.
    pub kind: Kind,
    /// The text, without control characters.
    pub text: &'a str,
    /// The key that the author gave the message; `None` if it has no key.
    pub key: Option<&'a str>,
    /// The key as a journal stores it; see [`MessageRef::kept_key`](crate::log::MessageRef::kept_key).
    pub kept_key: Option<&'a str>,
    author: SessionId,
}

impl DraftRef<'_> {
    /// Returns the id by which a repetition of the message is recognised. The id consists of the message's key and the
    /// key's owner. Two messages of one log with the same id are one message. `None` if the message has no key.
    ///
    /// The owner of a key is the client's token, or the session if the client has no token. Keys of a session expire
    /// when the session ends. `incarnation` distinguishes the sessions of this hub from those of other hubs that share
    /// the log. The id is at most 128 bytes.
    #[must_use]
    pub fn key_id(&self, incarnation: u32) -> Option<String> {
        let (key, kept_key) = (self.key?, self.kept_key?);
        Some(if key == kept_key {
            let author = SessionId::new(incarnation, self.author.counter());
            format!("{key}{OWNER_MARK}{author}")
        } else {
            kept_key.to_owned()
        })
    }
}
