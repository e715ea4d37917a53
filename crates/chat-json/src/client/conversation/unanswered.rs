//! The requests that the server has not answered.
//!
//! Invariant: each request of the caller gets exactly one result: the server's answer, or an error.

use super::super::request::{RequestError, RequestKind};
use crate::wire::Request;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How long the client may send a message again under the same key, counted from the first time it sent the message.
/// Servers remember keys for ten minutes.
const REPEATED_FOR: Duration = Duration::from_secs(9 * 60);

#[derive(Debug, Default)]
pub(super) struct Unanswered {
    asked: VecDeque<Asked>,
    /// How many requests, from the front of `asked`, were sent on this connection.
    sent: usize,
}

#[derive(Debug)]
pub(super) struct Asked {
    pub(super) id: u64,
    pub(super) request: Box<Request<'static>>,
    pub(super) question: Question,
    /// The time at which the request was first sent; `None` if it was never sent.
    pub(super) sent: Option<Instant>,
    /// Whether the request was sent on an earlier connection.
    pub(super) is_repeated: bool,
}

impl Asked {
    /// Fails the request with [`RequestError::Interrupted`], because it is unknown whether the server has executed the
    /// request.
    fn give_up(self) {
        if let Question::Callers(_, done) = self.question {
            // The send fails if the caller has dropped its future.
            drop(done.send(Err(RequestError::Interrupted)));
        }
    }
}

/// The purpose of a request.
#[derive(Debug)]
pub(super) enum Question {
    /// A request of the caller, and the channel for its result.
    Callers(RequestKind, oneshot::Sender<Result<String, RequestError>>),
    /// Reads messages that were left unread in the log of this room.
    Log(String),
    /// Lists the members of a room.
    Who,
}

/// Whether the server recognises a client that reconnects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ComesBack {
    /// The server recognises the keys of the client's messages. A server with tokens recognises the client by the
    /// token, a server without tokens by the nick.
    AsItself,
    /// The client has neither a nick of its own nor a token that the server knows. So it reconnects as a different
    /// guest, and the server does not recognise the keys of its messages.
    AsGuest,
}

impl Unanswered {
    pub(super) fn len(&self) -> usize {
        self.asked.len()
    }

    pub(super) fn push(&mut self, asked: Asked) {
        self.asked.push_back(asked);
    }

    /// Removes the request with this id.
    pub(super) fn take(&mut self, id: u64) -> Option<Asked> {
        // Answers arrive in the order of the requests, so the search usually ends at the first request.
        let at = self.asked.iter().position(|asked| asked.id == id)?;
        self.sent -= usize::from(at < self.sent);
        self.asked.remove(at)
    }

    /// Returns the requests that were not sent on this connection, and marks them as sent.
    pub(super) fn unsent(&mut self) -> impl Iterator<Item = &mut Asked> {
        let sent = std::mem::replace(&mut self.sent, self.asked.len());
        self.asked.iter_mut().skip(sent)
    }

    /// Keeps the requests that are safe to repeat after a lost connection, and interrupts all other requests.
    pub(super) fn interrupt(&mut self, comes_back: ComesBack, now: Instant) {
        self.sent = 0;
        let asked = std::mem::take(&mut self.asked);
        for mut asked in asked {
            asked.is_repeated = asked.sent.is_some();
            let is_safe = match (&asked.question, asked.sent) {
                (Question::Log(_) | Question::Who, _) => false,
                (_, None) => true,
                (Question::Callers(kind, _), Some(sent)) => match kind {
                    RequestKind::Say => {
                        comes_back == ComesBack::AsItself && sent + REPEATED_FOR > now
                    }
                    RequestKind::Query | RequestKind::Join | RequestKind::Leave => true,
                    RequestKind::Once | RequestKind::Nick | RequestKind::Quit => false,
                },
            };
            if is_safe {
                self.asked.push_back(asked);
            } else {
                asked.give_up();
            }
        }
    }

    /// Fails the messages that were sent on an earlier connection, with [`RequestError::Interrupted`]. The client can't
    /// repeat these messages, because its nick has changed.
    pub(super) fn give_up_messages(&mut self) {
        for asked in std::mem::take(&mut self.asked) {
            let is_message = matches!(asked.question, Question::Callers(RequestKind::Say, _));
            if is_message && asked.is_repeated {
                asked.give_up();
            } else {
                self.asked.push_back(asked);
            }
        }
    }

    /// Fails all requests: the client closes, so no more answers arrive.
    pub(super) fn close(&mut self) {
        self.sent = 0;
        for asked in std::mem::take(&mut self.asked) {
            if let Question::Callers(_, done) = asked.question {
                let error = match asked.sent {
                    Some(_) => RequestError::Interrupted,
                    None => RequestError::Closed,
                };
                drop(done.send(Err(error)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns whether the client repeats an unanswered message. `after` is the time between the sending of the message
    /// and the loss of the connection.
    fn repeats(comes_back: ComesBack, after: Duration) -> bool {
        let sent = Instant::now();
        let (done, mut answer) = oneshot::channel();
        let mut unanswered = Unanswered::default();
        unanswered.push(Asked {
            id: 1,
            request: Box::new(Request::new("say")),
            question: Question::Callers(RequestKind::Say, done),
            sent: Some(sent),
            is_repeated: false,
        });
        unanswered.interrupt(comes_back, sent + after);
        let is_kept = unanswered.len() == 1;
        let told = answer.try_recv();
        assert_eq!(is_kept, told != Ok(Err(RequestError::Interrupted)));
        is_kept
    }

    #[test]
    fn a_message_is_repeated_only_where_the_server_knows_its_key() {
        assert!(repeats(ComesBack::AsItself, Duration::from_secs(1)));
        assert!(!repeats(ComesBack::AsItself, REPEATED_FOR));
        assert!(!repeats(ComesBack::AsGuest, Duration::from_secs(1)));
    }
}
