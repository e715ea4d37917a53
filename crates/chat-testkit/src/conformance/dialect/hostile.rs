//! Generates hostile or meaningless input of a peer.

use crate::random::Random;
use chat_core::text;

/// Returns a random text, short or long. Its pieces are control characters, combining marks, letters of several
/// scripts, JSON and commands.
pub(super) fn text_of(random: &mut Random) -> String {
    let pieces = match random.below(20) {
        0 => 0,
        1 => 200,
        _ => 1 + random.below(12),
    };
    (0..pieces).map(|_| piece(random)).collect()
}

/// Returns a random text as core passes it to a dialect: without characters that control a terminal, and not empty.
pub(super) fn clean_text(random: &mut Random) -> String {
    let text = text::clean(&text_of(random)).into_owned();
    if text.trim().is_empty() {
        "…".into()
    } else {
        text
    }
}

/// Returns a line that a peer may send, without a newline: one of `lines` with an error in it, or random text.
pub(super) fn line(lines: &[String], random: &mut Random) -> String {
    if lines.is_empty() || random.once_in(3) {
        return text_of(random).replace('\n', " ");
    }
    let mut line: Vec<char> = random.pick(lines).chars().collect();
    for _ in 0..random.below(4) {
        let at = random.below(line.len() + 1);
        match random.below(4) {
            0 => drop(line.drain(at..(at + random.below(8)).min(line.len()))),
            1 => line.truncate(at),
            _ => drop(
                line.splice(at..at, piece(random).chars())
                    .collect::<Vec<_>>(),
            ),
        }
    }
    line.into_iter().filter(|&c| c != '\n').collect()
}

fn piece(random: &mut Random) -> String {
    match random.below(5) {
        0 => char_in(random, 0..0x20),
        1 => char_in(random, 0x20..0x7f),
        2 => char_in(random, 0x7f..0x250),
        3 => char_in(random, 0x2000..0x2070),
        _ => (*random.pick(&PIECES)).into(),
    }
}

fn char_in(random: &mut Random, range: std::ops::Range<u32>) -> String {
    let code = range.start + random.below((range.end - range.start) as usize) as u32;
    char::from_u32(code).map_or_else(String::new, String::from)
}

const PIECES: [&str; 24] = [
    "\x1b[2J\x1b]0;owned\x07",
    "\u{9b}31m",
    "\u{202e}desrever\u{202c}",
    "\u{2066}isolated\u{2069}",
    "\u{2028}\u{2029}\u{85}",
    "\r",
    "\x7f\x08\x08",
    "안녕",
    "👨‍👩‍👧‍👦",
    "e\u{301}\u{301}\u{301}",
    "\u{feff}\u{fffd}\u{10ffff}",
    "مرحبا",
    "{\"cmd\":",
    "\"}]}",
    "[[[[[[[[",
    "\\u0000\\n\\\"",
    "null",
    "-1e999",
    "18446744073709551616",
    "/",
    "/nick ",
    "/join #",
    " :",
    "a word and another",
];
