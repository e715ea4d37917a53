//! Cleans text that one member sends and another member's terminal shows.
//!
//! Invariant: text that [`clean`] returns holds no control character that could move a cursor, end a line or reorder
//! text. Every text is cleaned once, before it is stored.

use std::borrow::Cow;

/// Removes control characters except tab, and bidirectional embeddings, overrides and isolates. Replaces line breaks
/// inside the text by one space.
///
/// Removed are the C0 controls except tab, DEL, the C1 controls (general category Cc), and U+202A–U+202E and
/// U+2066–U+2069 (Unicode Annex #9, explicit formatting). A line break is LF, VT, FF, CR, NEL, U+2028 or U+2029
/// (Unicode Annex #14, mandatory breaks). Several line breaks in a row, such as CR LF, become one space. Line breaks at
/// either end of the text are removed. A text that holds none of these characters is borrowed, not copied.
///
/// # Examples
///
/// ```
/// assert_eq!(chat_core::text::clean("\x1b[31mred\x07"), "[31mred");
/// assert_eq!(chat_core::text::clean("안녕\t!"), "안녕\t!");
/// assert_eq!(chat_core::text::clean("one\r\ntwo\n"), "one two");
/// ```
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    if is_plain_ascii(text.as_bytes()) || !text.chars().any(is_unsafe) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(cleaned(text))
    }
}

fn cleaned(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut follows_break = false;
    for c in text.chars() {
        if is_line_break(c) {
            follows_break = true;
        } else if !is_unsafe(c) {
            if std::mem::take(&mut follows_break) && !clean.is_empty() {
                clean.push(' ');
            }
            clean.push(c);
        }
    }
    clean
}

const fn is_line_break(c: char) -> bool {
    matches!(c, '\n'..='\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Returns whether [`clean`] removes this character or replaces it by a space.
#[must_use]
pub const fn is_unsafe(c: char) -> bool {
    match c {
        '\t' => false,
        '\0'..='\x1f' | '\x7f'..='\u{9f}' => true,
        '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        _ => false,
    }
}

/// Returns whether a text has at least one character that a reader sees. White space and invisible characters, such as
/// U+200B and the Hangul fillers, are not seen.
///
/// # Examples
///
/// ```
/// assert!(chat_core::text::is_visible("안녕"));
/// assert!(!chat_core::text::is_visible(" \u{3164}\u{200b}"));
/// ```
#[must_use]
pub fn is_visible(text: &str) -> bool {
    text.chars()
        .any(|c| !c.is_whitespace() && !crate::name::is_invisible(c) && !is_unsafe(c))
}

/// Deletes the character before each backspace (0x08, or DEL, which most terminals send). A text without backspaces is
/// borrowed.
///
/// A character is what a reader takes for one character: a base with its marks, a Hangul syllable of several jamo, an
/// emoji of several parts. In scripts whose marks can be recognised only with Unicode tables, a backspace deletes the
/// mark alone, as editors do in those scripts.
pub(crate) fn apply_backspaces(text: &str) -> Cow<'_, str> {
    const BACKSPACES: [char; 2] = ['\x08', '\x7f'];
    // The loop has no branch for each byte, so that the compiler can compare many bytes at once.
    let has_any = |has, byte: u8| has | matches!(byte, 0x08 | 0x7f);
    if !text.bytes().fold(false, has_any) {
        return Cow::Borrowed(text);
    }
    let mut left = String::with_capacity(text.len());
    for c in text.chars() {
        if BACKSPACES.contains(&c) {
            delete_last(&mut left);
        } else {
            left.push(c);
        }
    }
    Cow::Owned(left)
}

fn delete_last(text: &mut String) {
    const JOINER: char = '\u{200d}';
    while let Some(last) = text.pop() {
        let precedes: fn(char) -> bool = match last {
            // If the last character is a mark, a variation selector, a skin tone or a tag, the character before it is
            // deleted, too.
            '\u{fe00}'..='\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0020}'..='\u{e007f}' => {
                |_| true
            }
            mark if crate::name::is_common_mark(mark) => |_| true,
            // One backspace deletes a whole syllable of jamo, from its last letter to its first (Unicode, section
            // 3.12). One backspace also deletes both characters of a flag.
            '\u{11a8}'..='\u{11ff}' => |c| matches!(c, '\u{1160}'..='\u{11a7}'),
            '\u{1160}'..='\u{11a7}' => |c| matches!(c, '\u{1100}'..='\u{115f}'),
            '\u{1f1e6}'..='\u{1f1ff}' => {
                let flags = text
                    .chars()
                    .rev()
                    .take_while(|c| matches!(c, '\u{1f1e6}'..='\u{1f1ff}'));
                if flags.count() % 2 == 1 {
                    text.pop();
                }
                |_| false
            }
            JOINER => |_| true,
            _ => |c| c == JOINER,
        };
        if !text.chars().next_back().is_some_and(precedes) {
            return;
        }
    }
}

/// Shortens a text to at most `bytes_max` bytes, at a character boundary.
pub(crate) fn truncate(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// Returns whether a text is printable ASCII only. This is the most common kind of text. The check has no branch for
/// each byte, so that the compiler can check many bytes at once.
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
        let printable: String = std::iter::once('\t')
            // The characters from U+000A to U+000D are line breaks, which become a space.
            .chain([' '])
            .chain(' '..='~')
            .collect();
        // The last line break, U+0085, is at the end of the text and adds no space.
        assert_eq!(clean(&nasty), printable);
    }

    #[test]
    fn line_breaks_inside_a_text_become_one_space() {
        for (text, expected) in [
            ("x\ny", "x y"),
            ("x\r\ny", "x y"),
            ("x\n\n\ny", "x y"),
            ("x\n\x07\ny", "x y"),
            ("x\u{2028}y\u{2029}z\u{85}", "x y z"),
            ("\r\nx\n", "x"),
            ("\n\x0b\x0c\r", ""),
        ] {
            assert_eq!(clean(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_backspace_deletes_the_character_before_it() {
        for (typed, left) in [
            ("helo\x08lo", "hello"),
            ("helo\x7flo", "hello"),
            ("\x08\x08a", "a"),
            ("안녕하\x7f", "안녕"),
            ("한\u{1100}\u{1173}\u{11af}\x7f글", "한글"),
            ("한\u{1100}\u{1173}\x7f글", "한글"),
            ("Jose\u{301}\x7f", "Jos"),
            ("a👨\u{200d}👩\u{200d}👧\x7fb", "ab"),
            ("a👍🏽\x7fb", "ab"),
            ("a🇰🇷🇰🇷\x7fb", "a🇰🇷b"),
            ("N\x08NA\x08AM\x08ME\x08E", "NAME"),
        ] {
            assert_eq!(apply_backspaces(typed), left, "{typed:?}");
        }
        assert!(matches!(apply_backspaces("한글"), Cow::Borrowed(_)));
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
