//! The account of an author: the identity that the author has proved.
//!
//! Invariant: an account id is 1 to 64 bytes without control characters. A nick says what an author is called. An
//! account identifies the author across nicks, sessions and restarts.

use std::fmt;
use std::sync::Arc;

/// The id of an account. The program that authenticates peers assigns the id.
///
/// Ids are compared byte by byte. If case must not matter, the program that assigns the ids must write them in one
/// case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account(Arc<str>);

/// The error for a text that can't be an account id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountError;

impl Account {
    /// The longest id in bytes.
    pub const BYTES_MAX: usize = 64;

    /// Parses an account id.
    ///
    /// # Errors
    ///
    /// The text is empty, longer than [`BYTES_MAX`](Self::BYTES_MAX), or holds a control character.
    ///
    /// # Examples
    ///
    /// ```
    /// use chat_core::log::Account;
    ///
    /// let account = Account::parse("kim@example.org")?;
    /// assert_eq!(account.as_str(), "kim@example.org");
    /// assert!(Account::parse("kim\n").is_err());
    /// # Ok::<(), chat_core::log::AccountError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, AccountError> {
        let is_short = (1..=Self::BYTES_MAX).contains(&text.len());
        if is_short && crate::text::clean(text) == text {
            Ok(Self(text.into()))
        } else {
            Err(AccountError)
        }
    }

    /// Returns the id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for AccountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "an account id is 1 to {} bytes without control characters",
            Account::BYTES_MAX
        )
    }
}

impl std::error::Error for AccountError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_short_and_has_no_control_characters() {
        assert!(Account::parse(&"x".repeat(64)).is_ok());
        for bad in ["", "a\nb", "\x1b[2J", &"x".repeat(65)] {
            assert_eq!(Account::parse(bad), Err(AccountError), "{bad:?}");
        }
    }
}
