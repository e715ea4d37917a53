//! What reaches a session alone: direct messages, and news of the nicks that it watches.
//!
//! Invariant: an empty mailbox holds no memory.

use crate::event::{Direct, DirectKind, NickStatus};
use crate::hub::TellError;
use crate::name::Nick;
use crate::session::session::Session;
use std::collections::VecDeque;
use std::task::Poll;

impl Session {
    /// Sends a direct message to the session with the nick `to`, and returns the nick as that session spells it. If
    /// several sessions share the nick, all of them receive the message.
    ///
    /// # Errors
    ///
    /// See [`TellError`]. At most [`Limits::mailbox`](crate::Limits::mailbox) messages wait for a session that does not
    /// read them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not withdraw the message: it may still be delivered.
    pub async fn tell(&self, to: &str, text: &str) -> Result<Nick, TellError> {
        let kind = DirectKind::Said;
        self.hub().tell_from(self.shared(), to, kind, text).await
    }

    /// Waits for the next direct message. Returns `None` once the session was ended ([`Hub::kick`](crate::Hub::kick)) or the hub drains,
    /// and all messages that waited have been returned. The caller must then drop the session.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future loses no message.
    pub async fn next_direct(&mut self) -> Option<Direct> {
        std::future::poll_fn(|cx| {
            let closing = self.poll_closing(cx);
            match self.take_direct() {
                Some(direct) => Poll::Ready(Some(direct)),
                None => closing.map(|_| None),
            }
        })
        .await
    }

    /// Returns whether direct messages or news of watched nicks wait.
    pub(crate) fn has_mail(&self) -> bool {
        let mail = self.shared().mail.lock();
        !mail.direct.is_empty() || mail.watched.as_ref().is_some_and(|news| !news.is_empty())
    }

    /// Takes the next news of a watched nick.
    pub(crate) fn take_watched(&self) -> Option<NickStatus> {
        let mut mail = self.shared().mail.lock();
        let watched = mail.watched.as_mut()?;
        let status = watched.pop_front();
        if watched.is_empty() {
            mail.watched = None;
        }
        status.map(|(_, status)| status)
    }

    pub(crate) fn take_direct(&self) -> Option<Direct> {
        let mut mail = self.shared().mail.lock();
        let direct = mail.direct.pop_front();
        if mail.direct.is_empty() {
            // An empty mailbox holds no memory, even if it was used before.
            mail.direct = VecDeque::new();
        }
        direct
    }
}
