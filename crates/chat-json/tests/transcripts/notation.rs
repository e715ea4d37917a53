//! The notation in which a scenario contains bytes.

use std::fmt::Write as _;

/// The shortest run of equal characters that is written as one character and a count.
const RUN_MIN: usize = 32;

/// Returns bytes as printable text, in this notation.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let mut units: Vec<String> = Vec::new();
    for chunk in bytes.utf8_chunks() {
        units.extend(chunk.valid().chars().map(escape_char));
        units.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    // A space at the end of a line is escaped, because an editor may remove it.
    if let Some(last) = units.last_mut()
        && last == " "
    {
        *last = "\\x20".to_owned();
    }
    let mut text = String::new();
    for run in units.chunk_by(|a, b| a == b) {
        match (&*run[0], run.len()) {
            ("}", count @ RUN_MIN..) => write!(text, "\\{{{count}*\\x7d}}").unwrap(),
            (unit, count @ RUN_MIN..) => write!(text, "\\{{{count}*{unit}}}").unwrap(),
            _ => text.push_str(&run.concat()),
        }
    }
    text
}

fn escape_char(c: char) -> String {
    let is_filler = matches!(c, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}');
    match c {
        '\\' => "\\\\".to_owned(),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        ' ' | '…' => c.to_string(),
        c if c.is_ascii_graphic() || (c.is_alphanumeric() && !c.is_ascii() && !is_filler) => {
            c.to_string()
        }
        c if c.is_ascii() => format!("\\x{:02x}", u32::from(c)),
        c => format!("\\u{{{:x}}}", u32::from(c)),
    }
}

/// Reads a text in the notation. Returns the bytes.
///
/// # Panics
///
/// Panics if the text is not valid in the notation.
pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let rest = unescape_until(text, None, &mut bytes);
    assert!(rest.is_empty());
    bytes
}

/// Reads up to the character `end`. Returns the text after this character.
fn unescape_until<'a>(text: &'a str, end: Option<char>, bytes: &mut Vec<u8>) -> &'a str {
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if Some(c) == end {
            return rest;
        }
        if c != '\\' {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let escaped = rest.chars().next().unwrap();
        rest = &rest[1..];
        match escaped {
            '\\' => bytes.push(b'\\'),
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            'x' => {
                bytes.push(u8::from_str_radix(&rest[..2], 16).unwrap());
                rest = &rest[2..];
            }
            'u' => {
                let (digits, after) = rest[1..].split_once('}').unwrap();
                let c = char::from_u32(u32::from_str_radix(digits, 16).unwrap()).unwrap();
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = after;
            }
            '{' => {
                let (count, after) = rest.split_once('*').unwrap();
                let mut unit = Vec::new();
                rest = unescape_until(after, Some('}'), &mut unit);
                bytes.extend(unit.repeat(count.parse().unwrap()));
            }
            other => panic!("no such escape: {other:?} in {text:?}"),
        }
    }
    assert!(end.is_none(), "no end: {text:?}");
    rest
}

/// Gives names to random values, so that recordings do not change. The names have numbers, in the order in which the
/// values appear.
#[derive(Default)]
pub(crate) struct Names {
    epochs: Vec<String>,
    tokens: Vec<String>,
}

impl Names {
    /// Replaces the random values in a received text with their names.
    pub(crate) fn hide(&mut self, text: &str) -> String {
        let is_anything = |_: &str| true;
        let is_made =
            |token: &str| token.len() == 32 && token.bytes().all(|b| b.is_ascii_hexdigit());
        let text = replace(text, "\"epoch\":\"", is_anything, |epoch| {
            name(&mut self.epochs, "EPOCH", epoch)
        });
        let text = replace(&text, "\"token\":\"", is_made, |token| {
            name(&mut self.tokens, "TOKEN", token)
        });
        let Some((before, after)) = text.split_once("\"after_ms\":") else {
            return text;
        };
        let digits = after.trim_start_matches(|c: char| c.is_ascii_digit());
        format!("{before}\"after_ms\":RANDOM{digits}")
    }

    /// Replaces each name in a text, such as `EPOCH-1`, with the random value that the name stands for. The result is
    /// sent to the server.
    pub(crate) fn reveal(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (kind, values) in [("EPOCH", &self.epochs), ("TOKEN", &self.tokens)] {
            for (at, value) in values.iter().enumerate().rev() {
                text = text.replace(&format!("{kind}-{}", at + 1), value);
            }
        }
        text
    }
}

/// Replaces each JSON string that follows `before`, if `is_it` returns `true` for the string.
fn replace(
    text: &str,
    before: &str,
    is_it: impl Fn(&str) -> bool,
    mut by: impl FnMut(&str) -> String,
) -> String {
    let mut pieces = text.split(before);
    let mut replaced = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        replaced.push_str(before);
        match piece.split_once('"') {
            Some((value, rest)) if is_it(value) => {
                replaced.push_str(&by(value));
                replaced.push('"');
                replaced.push_str(rest);
            }
            _ => replaced.push_str(piece),
        }
    }
    replaced
}

fn name(known: &mut Vec<String>, kind: &str, value: &str) -> String {
    let at = known.iter().position(|known| known == value);
    let at = at.unwrap_or_else(|| {
        known.push(value.to_owned());
        known.len() - 1
    });
    format!("{kind}-{}", at + 1)
}

#[test]
fn bytes_survive_being_written() {
    let all: Vec<u8> = (0..=255).collect();
    let long = [
        &[b'}'; 50][..],
        &[0xff; 40],
        "\u{3164}".repeat(33).as_bytes(),
        b"ab\\ ",
    ]
    .concat();
    for bytes in [&all[..], &long, "안녕\u{200b}\r".as_bytes(), b"", b" "] {
        let text = escape(bytes);
        assert_eq!(unescape(&text), bytes, "{text}");
    }
    assert_eq!(
        unescape("\\{2*ab\\u{200b}}c"),
        "ab\u{200b}ab\u{200b}c".as_bytes()
    );
    assert_eq!(escape(&[b'x'; 32]), "\\{32*x}");
}

#[test]
fn what_is_random_has_a_name() {
    let mut names = Names::default();
    let made = "0123456789abcdef0123456789abcdef";
    let hidden = names.hide(&format!(
        r#"{{"token":"{made}","rooms":[{{"epoch":"b"}},{{"epoch":"a"}},{{"epoch":"b"}}],"after_ms":1234}}"#
    ));
    let expected = r#"{"token":"TOKEN-1","rooms":[{"epoch":"EPOCH-1"},{"epoch":"EPOCH-2"},{"epoch":"EPOCH-1"}],"after_ms":RANDOM}"#;
    assert_eq!(hidden, expected);
    assert_eq!(
        names.hide(r#"{"token":"the client's own"}"#),
        r#"{"token":"the client's own"}"#
    );
    assert_eq!(names.reveal("EPOCH-2 TOKEN-1"), format!("a {made}"));
}
