//! Nicks and room names: which texts are valid names, and when two names are the same.
//!
//! Invariant: every [`Nick`] and every [`RoomName`] is valid. Neither holds a space, a colon or a control character,
//! and neither begins with `*`, `!` or `/`. No nick begins with a digit. So no text of a peer can pass for a line that
//! the server wrote.

use std::fmt;
use std::sync::Arc;

/// The most characters of a nick, counted after [`NameRules::fold`].
pub(crate) const NICK_CHARS_MAX: usize = 32;

/// The longest nick as it is spelled, in bytes: 32 characters of four bytes each.
const NICK_BYTES_MAX: usize = 128;

/// The longest text that can be a nick, in bytes. The limit exceeds [`NICK_BYTES_MAX`], because [`NameRules::fold`] can
/// turn three characters into one.
pub(crate) const TYPED_NICK_BYTES_MAX: usize = NICK_BYTES_MAX * 3;

/// The longest room name, in bytes.
pub(crate) const ROOM_NAME_BYTES_MAX: usize = 64;

/// The validated name of a session. A clone is cheap.
///
/// A nick has one to 32 characters: letters, digits, `-`, `_`, `.`, `[]{}|^` and any non-ASCII letter, digit or mark. A
/// nick begins with a letter or one of these signs, never with a digit or a mark. Invisible characters are rejected
/// even if Unicode calls them letters, such as U+3164 HANGUL FILLER. A nick keeps the spelling in which it was typed.
/// Two nicks are the same if [`NameRules`] folds them to the same key.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Nick(Arc<str>);

impl Nick {
    /// Parses a nick under the default [`NameRules`].
    ///
    /// # Errors
    ///
    /// Returns the rule that the name breaks; see [`NameError`].
    ///
    /// # Examples
    ///
    /// ```
    /// use chat_core::Nick;
    /// assert!(Nick::parse("한글").is_ok());
    /// assert!(Nick::parse("two words").is_err());
    /// ```
    pub fn parse(name: &str) -> Result<Self, NameError> {
        NameRules::default().nick(name)
    }

    /// Reads a nick that some rules allow: a change of modes names members of a hub with any rules. No two words are
    /// mistaken for one, because a nick has no white space under any rules.
    pub(crate) fn of_any_rules(name: &str) -> Result<Self, NameError> {
        let rules = NameRules {
            is_mark: |c| {
                !c.is_ascii() && !c.is_alphanumeric() && !c.is_whitespace() && !c.is_control()
            },
            ..NameRules::default()
        };
        rules.restore_nick(name)
    }

    /// Returns the nick as it was typed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the text of the nick without copying it, for use as a map key.
    pub(crate) fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

/// The validated name of a room. A clone is cheap.
///
/// The rules are those of [`Nick`] with two differences: a room name has up to 64 bytes of UTF-8, and may begin with a
/// digit, because no line begins with a room's name. One leading `#` is dropped, because users of other chat systems
/// write a `#` before the name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomName(Arc<str>);

impl RoomName {
    /// Parses a room name under the default [`NameRules`].
    ///
    /// # Errors
    ///
    /// Returns the rule that the name breaks; see [`NameError`].
    pub fn parse(name: &str) -> Result<Self, NameError> {
        NameRules::default().room(name)
    }

    /// Returns the name of the default lobby, `lobby`. A hub can have another lobby.
    #[must_use]
    pub fn lobby() -> Self {
        Self("lobby".into())
    }

    /// Returns the room's name in the spelling in which this value was parsed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is not a valid name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameError {
    /// The text is empty.
    Empty,
    /// The text is longer than 32 characters (a nick) or 64 bytes (a room).
    TooLong {
        /// The limit that the text exceeds.
        limit: usize,
        /// The unit of the limit: `characters` for a nick, `bytes` for a room.
        unit: &'static str,
    },
    /// The text begins with this character, which is allowed only after the first character.
    BadStart(char),
    /// The text holds this character, which no name may hold.
    BadChar(char),
    /// The text is one of the [reserved](NameRules::reserved) words, or looks like one.
    Reserved,
    /// The text holds this combining mark at a wrong place: the mark does not belong to the letter before it, or
    /// follows more marks in a row than any script uses.
    StrayMark(char),
    /// The text holds this invisible character.
    Invisible(char),
}

/// The functions by which a hub compares names, and finds combining marks in them.
///
/// The default uses only ASCII, `char::to_lowercase` and the Unicode blocks of combining marks. The default does not
/// normalise, because the Unicode tables for normalisation are too large for this crate. A server can provide the full
/// rules (Unicode Annex #15 for `fold`, UTS #39 for `skeleton`), as `chat-server` does.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct NameRules {
    /// Maps a name to its key. Two names with the same key are the same name. The function must be idempotent: the key
    /// of a key is the key itself.
    pub fold: fn(&str) -> String,
    /// Maps a name to its skeleton, which stands for the shape that a reader sees. Two nicks with the same skeleton
    /// look alike.
    pub skeleton: fn(&str) -> String,
    /// Returns whether a character is a combining mark (general category M).
    pub is_mark: fn(char) -> bool,
    /// Returns the first combining mark that no script uses at this place, as in `a\u{332}`; `None` if there is no such
    /// mark. With such a mark, a nick could pass for another nick.
    pub stray_mark: fn(&str) -> Option<char>,
    /// Words that no session may take as its nick (`you`, `server`, `admin`, `system`, `chat`). A nick with the
    /// skeleton of a reserved word is rejected, too. To use one of these words as the nick of its own session, an
    /// application removes the word from the list.
    pub reserved: &'static [&'static str],
}

/// The default of [`NameRules::reserved`]. Lines address their reader as `you`; the other words could pass for the
/// server.
const RESERVED: &[&str] = &["you", "server", "admin", "system", "chat"];

impl NameRules {
    /// Creates rules with these functions. The other fields have their default values.
    #[must_use]
    pub const fn new(
        fold: fn(&str) -> String,
        skeleton: fn(&str) -> String,
        is_mark: fn(char) -> bool,
    ) -> Self {
        Self {
            fold,
            skeleton,
            is_mark,
            stray_mark,
            reserved: RESERVED,
        }
    }

    /// Parses a nick.
    ///
    /// # Errors
    ///
    /// Returns the rule that the name breaks; see [`NameError`].
    pub fn nick(&self, name: &str) -> Result<Nick, NameError> {
        let too_long = NameError::TooLong {
            limit: NICK_CHARS_MAX,
            unit: "characters",
        };
        // The length is checked before the name is folded, because the cost of folding grows with the length.
        if name.len() > TYPED_NICK_BYTES_MAX {
            return Err(too_long);
        }
        self.check_nick(name)?;
        if let Some(mark) = (self.stray_mark)(name) {
            return Err(NameError::StrayMark(mark));
        }
        let key = (self.fold)(name);
        if key.chars().count() > NICK_CHARS_MAX {
            return Err(too_long);
        }
        // Both the typed spelling and the folded spelling are compared with the reserved words, because a capital
        // letter may look like one character and its small letter like another.
        let shapes = [(self.skeleton)(name), (self.skeleton)(&key)];
        let is_like = |word: &&str| {
            shapes.contains(&(self.skeleton)(word))
                || shapes.contains(&(self.skeleton)(&word.to_uppercase()))
        };
        if self.reserved.iter().any(is_like) {
            return Err(NameError::Reserved);
        }
        Ok(Nick(name.into()))
    }

    /// Parses a nick that was read back from a log. The nick was valid when it was written to the log, so this method
    /// checks only that readers can't mistake the nick for another part of a line. Rules that were added later are not
    /// checked.
    ///
    /// # Errors
    ///
    /// Returns the rule that the name breaks; see [`NameError`].
    pub fn restore_nick(&self, name: &str) -> Result<Nick, NameError> {
        if name.len() > NICK_BYTES_MAX * 3 {
            return Err(NameError::TooLong {
                limit: NICK_CHARS_MAX,
                unit: "characters",
            });
        }
        self.check_nick(name)?;
        Ok(Nick(name.into()))
    }

    /// Parses a room name, with or without a leading `#`.
    ///
    /// # Errors
    ///
    /// Returns the rule that the name breaks; see [`NameError`].
    pub fn room(&self, name: &str) -> Result<RoomName, NameError> {
        let name = without_hash(name);
        if name.len() > ROOM_NAME_BYTES_MAX {
            return Err(NameError::TooLong {
                limit: ROOM_NAME_BYTES_MAX,
                unit: "bytes",
            });
        }
        self.check(name)?;
        Ok(RoomName(name.into()))
    }

    /// Returns the key of the room that a peer names. All spellings of a room's name have the same key, with or without
    /// a leading `#`. `None` if the text is longer than any room's name.
    ///
    /// The text need not be a valid room name: the key of an invalid name matches no open room.
    pub(crate) fn room_key(&self, typed: &str) -> Option<String> {
        let name = without_hash(typed);
        // The length is checked before the name is folded, because the cost of folding grows with the length.
        (name.len() <= ROOM_NAME_BYTES_MAX).then(|| (self.fold)(name))
    }

    /// Checks the characters of a nick. A message that is shown without its time begins with the author's nick, so a
    /// nick that begins with a digit could be taken for a time.
    fn check_nick(&self, nick: &str) -> Result<(), NameError> {
        self.check(nick)?;
        match nick.chars().next() {
            Some(first) if first.is_numeric() => Err(NameError::BadStart(first)),
            _ => Ok(()),
        }
    }

    fn check(&self, name: &str) -> Result<(), NameError> {
        let first = name.chars().next().ok_or(NameError::Empty)?;
        for c in name.chars() {
            if is_invisible(c) {
                return Err(NameError::Invisible(c));
            }
            if !self.may_follow(c) {
                return Err(NameError::BadChar(c));
            }
        }
        // A mark at the beginning of a name would combine with the space before the name.
        if (self.is_mark)(first) {
            return Err(NameError::BadStart(first));
        }
        Ok(())
    }

    fn may_follow(&self, c: char) -> bool {
        match c {
            '-' | '_' | '.' | '[' | ']' | '{' | '}' | '|' | '^' => true,
            _ if c.is_ascii() => c.is_ascii_alphanumeric(),
            _ => c.is_alphanumeric() || (self.is_mark)(c),
        }
    }
}

impl Default for NameRules {
    fn default() -> Self {
        Self {
            fold: lower_case,
            skeleton: lower_case,
            is_mark: is_common_mark,
            stray_mark,
            reserved: RESERVED,
        }
    }
}

impl fmt::Debug for NameRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NameRules").finish_non_exhaustive()
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Empty => f.write_str("a name needs at least one character"),
            Self::TooLong { limit, unit } => write!(f, "a name may have at most {limit} {unit}"),
            Self::Reserved => f.write_str("it is reserved, or looks like a name that is"),
            Self::StrayMark(c) => write!(
                f,
                "a name may not hold the mark U+{:04X} there",
                u32::from(c)
            ),
            Self::BadStart(c) => write!(f, "a name may not begin with {}", Shown(c)),
            Self::BadChar(c) => write!(f, "a name may not hold {}", Shown(c)),
            Self::Invisible(c) => {
                write!(
                    f,
                    "a name may not hold the invisible character U+{:04X}",
                    u32::from(c)
                )
            }
        }
    }
}

impl std::error::Error for NameError {}

macro_rules! impl_name {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;

            fn from_str(name: &str) -> Result<Self, NameError> {
                Self::parse(name)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

impl_name!(Nick);
impl_name!(RoomName);

/// Prints a character in an error message: the character itself if it is harmless, otherwise its code point.
struct Shown(char);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ' ' => f.write_str("a space"),
            c if c.is_ascii_graphic() || c.is_alphanumeric() => write!(f, "'{c}'"),
            c => write!(f, "U+{:04X}", u32::from(c)),
        }
    }
}

/// Removes the `#` that users of other chat systems write before a room's name.
fn without_hash(room: &str) -> &str {
    room.strip_prefix('#').unwrap_or(room)
}

fn lower_case(name: &str) -> String {
    name.chars().flat_map(char::to_lowercase).collect()
}

/// Returns whether a character is in the combining blocks of everyday Latin, Greek, Cyrillic and kana. The marks of
/// other scripts can be recognised only with Unicode tables.
pub(crate) fn is_common_mark(c: char) -> bool {
    matches!(u32::from(c),
        0x0300..=0x036f | 0x0483..=0x0489 | 0x1ab0..=0x1aff | 0x1dc0..=0x1dff
        | 0x20d0..=0x20ff | 0x3099..=0x309a | 0xfe20..=0xfe2f)
}

/// Finds the first mark of [`is_common_mark`] that is not allowed: a mark that composes with no letter
/// (UnicodeData.txt, canonical decompositions), or the fourth mark in a row. Three marks in a row are allowed, because
/// Greek has letters with three marks.
fn stray_mark(name: &str) -> Option<char> {
    const MARKS_MAX: usize = 3;
    let mut marks = 0;
    name.chars().find(|&c| {
        marks = if is_common_mark(c) { marks + 1 } else { 0 };
        marks > MARKS_MAX || marks > 0 && !composes(c)
    })
}

fn composes(mark: char) -> bool {
    matches!(u32::from(mark),
        0x0300..=0x0304 | 0x0306..=0x030c | 0x030f | 0x0311 | 0x0313..=0x0314 | 0x031b
        | 0x0323..=0x0328 | 0x032d..=0x032e | 0x0330..=0x0331 | 0x0338 | 0x0342 | 0x0345
        | 0x3099..=0x309a)
}

/// Returns whether a character has the property Default_Ignorable_Code_Point (DerivedCoreProperties.txt, Unicode 17),
/// as the Hangul fillers do, or is U+2800, whose glyph is empty.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(u32::from(c),
        0x00ad | 0x034f | 0x061c | 0x115f..=0x1160 | 0x17b4..=0x17b5 | 0x180b..=0x180f
        | 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x206f | 0x2800 | 0x3164
        | 0xfe00..=0xfe0f | 0xfeff | 0xffa0 | 0xfff0..=0xfff8 | 0x1bca0..=0x1bca3
        | 0x1d173..=0x1d17a | 0xe0000..=0xe0fff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyday_names_are_names() {
        for name in [
            "alice",
            "한글",
            "ㅋㅋ",
            "José",
            "Jose\u{301}",
            "a1",
            "_x_",
            "[bot]",
            "a|b^c",
            "日本",
            "Ωmega",
        ] {
            assert!(Nick::parse(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn what_could_pass_for_a_line_of_the_server_is_no_name() {
        for name in [
            "", "1st", "*", "!x", "/x", "a b", "a:b", "a\u{1b}b", "a\nb", "\u{301}a", "a,b", "<b>",
            "a@b",
        ] {
            assert!(Nick::parse(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn invisible_letters_are_refused_and_named() {
        for c in [
            '\u{115f}', '\u{1160}', '\u{3164}', '\u{ffa0}', '\u{200d}', '\u{2066}', '\u{ad}',
        ] {
            let name = format!("a{c}b");
            assert_eq!(Nick::parse(&name), Err(NameError::Invisible(c)));
        }
        let reason = NameError::Invisible('\u{3164}').to_string();
        assert!(
            reason.contains("invisible") && reason.contains("U+3164"),
            "{reason}"
        );
    }

    #[test]
    fn what_could_pass_for_the_server_is_reserved() {
        for name in ["you", "YOU", "server", "Admin", "system", "chat"] {
            assert_eq!(Nick::parse(name), Err(NameError::Reserved));
        }
        let rules = NameRules {
            reserved: &["you"],
            ..NameRules::default()
        };
        assert!(rules.nick("server").is_ok());
        assert!(NameRules::default().restore_nick("server").is_ok());
        assert!(NameRules::default().restore_nick("a: b").is_err());
    }

    #[test]
    fn marks_that_no_letter_takes_are_refused() {
        for name in [
            "a\u{332}lice",
            "z\u{300}\u{301}\u{302}\u{303}",
            "x\u{20dd}",
            "ab\u{489}",
        ] {
            assert!(
                matches!(Nick::parse(name), Err(NameError::StrayMark(_))),
                "{name}"
            );
        }
        for name in ["Jose\u{301}", "Vie\u{323}\u{302}t", "が", "か\u{3099}"] {
            assert!(Nick::parse(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn nicks_are_counted_in_characters_and_rooms_in_bytes() {
        assert!(Nick::parse(&"한".repeat(32)).is_ok());
        assert!(Nick::parse(&"한".repeat(33)).is_err());
        assert!(RoomName::parse(&"한".repeat(21)).is_ok());
        assert!(RoomName::parse(&"한".repeat(22)).is_err());
    }

    #[test]
    fn a_room_may_begin_with_a_digit_and_a_nick_may_not() {
        for name in ["2600", "1st", "14:02", "٣"] {
            assert!(Nick::parse(name).is_err(), "{name}");
            assert_eq!(RoomName::parse(name).is_ok(), !name.contains(':'), "{name}");
        }
        assert_eq!(RoomName::parse("#2600"), RoomName::parse("2600"));
        assert!(
            RoomName::parse("\u{301}a").is_err(),
            "a mark sits on what is before it"
        );
    }

    #[test]
    fn a_room_may_be_written_with_a_hash() {
        assert_eq!(RoomName::parse("#ops"), RoomName::parse("ops"));
        assert!(RoomName::parse("##ops").is_err());
    }
}
