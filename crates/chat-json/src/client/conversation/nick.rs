//! The nick: taken without a connection, refused, and asked for again.

use super::super::ask::{Ask, AskError, Nature};
use super::super::event::Event;
use super::{ANSWERS_WITHIN, Conversation};
use crate::wire::{self, Text};
use std::time::Duration;
use tokio::time::Instant;

impl Conversation {
    /// Without a connection a nick is only noted, for the next hello: then there is nothing more to ask.
    pub(super) fn note_nick(&mut self, ask: Ask) -> Option<Ask> {
        if ask.nature != Nature::Nick || self.has_begun {
            return Some(ask);
        }
        let nick = ask.request.nick.map(Text::into_string).unwrap_or_default();
        let named = wire::Named {
            nick: nick.as_str().into(),
        };
        let named = serde_json::to_string(&named);
        // Whoever asked may have gone.
        drop(
            ask.done
                .send(named.map_err(|error| AskError::Garbled(error.to_string()))),
        );
        if self.nick.as_deref() != Some(&nick) {
            if !self.is_known_by_token {
                // A server that has no tokens knows keys by the nick that they were used under.
                self.unanswered.give_up_messages();
            }
            let before = self.nick.replace(nick);
            self.nick_before.get_or_insert(before);
            self.has_nick = false;
        }
        None
    }

    /// The hello was refused. Returns whether another nick is asked for: the one before, if this one was taken without a
    /// connection; or a guest's, if the caller wants that and the nick is not the client's own of a moment ago.
    pub(in crate::client) fn falls_back(&mut self, error: &AskError, now: Instant) -> bool {
        let AskError::Refused { code, message, .. } = error else {
            return false;
        };
        if !NICK_FAULTS.contains(&code.as_str()) {
            return false;
        }
        let (code, message) = (code.clone(), message.clone());
        if let Some(before) = self.nick_before.take() {
            self.nick = before;
            self.tell(Event::Rejected { code, message });
            return true;
        }
        let Some(nick) = self.nick.clone().filter(|_| self.guest_if_refused) else {
            return false;
        };
        let since = *self.nick_refused_since.get_or_insert(now);
        // A server that knows tokens gives the client its own nick back at once.
        let may_be_own = self.has_nick && !self.is_known_by_token && code == NICK_TAKEN;
        if may_be_own && now < since + self.ping_after + ANSWERS_WITHIN + GHOST_SLACK {
            return false;
        }
        (self.nick, self.has_nick, self.nick_refused_since) = (None, false, None);
        if !self.is_known_by_token {
            // A server that has no tokens knows keys by the nick that they were used under.
            self.unanswered.give_up_messages();
        }
        self.tell(Event::NickRefused {
            nick,
            code,
            message,
        });
        true
    }
}

/// The codes of what can be wrong with a nick.
const NICK_FAULTS: [&str; 2] = [NICK_TAKEN, "bad_name"];
const NICK_TAKEN: &str = "nick_taken";

/// How much longer than the heartbeat says a server may take to end a broken connection of the client's own.
const GHOST_SLACK: Duration = Duration::from_secs(5);
