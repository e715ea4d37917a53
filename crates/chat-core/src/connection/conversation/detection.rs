//! Decides which dialect a connection speaks.
//!
//! Invariant: no input is taken for a message before the first line, or silence, has decided the dialect.

use crate::connection::conversation::{Conversation, Facts, Next, State};
use crate::connection::dialects::{Dialects, Fallback};
use crate::event::CloseReason;
use crate::protocol::{Detected, Detection};

impl Conversation {
    /// Selects the dialect if there is enough input. Returns what the connection must do; `None` if there is not enough
    /// input, or if nothing must be done.
    pub(super) fn detect(&mut self, facts: &Facts<'_>) -> Option<Next> {
        let prefix = self.framing.prefix();
        let is_empty = prefix.is_empty();
        let is_line = prefix.contains(&b'\n') || prefix.contains(&b'\0');
        let length = self.framing.raw_prefix().unwrap_or(prefix).len();
        let is_over = facts.has_ended || length >= facts.limits.prefix_bytes.get();
        let choice = match self.choose_raw(facts) {
            found @ Detection::Found(_) => found,
            Detection::NeedMore if !is_over => Detection::NeedMore,
            _ if self.framing.has_answers() => {
                return Some(Next::Send(self.framing.take_answers()));
            }
            _ if is_empty && !is_over => Detection::NotFound,
            _ => choose(facts.dialects, prefix, facts.has_ended),
        };
        match choice {
            Detection::NeedMore if facts.has_ended => {
                // The stream ended within the opening of another protocol. Such input is not chat, so it is dropped.
                self.framing.discard();
                return Some(self.close(CloseReason::Disconnected));
            }
            Detection::Found(opening) => return Some(self.open(opening, facts)),
            Detection::NeedMore if !is_over => {
                self.set_needs_more(true);
                return None;
            }
            Detection::NeedMore | Detection::NotFound => self.set_needs_more(false),
        }
        if !is_line && !is_over {
            return None;
        }
        if facts.has_ended && is_empty && !self.has_session() {
            return Some(self.close(CloseReason::Disconnected));
        }
        self.decide_plain(facts)
    }

    /// Selects the dialect after silence has ended the first message.
    pub(super) fn detect_last(&mut self, facts: &Facts<'_>) -> Option<Next> {
        let choice = match self.choose_raw(facts) {
            found @ Detection::Found(_) => found,
            Detection::NeedMore | Detection::NotFound => {
                facts.dialects.choose(self.framing.prefix())
            }
        };
        match choice {
            Detection::Found(opening) => Some(self.open(opening, facts)),
            Detection::NeedMore | Detection::NotFound => self.decide_plain(facts),
        }
    }

    /// If telnet commands or byte-order marks were removed from the input, asks the detectors about the original bytes.
    fn choose_raw(&self, facts: &Facts<'_>) -> Detection {
        let raw = self.framing.raw_prefix();
        raw.map_or(Detection::NotFound, |raw| facts.dialects.choose_raw(raw))
    }

    /// Selects the default dialect. A peer that was already greeted keeps its session.
    fn decide_plain(&mut self, facts: &Facts<'_>) -> Option<Next> {
        if self.has_session() {
            self.state = State::Talking;
            let answers = self.framing.decide_lines();
            return (!answers.is_empty()).then_some(Next::Send(answers));
        }
        let (Fallback::Plain(dialect) | Fallback::Other(dialect)) = facts.dialects.fallback();
        Some(self.open(Detected::Dialect(dialect), facts))
    }

    /// Applies what a detector has found. The time limit for registering begins at the connection's start, or now if
    /// the peer was already greeted.
    pub(super) fn open(&mut self, opening: Detected, facts: &Facts<'_>) -> Next {
        match opening {
            Detected::Refused(answer) => {
                // The peer speaks no supported dialect, so nothing more is sent, not even a goodbye.
                self.dialect = None;
                self.state = State::Closing;
                Next::Refuse(answer)
            }
            Detected::Dialect(dialect) => {
                if let State::Detecting {
                    opened, is_greeted, ..
                } = self.state
                {
                    let opened = if is_greeted { facts.now } else { opened };
                    self.state = State::Registering { opened };
                }
                Next::Begin(dialect)
            }
            // No protocol can take over the stream here, because some of its bytes were already processed.
            Detected::TakeOver(_) => self.close(CloseReason::Refused),
        }
    }

    fn set_needs_more(&mut self, needs_more: bool) {
        if let State::Detecting {
            needs_more: state, ..
        } = &mut self.state
        {
            *state = needs_more;
        }
    }
}

fn choose(dialects: &Dialects, prefix: &[u8], has_ended: bool) -> Detection {
    let choice = if has_ended {
        dialects.choose_last(prefix)
    } else {
        dialects.choose(prefix)
    };
    // A program that ends its lines with a NUL is recognised by the bytes before the NUL.
    match (choice, ends_with_nul(prefix)) {
        (Detection::Found(opening), _) => Detection::Found(opening),
        (choice, Some(line)) => match dialects.choose_last(line) {
            Detection::Found(opening) => Detection::Found(opening),
            Detection::NeedMore | Detection::NotFound => choice,
        },
        (choice, None) => choice,
    }
}

/// Returns the first line if a NUL ends it.
fn ends_with_nul(prefix: &[u8]) -> Option<&[u8]> {
    let end = prefix
        .iter()
        .position(|&byte| matches!(byte, b'\n' | b'\0'))?;
    (prefix[end] == b'\0').then(|| &prefix[..end])
}
