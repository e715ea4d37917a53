//! The nick of a client: how the caller sets a nick without a connection, and what happens if the server refuses a
//! nick.

use super::super::event::Event;
use super::super::request::{Call, RequestError, RequestKind};
use super::{ANSWERS_WITHIN, Conversation};
use crate::wire::{self, Text};
use std::time::Duration;
use tokio::time::Instant;

impl Conversation {
    /// Handles the caller's request for a nick if no hello was sent on this connection: sets the nick for the next
    /// hello, and answers the request. Returns any other request unchanged.
    pub(super) fn note_nick(&mut self, call: Call) -> Option<Call> {
        if call.kind != RequestKind::Nick || self.has_begun {
            return Some(call);
        }
        let nick = call.request.nick.map(Text::into_string).unwrap_or_default();
        let named = wire::Named {
            nick: nick.as_str().into(),
        };
        let named = serde_json::to_string(&named);
        // The send fails if the caller has dropped its future.
        drop(
            call.done
                .send(named.map_err(|error| RequestError::Garbled(error.to_string()))),
        );
        if self.nick.as_deref() != Some(&nick) {
            if !self.is_known_by_token {
                // A server without tokens recognises a repeated message only under the same nick.
                self.unanswered.give_up_messages();
            }
            let before = self.nick.replace(nick);
            self.nick_before.get_or_insert(before);
            self.has_nick = false;
        }
        None
    }

    /// Chooses another nick after the server refused the hello. Returns whether there is another nick to reconnect
    /// with.
    ///
    /// If the caller chose the refused nick while there was no connection, the client returns to its previous nick.
    /// Otherwise the client becomes a guest, if the caller allows guests. The client does not become a guest while a
    /// lost connection of its own may still hold the refused nick.
    pub(in crate::client) fn falls_back(&mut self, error: &RequestError, now: Instant) -> bool {
        let RequestError::Refused { code, message, .. } = error else {
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
        // Without a token, an earlier session of this client may still have the nick. With a token, the server gives
        // the client its own nick at once, so a taken nick belongs to another client.
        let may_be_own = self.has_nick && !self.is_known_by_token && code == NICK_TAKEN;
        if may_be_own && now < since + self.ping_after + ANSWERS_WITHIN + GHOST_SLACK {
            return false;
        }
        (self.nick, self.has_nick, self.nick_refused_since) = (None, false, None);
        if !self.is_known_by_token {
            // A server without tokens recognises a repeated message only under the same nick.
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

/// The codes with which a server refuses a nick.
const NICK_FAULTS: [&str; 2] = [NICK_TAKEN, "bad_name"];
const NICK_TAKEN: &str = "nick_taken";

/// A server ends a lost connection at most this long after the time limit for the answer to a ping.
const GHOST_SLACK: Duration = Duration::from_secs(5);
