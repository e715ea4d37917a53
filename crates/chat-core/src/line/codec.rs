//! Turns bytes into lines and back: the codec under every line protocol.
//!
//! Invariant: the decoder examines each byte once, and never keeps more bytes than one line may have. A line that can't
//! be used (too long, not UTF-8) is an *item* of the stream and not an error, because an error would end the stream.

use crate::limits::LINE_BYTES_MAX;
use crate::line::charset::Charset;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::fmt;
use std::io;
use std::ops::Deref;
use tokio_util::codec::{Decoder, Encoder};

/// One input line without its terminator. It is valid UTF-8 and may hold control characters; see
/// [`text::clean`](crate::text::clean).
///
/// A line shares the buffer that it was read into. A clone is cheap, but keeps the whole buffer in memory.
#[derive(Clone, PartialEq, Eq)]
pub struct Line(Bytes);

/// One item of the input: a line, or the reason why a line was rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Inbound {
    /// A complete line.
    Line(Line),
    /// A line was longer than the limit. The codec returns this value once for the line, as soon as the limit is
    /// exceeded. The rest of the line is skipped.
    Oversized,
    /// The end of a line did not arrive in time. The part that arrived is dropped, and the rest of the line is skipped.
    /// A [`LineCodec`] has no clock, so it never returns this value.
    Unfinished,
    /// A line was not UTF-8 and is dropped. The value is the encoding that the line seems to have; `None` if the
    /// encoding is unknown.
    NotUtf8(Option<Charset>),
}

/// Splits bytes into lines that end with `\n`, `\r\n`, or telnet's `\r\0` (RFC 854). Writes lines that end with `\n`.
///
/// At the end of the stream, text without a terminator is a line, too. This serves clients that close their side after
/// the text, such as `printf hello | nc`.
///
/// # Bad input
///
/// A line that is too long or not UTF-8 becomes an item and not an error, so the next line can be read. Encoding writes
/// exactly one line for each item, and returns an error for a text with a line break. Texts that a hub delivers have no
/// line breaks; see [`text::clean`](crate::text::clean).
///
/// # Examples
///
/// ```
/// use bytes::BytesMut;
/// use chat_core::codec::{Inbound, LineCodec};
/// use tokio_util::codec::Decoder;
///
/// # fn main() -> std::io::Result<()> {
/// let mut codec = LineCodec::new(8);
/// let mut bytes = BytesMut::from("hello\r\nmuch too long\nbye\n");
/// let mut found = Vec::new();
/// while let Some(inbound) = codec.decode(&mut bytes)? {
///     found.push(match inbound {
///         Inbound::Line(line) => line.to_string(),
///         rejected => format!("{rejected:?}"),
///     });
/// }
/// assert_eq!(found, ["hello", "Oversized", "bye"]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct LineCodec {
    line_bytes_max: usize,
    /// The number of bytes at the start of the buffer that are known to hold no end of line.
    scanned: u32,
    /// Whether the rest of a rejected line is being skipped.
    skipping: bool,
    nul: Nul,
    /// Whether a newline has ended a line since the last call of [`take_newline`](Self::take_newline).
    has_seen_newline: bool,
}

/// The meaning of a NUL that does not follow a `\r`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nul {
    /// The NUL is an ordinary character of the line.
    IsText,
    /// The NUL ends the line, for C programs that send the NUL at the end of a string.
    EndsLine,
}

impl LineCodec {
    /// Creates a codec for lines of at most `line_bytes_max` bytes, without their terminators.
    #[must_use]
    pub const fn new(line_bytes_max: usize) -> Self {
        Self {
            line_bytes_max,
            scanned: 0,
            skipping: false,
            nul: Nul::IsText,
            has_seen_newline: false,
        }
    }

    /// Returns the maximum length of a line in bytes, without its terminator.
    pub(crate) const fn line_bytes_max(&self) -> usize {
        self.line_bytes_max
    }

    /// Sets the maximum length of a line in bytes, for lines that are decoded later.
    pub(crate) const fn set_line_bytes_max(&mut self, line_bytes_max: usize) {
        self.line_bytes_max = line_bytes_max;
    }

    /// Sets the meaning of a NUL, for lines that are decoded later.
    pub(crate) const fn set_nul(&mut self, nul: Nul) {
        self.nul = nul;
    }

    /// Returns whether a newline has ended a line since the last call. A NUL is not a newline.
    pub(crate) const fn take_newline(&mut self) -> bool {
        let seen = self.has_seen_newline;
        self.has_seen_newline = false;
        seen
    }

    /// Returns whether the rest of a rejected line is being skipped.
    pub(crate) const fn is_skipping(&self) -> bool {
        self.skipping
    }

    /// Drops the unterminated text in `src`, and skips the rest of that line.
    pub(crate) fn skip_line(&mut self, src: &mut BytesMut) {
        *src = BytesMut::new();
        self.scanned = 0;
        self.skipping = true;
    }

    /// Takes the unterminated text in `src` as a complete line.
    pub(crate) fn take_unterminated(&mut self, src: &mut BytesMut) -> Option<Inbound> {
        self.scanned = 0;
        if std::mem::take(&mut self.skipping) {
            src.clear();
            return None;
        }
        (!src.is_empty()).then(|| to_line(src.split()))
    }

    fn take_line(&mut self, src: &mut BytesMut, end: LineEnd) -> Option<Inbound> {
        self.scanned = 0;
        self.has_seen_newline |= end.is_newline;
        if std::mem::take(&mut self.skipping) {
            src.advance(end.text + end.terminator);
            return None;
        }
        let text = src.split_to(end.text);
        src.advance(end.terminator);
        Some(if text.len() > self.line_bytes_max {
            Inbound::Oversized
        } else {
            to_line(text)
        })
    }

    /// Remembers how many bytes of the buffer hold no end of line, so that they are not examined again. Rejects a line
    /// that is already too long.
    fn keep_looking(&mut self, src: &mut BytesMut) -> Option<Inbound> {
        // The last byte may be the `\r` of a terminator whose second byte has not arrived yet.
        let open = usize::from(src.last() == Some(&b'\r'));
        let scanned = src.len() - open;
        self.scanned = u32::try_from(scanned).unwrap_or(u32::MAX);
        if self.skipping || scanned > self.line_bytes_max {
            src.advance(scanned);
            self.scanned = 0;
            if !std::mem::replace(&mut self.skipping, true) {
                return Some(Inbound::Oversized);
            }
        }
        None
    }
}

impl Default for LineCodec {
    fn default() -> Self {
        Self::new(LINE_BYTES_MAX)
    }
}

impl Decoder for LineCodec {
    type Item = Inbound;
    type Error = io::Error;

    fn decode(&mut self, src: &mut BytesMut) -> io::Result<Option<Inbound>> {
        loop {
            let Some(end) = find_line_end(src, self.scanned as usize, self.nul) else {
                return Ok(self.keep_looking(src));
            };
            if let Some(inbound) = self.take_line(src, end) {
                return Ok(Some(inbound));
            }
        }
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> io::Result<Option<Inbound>> {
        if let Some(inbound) = self.decode(src)? {
            return Ok(Some(inbound));
        }
        if src.last() == Some(&b'\r') {
            src.truncate(src.len() - 1);
        }
        Ok(self.take_unterminated(src))
    }
}

impl<T: AsRef<str>> Encoder<T> for LineCodec {
    type Error = io::Error;

    /// Writes one line and its `\n`.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` if the text holds a line terminator, because one item is one line.
    fn encode(&mut self, line: T, dst: &mut BytesMut) -> io::Result<()> {
        let line = line.as_ref();
        if line.contains(['\n', '\r']) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a line may not hold a line break",
            ));
        }
        dst.reserve(line.len() + 1);
        dst.put_slice(line.as_bytes());
        dst.put_u8(b'\n');
        Ok(())
    }
}

impl Inbound {
    /// Turns the complete payload of a frame into a [`Line`](Self::Line), or into [`NotUtf8`](Self::NotUtf8) if the
    /// payload is not UTF-8. For implementations of [`Framing`](crate::protocol::Framing).
    #[must_use]
    pub fn from_payload(payload: BytesMut) -> Self {
        to_line(payload)
    }
}

impl Line {
    /// Returns the text of the line.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // The bytes were checked when the line was created. Checking them again is cheap, avoids `unsafe`, and can't
        // fail.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Returns the length of the line in bytes, without checking the bytes.
    pub(crate) const fn byte_len(&self) -> usize {
        self.0.len()
    }
}

impl Deref for Line {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl From<&str> for Line {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

/// The length of the first line in a buffer, and the length of the line's terminator.
#[derive(Clone, Copy)]
struct LineEnd {
    /// The length of the line in bytes.
    text: usize,
    /// The length of the terminator in bytes.
    terminator: usize,
    /// Whether the terminator is `\n`, `\r\n` or telnet's `\r\0`, and not a NUL alone.
    is_newline: bool,
}

fn find_line_end(bytes: &[u8], scanned: usize, nul: Nul) -> Option<LineEnd> {
    let mut from = scanned;
    loop {
        let at = from
            + bytes[from..]
                .iter()
                .position(|&byte| byte == b'\n' || byte == b'\0')?;
        let follows_return = at > 0 && bytes[at - 1] == b'\r';
        match bytes[at] {
            _ if follows_return => {
                return Some(LineEnd {
                    text: at - 1,
                    terminator: 2,
                    is_newline: true,
                });
            }
            end if end == b'\n' || nul == Nul::EndsLine => {
                return Some(LineEnd {
                    text: at,
                    terminator: 1,
                    is_newline: end == b'\n',
                });
            }
            // This NUL stays in the line, and is removed later with the other control characters.
            _ => from = at + 1,
        }
    }
}

fn to_line(text: BytesMut) -> Inbound {
    match std::str::from_utf8(&text) {
        Ok(_) => Inbound::Line(Line(text.freeze())),
        Err(_) => Inbound::NotUtf8(Charset::guess(&text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(limit: usize, chunks: &[&[u8]]) -> Vec<Inbound> {
        let mut codec = LineCodec::new(limit);
        let mut buffer = BytesMut::new();
        let mut found = Vec::new();
        for chunk in chunks {
            buffer.extend_from_slice(chunk);
            while let Some(inbound) = codec.decode(&mut buffer).unwrap() {
                found.push(inbound);
            }
            assert!(
                buffer.len() <= limit + 1,
                "the decoder holds {} bytes of {limit}",
                buffer.len()
            );
        }
        while let Some(inbound) = codec.decode_eof(&mut buffer).unwrap() {
            found.push(inbound);
        }
        found
    }

    fn line(text: &str) -> Inbound {
        Inbound::Line(text.into())
    }

    #[test]
    fn all_three_terminators_end_a_line() {
        let found = decode(16, &[b"a\nb\r\nc\r\0\r\nd\n\n"]);
        assert_eq!(found, ["a", "b", "c", "", "d", ""].map(line));
    }

    #[test]
    fn what_is_left_at_the_end_is_a_line() {
        assert_eq!(decode(16, &[b"one\ntw", b"o"]), ["one", "two"].map(line));
        assert_eq!(decode(16, &[b"one\r"]), ["one"].map(line));
    }

    #[test]
    fn a_line_of_exactly_the_limit_passes_and_one_byte_more_does_not() {
        assert_eq!(
            decode(4, &[b"1234\r\n12345\r\nok\n"]),
            [line("1234"), Inbound::Oversized, line("ok")]
        );
        assert_eq!(decode(4, &[b"1234\r", b"\n"]), [line("1234")]);
    }

    #[test]
    fn an_oversized_line_is_reported_once_and_skipped_to_its_end() {
        let long = [b'x'; 100];
        assert_eq!(
            decode(8, &[&long, &long, b"yy\nok\n"]),
            [Inbound::Oversized, line("ok")]
        );
        assert_eq!(decode(8, &[&long, &long]), [Inbound::Oversized]);
    }

    #[test]
    fn bytes_that_are_not_utf8_cost_one_line_only() {
        assert_eq!(
            decode(16, &[b"ok\n\xc3\x28\nok\n"]),
            [line("ok"), Inbound::NotUtf8(None), line("ok")]
        );
    }

    #[test]
    fn the_encoder_refuses_to_make_two_lines_of_one() {
        let mut out = BytesMut::new();
        assert!(LineCodec::default().encode("a\nb", &mut out).is_err());
        LineCodec::default().encode("ab", &mut out).unwrap();
        assert_eq!(&out[..], b"ab\n");
    }

    fn bytes_with_many_terminators() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            4 => "[a-z]{0,12}".prop_map(String::into_bytes),
            2 => Just(b"\n".to_vec()),
            2 => Just(b"\r\n".to_vec()),
            1 => Just(b"\r\0".to_vec()),
            1 => Just(b"\r".to_vec()),
            1 => Just(b"\0".to_vec()),
            1 => Just("한글".as_bytes().to_vec()),
            1 => any::<Vec<u8>>(),
        ];
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_chunking_of_the_bytes_gives_the_same_lines(
            bytes in bytes_with_many_terminators(),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            prop_assert_eq!(decode(16, &chunks), decode(16, &[&bytes]));
        }

        #[test]
        fn a_written_line_reads_back_as_itself(text in "[^\r\n\0]{0,40}") {
            let mut bytes = BytesMut::new();
            LineCodec::default().encode(&text, &mut bytes).unwrap();
            prop_assert_eq!(decode(LINE_BYTES_MAX, &[&bytes]), [line(&text)]);
        }
    }
}
