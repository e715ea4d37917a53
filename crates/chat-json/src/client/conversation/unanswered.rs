//! The requests that the server has not answered.
//!
//! Invariant: each is answered once, by the server or by the end of what can be known about it.

use super::super::ask::{AskError, Nature};
use crate::wire::Request;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// For how long a message may be repeated under its key: a little less than a server remembers keys.
const REPEATED_FOR: Duration = Duration::from_secs(9 * 60);

#[derive(Debug, Default)]
pub(super) struct Unanswered {
    asked: VecDeque<Asked>,
    /// How many of them, from the front on, have been sent on this connection.
    sent: usize,
}

#[derive(Debug)]
pub(super) struct Asked {
    pub(super) id: u64,
    pub(super) request: Box<Request<'static>>,
    pub(super) question: Question,
    /// When it was sent first.
    pub(super) sent: Option<Instant>,
    /// It was sent on an earlier connection.
    pub(super) is_repeated: bool,
}

impl Asked {
    /// It can't be known whether it was done.
    fn give_up(self) {
        if let Question::Callers(_, done) = self.question {
            // Whoever asked may have gone.
            drop(done.send(Err(AskError::Interrupted)));
        }
    }
}

/// Who wants to know.
#[derive(Debug)]
pub(super) enum Question {
    /// The caller.
    Callers(Nature, oneshot::Sender<Result<String, AskError>>),
    /// The client itself: what was left in the log of this room.
    Log(String),
    /// The client itself: who is in a room.
    Who,
}

/// As whom a client comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ComesBack {
    /// With its token, or to a server without tokens under its nick: the server knows its keys.
    AsItself,
    /// To a server without tokens as another guest: it doesn't.
    AsGuest,
}

impl Unanswered {
    pub(super) fn len(&self) -> usize {
        self.asked.len()
    }

    pub(super) fn push(&mut self, asked: Asked) {
        self.asked.push_back(asked);
    }

    /// Takes out the request that was answered.
    pub(super) fn take(&mut self, id: u64) -> Option<Asked> {
        // Answers come in the order of the requests, so it is the first one.
        let at = self.asked.iter().position(|asked| asked.id == id)?;
        self.sent -= usize::from(at < self.sent);
        self.asked.remove(at)
    }

    /// What has not been sent on this connection; counts as sent.
    pub(super) fn unsent(&mut self) -> impl Iterator<Item = &mut Asked> {
        let sent = std::mem::replace(&mut self.sent, self.asked.len());
        self.asked.iter_mut().skip(sent)
    }

    /// The connection broke: what was sent is to be sent again, or given up.
    pub(super) fn interrupt(&mut self, comes_back: ComesBack, now: Instant) {
        self.sent = 0;
        let asked = std::mem::take(&mut self.asked);
        for mut asked in asked {
            asked.is_repeated = asked.sent.is_some();
            let is_safe = match (&asked.question, asked.sent) {
                (Question::Log(_) | Question::Who, _) => false,
                (_, None) => true,
                (Question::Callers(nature, _), Some(sent)) => match nature {
                    Nature::Say => comes_back == ComesBack::AsItself && sent + REPEATED_FOR > now,
                    Nature::Query | Nature::Join | Nature::Leave => true,
                    Nature::Once | Nature::Nick | Nature::Quit => false,
                },
            };
            if is_safe {
                self.asked.push_back(asked);
            } else {
                asked.give_up();
            }
        }
    }

    /// There is no connection, and the next one is under another nick: messages that were sent can't be repeated.
    pub(super) fn give_up_messages(&mut self) {
        for asked in std::mem::take(&mut self.asked) {
            let is_message = matches!(asked.question, Question::Callers(Nature::Say, _));
            if is_message && asked.is_repeated {
                asked.give_up();
            } else {
                self.asked.push_back(asked);
            }
        }
    }

    /// There will be no answers any more.
    pub(super) fn close(&mut self) {
        self.sent = 0;
        for asked in std::mem::take(&mut self.asked) {
            if let Question::Callers(_, done) = asked.question {
                let error = match asked.sent {
                    Some(_) => AskError::Interrupted,
                    None => AskError::Closed,
                };
                drop(done.send(Err(error)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a message that was sent and not answered is repeated.
    fn repeats(comes_back: ComesBack, after: Duration) -> bool {
        let sent = Instant::now();
        let (done, mut answer) = oneshot::channel();
        let mut unanswered = Unanswered::default();
        unanswered.push(Asked {
            id: 1,
            request: Box::new(Request::new("say")),
            question: Question::Callers(Nature::Say, done),
            sent: Some(sent),
            is_repeated: false,
        });
        unanswered.interrupt(comes_back, sent + after);
        let is_kept = unanswered.len() == 1;
        let told = answer.try_recv();
        assert_eq!(is_kept, told != Ok(Err(AskError::Interrupted)));
        is_kept
    }

    #[test]
    fn a_message_is_repeated_only_where_the_server_knows_its_key() {
        assert!(repeats(ComesBack::AsItself, Duration::from_secs(1)));
        assert!(!repeats(ComesBack::AsItself, REPEATED_FOR));
        assert!(!repeats(ComesBack::AsGuest, Duration::from_secs(1)));
    }
}
