//! What a session lets others know of it, and which nicks it watches.

use crate::event::{NickStatus, Profile, Whois};
use crate::hub::TellError;
use crate::name::Nick;
use crate::session::session::Session;
use crate::text;
use std::fmt;
use std::sync::Arc;

impl Session {
    /// Returns what is known of the session besides its nick.
    #[must_use]
    pub fn profile(&self) -> Profile {
        self.shared().profile()
    }

    /// Marks the session as away, with a message for those who write to it, or as back with `None`. All its rooms
    /// announce the change, unless they have too many members to announce changes. Returns the message as others see it.
    ///
    /// Control characters are removed from the message, and its part beyond
    /// [`Limits::reason_bytes`](crate::Limits::reason_bytes) is cut off. A message without a visible character marks the
    /// session as back.
    pub fn set_away(&self, message: Option<&str>) -> Option<Arc<str>> {
        let message = message.map(|message| self.hub().reason(message));
        let message = message.filter(|message| text::is_visible(message));
        self.hub().change_profile(self.shared(), |identity| {
            identity.extra().away.clone_from(&message);
        });
        message
    }

    /// Sets the real name that others see; an empty text removes it. Control characters are removed, and what is longer
    /// than [`Profile::REAL_NAME_BYTES_MAX`] is cut off.
    pub fn set_real_name(&self, name: &str) {
        let name = Profile::clean_name(name);
        self.hub().change_profile(self.shared(), |identity| {
            identity.extra().real_name = name;
        });
    }

    /// Sets the user name that others see; see [`UserHost::new`](crate::log::UserHost::new).
    pub fn set_user(&self, user: &str) {
        self.hub()
            .change_profile(self.shared(), |identity| identity.set_user(user));
    }

    /// Sets the host that others see, for example for a session behind a gateway. A session with an account shows the
    /// host of its account instead.
    pub fn set_host(&self, host: &str) {
        self.hub()
            .change_profile(self.shared(), |identity| identity.set_host(host));
    }

    /// Sets whether the session says that it is a bot.
    pub fn set_bot(&self, is_bot: bool) {
        self.hub().change_profile(self.shared(), |identity| {
            identity.extra().is_bot = is_bot;
        });
    }

    /// Makes the session a server operator, or an ordinary session again. The program decides who is an operator; for
    /// peers over a connection, the hub's [`Operators`](crate::auth::Operators) do.
    pub fn set_operator(&self, is_operator: bool) {
        self.hub().change_profile(self.shared(), |identity| {
            identity.extra().is_operator = is_operator;
        });
    }

    /// Returns whether the session is a server operator.
    #[must_use]
    pub fn is_operator(&self) -> bool {
        self.shared().is_operator()
    }

    /// Returns what is known of the sessions with this nick, as [`Hub::whois`](crate::Hub::whois) does, without the rooms
    /// that this session does not [see](Self::sees).
    #[must_use]
    pub fn whois(&self, nick: &str) -> Option<Whois> {
        self.hub().whois_seen(nick, |room| self.sees(room))
    }

    /// Watches nicks: when a session takes one of these nicks, or the last session with the nick gives it up,
    /// [`SessionEvents::next`](crate::SessionEvents::next) returns a
    /// [`SessionEvent::Watched`](crate::SessionEvent::Watched). Returns the present state of each nick. At most 100 nicks
    /// are looked at in one call.
    ///
    /// # Errors
    ///
    /// Returns an error if the session can't watch all of the nicks. It then watches the others.
    pub fn watch(&self, nicks: &[&str]) -> Result<Vec<NickStatus>, WatchError> {
        let (watched, refused) = self.hub().watch(self.shared(), nicks);
        if refused.is_empty() {
            Ok(watched)
        } else {
            Err(WatchError { watched, refused })
        }
    }

    /// Ceases to watch these nicks.
    pub fn unwatch(&self, nicks: &[&str]) {
        self.hub().unwatch(self.shared(), nicks);
    }

    /// Ends the session with this nick, on any node, as [`Hub::kick`](crate::Hub::kick) does. Only a server operator may
    /// do so. Others see the operator's nick before the reason. Returns the nick of the session that has ended.
    ///
    /// # Errors
    ///
    /// Returns an error if this session is not an operator, or if no session has the nick.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not undo the call: the session may still end.
    pub async fn disconnect(&self, nick: &str, reason: &str) -> Result<Nick, DisconnectError> {
        if !self.is_operator() {
            return Err(DisconnectError::NotOperator);
        }
        let by = self.nick();
        let reason = match reason.trim() {
            "" => by.to_string(),
            reason => format!("{by}: {reason}"),
        };
        match self.hub().kick(nick, &reason).await {
            Some(ended) => {
                tracing::info!(operator = %by, nick = %ended, "an operator has ended a session");
                Ok(ended)
            }
            None => Err(DisconnectError::NoSuchNick(TellError::no_such_nick(nick))),
        }
    }
}

/// The error of [`Session::watch`]: some nicks can't be watched.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WatchError {
    /// The nicks that the session watches now, with their present states.
    pub watched: Vec<NickStatus>,
    /// The nicks that it can't watch: it watches [`Limits::watched_nicks`](crate::Limits::watched_nicks) already, or
    /// 128 sessions watch the nick.
    pub refused: Vec<String>,
}

impl fmt::Display for WatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} nicks can't be watched", self.refused.len())
    }
}

impl std::error::Error for WatchError {}

/// Why a session could not end another one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DisconnectError {
    /// The session is not a server operator.
    NotOperator,
    /// No session has the nick.
    NoSuchNick(TellError),
}

impl fmt::Display for DisconnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOperator => f.write_str("only a server operator may do that"),
            Self::NoSuchNick(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for DisconnectError {}
