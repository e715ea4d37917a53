//! The key of a message and its owner: what makes a repetition recognisable.

use crate::log::position::SessionId;
use std::fmt;
use std::sync::Arc;

/// The longest key in bytes.
const KEY_BYTES_MAX: usize = 64;

/// A name that an author gives to one message, to tell a repetition from a new one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key(Arc<str>);

/// The text can't be a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyError;

impl Key {
    pub(crate) fn parse(text: &str) -> Result<Self, KeyError> {
        let is_short = (1..=KEY_BYTES_MAX).contains(&text.len());
        if is_short && crate::text::clean(text) == text {
            Ok(Self(text.into()))
        } else {
            Err(KeyError)
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The digest of a client's token: a secret by which a server knows a client again over connections and restarts.
///
/// A [`Dialect`](crate::protocol::Dialect) makes it of the token with a cryptographic hash and hands it over in
/// [`Command::Hello`](crate::protocol::Command::Hello); the hub never sees the token. Whoever comes with the token has the
/// keys that were used with it, and takes its nick back from a session that came with it. How long it takes to compare
/// two digests tells an attacker nothing of use: it can't choose the bytes of a digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest([u8; Self::BYTES]);

impl TokenDigest {
    /// How many bytes of a hash are kept.
    pub const BYTES: usize = 16;

    /// Takes the first bytes of a cryptographic hash of a token.
    #[must_use]
    pub const fn new(digest: [u8; Self::BYTES]) -> Self {
        Self(digest)
    }

    /// Writes it as a journal keeps it, in hexadecimal digits.
    pub(crate) fn write(self, out: &mut String) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for byte in self.0 {
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 0xf)]));
        }
    }

    /// Reads what [`write`](Self::write) writes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if text.len() != 2 * Self::BYTES || !is_hex {
            return None;
        }
        let number = u128::from_str_radix(text, 16).ok()?;
        Some(Self(number.to_be_bytes()))
    }
}

impl fmt::Debug for TokenDigest {
    /// Prints nothing of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenDigest").finish_non_exhaustive()
    }
}

/// Whose keys these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    /// A session's whose client has no token: they are of no use when it has ended.
    Session(SessionId),
    /// A client's, over its sessions.
    Token(TokenDigest),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a key is 1 to {KEY_BYTES_MAX} bytes without control characters"
        )
    }
}

impl std::error::Error for KeyError {}
