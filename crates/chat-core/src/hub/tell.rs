//! Direct messages.

use crate::event::Direct;
use crate::hub::hub::Hub;
use crate::name::Nick;
use crate::room::MailboxFull;
use crate::text;
use std::fmt;

/// Why a direct message was not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TellError {
    /// Nobody has that nick.
    NoSuchNick(String),
    /// Too much waits for that session already.
    MailboxFull(Nick),
    /// The text is longer than this many bytes.
    TooLong(usize),
    /// Nothing visible is left of the text.
    Empty,
}

impl fmt::Display for TellError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchNick(nick) => write!(f, "nobody here is called {nick}"),
            Self::MailboxFull(nick) => {
                write!(f, "{nick} is not reading: not delivered, try again later")
            }
            Self::Empty => f.write_str("nothing visible to say"),
            Self::TooLong(limit) => write!(f, "message too long (limit {limit} bytes)"),
        }
    }
}

impl std::error::Error for TellError {}

impl Hub {
    /// Sends a message to the session with this nick, in somebody's name, and returns the nick it has.
    ///
    /// # Errors
    ///
    /// See [`TellError`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not take the message back: it may be delivered.
    pub async fn tell(&self, from: Nick, to: &str, text: &str) -> Result<Nick, TellError> {
        let limit = self.limits().text_bytes.get();
        if text.len() > limit {
            return Err(TellError::TooLong(limit));
        }
        let clean = text::clean(text);
        if !text::is_visible(&clean) {
            return Err(TellError::Empty);
        }
        let session = self.roster().find(to);
        let session = session.ok_or_else(|| {
            TellError::NoSuchNick(text::clean(text::truncate(to, 64)).into_owned())
        })?;
        let direct = Direct {
            from,
            at: self.now(),
            text: clean.into(),
        };
        let mailbox = self.limits().mailbox.get();
        session
            .deliver(direct, mailbox)
            .map_err(|MailboxFull| TellError::MailboxFull(session.nick()))?;
        self.counters().directs.add(1);
        Ok(session.nick())
    }
}
