//! What a program asks of the server, and what can come of it.

use crate::wire::{self, LINE_BYTES_MAX, Request};
use std::time::Duration;
use tokio::sync::oneshot;

/// A request on its way, and who waits for the answer.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) request: Box<Request<'static>>,
    pub(super) nature: Nature,
    pub(super) done: oneshot::Sender<Result<String, AskError>>,
}

impl Ask {
    /// Refuses what does not fit into a line: the server would skip it, unable to say which request it was.
    pub(super) fn if_fits(self) -> Option<Self> {
        let fits = serde_json::to_vec(&self.request).is_ok_and(|line| line.len() <= LINE_BYTES_MAX);
        if fits {
            return Some(self);
        }
        let error = AskError::Refused {
            code: "too_long".into(),
            message: format!("longer than a line may be (limit {LINE_BYTES_MAX} bytes)"),
            retry: None,
        };
        // Whoever asked may have gone.
        drop(self.done.send(Err(error)));
        None
    }
}

/// What kind of request it is: what is to be done when the connection breaks before the answer, and what the answer
/// means for the client itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    /// A message: repeated under its key.
    Say,
    /// A question: repeated.
    Query,
    /// Something that must not be done twice: given up.
    Once,
    /// As [`Once`](Self::Once); the nick is remembered.
    Nick,
    /// Repeated; the room is remembered.
    Join,
    /// Repeated; the room is forgotten.
    Leave,
    /// The end.
    Quit,
}

/// Why a request was not granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The server refuses it.
    #[error("{message}")]
    Refused {
        /// A stable word for programs, such as `not_found`.
        code: String,
        /// What was wrong and what to do, for people.
        message: String,
        /// When to try again, if that may help.
        retry: Option<Duration>,
    },
    /// The connection broke before the answer came, and it can't be repeated safely: it may or may not be done.
    #[error("the connection broke: it may or may not be done")]
    Interrupted,
    /// The client has ended.
    #[error("the connection is closed")]
    Closed,
    /// The server's answer can't be read.
    #[error("the server's answer can't be read: {0}")]
    Garbled(String),
}

impl AskError {
    pub(super) fn refused(fault: &wire::Fault<'_>) -> Self {
        Self::Refused {
            code: fault.code.to_string(),
            message: printable(&fault.msg),
            retry: fault.retry_ms.map(Duration::from_millis),
        }
    }
}

/// The text without control characters: what a server says may end on a terminal.
pub(super) fn printable(text: &str) -> String {
    chat_core::text::clean(text).into_owned()
}

/// Who is in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Present {
    /// Which.
    pub room: String,
    /// How many.
    pub count: usize,
    /// The first 100 of them.
    pub members: Vec<String>,
}

impl From<wire::Present<'_>> for Present {
    fn from(present: wire::Present<'_>) -> Self {
        Self {
            room: printable(&present.room),
            count: present.count,
            members: present.members.iter().map(|nick| printable(nick)).collect(),
        }
    }
}

/// A room that somebody is in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listing {
    /// Which.
    pub room: String,
    /// How many are in it.
    pub count: usize,
    /// The beginning of its topic; empty if there is none.
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

    fn say(text: &str) -> (Ask, oneshot::Receiver<Result<String, AskError>>) {
        let (done, answer) = oneshot::channel();
        let request = Request {
            text: Some(text.to_owned().into()),
            ..Request::new("say")
        };
        let ask = Ask {
            request: Box::new(request),
            nature: Nature::Say,
            done,
        };
        (ask, answer)
    }

    #[test]
    fn what_does_not_fit_into_a_line_is_refused_at_once() {
        for text in [
            "x".repeat(LINE_BYTES_MAX),
            "\u{1}".repeat(LINE_BYTES_MAX / 6),
        ] {
            let (ask, mut answer) = say(&text);
            assert!(ask.if_fits().is_none());
            let refused = answer.try_recv().unwrap().unwrap_err();
            assert!(matches!(refused, AskError::Refused { code, .. } if code == "too_long"));
        }
        let (ask, _answer) = say(&"x".repeat(LINE_BYTES_MAX - 100));
        assert!(ask.if_fits().is_some());
    }
}
