//! Direct messages.

use crate::event::{Direct, DirectKind};
use crate::hub::hub::Hub;
use crate::hub::roster::{RosterCommand, TellError};
use crate::name::Nick;
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
        };
        let nick = self.command(to, &RosterCommand::Tell(direct)).await?;
        self.counters().directs.add(1);
        Ok(nick)
    }
}
