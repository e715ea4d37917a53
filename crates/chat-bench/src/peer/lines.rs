//! What the line-based peers share: finding a line, and the raw protocol of the two reference servers.

use crate::peer::Frame;

/// The line that a reference server sends to a connection once it gets what is published.
pub(crate) const GREETING: &[u8] = b"* in\n";

/// No line of any peer is longer: 4,096 bytes of text and what stands before it.
const LINE_MAX: usize = 16 * 1024;

/// The first line in `bytes` without its ending, and the length with it.
pub(super) enum Line<'a> {
    Incomplete,
    Whole(&'a [u8], usize),
    TooLong,
}

/// Finds the first line; a `\r` before the `\n` belongs to the ending.
pub(super) fn first_line(bytes: &[u8]) -> Line<'_> {
    let Some(end) = memchr::memchr(b'\n', bytes) else {
        return if bytes.len() > LINE_MAX {
            Line::TooLong
        } else {
            Line::Incomplete
        };
    };
    let line = &bytes[..end];
    Line::Whole(line.strip_suffix(b"\r").unwrap_or(line), end + 1)
}

/// What is wrong with a stream in which no line ends.
pub(super) fn too_long() -> Frame<'static> {
    Frame::Wrong {
        text: format!("a line of more than {LINE_MAX} bytes"),
    }
}

/// What is wrong with a line that nobody expected.
pub(super) fn unexpected(line: &[u8]) -> Frame<'static> {
    let shown = String::from_utf8_lossy(&line[..line.len().min(300)]).into_owned();
    Frame::Wrong { text: shown }
}

/// The number in `m17`.
pub(super) fn member_number(nick: &[u8]) -> Option<u32> {
    let digits = nick
        .strip_prefix(b"m")
        .filter(|digits| !digits.is_empty())?;
    digits.iter().try_fold(0_u32, |number, digit| {
        let value = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(value)
    })
}

/// Reads raw lines, as both reference servers pass them on.
pub(super) fn next_raw(bytes: &[u8]) -> Frame<'_> {
    match first_line(bytes) {
        Line::Incomplete => Frame::Incomplete,
        Line::TooLong => too_long(),
        Line::Whole(_, used) if &bytes[..used] == GREETING => Frame::Welcome { used },
        Line::Whole(payload, used) => Frame::Message {
            payload,
            named: None,
            used,
        },
    }
}

/// Appends a raw line.
pub(super) fn publish_raw(payload: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(payload);
    out.push(b'\n');
}
