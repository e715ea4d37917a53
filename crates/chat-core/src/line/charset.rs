//! Guesses the encoding of bytes that are not UTF-8, so that an error message can tell the sender what to change.
//!
//! Invariant: the guess appears only in messages to people. No input is decoded with the guessed encoding.

use std::fmt;

/// The character encoding that input seems to have if the input is not UTF-8. The value is a guess, for an error
/// message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Charset {
    /// Korean: code page 949, which contains EUC-KR.
    Cp949,
    /// UTF-16 in either byte order.
    Utf16,
}

impl Charset {
    /// Guesses the encoding of bytes that are not UTF-8, from the structure of the bytes alone. Returns `None` if the
    /// bytes fit no encoding of this enum.
    ///
    /// # Examples
    ///
    /// ```
    /// use chat_core::codec::Charset;
    ///
    /// assert_eq!(Charset::guess(b"\xbe\xc8\xb3\xe7"), Some(Charset::Cp949));
    /// assert_eq!(Charset::guess(b"caf\xe9"), None);
    /// ```
    #[must_use]
    pub fn guess(bytes: &[u8]) -> Option<Self> {
        if is_cp949(bytes) {
            Some(Self::Cp949)
        } else if starts_with_mark(bytes) || is_utf16(bytes) {
            Some(Self::Utf16)
        } else {
            None
        }
    }
}

impl fmt::Display for Charset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cp949 => "CP949",
            Self::Utf16 => "UTF-16",
        })
    }
}

/// The byte-order mark of UTF-16, low byte first.
pub(crate) const UTF16_LE_MARK: [u8; 2] = [0xff, 0xfe];

const UTF16_BE_MARK: [u8; 2] = [0xfe, 0xff];

/// Returns whether the bytes begin with a byte-order mark of UTF-16.
pub(crate) fn starts_with_mark(bytes: &[u8]) -> bool {
    bytes.starts_with(&UTF16_LE_MARK) || bytes.starts_with(&UTF16_BE_MARK)
}

/// Returns whether the first bytes of a connection are UTF-16 without a byte-order mark. Bytes without a NUL are not
/// recognised, so UTF-8 and CP949 are not mistaken for UTF-16. The NUL-terminated strings of C programs are not
/// recognised either, unless the first strings are single letters.
pub(crate) fn is_unmarked_utf16(bytes: &[u8]) -> bool {
    bytes.contains(&0) && is_utf16(bytes)
}

/// Returns whether every character is one byte below 0x80, or a lead byte and a trail byte of the table of code page
/// 949 (Unicode's `VENDORS/MICSFT/WINDOWS/CP949.TXT`). Of the two-byte characters, at least four in five must be
/// syllables of KS X 1001, rows 0xB0 to 0xC8, because other East Asian encodings have the same structure.
fn is_cp949(bytes: &[u8]) -> bool {
    let (mut pairs, mut syllables) = (0_usize, 0_usize);
    let mut bytes = bytes.iter();
    while let Some(&lead) = bytes.next() {
        match lead {
            0..=0x7f => continue,
            0x80 | 0xff => return false,
            _ => {}
        }
        match bytes.next() {
            // The last character is incomplete, which is allowed.
            None => break,
            Some(&trail @ (0x41..=0x5a | 0x61..=0x7a | 0x81..=0xfe)) => {
                pairs += 1;
                let is_syllable = (0xb0..=0xc8).contains(&lead) && trail >= 0xa1;
                syllables += usize::from(is_syllable);
            }
            Some(_) => return false,
        }
    }
    pairs > 0 && syllables * 5 >= pairs * 4
}

/// Returns whether the bytes are at least two code units of UTF-16 in one byte order. All units must be ASCII, Hangul
/// or punctuation.
///
/// Skips a leading NUL. In little-endian UTF-16 a newline is the bytes 0x0A 0x00. The input is split after 0x0A, so the
/// 0x00 begins the next line.
fn is_utf16(bytes: &[u8]) -> bool {
    [u16::from_le_bytes, u16::from_be_bytes]
        .into_iter()
        .any(|unit| {
            let bytes = bytes.strip_prefix(b"\0").unwrap_or(bytes);
            let odd = bytes.len() % 2;
            let bytes = &bytes[..bytes.len() - odd];
            let units = || bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
            bytes.len() >= 4 && units().all(is_everyday) && units().any(|unit| unit > 0x20)
        })
}

const fn is_everyday(unit: u16) -> bool {
    matches!(unit, 0x09 | 0x0a | 0x0d | 0x20..=0x7e | 0x2010..=0x2026 | 0x3000..=0x303f
        | 0x3131..=0x318e | 0xac00..=0xd7a3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn korean_in_cp949_is_recognised() {
        for bytes in [
            &b"\xbe\xc8\xb3\xe7"[..],
            b"\xbe\xc8\xb3\xe7\xc7\xcf\xbc\xbc\xbf\xe4, hello",
            // The last character is incomplete.
            b"\xbe\xc8\xb3",
        ] {
            assert_eq!(Charset::guess(bytes), Some(Charset::Cp949), "{bytes:?}");
        }
    }

    #[test]
    fn other_bytes_are_not_taken_for_cp949() {
        for bytes in [
            &b"caf\xe9"[..],
            b"\xc4rger, gr\xfc\xdfe",
            b"\xff\xfb\x01",
            // Shift JIS with half-width kana.
            b"\x82\xb1\x82\xf1\x82\xc9\x82\xbf\x82\xcd",
        ] {
            assert_eq!(Charset::guess(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn utf16_is_recognised_in_either_order() {
        for text in ["안녕 hi\n", "hi\n", "\u{feff}안녕"] {
            for bytes in [utf16(text, u16::to_le_bytes), utf16(text, u16::to_be_bytes)] {
                assert!(
                    starts_with_mark(&bytes) || is_unmarked_utf16(&bytes),
                    "{bytes:?}"
                );
            }
        }
        // The line begins with the second byte of the previous line's newline.
        let line = [&[0], &utf16("안녕", u16::to_le_bytes)[..]].concat();
        assert_eq!(Charset::guess(&line), Some(Charset::Utf16));
    }

    #[test]
    fn what_c_programs_and_telnet_send_is_no_utf16() {
        for bytes in [
            &b"two\0three\0"[..],
            b"ok\0",
            b"y\0",
            b"hi\0\0\0\0",
            b"\r\0\r\0",
            b"a\r\0b\r\0",
        ] {
            assert!(!is_unmarked_utf16(bytes), "{bytes:?}");
        }
    }
}
