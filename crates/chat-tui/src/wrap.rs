//! Wraps text to lines of a given width, by grapheme clusters and their display width (UAX #11, UAX #29).
//!
//! Invariant: no grapheme is split, no line is too wide, and only spaces at a line break are dropped.

use std::borrow::Cow;
use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// One line of a wrapped text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WrappedLine {
    /// The number of empty columns at the start of the line.
    pub(crate) indent: usize,
    pub(crate) text: String,
}

/// Wraps `text` to lines of `width` columns. In the first line, `first` columns are already used. Further lines are
/// indented by `indent`. A line that continues a word longer than a line is not indented, so that a long URL can be
/// copied from the screen without spaces in it.
pub(crate) fn wrap(text: &str, width: usize, first: usize, indent: usize) -> Vec<WrappedLine> {
    // A wide character takes two columns, so a line has at least two.
    let width = width.max(2);
    let indent = if indent + 8 > width { 0 } else { indent };
    let mut wrapping = Wrapping {
        lines: Vec::new(),
        line: String::new(),
        indent: 0,
        used: first.min(width),
        width,
        next_indent: indent,
    };
    for word in text.split_word_bounds_at_spaces() {
        wrapping.add_word(word);
    }
    wrapping.finish()
}

/// Returns a text in the form in which it is drawn: composed (Unicode's NFC), with tabs as spaces, and with emoji
/// sequences split into their parts. Terminals disagree on the width of a whole emoji sequence, so parts of it could
/// remain on the screen.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    if text.is_ascii() && !text.contains('\t') {
        return Cow::Borrowed(text);
    }
    let composed: String = text.nfc().collect();
    let mut shown = String::with_capacity(composed.len());
    for grapheme in composed.graphemes(true) {
        let mut chars = grapheme.chars();
        let is_plain = chars.next().is_some() && chars.next().is_none();
        if is_plain && !grapheme.starts_with(is_replaced) || !grapheme.contains(is_emoji) {
            shown.extend(grapheme.chars().map(|c| if c == '\t' { ' ' } else { c }));
        } else {
            shown.extend(grapheme.chars().filter_map(plain_part));
        }
    }
    Cow::Owned(shown)
}

/// Returns whether a character is an emoji, or makes another character an emoji.
const fn is_emoji(c: char) -> bool {
    matches!(c, '\u{1f000}'..='\u{1faff}' | '\u{2600}'..='\u{27bf}' | '\u{20e3}' | '\u{fe0f}')
}

/// Returns whether a character is a regional indicator. Such a character is replaced even if it stands alone, because
/// terminals disagree on its width.
const fn is_replaced(c: char) -> bool {
    matches!(c, '\u{1f1e6}'..='\u{1f1ff}')
}

/// Returns the character to draw for one character of an emoji sequence. `None` if the character is not drawn.
fn plain_part(c: char) -> Option<char> {
    match c {
        // The zero-width joiner, variation selectors, skin tones, tags, and the frame of a keycap are not drawn.
        '\u{200d}' | '\u{fe0e}' | '\u{fe0f}' | '\u{20e3}' => None,
        '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0020}'..='\u{e007f}' => None,
        // The two characters of a flag are drawn as the letters of the country code.
        '\u{1f1e6}'..='\u{1f1ff}' => char::from_u32(u32::from('A') + (u32::from(c) - 0x1_f1e6)),
        c => Some(c),
    }
}

/// Returns the display width of a text.
pub(crate) fn columns(text: &str) -> usize {
    text.graphemes(true).map(grapheme_columns).sum()
}

/// Returns the longest prefix of a text that fits into `width` columns.
pub(crate) fn fit(text: &str, width: usize) -> &str {
    let mut used = 0;
    for (at, grapheme) in text.grapheme_indices(true) {
        used += grapheme_columns(grapheme);
        if used > width {
            return &text[..at];
        }
    }
    text
}

/// Returns the width of a grapheme in columns, as ratatui computes it. So layout and drawing agree.
fn grapheme_columns(grapheme: &str) -> usize {
    grapheme.width()
}

trait Words {
    /// Splits a text into words and the runs of spaces between them, in order.
    fn split_word_bounds_at_spaces(&self) -> Vec<&str>;
}

impl Words for str {
    fn split_word_bounds_at_spaces(&self) -> Vec<&str> {
        let mut words = Vec::new();
        let mut start = 0;
        let mut in_space = None;
        for (at, c) in self.char_indices() {
            let is_space = c == ' ' || c == '\t';
            if in_space.is_some_and(|before| before != is_space) {
                words.push(&self[start..at]);
                start = at;
            }
            in_space = Some(is_space);
        }
        words.push(&self[start..]);
        words
    }
}

struct Wrapping {
    lines: Vec<WrappedLine>,
    line: String,
    /// The number of columns by which the current line is indented.
    indent: usize,
    /// The number of used columns of the current line, including the indent.
    used: usize,
    width: usize,
    next_indent: usize,
}

impl Wrapping {
    fn add_word(&mut self, word: &str) {
        let is_space = word.starts_with([' ', '\t']);
        let wide = if is_space {
            word.chars().count()
        } else {
            columns(word)
        };
        if self.used + wide <= self.width {
            self.used += wide;
            return match is_space {
                // A tab is drawn as one space.
                true => self.line.extend(word.chars().map(|_| ' ')),
                false => self.line.push_str(word),
            };
        }
        if is_space {
            return self.break_line(self.next_indent);
        }
        let fits_alone = self.next_indent + wide <= self.width;
        if !self.line.is_empty() || fits_alone {
            self.break_line(if fits_alone { self.next_indent } else { 0 });
        }
        if fits_alone {
            self.used += wide;
            self.line.push_str(word);
        } else {
            self.add_in_pieces(word);
        }
    }

    /// Splits a word that is longer than a line into as many lines as needed. Lines that continue the word are not
    /// indented.
    fn add_in_pieces(&mut self, word: &str) {
        for grapheme in word.graphemes(true) {
            let wide = grapheme_columns(grapheme);
            if self.used + wide > self.width {
                self.break_line(0);
            }
            self.used += wide;
            self.line.push_str(grapheme);
        }
    }

    fn break_line(&mut self, indent: usize) {
        let text = std::mem::take(&mut self.line);
        self.lines.push(WrappedLine {
            indent: self.indent,
            text: text.trim_end_matches(' ').to_owned(),
        });
        (self.indent, self.used) = (indent, indent);
    }

    fn finish(mut self) -> Vec<WrappedLine> {
        if !self.line.is_empty() || self.lines.is_empty() {
            self.break_line(0);
        }
        self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, width: usize, first: usize, indent: usize) -> Vec<String> {
        let lines = wrap(text, width, first, indent).into_iter();
        lines
            .map(|line| " ".repeat(line.indent) + &line.text)
            .collect()
    }

    #[test]
    fn words_go_to_the_next_line_whole() {
        assert_eq!(
            lines("the quick brown fox jumps", 16, 6, 2),
            ["the quick", "  brown fox", "  jumps"]
        );
        assert_eq!(lines("", 16, 6, 2), [""]);
        assert_eq!(lines("a  b", 16, 0, 2), ["a  b"]);
    }

    #[test]
    fn wide_characters_take_two_columns_and_are_not_split() {
        assert_eq!(lines("한글채팅", 5, 0, 0), ["한글", "채팅"]);
        assert_eq!(lines("가나다라", 3, 0, 0), ["가", "나", "다", "라"]);
        assert_eq!(columns("한글 a"), 6);
    }

    #[test]
    fn a_grapheme_of_many_characters_stays_whole() {
        let family = "👩‍👩‍👧‍👦";
        let decomposed = "\u{1112}\u{1161}\u{11ab}";
        assert_eq!(columns(decomposed), 2);
        assert_eq!(lines(&family.repeat(3), 4, 0, 0).len(), 2);
        assert_eq!(
            lines(&decomposed.repeat(3), 4, 0, 0),
            [decomposed.repeat(2), decomposed.to_owned()]
        );
    }

    #[test]
    fn an_address_that_fits_into_no_line_is_not_indented() {
        let address = "https://example.org/a/very/long/path/indeed";
        let found = lines(&format!("see {address} now"), 20, 6, 6);
        assert_eq!(found[0], "see");
        assert_eq!(found[1..3].concat() + &found[3][..3], address);
        assert!(found[3].ends_with(" now"));
    }

    #[test]
    fn what_terminals_draw_differently_is_shown_by_its_plain_parts() {
        for (text, expected) in [
            ("plain", "plain"),
            ("10\t20", "10 20"),
            ("한글 ㅋㅋ", "한글 ㅋㅋ"),
            ("\u{1112}\u{1161}\u{11ab}", "한"),
            ("👩\u{200d}👩\u{200d}👧 x", "👩👩👧 x"),
            ("🇰🇷!", "KR!"),
            ("❤\u{fe0f} 1\u{fe0f}\u{20e3}", "❤ 1"),
            ("👍🏽", "👍"),
            // These joiners are part of how a word is spelled, so they are kept.
            ("क\u{94d}\u{200d}ष", "क\u{94d}\u{200d}ष"),
        ] {
            assert_eq!(shown(text), expected);
        }
        // A terminal may draw each character of an emoji sequence separately. Then the characters together are as wide
        // as the text.
        let text = shown("👩\u{200d}❤\u{fe0f}\u{200d}👩 🇰🇷🇺🇸").into_owned();
        let alone = |c: char| columns(c.encode_utf8(&mut [0; 4]));
        assert_eq!(columns(&text), text.chars().map(alone).sum::<usize>());
    }

    #[test]
    fn no_line_is_wider_than_it_may_be() {
        let text = "a 한 bb 글글 ccc 👩‍👩‍👧‍👦 dddddddddddd \u{1112}\u{1161}\u{11ab} e\u{301}";
        for width in 2..40 {
            for first in 0..width {
                for line in wrap(text, width, first, 4) {
                    let first = if line.indent == 0 { 0 } else { line.indent };
                    assert!(
                        first + columns(&line.text) <= width.max(2),
                        "{width} {line:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_fits_is_cut_between_graphemes() {
        assert_eq!(fit("한글", 3), "한");
        assert_eq!(fit("e\u{301}x", 1), "e\u{301}");
        assert_eq!(fit("abc", 9), "abc");
    }
}
