//! Turns texts and queries into search terms: words, and pairs of characters for scripts without spaces between words.
//!
//! A run of Chinese, Japanese or Korean characters is indexed as its pairs of characters, followed by its last
//! character alone: `결제완료` as `결제 제완 완료 료`. A query for a run is a phrase of the run's pairs. A query for one character
//! matches the beginning of a pair. FTS5's own tokenizer handles all other text. Texts and queries are normalised (NFC,
//! Unicode Standard Annex #15), so that a query finds decomposed text, as macOS types it.

use std::collections::BTreeSet;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{decompose_canonical, is_combining_mark};

/// A text as the search index stores it: one column for words, and one for the character pairs of Chinese, Japanese and
/// Korean runs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Columns {
    pub(crate) words: String,
    pub(crate) pairs: String,
}

/// A part of a text.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Piece {
    /// A run of letters and digits.
    Word(String),
    /// A run of Chinese, Japanese or Korean characters.
    Run(Vec<char>),
}

impl Piece {
    /// Returns the query for this piece in FTS5's query language.
    fn term(&self) -> String {
        match self {
            Self::Word(word) => format!("words : \"{word}\""),
            Self::Run(run) if run.len() == 1 => format!("pairs : \"{}\" *", run[0]),
            Self::Run(run) => {
                let pairs: Vec<String> = run.windows(2).map(|pair| pair.iter().collect()).collect();
                format!("pairs : \"{}\"", pairs.join(" "))
            }
        }
    }

    /// Returns what to look for in the texts of messages that are not in the index. A text that contains it matches
    /// this piece of the search.
    fn needle(&self) -> Needle {
        match self {
            Self::Word(word) => {
                let mut needle = String::from(" ");
                fold(word, &mut needle);
                Needle::Word(needle)
            }
            Self::Run(run) => Needle::Run(run.iter().collect()),
        }
    }

    /// Returns the number of character pairs in the query for this piece.
    fn pairs(&self) -> usize {
        match self {
            Self::Word(_) => 0,
            Self::Run(run) => run.len().saturating_sub(1),
        }
    }
}

/// Returns the indexed columns of a text.
pub(crate) fn columns(text: &str) -> Columns {
    let (mut words, mut pairs) = (String::new(), String::new());
    for piece in pieces(text) {
        match piece {
            Piece::Word(word) => {
                words.push_str(&word);
                words.push(' ');
            }
            Piece::Run(run) => {
                for pair in run.windows(2) {
                    pairs.extend(pair);
                    pairs.push(' ');
                }
                // After the pairs, the run's last character stands alone. It separates this run from the next run, so
                // that no phrase matches across the two runs.
                pairs.extend(run.last());
                pairs.push(' ');
            }
        }
    }
    Columns { words, pairs }
}

/// The maximum number of words and runs in a query. The time to search for a word or a run grows with the number of
/// messages that contain it.
const TERMS_MAX: usize = 32;

/// The maximum number of character pairs in all runs of a query. SQLite reads each pair from the index separately, and
/// compares the pairs at each place where the run may begin. A run of 65 characters has this many pairs.
const PAIRS_MAX: usize = 64;

/// The maximum length of a word in a query, in bytes. Words of human languages and hexadecimal hashes are shorter.
const WORD_BYTES_MAX: usize = 256;

/// The error of a query that has more than `TERMS_MAX` words and runs, more than `PAIRS_MAX` pairs of characters, or a
/// word longer than `WORD_BYTES_MAX`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooBroad;

/// A query. A text matches if it contains all words of the query, and all its runs of Chinese, Japanese or Korean
/// characters.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Query {
    expression: String,
    needles: Vec<Needle>,
}

/// One word of a query, or one run of Chinese, Japanese or Korean characters. It has the form in which [`Folded`] holds
/// a text.
#[derive(Debug, PartialEq, Eq)]
enum Needle {
    /// A word with a space before and after it, so that it matches only whole words.
    Word(String),
    /// A run of Chinese, Japanese or Korean characters. It matches at any place within a run of the text.
    Run(String),
}

impl Query {
    /// Parses a query. Returns `None` if the text contains no word.
    pub(crate) fn of(text: &str) -> Result<Option<Self>, TooBroad> {
        // A set, so that a repeated word is searched for once.
        let pieces: BTreeSet<Piece> = pieces(text).into_iter().collect();
        let pairs: usize = pieces.iter().map(Piece::pairs).sum();
        let is_long =
            |piece: &Piece| matches!(piece, Piece::Word(word) if word.len() > WORD_BYTES_MAX);
        if pieces.len() > TERMS_MAX || pairs > PAIRS_MAX || pieces.iter().any(is_long) {
            return Err(TooBroad);
        }
        let terms: Vec<String> = pieces.iter().map(Piece::term).collect();
        Ok((!terms.is_empty()).then(|| Self {
            expression: terms.join(" AND "),
            needles: pieces.iter().map(Piece::needle).collect(),
        }))
    }

    /// Returns the query in FTS5's query language. Only letters and digits of the user's text are part of the result,
    /// and only between quotes.
    pub(crate) fn expression(&self) -> &str {
        &self.expression
    }

    /// Returns whether the index would find this text with this query.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        let Folded { words, runs } = Folded::of(text);
        self.needles.iter().all(|needle| match needle {
            Needle::Word(word) => words.contains(word),
            Needle::Run(run) => runs.contains(run),
        })
    }
}

/// The words and runs of a text. They are compared with a query if the text is not in the index.
#[derive(Debug, Default)]
struct Folded {
    /// The words as FTS5 stores them, with a space before and after each.
    words: String,
    /// The runs of Chinese, Japanese or Korean characters, separated by spaces.
    runs: String,
}

impl Folded {
    fn of(text: &str) -> Self {
        let mut folded = Self::default();
        folded.words.push(' ');
        for piece in pieces(text) {
            match piece {
                Piece::Word(word) => fold(&word, &mut folded.words),
                Piece::Run(run) => {
                    folded.runs.extend(run);
                    folded.runs.push(' ');
                }
            }
        }
        folded
    }
}

/// Adds a word as the tokenizer unicode61 stores it with `remove_diacritics 2`: in lower case, without accents on Latin
/// letters, and split at any other mark.
fn fold(word: &str, out: &mut String) {
    for c in word.chars() {
        match c {
            // unicode61 drops these combining accents.
            '\u{300}'..='\u{331}' => {}
            c if c.is_ascii() => out.push(c.to_ascii_lowercase()),
            c if is_combining_mark(c) => {
                if !out.ends_with(' ') {
                    out.push(' ');
                }
            }
            c => {
                let mut base = c;
                decompose_canonical(c, |part| {
                    if part.is_ascii_alphabetic() {
                        base = part;
                    }
                });
                match base {
                    'ς' => out.push('σ'),
                    base => out.extend(base.to_lowercase()),
                }
            }
        }
    }
    if !out.ends_with(' ') {
        out.push(' ');
    }
}

fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut is_apart = true;
    for c in text.nfc() {
        let is_run = is_run(c);
        // A combining mark belongs to the letter before it.
        if !is_run && !c.is_alphanumeric() && !is_combining_mark(c) {
            is_apart = true;
            continue;
        }
        match pieces.last_mut() {
            Some(Piece::Run(run)) if is_run && !is_apart => run.push(c),
            Some(Piece::Word(word)) if !is_run && !is_apart => word.push(c),
            _ if is_run => pieces.push(Piece::Run(vec![c])),
            _ if is_combining_mark(c) => {}
            _ => pieces.push(Piece::Word(c.to_string())),
        }
        is_apart = false;
    }
    pieces
}

/// Returns whether a character belongs to a script without spaces between words, or to Korean. In Korean, endings are
/// not separate words. The ranges are blocks of the Unicode Character Database; all their letters are alphabetic.
fn is_run(c: char) -> bool {
    let is_in = matches!(c,
        // Hangul Jamo, Hangul Compatibility Jamo, Jamo Extended-A, Syllables, Jamo Extended-B
        '\u{1100}'..='\u{11ff}' | '\u{3130}'..='\u{318f}' | '\u{a960}'..='\u{a97f}'
        | '\u{ac00}'..='\u{d7af}' | '\u{d7b0}'..='\u{d7ff}'
        // Hiragana, Katakana, their extensions, halfwidth Katakana and Hangul; 々 and 〆
        | '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}'
        | '\u{ff66}'..='\u{ffdc}' | '\u{1b000}'..='\u{1b16f}'
        // Bopomofo; CJK ideographs, their extensions and compatibility forms
        | '\u{3100}'..='\u{312f}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}');
    is_in && c.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> String {
        Query::of(text).ok().flatten().unwrap().expression
    }

    #[test]
    fn runs_are_cut_in_pairs_and_words_are_left_whole() {
        let Columns { words, pairs } = columns("결제완료! Build-12 東京 x");
        assert_eq!(pairs, "결제 제완 완료 료 東京 京 ");
        assert_eq!(words, "Build 12 x ");
    }

    #[test]
    fn a_query_holds_nothing_but_words() {
        assert_eq!(
            found("결제 error"),
            "words : \"error\" AND pairs : \"결제\""
        );
        assert_eq!(found("결"), "pairs : \"결\" *");
        assert_eq!(found("api결제"), "words : \"api\" AND pairs : \"결제\"");
        assert_eq!(
            found("a\" OR (b* NEAR:c"),
            "words : \"NEAR\" AND words : \"OR\" AND words : \"a\" AND words : \"b\" AND words : \"c\""
        );
        assert_eq!(found("a 결제 a 결제"), found("a 결제"));
        assert_eq!(Query::of("\"* -"), Ok(None));
        let many: String = (0..=TERMS_MAX)
            .map(|number| format!("w{number} "))
            .collect();
        assert_eq!(Query::of(&many), Err(TooBroad));
    }

    #[test]
    fn what_a_query_costs_is_bounded_whatever_it_is_made_of() {
        let sentence = "가나다라마바사아자차카타파하".repeat(5);
        let chars: Vec<char> = sentence.chars().collect();
        let of = |count: usize| Query::of(&chars[..count].iter().collect::<String>());
        assert!(of(PAIRS_MAX + 1).is_ok());
        assert_eq!(of(PAIRS_MAX + 2), Err(TooBroad));
        // The limit applies to the pairs of all runs together, so spaces within a sentence do not evade the limit.
        // Repeated runs count once.
        let pieces = |text: &[char]| {
            let pieces = text.chunks(8).map(|piece| piece.iter().collect::<String>());
            pieces.collect::<Vec<_>>().join(" ")
        };
        assert!(Query::of(&pieces(&chars[..64])).is_ok());
        assert!(Query::of(&"가나다라 ".repeat(1000)).is_ok());
        let cjk: Vec<char> = ('一'..='丿').chain('가'..='갿').collect();
        assert_eq!(Query::of(&pieces(&cjk)), Err(TooBroad));
        assert!(Query::of(&"x".repeat(WORD_BYTES_MAX)).is_ok());
        assert_eq!(Query::of(&"x".repeat(WORD_BYTES_MAX + 1)), Err(TooBroad));
    }

    #[test]
    fn what_was_typed_in_pieces_is_the_same() {
        let apart: String = "결제 café".nfd().collect();
        assert_eq!(columns(&apart), columns("결제 café"));
        assert_eq!(Query::of(&apart), Query::of("결제 café"));
    }
}
