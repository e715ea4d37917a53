//! Checks names that the user types, before they are sent to the server or remembered.

use chat_core::name::NameRules;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Parses a nick. The nick is composed first (NFC), because text from some systems has one syllable as several
/// characters.
///
/// # Errors
///
/// Returns why the nick is invalid.
pub(crate) fn nick(typed: &str) -> Result<String, String> {
    let nick = rules().nick(&compose(typed));
    nick.map(|nick| nick.as_str().to_owned())
        .map_err(|error| format!("invalid nick: {error}"))
}

/// Parses a room name, with or without a leading `#`. The name is composed first (NFC).
///
/// # Errors
///
/// Returns why the room name is invalid.
pub(crate) fn room(typed: &str) -> Result<String, String> {
    let room = rules().room(&compose(typed));
    room.map(|room| room.as_str().to_owned())
        .map_err(|error| format!("invalid room name: {error}"))
}

/// Returns the name rules of `chat-server`, except for its tables of characters that look alike.
fn rules() -> NameRules {
    let mut rules = NameRules::default();
    rules.fold = fold;
    rules.is_mark = is_combining_mark;
    rules
}

/// Returns whether two spellings are the same name.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    one == other || fold(one) == fold(other)
}

/// Converts a name to the form in which servers compare names. A typed name may be spelled differently from the
/// server's name.
pub(crate) fn fold(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    name.nfc().flat_map(char::to_lowercase).nfc().collect()
}

fn compose(text: &str) -> String {
    text.nfc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_by_the_rules_of_the_server() {
        assert_eq!(nick("김철수").as_deref(), Ok("김철수"));
        // Names that are pasted from macOS, for example from file names, contain decomposed Hangul syllables.
        assert_eq!(
            nick("\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}").as_deref(),
            Ok("한글")
        );
        assert_eq!(room("#Ops").as_deref(), Ok("Ops"));
        // The name of a room may begin with a digit, a nick may not.
        assert_eq!(room("1st").as_deref(), Ok("1st"));
        assert!(nick("1st").is_err());
        for bad in ["", "two words", "a:b", "\u{3164}"] {
            assert!(nick(bad).unwrap_err().starts_with("invalid nick: "));
            assert!(room(bad).is_err());
        }
    }
}
