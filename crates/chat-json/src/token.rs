//! Tokens: secrets by which a server recognises a client over several connections.
//!
//! Invariant: a token that [`Token::make`] makes has 128 bits of the operating system's randomness. The hub receives
//! only a digest, from which the token can't be derived.

use crate::wire::Text;
use chat_core::protocol::TokenDigest;
use sha2::{Digest, Sha256};
use std::fmt::{self, Write};

/// The number of random bytes in a token that [`Token::make`] makes.
const RANDOM_BYTES: usize = 16;

/// A client's token. The token is a secret, so `Debug` does not print it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

impl Token {
    /// Makes a random token; `None` if the system has no randomness.
    pub(crate) fn make() -> Option<Self> {
        let mut bytes = [0; RANDOM_BYTES];
        getrandom::fill(&mut bytes).ok()?;
        let mut token = String::with_capacity(2 * RANDOM_BYTES);
        for byte in bytes {
            write!(token, "{byte:02x}").ok()?;
        }
        Some(Self(token))
    }

    /// Returns the digest that the hub stores.
    pub(crate) fn digest(&self) -> TokenDigest {
        let mut digest = [0; TokenDigest::BYTES];
        // The prefix makes this digest different from other uses of SHA-256 on the same token.
        let hash = Sha256::new_with_prefix("chat/1 token\n")
            .chain_update(&self.0)
            .finalize();
        let bytes = digest.iter_mut().zip(hash);
        bytes.for_each(|(to, from)| *to = from);
        TokenDigest::new(digest)
    }
}

impl From<String> for Token {
    fn from(token: String) -> Self {
        Self(token)
    }
}

impl From<Token> for Text<'_> {
    fn from(token: Token) -> Self {
        token.0.into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_anew_each_time_and_has_one_digest() {
        let (one, other) = (Token::make().unwrap(), Token::make().unwrap());
        assert_eq!(one.0.len(), 32);
        assert_ne!(one, other);
        assert_eq!(one.digest(), one.clone().digest());
        assert_ne!(one.digest(), other.digest());
        assert_eq!(format!("{one:?}"), "Token");
    }
}
