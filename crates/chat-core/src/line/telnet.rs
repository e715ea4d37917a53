//! Telnet's in-band commands (RFC 854). The server refuses every option, and no command becomes part of the text.
//!
//! Invariant: every option is refused at most once in each direction, so two peers can't negotiate endlessly (RFC 1143
//! shows how they would). A subnegotiation that is too long is treated as ended.

use bytes::{BufMut, BytesMut};

const SE: u8 = 240;
const SB: u8 = 250;
const WILL: u8 = 251;
const WONT: u8 = 252;
const DO: u8 = 253;
const DONT: u8 = 254;
const IAC: u8 = 255;

/// The most bytes of a subnegotiation that are skipped. Later bytes are text again. Real subnegotiations (terminal
/// type, window size) take about 50 bytes.
const SUBNEGOTIATION_BYTES_MAX: usize = 512;

/// Removes telnet commands from a stream. Allocates no memory until the first command arrives.
#[derive(Debug, Default)]
pub(crate) struct Telnet(Option<Box<Negotiation>>);

#[derive(Debug, Default)]
struct Negotiation {
    state: State,
    /// One bit for each option: first the options that were refused with WONT, then those that were refused with DONT.
    refused: [[u64; 4]; 2],
}

#[derive(Debug, Default, Clone, Copy)]
enum State {
    /// The next byte is text, or `IAC`.
    #[default]
    Text,
    /// `IAC` has arrived. The next byte is the command.
    Command,
    /// The value is `WILL`, `WONT`, `DO` or `DONT`. The next byte is its option.
    Option(u8),
    /// A subnegotiation is skipped. The value is the number of bytes skipped so far.
    Subnegotiation(usize),
    /// A subnegotiation is skipped, and its latest byte is an `IAC`. The value is the number of bytes skipped so far.
    SubnegotiationCommand(usize),
}

/// The highest number that [`is_refusal`] accepts as a telnet option. Options in use since about RFC 1091 have low
/// numbers (IANA, Telnet Options).
const OPTION_MAX: u8 = 49;

/// Returns whether a connection begins with the telnet command `IAC DONT`, and not with UTF-16's byte-order mark. Both
/// are the same two bytes. In telnet, an option follows these bytes, and then another command or text.
pub(crate) fn is_refusal(bytes: &[u8]) -> bool {
    match bytes {
        [IAC, DONT, option, rest @ ..] if *option <= OPTION_MAX => {
            let is_text =
                std::str::from_utf8(rest).map_or_else(|e| e.error_len().is_none(), |_| true);
            rest.first() == Some(&IAC) || is_text && !rest.contains(&0)
        }
        _ => false,
    }
}

impl Telnet {
    /// Returns whether no command has arrived yet.
    pub(crate) const fn is_unused(&self) -> bool {
        self.0.is_none()
    }

    /// Appends the text in `bytes` to `text`, and the answers to the telnet commands in `bytes` to `refusals`.
    pub(crate) fn strip(&mut self, bytes: &[u8], text: &mut BytesMut, refusals: &mut BytesMut) {
        if self.0.is_none() && !bytes.contains(&IAC) {
            text.extend_from_slice(bytes);
            return;
        }
        let negotiation = self.0.get_or_insert_default();
        for &byte in bytes {
            if negotiation.is_text(byte, refusals) {
                text.put_u8(byte);
            }
        }
    }
}

impl Negotiation {
    fn is_text(&mut self, byte: u8, refusals: &mut BytesMut) -> bool {
        let (state, is_text) = match (self.state, byte) {
            (State::Text, IAC) => (State::Command, false),
            (State::Text, _) => (State::Text, true),
            // A doubled `IAC` stands for one byte 0xFF of text. UTF-8 never holds that byte, so the line will be
            // rejected.
            (State::Command, IAC) => (State::Text, true),
            (State::Command, SB) => (State::Subnegotiation(0), false),
            (State::Command, WILL..=DONT) => (State::Option(byte), false),
            (State::Command, _) => (State::Text, false),
            (State::Option(verb), option) => {
                self.refuse(verb, option, refusals);
                (State::Text, false)
            }
            (State::Subnegotiation(seen), IAC) => (State::SubnegotiationCommand(seen), false),
            (State::SubnegotiationCommand(_), SE) => (State::Text, false),
            (State::Subnegotiation(seen) | State::SubnegotiationCommand(seen), _) => {
                let given_up = seen >= SUBNEGOTIATION_BYTES_MAX;
                (
                    if given_up {
                        State::Text
                    } else {
                        State::Subnegotiation(seen + 1)
                    },
                    false,
                )
            }
        };
        self.state = state;
        is_text
    }

    fn refuse(&mut self, verb: u8, option: u8, refusals: &mut BytesMut) {
        let (answer, refused) = match verb {
            DO => (WONT, &mut self.refused[0]),
            WILL => (DONT, &mut self.refused[1]),
            // `WONT` and `DONT` need no answer, because the server uses no option.
            _ => return,
        };
        let (word, bit) = (usize::from(option / 64), 1 << (option % 64));
        if refused[word] & bit == 0 {
            refused[word] |= bit;
            refusals.put_slice(&[IAC, answer, option]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn strip(chunks: &[&[u8]]) -> (Vec<u8>, Vec<u8>) {
        let (mut telnet, mut text, mut refusals) =
            (Telnet::default(), BytesMut::new(), BytesMut::new());
        chunks
            .iter()
            .for_each(|chunk| telnet.strip(chunk, &mut text, &mut refusals));
        (text.to_vec(), refusals.to_vec())
    }

    #[test]
    fn options_are_refused_once_and_never_shown() {
        let (text, refusals) =
            strip(&[b"a\xff\xfd\x01b\xff\xfb\x18c\xff\xfd\x01\xff\xfc\x05\xff\xf1d"]);
        assert_eq!(text, b"abcd");
        assert_eq!(refusals, [IAC, WONT, 1, IAC, DONT, 24]);
    }

    #[test]
    fn a_subnegotiation_is_skipped_and_an_endless_one_given_up() {
        assert_eq!(strip(&[b"a\xff\xfa\x18\x00xterm\xff\xf0b"]).0, b"ab");
        let endless = [b'x'; 2 * SUBNEGOTIATION_BYTES_MAX];
        assert!(!strip(&[b"\xff\xfa", &endless]).0.is_empty());
    }

    proptest! {
        #[test]
        fn chunks_make_no_difference(bytes in prop::collection::vec(prop_oneof![0..4_u8, 240..=255_u8, Just(b'a')], 0..64), cut in 0..64_usize) {
            let cut = cut.min(bytes.len());
            prop_assert_eq!(strip(&[&bytes[..cut], &bytes[cut..]]), strip(&[&bytes]));
        }
    }
}
