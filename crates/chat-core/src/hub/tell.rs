//! Direct messages.

use crate::event::{Direct, DirectKind};
use crate::hub::hub::Hub;
use crate::hub::roster::{RosterCommand, TellError};
use crate::log::UserHost;
use crate::name::Nick;
use crate::room::Participant;
use crate::text;

impl Hub {
    /// Sends a direct message to the session with the nick `to`. The message names `from` as its sender; no session
    /// needs to have this nick. Returns the nick of the recipient in the recipient's own spelling. If several sessions
    /// share the nick, all of them receive the message.
    ///
    /// # Errors
    ///
    /// See [`TellError`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not withdraw the message: it may still be delivered.
    pub async fn tell(&self, from: Nick, to: &str, text: &str) -> Result<Nick, TellError> {
        self.tell_as(from, to, DirectKind::Said, text).await
    }

    /// As [`tell`](Self::tell), with a message of any kind.
    ///
    /// # Errors
    ///
    /// See [`TellError`].
    ///
    /// # Cancel safety
    ///
    /// As [`tell`](Self::tell).
    pub async fn tell_as(
        &self,
        from: Nick,
        to: &str,
        kind: DirectKind,
        text: &str,
    ) -> Result<Nick, TellError> {
        self.tell_with(from, None, to, kind, text).await
    }

    /// As [`tell_as`](Self::tell_as), in the name of a session.
    pub(crate) async fn tell_from(
        &self,
        from: &Participant,
        to: &str,
        kind: DirectKind,
        text: &str,
    ) -> Result<Nick, TellError> {
        let user_host = Some(from.user_host());
        self.tell_with(from.nick(), user_host, to, kind, text).await
    }

    async fn tell_with(
        &self,
        from: Nick,
        user_host: Option<UserHost>,
        to: &str,
        kind: DirectKind,
        text: &str,
    ) -> Result<Nick, TellError> {
        let limit = self.limits().text_bytes.get();
        if text.len() > limit {
            return Err(TellError::TooLong(limit));
        }
        let clean = text::clean(text);
        if !text::is_visible(&clean) {
            return Err(TellError::Empty);
        }
        let direct = Direct {
            from,
            at: self.now(),
            text: clean.into(),
            kind,
            user_host,
        };
        let nick = self.command(to, &RosterCommand::Tell(direct)).await?;
        self.counters().directs.add(1);
        Ok(nick)
    }
}
