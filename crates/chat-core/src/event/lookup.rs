//! What one session learns of another one that it asks about.

use crate::event::profile::{MemberInfo, Profile};
use crate::log::{Account, Timestamp, UserHost};
use crate::name::{Nick, RoomName};
use std::sync::Arc;
use std::time::Duration;

/// What is known of the sessions that have a nick.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Whois {
    /// The nick.
    pub nick: Nick,
    /// What is known besides the nick. If several sessions share the nick, what is known of the one with the lowest
    /// [`SessionId`](crate::log::SessionId). The nick is away only if all sessions that `sessions` counts are away.
    pub profile: Profile,
    /// The rooms that the sessions are in, sorted by name, as far as the asking peer may see them.
    pub rooms: Vec<RoomName>,
    /// How many sessions have the nick. At most 16 are looked at and counted.
    pub sessions: usize,
    /// When the first of the sessions began; `None` if all of them are on other nodes.
    pub since: Option<Timestamp>,
    /// How long ago one of the sessions last published a message, or began; `None` if all of them are on other nodes.
    pub idle: Option<Duration>,
}

impl Whois {
    /// Creates the answer about one session that is in no room, for tests of a dialect.
    #[must_use]
    pub const fn new(nick: Nick, profile: Profile) -> Self {
        Self {
            nick,
            profile,
            rooms: Vec::new(),
            sessions: 1,
            since: None,
            idle: None,
        }
    }
}

/// What is remembered of a session that has ended, or has taken another nick.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndedSession {
    /// The nick that the session had.
    pub nick: Nick,
    /// The user name, and a host that hides the address.
    pub user_host: UserHost,
    /// The account; `None` if the session had none.
    pub account: Option<Account>,
    /// The real name; `None` if the peer had given none.
    pub real_name: Option<Arc<str>>,
    /// When the session gave up the nick.
    pub at: Timestamp,
}

impl EndedSession {
    /// Creates the entry of a session that gave up its nick at this time.
    #[must_use]
    pub fn new(nick: Nick, profile: Profile, at: Timestamp) -> Self {
        Self {
            nick,
            user_host: profile.user_host,
            account: profile.account,
            real_name: profile.real_name,
            at,
        }
    }
}

/// Whether a session has a nick that another session asked about, or watches.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NickStatus {
    /// The nick as the asking session has written it, cleaned and cut to the length of a nick.
    pub asked: String,
    /// The session that has the nick; `None` if there is none.
    pub online: Option<MemberInfo>,
}

impl NickStatus {
    /// Creates the status of a nick that was asked about in this spelling.
    #[must_use]
    pub const fn new(asked: String, online: Option<MemberInfo>) -> Self {
        Self { asked, online }
    }
}
