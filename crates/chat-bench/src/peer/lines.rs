//! Functions that several peers use: splitting lines, and the protocol of the two reference servers.

use crate::peer::Frame;

/// The line that a reference server sends when a connection starts to receive what is published.
pub(crate) const GREETING: &[u8] = b"* in\n";

/// The longest line in bytes: 4,096 bytes of text and its prefix, with a reserve.
const LINE_MAX: usize = 16 * 1024;

/// Returns the first line in `bytes` without its line end (`\n` or `\r\n`), and its length with the line end.
///
/// # Errors
///
/// If `bytes` contain no complete line: the frame that the caller should return.
pub(super) fn first_line(bytes: &[u8]) -> Result<(&[u8], usize), Frame<'_>> {
    let Some(end) = memchr::memchr(b'\n', bytes) else {
        return Err(if bytes.len() > LINE_MAX {
            Frame::Wrong {
                text: format!("a line of more than {LINE_MAX} bytes"),
            }
        } else {
            Frame::Incomplete
        });
    };
    let line = &bytes[..end];
    Ok((line.strip_suffix(b"\r").unwrap_or(line), end + 1))
}

/// Returns the payload that starts at `start`, and the position after the `\r\n` that follows it. `length` is the
/// payload's length in digits, from the line `head`.
///
/// # Errors
///
/// If the payload is incomplete or malformed: the frame that the caller should return.
pub(super) fn counted<'a>(
    bytes: &'a [u8],
    start: usize,
    length: Option<&[u8]>,
    head: &[u8],
) -> Result<(&'a [u8], usize), Frame<'a>> {
    let length = length
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse::<u16>().ok());
    let Some(length) = length else {
        return Err(unexpected(head));
    };
    let end = start + usize::from(length);
    match bytes.get(end..end + 2) {
        None => Err(Frame::Incomplete),
        Some(b"\r\n") => Ok((&bytes[start..end], end + 2)),
        Some(_) => Err(unexpected(&bytes[start..end])),
    }
}

/// Appends the length of a payload and the payload, in the form that [`counted`] reads.
pub(super) fn push_counted(payload: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(payload.len().to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

/// Returns the frame for a line that is not part of the protocol.
pub(super) fn unexpected(line: &[u8]) -> Frame<'static> {
    let shown = String::from_utf8_lossy(&line[..line.len().min(300)]).into_owned();
    Frame::Wrong { text: shown }
}

/// Returns the member's number in a nick such as `m17`.
pub(super) fn member_number(nick: &[u8]) -> Option<u32> {
    let digits = nick
        .strip_prefix(b"m")
        .filter(|digits| !digits.is_empty())?;
    digits.iter().try_fold(0_u32, |number, digit| {
        let value = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(value)
    })
}

/// Appends a payload as a line of the reference servers.
pub(super) fn publish_raw(payload: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(payload);
    out.push(b'\n');
}
