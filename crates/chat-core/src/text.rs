//! Text that one member sends and another member's terminal shows.
//!
//! Invariant: what left [`clean`] holds no control character that could move a cursor, end a line or reorder what
//! is read. Every text passes here once, before it is stored.

use std::borrow::Cow;

/// Removes control characters except tab, line separators, and bidirectional embeddings, overrides and isolates.
///
/// These are the C0 controls but tab, DEL, the C1 controls (general category Cc), U+2028 and U+2029 (some programs
/// break lines there), and U+202A–U+202E and U+2066–U+2069 (Unicode Annex #9, explicit formatting). Text that holds none of them is borrowed, not copied.
///
/// # Examples
///
/// ```
/// assert_eq!(chat_core::text::clean("\x1b[31mred\x07"), "[31mred");
/// assert_eq!(chat_core::text::clean("안녕\t!"), "안녕\t!");
/// ```
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    if is_plain_ascii(text.as_bytes()) || !text.chars().any(is_unsafe) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.chars().filter(|&c| !is_unsafe(c)).collect())
    }
}

/// Returns whether [`clean`] removes this character.
#[must_use]
pub const fn is_unsafe(c: char) -> bool {
    match c {
        '\t' => false,
        '\0'..='\x1f' | '\x7f'..='\u{9f}' => true,
        '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        _ => false,
    }
}

/// Shortens a text to at most `bytes_max` bytes, on a character boundary.
pub(crate) fn truncate(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// The common case, without a branch per byte: printable ASCII and nothing else.
fn is_plain_ascii(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .fold(true, |plain, &b| plain & (0x20..0x7f).contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn clean_text_is_borrowed() {
        assert!(matches!(clean("plain"), Cow::Borrowed("plain")));
        assert!(matches!(clean("한글\tㅋㅋ 👨‍👩‍👧"), Cow::Borrowed(_)));
    }

    #[test]
    fn every_control_and_bidi_override_is_removed() {
        let nasty: String = (0..=0x9f_u32)
            .chain([0x202a, 0x202e, 0x2066, 0x2069])
            .filter_map(char::from_u32)
            .collect();
        let printable: String = std::iter::once('\t').chain(' '..='~').collect();
        assert_eq!(clean(&nasty), printable);
    }

    #[test]
    fn truncation_never_splits_a_character() {
        assert_eq!(truncate("한글", 4), "한");
        assert_eq!(truncate("abc", 8), "abc");
    }

    proptest! {
        #[test]
        fn nothing_with_a_control_character_ever_comes_out(text in any::<String>()) {
            let cleaned = clean(&text);
            prop_assert!(!cleaned.chars().any(|c| c != '\t' && (c.is_control() || is_unsafe(c))));
            prop_assert_eq!(clean(&cleaned).into_owned(), cleaned.clone().into_owned());
        }
    }
}
