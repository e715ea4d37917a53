//! Checks output to a peer: complete lines of safe characters.

use super::{Rule, Speech, Violation, shortened};
use chat_core::text;

/// Checks the output of one operation, for a peer that has sent `sent`.
pub(super) fn check(
    bytes: &[u8],
    speech: &Speech,
    sent: &str,
    done_for: &str,
) -> Result<(), Violation> {
    let wrong = |rule, expected: &str, seen: &[u8]| {
        let expected = format!("{expected} (for {done_for})");
        let seen = String::from_utf8_lossy(seen).escape_debug().to_string();
        Err(Violation::new(rule, expected, shortened(&seen)))
    };
    let Ok(written) = std::str::from_utf8(bytes) else {
        return wrong(Rule::Clean, "UTF-8", bytes);
    };
    let Some(lines) = written.strip_suffix('\n') else {
        return match written.is_empty() {
            true => Ok(()),
            false => wrong(Rule::Lines, "lines that end", bytes),
        };
    };
    for line in lines.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.contains('\r') {
            return wrong(
                Rule::Lines,
                "a carriage return only before a newline",
                line.as_bytes(),
            );
        }
        // A dialect that repeats input may send back only unsafe characters above U+007E. Lower ones may end a line or
        // begin an escape sequence, so they are unsafe even for the peer that sent them.
        let is_repeated = |c: char| speech.repeats && c >= '\x7f' && sent.contains(c);
        let unsafe_char = line
            .chars()
            .find(|&c| text::is_unsafe(c) && !speech.allowed.contains(&c) && !is_repeated(c));
        if let Some(c) = unsafe_char {
            return wrong(
                Rule::Clean,
                &format!("no U+{:04X}", u32::from(c)),
                line.as_bytes(),
            );
        }
    }
    Ok(())
}
