//! The key of a message and the key's owner, by which a repeated message is recognised.

use crate::log::position::SessionId;
use std::fmt;
use std::sync::Arc;

/// The longest key in bytes.
const KEY_BYTES_MAX: usize = 64;

/// A name that an author gives to one message, to distinguish a repetition from a new message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key(Arc<str>);

/// The error for a text that can't be a key.
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

/// The digest of a client's token. The token is a secret by which a server recognises a client across connections and
/// restarts.
///
/// A [`Dialect`](crate::protocol::Dialect) computes the digest from the token with a cryptographic hash and passes the
/// digest in [`Command::Hello`](crate::protocol::Command::Hello). The hub never sees the token. A client with the token
/// owns the keys that were used with the token. With [`Command::Hello`](crate::protocol::Command::Hello) over a
/// connection, and with [`Session::take_nick`](crate::Session::take_nick) in process, the client takes its nick back
/// from an older session with the same token.
///
/// The comparison of two digests is not constant-time. An attacker learns nothing useful from its duration, because an
/// attacker can't choose the bytes of a digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest([u8; Self::BYTES]);

impl TokenDigest {
    /// The number of bytes of a digest. A digest is the first bytes of a longer hash.
    pub const BYTES: usize = 16;

    /// Creates a digest from the first bytes of a token's cryptographic hash.
    #[must_use]
    pub const fn new(digest: [u8; Self::BYTES]) -> Self {
        Self(digest)
    }

    /// Writes the digest as a journal stores it, in hexadecimal digits.
    pub(crate) fn write(self, out: &mut String) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for byte in self.0 {
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 0xf)]));
        }
    }

    /// Parses the text that [`write`](Self::write) writes.
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
    /// Prints only the name of the type, because a digest must not be logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenDigest").finish_non_exhaustive()
    }
}

/// The owner of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    /// A session of a client without a token. The keys expire when the session ends.
    Session(SessionId),
    /// A client with a token, across its sessions.
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
