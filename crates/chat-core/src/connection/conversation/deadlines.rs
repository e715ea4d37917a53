//! The deadlines of a connection, and what to do when one passes.
//!
//! Invariant: silence counts only while the connection reads from the peer, because only then can the peer end the
//! silence.

use crate::connection::conversation::{Conversation, Facts, Next, State};
use crate::connection::dialects::Fallback;
use crate::event::CloseReason;
use crate::limits::Limits;
use crate::protocol::Detected;
use bytes::BytesMut;
use tokio::time::Instant;

impl Conversation {
    /// Returns the time at which the connection must call [`on_time`](Self::on_time), if nothing else wakes it before.
    /// `None` if there is no deadline.
    pub(in crate::connection) fn next_deadline(
        &self,
        limits: &Limits,
        must_catch_up: bool,
    ) -> Option<Instant> {
        [
            self.greeting_deadline(limits),
            self.registration_deadline(limits),
            self.silence_deadline(limits, must_catch_up),
            self.heartbeat.map(|beat| beat.deadline(limits)),
            self.framing.item_deadline(limits.line_timeout),
            self.pace.paused_until(),
            self.reply_deadline(limits),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Handles one deadline that has passed, and returns what the connection must do. Returns [`Next::Wait`] if no
    /// deadline has passed.
    pub(in crate::connection) fn on_time(&mut self, facts: &Facts<'_>) -> Next {
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= facts.now);
        if self.pace.resume(facts.now) {
            return self.next(facts);
        }
        if is_due(self.silence_deadline(facts.limits, facts.must_catch_up)) {
            return self.on_silence(facts);
        }
        if is_due(self.framing.item_deadline(facts.limits.line_timeout)) {
            self.pace.take_token(facts.now);
            return Next::GiveUp(self.framing.give_up());
        }
        if is_due(self.reply_deadline(facts.limits)) {
            return Next::AnswerOwed;
        }
        let beats_at = self.heartbeat.map(|beat| beat.deadline(facts.limits));
        if is_due(beats_at) {
            return self.ask_for_life();
        }
        if is_due(self.registration_deadline(facts.limits)) {
            return self.close(CloseReason::NotRegistered);
        }
        if is_due(self.greeting_deadline(facts.limits)) {
            return match facts.dialects.fallback() {
                // The peer may be a person who waits for a greeting, or a program that speaks late. So the peer is
                // greeted, but its first bytes can still select another dialect.
                Fallback::Plain(plain) => Next::Begin(plain),
                Fallback::Other(dialect) => self.open(Detected::Dialect(dialect), facts),
            };
        }
        Next::Wait
    }

    /// Returns the time at which the connection selects the default dialect for a peer that has not selected a dialect.
    /// Returns `None` if the peer has a dialect or was greeted.
    fn greeting_deadline(&self, limits: &Limits) -> Option<Instant> {
        match self.state {
            State::Detecting {
                opened,
                needs_more,
                is_greeted: false,
            } => Some(
                opened
                    + match self.framing.has_pending() || needs_more {
                        false => limits.greet_after,
                        true => limits.prefix_timeout,
                    },
            ),
            _ => None,
        }
    }

    /// Returns the time by which the peer must have registered. Returns `None` if the peer does not have to register or
    /// has registered, or while the connection makes the peer wait.
    fn registration_deadline(&self, limits: &Limits) -> Option<Instant> {
        if self.pace.paused_until().is_some() || self.deferred.is_some() {
            return None;
        }
        match self.state {
            State::Registering { opened } => Some(opened + limits.registration_timeout),
            _ => None,
        }
    }

    /// Returns the time at which the connection replies to the last published message even if the message was not
    /// delivered. `None` if no reply is missing.
    fn reply_deadline(&self, limits: &Limits) -> Option<Instant> {
        let owed = self.owed.as_ref();
        owed.map(|owed| owed.since + limits.stall_timeout)
    }

    /// Returns the time at which silence will end the unfinished message; `None` if silence does not end it.
    fn silence_deadline(&self, limits: &Limits, must_catch_up: bool) -> Option<Instant> {
        if self.is_held_up || self.is_paused() || must_catch_up {
            return None;
        }
        let deadline = self.framing.silence_deadline(limits)?;
        Some(match self.state {
            State::Detecting {
                opened,
                needs_more: true,
                ..
            } => deadline.max(opened + limits.prefix_timeout),
            _ => deadline,
        })
    }

    /// Takes the peer's unfinished message after the peer was silent for long enough, and processes it.
    fn on_silence(&mut self, facts: &Facts<'_>) -> Next {
        if self.is_detecting()
            && let Some(next) = self.detect_last(facts)
        {
            // The connection greets the peer before it processes the peer's first message.
            return next;
        }
        let (inbound, delimiter) = self.framing.next_silent();
        if inbound.is_some() {
            self.pace.take_token(facts.now);
        }
        if let Some(delimiter) = delimiter {
            if let Some(dialect) = &mut self.dialect {
                dialect.set_delimiter(delimiter);
            }
            return Next::Delimited(inbound);
        }
        inbound.map_or(Next::Wait, Next::Item)
    }

    /// Asks a silent peer whether it is still there. Closes the connection if the peer was asked before.
    fn ask_for_life(&mut self) -> Next {
        let asks = self.heartbeat.as_mut().is_some_and(|beat| beat.ask());
        if !asks {
            return self.close(CloseReason::Silent);
        }
        let mut out = BytesMut::new();
        if let Some(dialect) = &mut self.dialect {
            dialect.ping(&mut out);
        }
        Next::Ping(out)
    }
}
