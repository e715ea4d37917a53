//! The text of a message: its publisher, its number, and a filler that depends on the number.
//!
//! An example is `p0003s0000002a-cdefgh..`. The receiver can check every byte.

/// The length of the head in bytes: `p`, 4 hexadecimal digits, `s`, 8 hexadecimal digits, `-`.
const HEAD: usize = 15;

/// The shortest payload: the head and one letter.
pub(crate) const PAYLOAD_MIN: usize = 16;

/// The longest payload: the limit of `chat-server` is 4,096 bytes of text.
pub(crate) const PAYLOAD_MAX: usize = 4096;

const ALPHABET: &[u8; 26] = b"abcdefghijklmnopqrstuvwxyz";

/// Writes and reads payloads of one fixed length.
#[derive(Debug)]
pub(crate) struct PayloadCodec {
    length: usize,
    /// The alphabet, repeated; the filler of message `n` starts at letter `n % 26`.
    letters: Vec<u8>,
}

/// The publisher and number of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) publisher: u32,
    pub(crate) sequence: u32,
}

impl PayloadCodec {
    /// Creates a codec for payloads of `length` bytes, from [`PAYLOAD_MIN`] to [`PAYLOAD_MAX`].
    pub(crate) fn new(length: usize) -> Self {
        let length = length.max(PAYLOAD_MIN);
        let letters = ALPHABET
            .iter()
            .copied()
            .cycle()
            .take(length + ALPHABET.len())
            .collect();
        Self { length, letters }
    }

    /// Appends the payload for `stamp`.
    pub(crate) fn encode(&self, stamp: Stamp, out: &mut Vec<u8>) {
        out.push(b'p');
        push_hex(out, stamp.publisher, 4);
        out.push(b's');
        push_hex(out, stamp.sequence, 8);
        out.push(b'-');
        out.extend_from_slice(self.filler(stamp.sequence));
    }

    /// Reads a payload. Returns `None` if any byte differs from the payload that belongs to the stamp.
    pub(crate) fn decode(&self, payload: &[u8]) -> Option<Stamp> {
        if payload.len() != self.length
            || payload[0] != b'p'
            || payload[5] != b's'
            || payload[14] != b'-'
        {
            return None;
        }
        let stamp = Stamp {
            publisher: read_hex(&payload[1..5])?,
            sequence: read_hex(&payload[6..14])?,
        };
        (&payload[HEAD..] == self.filler(stamp.sequence)).then_some(stamp)
    }

    fn filler(&self, sequence: u32) -> &[u8] {
        let start = sequence as usize % ALPHABET.len();
        &self.letters[start..start + self.length - HEAD]
    }
}

fn push_hex(out: &mut Vec<u8>, value: u32, digits: u32) {
    for digit in (0..digits).rev() {
        let nibble = (value >> (4 * digit)) & 0xf;
        out.push(b"0123456789abcdef"[nibble as usize]);
    }
}

fn read_hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |value, digit| {
        let nibble = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u32::from(nibble))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_gives_back_what_was_encoded() {
        for length in [16, 17, 64, 4096] {
            let codec = PayloadCodec::new(length);
            for (publisher, sequence) in [(0, 0), (3, 42), (999, 0xdead_beef), (65_535, u32::MAX)] {
                let stamp = Stamp {
                    publisher,
                    sequence,
                };
                let mut bytes = Vec::new();
                codec.encode(stamp, &mut bytes);
                assert_eq!(bytes.len(), length);
                assert_eq!(codec.decode(&bytes), Some(stamp));
            }
        }
    }

    #[test]
    fn one_wrong_byte_anywhere_is_no_valid_payload_of_the_same_stamp() {
        let codec = PayloadCodec::new(64);
        let stamp = Stamp {
            publisher: 7,
            sequence: 1234,
        };
        let mut bytes = Vec::new();
        codec.encode(stamp, &mut bytes);
        for at in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[at] ^= 1;
            assert_ne!(codec.decode(&wrong), Some(stamp), "byte {at}");
        }
        assert_eq!(codec.decode(&bytes[..63]), None);
        assert_eq!(codec.decode(b""), None);
    }
}
