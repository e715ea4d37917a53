//! What is known of a session besides its nick.

use crate::log::{Account, Role, UserHost};
use crate::name::Nick;
use crate::text;
use std::sync::Arc;

/// What is known of a session besides its nick, and what other sessions may see. A clone is cheap: it shares the texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Profile {
    /// The user name, and a host that hides the peer's address.
    pub user_host: UserHost,
    /// The account that the session has proved to own; `None` if it has proved none.
    pub account: Option<Account>,
    /// The real name, as the peer gives it; `None` if it has given none.
    pub real_name: Option<Arc<str>>,
    /// The message of a session that is away; `None` if the session is not away.
    pub away: Option<Arc<str>>,
    /// Whether the peer says that it is a bot.
    pub is_bot: bool,
    /// Whether the session is a server operator.
    pub is_operator: bool,
}

impl Profile {
    /// The longest real name in bytes.
    pub const REAL_NAME_BYTES_MAX: usize = 128;

    /// Cleans and truncates a real name. Returns `None` if no visible character is left.
    pub(crate) fn clean_name(name: &str) -> Option<Arc<str>> {
        // The text is cut before it is cleaned, because the cost of cleaning grows with the length.
        let name = text::clean(text::truncate(name.trim(), 2 * Self::REAL_NAME_BYTES_MAX));
        let name = text::truncate(name.trim(), Self::REAL_NAME_BYTES_MAX);
        text::is_visible(name).then(|| name.into())
    }
}

/// One member of a room in a list, or one session that another session asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberInfo {
    /// The nick.
    pub nick: Nick,
    /// The user name, and a host that hides the address. If several sessions share the nick, those of one of them.
    pub user_host: UserHost,
    /// The account; `None` if the session has none.
    pub account: Option<Account>,
    /// The real name; `None` if the peer has given none.
    pub real_name: Option<Arc<str>>,
    /// Whether the session is away. If several sessions share the nick, whether all of them are.
    pub is_away: bool,
    /// Whether the peer says that it is a bot.
    pub is_bot: bool,
    /// Whether the session is a server operator.
    pub is_operator: bool,
    /// The role in the room, in a list of the room's members; `None` if the member has none.
    pub role: Option<Role>,
}

impl MemberInfo {
    /// Creates the entry of a session with this nick and this profile, without a role.
    #[must_use]
    pub fn new(nick: Nick, profile: Profile) -> Self {
        let Profile {
            user_host,
            account,
            real_name,
            away,
            is_bot,
            is_operator,
        } = profile;
        Self {
            nick,
            user_host,
            account,
            real_name,
            is_away: away.is_some(),
            is_bot,
            is_operator,
            role: None,
        }
    }
}
