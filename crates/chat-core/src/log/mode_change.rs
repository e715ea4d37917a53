//! Changes of a room's modes, and the text in which a message of [`Kind::Mode`](crate::Kind::Mode) holds them.
//!
//! Invariant: the text of a change is parsed to the same change. A change of a later version is skipped when a log is
//! read, so that the changes beside it still apply.

use crate::log::account::Account;
use crate::log::batch::Batch;
use crate::log::kind::Kind;
use crate::log::mask::{Mask, MaskError};
use crate::name::{NameError, Nick};
use std::borrow::Cow;
use std::fmt;
use std::fmt::Write;
use std::num::NonZeroU32;
use std::sync::Arc;

/// What a member or an account may do in a room, besides what everyone may do. The roles are ordered: a later role may
/// do all that an earlier one may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Role {
    /// Speaks in a [moderated](Setting::Moderated) room, and although a mask of [`MaskList::Quiet`] or
    /// [`MaskList::Ban`] stands for it.
    Voice,
    /// Changes the room's modes, gives and takes roles up to its own, kicks and invites.
    Operator,
    /// As an operator. Only an owner gives and takes the role of an owner, and no operator kicks an owner.
    Owner,
}

/// A mode of a room that is either set or not. By default none is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Setting {
    /// Only operators set the topic.
    TopicLock,
    /// Only members with a [`Role`] speak.
    Moderated,
    /// Only sessions that were invited join.
    InviteOnly,
    /// Lists show the room only to its members.
    Secret,
    /// Only members publish in the room.
    NoExternal,
}

/// A list of masks of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MaskList {
    /// Users who may not join, and may not speak if they are in the room.
    Ban,
    /// Users whom [`Ban`](Self::Ban) and [`Quiet`](Self::Quiet) do not concern.
    Except,
    /// Users who may join an [invite-only](Setting::InviteOnly) room without an invitation.
    InviteExcept,
    /// Users who may not speak.
    Quiet,
}

/// Who is given a role.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RoleTarget {
    /// The members with this nick. They keep the role until they leave the room.
    Nick(Nick),
    /// All sessions of this account, whenever they join.
    Account(Account),
}

/// One change of a room's modes.
///
/// # Text
///
/// The text of a change is a word after `+` or `-`, and for some changes an argument after a space. A message of
/// [`Kind::Mode`](crate::Kind::Mode) holds one or more changes, separated by spaces, such as `+moderated -key +ban
/// *!*@h`.
///
/// | change | text |
/// | --- | --- |
/// | a [`Setting`] | `+topic-lock` `+moderated` `+invite-only` `+secret` `+no-external`, or with `-` |
/// | the key | `+key SECRET` or `-key`; the text of a message has `*` in the place of `SECRET` |
/// | the limit | `+limit N` or `-limit` |
/// | a [`MaskList`] | `+ban MASK` `+except MASK` `+invite-except MASK` `+quiet MASK`, or with `-` |
/// | a [`Role`] | `+voice NICK` `+operator NICK` `+owner NICK`, or with `-`; `$a:NAME` in the place of `NICK` is an account |
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ModeChange {
    /// Sets a mode.
    Set(Setting),
    /// Unsets a mode.
    Unset(Setting),
    /// Sets the key that a session needs to join; `None` removes it.
    Key(Option<RoomKey>),
    /// Sets how many members the room may have; `None` removes the limit.
    Limit(Option<NonZeroU32>),
    /// Adds a mask to a list.
    Add(MaskList, Mask),
    /// Removes a mask from a list.
    Remove(MaskList, Mask),
    /// Gives a role.
    Grant(Role, RoleTarget),
    /// Takes a role.
    Revoke(Role, RoleTarget),
}

/// The key of a room: a text without spaces and commas that a session must know to join the room.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RoomKey(Arc<str>);

/// Changes of a room's modes, in order, at most [`ModeChanges::MAX`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModeChanges(pub(super) Vec<ModeChange>);

/// Why a text is not a list of changes of modes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModeParseError {
    /// The text holds no change.
    Empty,
    /// The text holds more changes than this number, which is the limit.
    TooMany(usize),
    /// This word is not a mode, or has no sign.
    Unknown(String),
    /// This mode needs an argument.
    NoArgument(&'static str),
    /// A key has 1 to 64 bytes, and no space, comma or control character.
    Key,
    /// A limit is a number from 1.
    Limit,
    /// The argument is not a mask.
    Mask(MaskError),
    /// The argument is not a nick.
    Nick(NameError),
    /// The argument is not an account.
    Account,
}

impl Role {
    /// All roles, the lowest first.
    pub const ALL: [Self; 3] = [Self::Voice, Self::Operator, Self::Owner];

    /// Returns the role's name, such as `operator`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Voice => "voice",
            Self::Operator => "operator",
            Self::Owner => "owner",
        }
    }
}

impl Setting {
    /// All settings.
    pub const ALL: [Self; 5] = [
        Self::TopicLock,
        Self::Moderated,
        Self::InviteOnly,
        Self::Secret,
        Self::NoExternal,
    ];

    /// Returns the setting's name, such as `invite-only`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TopicLock => "topic-lock",
            Self::Moderated => "moderated",
            Self::InviteOnly => "invite-only",
            Self::Secret => "secret",
            Self::NoExternal => "no-external",
        }
    }
}

impl MaskList {
    /// All lists.
    pub const ALL: [Self; 4] = [Self::Ban, Self::Except, Self::InviteExcept, Self::Quiet];

    /// Returns the list's name, such as `ban`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ban => "ban",
            Self::Except => "except",
            Self::InviteExcept => "invite-except",
            Self::Quiet => "quiet",
        }
    }
}

impl RoomKey {
    /// The longest key in bytes.
    pub const BYTES_MAX: usize = 64;

    /// The text that is shown in the place of a key.
    const HIDDEN: &str = "*";

    /// Parses a key.
    ///
    /// # Errors
    ///
    /// Returns [`ModeParseError::Key`] if the text can't be a key. `*` can't: it is shown in the place of a key.
    pub fn parse(text: &str) -> Result<Self, ModeParseError> {
        if text == Self::HIDDEN {
            return Err(ModeParseError::Key);
        }
        let is_bad = |c: char| c.is_whitespace() || c.is_control() || c == ',';
        let is_short = (1..=Self::BYTES_MAX).contains(&text.len());
        if is_short && !text.chars().any(is_bad) && crate::text::clean(text) == text {
            Ok(Self(text.into()))
        } else {
            Err(ModeParseError::Key)
        }
    }

    /// Returns the key that stands for a key that is not known or not shown. No session can name it.
    pub(crate) fn hidden() -> Self {
        Self(Self::HIDDEN.into())
    }

    /// Returns whether this value only stands for a key: its text is `*`.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        *self.0 == *Self::HIDDEN
    }

    /// Returns the text of the key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Does not show the key.
impl fmt::Debug for RoomKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RoomKey")
    }
}

impl RoleTarget {
    /// Parses a nick, or an account after `$a:`. In an account, `%` and two hexadecimal digits stand for a byte, so that
    /// an account may have spaces: `$a:kim%20park`.
    ///
    /// # Errors
    ///
    /// Returns an error if the text is neither.
    pub fn parse(text: &str) -> Result<Self, ModeParseError> {
        if let Some(account) = text.strip_prefix("$a:") {
            let is_bad = account.contains(char::is_whitespace);
            let account = unescaped(account).filter(|_| !is_bad);
            let account = account.and_then(|account| Account::parse(&account).ok());
            return account.map(Self::Account).ok_or(ModeParseError::Account);
        }
        let nick = Nick::of_any_rules(text);
        nick.map(Self::Nick).map_err(ModeParseError::Nick)
    }
}

/// Replaces each `%` and the two hexadecimal digits after it by the byte that they stand for. Returns `None` if the
/// result is not UTF-8, or if a `%` has no digits.
fn unescaped(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes: Vec<u8> = parts.next()?.into();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        // `from_str_radix` alone accepts a sign.
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let byte = u8::from_str_radix(digits, 16).ok().filter(|_| is_hex);
        bytes.push(byte?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

impl ModeChange {
    /// Parses one change: a word with its sign. Calls `argument` only if the word needs an argument.
    fn parse<'a>(
        word: &str,
        argument: impl FnOnce() -> Option<&'a str>,
    ) -> Result<Self, ModeParseError> {
        let unknown = || {
            let word = crate::text::truncate(word, 32);
            ModeParseError::Unknown(crate::text::clean(word).into_owned())
        };
        let (is_set, name) = match (word.strip_prefix('+'), word.strip_prefix('-')) {
            (Some(name), _) => (true, name),
            (None, Some(name)) => (false, name),
            (None, None) => return Err(unknown()),
        };
        let needed = |name| argument().ok_or(ModeParseError::NoArgument(name));
        match name {
            "key" if is_set => {
                let key = match needed("key")? {
                    RoomKey::HIDDEN => RoomKey::hidden(),
                    key => RoomKey::parse(key)?,
                };
                return Ok(Self::Key(Some(key)));
            }
            "key" => return Ok(Self::Key(None)),
            "limit" if is_set => {
                let limit = needed("limit")?
                    .parse()
                    .map_err(|_| ModeParseError::Limit)?;
                return Ok(Self::Limit(Some(limit)));
            }
            "limit" => return Ok(Self::Limit(None)),
            _ => {}
        }
        if let Some(setting) = Setting::ALL.into_iter().find(|it| it.as_str() == name) {
            return Ok(if is_set {
                Self::Set(setting)
            } else {
                Self::Unset(setting)
            });
        }
        if let Some(list) = MaskList::ALL.into_iter().find(|it| it.as_str() == name) {
            let mask = Mask::parse(needed(list.as_str())?).map_err(ModeParseError::Mask)?;
            return Ok(if is_set {
                Self::Add(list, mask)
            } else {
                Self::Remove(list, mask)
            });
        }
        let role = Role::ALL
            .into_iter()
            .find(|it| it.as_str() == name)
            .ok_or_else(unknown)?;
        let target = RoleTarget::parse(needed(role.as_str())?)?;
        Ok(if is_set {
            Self::Grant(role, target)
        } else {
            Self::Revoke(role, target)
        })
    }

    /// Returns the change in words that follow the nick of its author, such as `made bob an operator`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let fixed = match self {
            Self::Set(Setting::TopicLock) => "lets only operators set the topic",
            Self::Unset(Setting::TopicLock) => "lets everyone set the topic",
            Self::Set(Setting::Moderated) => {
                "made the room moderated: only members with a voice may speak"
            }
            Self::Unset(Setting::Moderated) => "lets everyone speak again",
            Self::Set(Setting::InviteOnly) => "made the room invite-only",
            Self::Unset(Setting::InviteOnly) => "lets everyone join again",
            Self::Set(Setting::Secret) => "hid the room from lists",
            Self::Unset(Setting::Secret) => "shows the room in lists again",
            Self::Set(Setting::NoExternal) => "keeps out messages from outside the room",
            Self::Unset(Setting::NoExternal) => "lets in messages from outside the room",
            Self::Key(Some(_)) => "set a key",
            Self::Key(None) => "removed the key",
            Self::Limit(None) => "removed the limit of members",
            Self::Limit(Some(limit)) => return format!("set the limit of members to {limit}"),
            Self::Add(MaskList::Ban, mask) => return format!("banned {mask}"),
            Self::Remove(MaskList::Ban, mask) => return format!("lifted the ban of {mask}"),
            Self::Add(MaskList::Except, mask) => return format!("exempted {mask} from bans"),
            Self::Remove(MaskList::Except, mask) => {
                return format!("no longer exempts {mask} from bans");
            }
            Self::Add(MaskList::InviteExcept, mask) => {
                return format!("lets {mask} join without an invitation");
            }
            Self::Remove(MaskList::InviteExcept, mask) => {
                return format!("no longer lets {mask} join without an invitation");
            }
            Self::Add(MaskList::Quiet, mask) => return format!("silenced {mask}"),
            Self::Remove(MaskList::Quiet, mask) => return format!("no longer silences {mask}"),
            Self::Grant(Role::Voice, who) => return format!("gave {who} a voice"),
            Self::Revoke(Role::Voice, who) => return format!("took the voice from {who}"),
            Self::Grant(role, who) => return format!("made {who} an {}", role.as_str()),
            Self::Revoke(role, who) => return format!("made {who} no longer an {}", role.as_str()),
        };
        fixed.to_owned()
    }
}

impl ModeChanges {
    /// The most changes of one message.
    pub const MAX: usize = 20;

    /// Parses the text of changes; [`ModeChange`] has the grammar.
    ///
    /// # Errors
    ///
    /// Returns the first fault of the text.
    ///
    /// # Examples
    ///
    /// ```
    /// use chat_core::rooms::ModeChanges;
    ///
    /// let changes = ModeChanges::parse("+moderated  +operator bob -key")?;
    /// assert_eq!(changes.to_string(), "+moderated +operator bob -key");
    /// assert_eq!(changes.len(), 3);
    /// assert!(ModeChanges::parse("moderated").is_err());
    /// # Ok::<(), chat_core::rooms::ModeParseError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, ModeParseError> {
        let mut changes = Self::default();
        let mut words = text.split_whitespace();
        while let Some(word) = words.next() {
            let change = ModeChange::parse(word, || words.next())?;
            if matches!(&change, ModeChange::Key(Some(key)) if key.is_hidden()) {
                return Err(ModeParseError::Key);
            }
            if !changes.push(change) {
                return Err(ModeParseError::TooMany(Self::MAX));
            }
        }
        if changes.is_empty() {
            return Err(ModeParseError::Empty);
        }
        Ok(changes)
    }

    /// Reads the text of a message of [`Kind::Mode`]. Skips what this version does not know. The text of a message does
    /// not hold the key of the room: a key that the message sets [is hidden](RoomKey::is_hidden).
    #[must_use]
    pub fn read(text: &str) -> Self {
        Self::read_with_keys(text, &mut std::iter::empty())
    }

    /// As [`read`](Self::read). Takes the keys that the text hides from `keys`.
    pub(super) fn read_with_keys<'a>(
        text: &str,
        keys: &mut impl Iterator<Item = &'a RoomKey>,
    ) -> Self {
        let mut changes = Self::default();
        let mut words = text.split_whitespace();
        while let Some(word) = words.next() {
            changes.extend(match ModeChange::parse(word, || words.next()) {
                Ok(ModeChange::Key(Some(key))) => {
                    Some(ModeChange::Key(Some(keys.next().cloned().unwrap_or(key))))
                }
                change => change.ok(),
            });
        }
        changes
    }

    /// Returns the text of changes with `*` in the place of each key, and adds the keys to `keys`. A key that is not
    /// valid is removed.
    pub(super) fn hide_keys<'a>(text: &'a str, keys: &mut Vec<RoomKey>) -> Cow<'a, str> {
        if !text.contains("+key") {
            return Cow::Borrowed(text);
        }
        let mut shown: Vec<&str> = Vec::new();
        let mut words = text.split_whitespace();
        while let Some(word) = words.next() {
            let mut argument = None;
            let change = ModeChange::parse(word, || {
                argument = words.next();
                argument
            });
            match (change, argument) {
                (Ok(ModeChange::Key(Some(key))), _) => {
                    keys.push(key);
                    shown.extend([word, RoomKey::HIDDEN]);
                }
                (Err(ModeParseError::Key), _) => {}
                (_, argument) => shown.extend([word].into_iter().chain(argument)),
            }
        }
        Cow::Owned(shown.join(" "))
    }

    /// Adds an optional change, if there is space for it.
    fn extend(&mut self, change: Option<ModeChange>) {
        if let Some(change) = change {
            self.push(change);
        }
    }

    /// Adds a change. Returns `false`, and adds nothing, if there are [`MAX`](Self::MAX) changes already.
    pub fn push(&mut self, change: ModeChange) -> bool {
        let has_space = self.0.len() < Self::MAX;
        if has_space {
            self.0.push(change);
        }
        has_space
    }

    /// Returns how many changes there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are no changes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the changes in order.
    pub fn iter(&self) -> std::slice::Iter<'_, ModeChange> {
        self.0.iter()
    }

    /// Returns the changes in words that follow the nick of their author, separated by commas.
    #[must_use]
    pub fn in_words(&self) -> String {
        let words: Vec<String> = self.iter().map(ModeChange::in_words).collect();
        words.join(", ")
    }
}

impl<'a> IntoIterator for &'a ModeChanges {
    type Item = &'a ModeChange;
    type IntoIter = std::slice::Iter<'a, ModeChange>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl From<ModeChange> for ModeChanges {
    fn from(change: ModeChange) -> Self {
        Self(vec![change])
    }
}

impl Batch {
    /// Returns the changes of modes that the batch's messages of [`Kind::Mode`] make, in order.
    ///
    /// A batch that [`Drafts::number`](crate::log::Drafts::number) creates knows the keys that its changes set, although
    /// the messages do not show them. In a batch that was restored from a store, a key [is hidden](RoomKey::is_hidden):
    /// a journal stores the key with the [`Modes`](crate::rooms::Modes) of the room alone.
    pub fn mode_changes(&self) -> impl Iterator<Item = ModeChanges> {
        let mut keys = self.room_keys.iter();
        self.messages(0..self.len())
            .filter(|message| message.kind == Kind::Mode)
            .map(move |message| ModeChanges::read_with_keys(message.text, &mut keys))
    }
}

impl fmt::Display for RoleTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nick(nick) => f.write_str(nick.as_str()),
            Self::Account(account) => {
                f.write_str("$a:")?;
                account.as_str().chars().try_for_each(|c| {
                    if c != '%' && !c.is_whitespace() {
                        return f.write_char(c);
                    }
                    let mut bytes = [0; 4];
                    let mut bytes = c.encode_utf8(&mut bytes).bytes();
                    bytes.try_for_each(|byte| write!(f, "%{byte:02X}"))
                })
            }
        }
    }
}

impl fmt::Display for ModeChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(setting) => write!(f, "+{}", setting.as_str()),
            Self::Unset(setting) => write!(f, "-{}", setting.as_str()),
            Self::Key(Some(key)) => write!(f, "+key {}", key.as_str()),
            Self::Key(None) => f.write_str("-key"),
            Self::Limit(Some(limit)) => write!(f, "+limit {limit}"),
            Self::Limit(None) => f.write_str("-limit"),
            Self::Add(list, mask) => write!(f, "+{} {mask}", list.as_str()),
            Self::Remove(list, mask) => write!(f, "-{} {mask}", list.as_str()),
            Self::Grant(role, who) => write!(f, "+{} {who}", role.as_str()),
            Self::Revoke(role, who) => write!(f, "-{} {who}", role.as_str()),
        }
    }
}

impl fmt::Display for ModeChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, change) in self.iter().enumerate() {
            write!(f, "{}{change}", if at == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

impl fmt::Display for ModeParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("no change of the room's modes was given"),
            Self::TooMany(limit) => write!(f, "at most {limit} changes at once"),
            Self::Unknown(word) => write!(f, "no such mode: {word}"),
            Self::NoArgument(name) => write!(f, "{name} needs an argument"),
            Self::Key => write!(
                f,
                "a key has 1 to {} bytes, and no space or comma",
                RoomKey::BYTES_MAX
            ),
            Self::Limit => f.write_str("a limit is a number from 1"),
            Self::Mask(error) => error.fmt(f),
            Self::Nick(error) => error.fmt(f),
            Self::Account => f.write_str("that can't be an account"),
        }
    }
}

impl std::error::Error for ModeParseError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_each_change_is_parsed_to_the_same_change() {
        let texts = [
            "+topic-lock",
            "-topic-lock",
            "+moderated",
            "-moderated",
            "+invite-only",
            "-invite-only",
            "+secret",
            "-secret",
            "+no-external",
            "-no-external",
            "+key s3cret",
            "+key +moderated",
            "-key",
            "+limit 5",
            "-limit",
            "+ban *!*@h",
            "-ban *!*@h",
            "+except a!b@c",
            "-except a!b@c",
            "+invite-except $a:Kim",
            "-invite-except $a:Kim",
            "+quiet x!*@*",
            "-quiet x!*@*",
            "+voice bob",
            "-voice bob",
            "+operator -bob",
            "-operator Bob",
            "+owner $a:kim",
            "-owner $a:kim",
            "+owner 한글",
            "-voice $a:kim%20park",
            "+owner $a:100%25%E2%80%83x",
            "+voice a\u{300}\u{301}b",
        ];
        for text in texts {
            let parsed = ModeChanges::parse(text).unwrap();
            assert_eq!((parsed.len(), parsed.to_string()), (1, text.to_owned()));
            assert_eq!(ModeChanges::read(text), parsed);
            assert!(!parsed.in_words().is_empty());
        }
        for some in texts.chunks(ModeChanges::MAX) {
            let text = some.join(" ");
            let parsed = ModeChanges::parse(&text).unwrap();
            assert_eq!((parsed.len(), parsed.to_string()), (some.len(), text));
        }
    }

    #[test]
    fn a_text_that_is_no_change_is_refused_with_its_fault() {
        let unknown = |word: &str| ModeParseError::Unknown(word.to_owned());
        for (text, error) in [
            ("", ModeParseError::Empty),
            (" ", ModeParseError::Empty),
            ("moderated", unknown("moderated")),
            ("+loud", unknown("+loud")),
            ("+", unknown("+")),
            ("+key", ModeParseError::NoArgument("key")),
            ("+ban", ModeParseError::NoArgument("ban")),
            ("-ban", ModeParseError::NoArgument("ban")),
            ("+operator", ModeParseError::NoArgument("operator")),
            ("+key a,b", ModeParseError::Key),
            ("+limit 0", ModeParseError::Limit),
            ("+limit many", ModeParseError::Limit),
            (
                "+operator 7up",
                ModeParseError::Nick(NameError::BadStart('7')),
            ),
            ("+operator $a:", ModeParseError::Account),
            ("+operator $a:kim%2", ModeParseError::Account),
            ("+operator $a:kim%+1", ModeParseError::Account),
            ("+operator $a:kim%FF", ModeParseError::Account),
            (
                "+operator a$b",
                ModeParseError::Nick(NameError::BadChar('$')),
            ),
            (&"+secret ".repeat(21), ModeParseError::TooMany(20)),
        ] {
            assert_eq!(ModeChanges::parse(text), Err(error), "{text}");
        }
        assert!(matches!(
            ModeChanges::parse("+ban a\u{7f}b"),
            Err(ModeParseError::Mask(_))
        ));
    }

    #[test]
    fn a_mode_of_a_later_version_is_skipped_with_its_argument() {
        let read = ModeChanges::read("+loud 3 +moderated -colour +operator bob +limit x +secret");
        assert_eq!(read.to_string(), "+moderated +operator bob +secret");
    }

    #[test]
    fn no_id_of_an_account_stands_for_another_account_or_change() {
        for id in [
            "kim park",
            "x +owner $a:mallory",
            "%",
            "100%25",
            "a\tb",
            " ",
            "한\u{2003}글",
        ] {
            let account = Account::parse(id).unwrap();
            let change = ModeChange::Grant(Role::Owner, RoleTarget::Account(account.clone()));
            let changes = ModeChanges::from(change);
            assert_eq!(
                ModeChanges::parse(&changes.to_string()),
                Ok(changes.clone()),
                "{id}"
            );
            let mut modes = crate::log::Modes::default();
            for change in &changes {
                modes.change(change, &Nick::parse("a").unwrap(), crate::log::Timestamp(0));
            }
            let read = crate::log::Modes::read(&modes.to_string());
            assert_eq!(read.role_of(&account), Some(Role::Owner), "{id}");
            assert_eq!(read.accounts().count(), 1);
        }
    }

    #[test]
    fn a_key_is_not_shown_in_debug_output() {
        let change = ModeChanges::parse("+key s3cret").unwrap();
        assert!(!format!("{change:?}").contains("s3cret"));
    }
}
