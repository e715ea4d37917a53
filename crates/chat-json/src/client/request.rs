//! The requests of the caller, and their results.

use crate::wire::{self, LINE_BYTES_MAX, Request};
use std::time::Duration;
use tokio::sync::oneshot;

/// A request, and the channel for its result.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) request: Box<Request<'static>>,
    pub(super) kind: RequestKind,
    pub(super) done: oneshot::Sender<Result<String, RequestError>>,
}

impl Call {
    /// Returns this request if it fits into one line. Otherwise fails the request, because the server would skip the
    /// line and could not answer.
    pub(super) fn if_fits(self) -> Option<Self> {
        let fits = serde_json::to_vec(&self.request).is_ok_and(|line| line.len() <= LINE_BYTES_MAX);
        if fits {
            return Some(self);
        }
        let error = RequestError::Refused {
            code: "too_long".into(),
            message: format!("request too long for a line (limit {LINE_BYTES_MAX} bytes)"),
            retry: None,
        };
        // The send fails if the caller has dropped its future.
        drop(self.done.send(Err(error)));
        None
    }
}

/// The kind of a request. The kind decides what happens to the request after a disconnect, and what a successful
/// request changes in the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestKind {
    /// A message. After a disconnect, the client may send the message again under the same key.
    Say,
    /// A question. After a disconnect, the client asks again.
    Query,
    /// A request that must not run twice. The request fails if the connection is lost after the request was sent.
    Once,
    /// A request for a nick. The request fails if the connection is lost after the request was sent. Success changes
    /// the client's nick.
    Nick,
    /// A join. After a disconnect, the client sends the request again. Success adds the room to the client's rooms.
    Join,
    /// A leave. After a disconnect, the client sends the request again. Success removes the room from the client's
    /// rooms.
    Leave,
    /// A request to end the session and close the client. The request fails if the connection is lost after the request
    /// was sent.
    Quit,
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The server refused the request.
    #[error("{message}")]
    Refused {
        /// A stable code for programs, such as `not_found`.
        code: String,
        /// The reason, for people.
        message: String,
        /// How long the caller should wait before it tries again; `None` if trying again does not help.
        retry: Option<Duration>,
    },
    /// The connection was lost before the answer arrived. The server may or may not have executed the request, and it
    /// is not safe to send the request again.
    #[error("the connection was lost before the answer: the request may have succeeded")]
    Interrupted,
    /// The client is closed.
    #[error("the connection is closed")]
    Closed,
    /// The answer of the server can't be parsed. The text is the error of the parser.
    #[error("the server's answer can't be read: {0}")]
    Garbled(String),
}

impl RequestError {
    pub(super) fn refused(fault: &wire::Fault<'_>) -> Self {
        Self::Refused {
            code: fault.code.to_string(),
            message: printable(&fault.msg),
            retry: fault.retry_ms.map(Duration::from_millis),
        }
    }
}

/// Removes control characters, because the text may be shown on a terminal.
pub(super) fn printable(text: &str) -> String {
    chat_core::text::clean(text).into_owned()
}

/// The members of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Present {
    /// The room.
    pub room: String,
    /// The number of members.
    pub count: usize,
    /// The nicks of the first 100 members.
    pub members: Vec<String>,
    /// Those of `members` that are away.
    pub away: Vec<String>,
}

impl From<wire::Present<'_>> for Present {
    fn from(present: wire::Present<'_>) -> Self {
        Self {
            room: printable(&present.room),
            count: present.count,
            members: present.members.iter().map(|nick| printable(nick)).collect(),
            away: present.away.iter().map(|nick| printable(nick)).collect(),
        }
    }
}

/// What is known of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Whois {
    /// The nick.
    pub nick: String,
    /// The user name, and a host that hides the address, as `user@host`.
    pub who: String,
    /// The account; `None` if the session has none.
    pub account: Option<String>,
    /// The real name; `None` if there is none.
    pub name: Option<String>,
    /// What the session has left for others; `None` if it is not away.
    pub away: Option<String>,
    /// Whether the session says that it is a bot.
    pub is_bot: bool,
    /// Whether the session is a server operator.
    pub is_operator: bool,
    /// The rooms of the session, as far as the client may see them.
    pub rooms: Vec<String>,
    /// When the session began, in milliseconds since 1970, UTC; `None` if this is unknown.
    pub since: Option<u64>,
    /// For how long the session has said nothing; `None` if this is unknown.
    pub idle: Option<Duration>,
}

impl From<wire::Whois<'_>> for Whois {
    fn from(whois: wire::Whois<'_>) -> Self {
        let wire::Whois {
            nick,
            profile,
            rooms,
            since,
            idle_ms,
        } = whois;
        let text = |text: Option<wire::Text<'_>>| text.map(|text| printable(&text));
        Self {
            nick: printable(&nick),
            who: printable(&profile.who),
            account: text(profile.account),
            name: text(profile.name),
            away: text(profile.away),
            is_bot: profile.bot,
            is_operator: profile.operator,
            rooms: rooms.iter().map(|room| printable(room)).collect(),
            since,
            idle: idle_ms.map(Duration::from_millis),
        }
    }
}

/// A room that has members.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listing {
    /// The room.
    pub room: String,
    /// The number of members.
    pub count: usize,
    /// The beginning of the room's topic; empty if there is none.
    pub topic: String,
}

impl From<wire::Listed<'_>> for Listing {
    fn from(listed: wire::Listed<'_>) -> Self {
        Self {
            room: printable(&listed.room),
            count: listed.count,
            topic: printable(&listed.topic),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(text: &str) -> (Call, oneshot::Receiver<Result<String, RequestError>>) {
        let (done, answer) = oneshot::channel();
        let request = Request {
            text: Some(text.to_owned().into()),
            ..Request::new("say")
        };
        let call = Call {
            request: Box::new(request),
            kind: RequestKind::Say,
            done,
        };
        (call, answer)
    }

    #[test]
    fn what_does_not_fit_into_a_line_is_refused_at_once() {
        for text in [
            "x".repeat(LINE_BYTES_MAX),
            "\u{1}".repeat(LINE_BYTES_MAX / 6),
        ] {
            let (call, mut answer) = say(&text);
            assert!(call.if_fits().is_none());
            let refused = answer.try_recv().unwrap().unwrap_err();
            assert!(matches!(refused, RequestError::Refused { code, .. } if code == "too_long"));
        }
        let (call, _answer) = say(&"x".repeat(LINE_BYTES_MAX - 100));
        assert!(call.if_fits().is_some());
    }
}
