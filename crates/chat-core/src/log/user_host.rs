//! The user name and the host of a session, as other members see them.
//!
//! Invariant: neither part has a character that would end it, or that means something in a mask.

use crate::text;
use std::fmt;
use std::sync::{Arc, LazyLock};

/// The user name and the host that other members see of a session, as `user@host`. A clone is cheap: it shares the
/// text.
///
/// Neither part proves anything. A peer chooses its user name. The host stands for the peer's address and hides it; see
/// [`HubBuilder::cloak`](crate::HubBuilder::cloak).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserHost(Arc<str>);

/// The error for a text that is not a user name, an `@` and a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserHostError;

impl UserHost {
    /// The longest user name in bytes.
    pub const USER_BYTES_MAX: usize = 20;

    /// The longest host in bytes. This is the longest label of the DNS, and the limit of most IRC networks.
    pub const HOST_BYTES_MAX: usize = 63;

    /// The user name of a session that has not chosen one.
    pub(crate) const USER: &str = "~u";

    /// The host of a session whose peer has no address.
    const HOST: &str = "local";

    /// Parses `user@host`.
    ///
    /// # Errors
    ///
    /// A part is empty, too long, or has a space, a control character or one of `!@*?,`; or it begins with a colon.
    ///
    /// # Examples
    ///
    /// ```
    /// use chat_core::log::UserHost;
    ///
    /// let kim = UserHost::parse("kim@4kx2.ip")?;
    /// assert_eq!((kim.user(), kim.host()), ("kim", "4kx2.ip"));
    /// assert!(UserHost::parse("kim@*").is_err());
    /// # Ok::<(), chat_core::log::UserHostError>(())
    /// ```
    pub fn parse(user_host: &str) -> Result<Self, UserHostError> {
        let (user, host) = user_host.split_once('@').ok_or(UserHostError)?;
        let is_same = part(user, Self::USER_BYTES_MAX) == user
            && part(host, Self::HOST_BYTES_MAX) == host
            && !user.is_empty()
            && !host.is_empty();
        is_same.then(|| Self(user_host.into())).ok_or(UserHostError)
    }

    /// Creates the value from a user name and a host. Characters that a part can't have are removed, and a part that is
    /// too long is cut off. An empty part gets the default of a session in process.
    #[must_use]
    pub fn new(user: &str, host: &str) -> Self {
        let (user, host) = (
            part(user, Self::USER_BYTES_MAX),
            part(host, Self::HOST_BYTES_MAX),
        );
        let user = if user.is_empty() { Self::USER } else { &user };
        let host = if host.is_empty() { Self::HOST } else { &host };
        Self(format!("{user}@{host}").into())
    }

    /// Returns the user name.
    #[must_use]
    pub fn user(&self) -> &str {
        self.0.split_once('@').map_or("", |(user, _)| user)
    }

    /// Returns the host.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, host)| host)
    }

    /// Returns `user@host`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns the part without the characters that it can't have, cut to `bytes_max` bytes.
fn part(typed: &str, bytes_max: usize) -> String {
    // The text is cut first, so that a long text costs no more than a short one. Twice the limit is enough for texts
    // with some characters that are removed.
    let clean = text::clean(text::truncate(typed, 2 * bytes_max)).into_owned();
    let is_allowed = |c: &char| !c.is_whitespace() && !matches!(c, '!' | '@' | '*' | '?' | ',');
    let kept: String = clean.chars().filter(is_allowed).collect();
    let kept = text::truncate(kept.trim_start_matches(':'), bytes_max);
    if text::is_visible(kept) {
        kept.to_owned()
    } else {
        String::new()
    }
}

/// The value of a session in process: `~u@local`.
impl Default for UserHost {
    fn default() -> Self {
        static LOCAL: LazyLock<UserHost> = LazyLock::new(|| UserHost::new("", ""));
        LOCAL.clone()
    }
}

impl fmt::Display for UserHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UserHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserHost({})", self.0)
    }
}

impl fmt::Display for UserHostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a user name, an @ and a host")
    }
}

impl std::error::Error for UserHostError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_part_can_not_have_is_removed() {
        let cases = [
            ("kim", "kim@local"),
            ("k!i@m *?,", "kim@local"),
            (":kim", "kim@local"),
            ("\x1b[2J\u{200b}", "[2J\u{200b}@local"),
            ("\u{3164}", "~u@local"),
            ("김", "김@local"),
            (&"x".repeat(100), &format!("{}@local", "x".repeat(20))),
        ];
        for (typed, expected) in cases {
            let made = UserHost::new(typed, "");
            assert_eq!(made.as_str(), expected, "{typed:?}");
            assert_eq!(UserHost::parse(made.as_str()), Ok(made));
        }
        for wrong in [
            "", "kim", "@h", "kim@", "k m@h", "kim@h@h", "kim@\n", ":k@h",
        ] {
            assert_eq!(UserHost::parse(wrong), Err(UserHostError), "{wrong:?}");
        }
    }
}
