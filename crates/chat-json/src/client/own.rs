//! Recognises the client's own messages among the messages that arrive.
//!
//! Invariant: a message is the client's own only if it has a nick that this client had, and a key that this client made
//! and has not seen in an earlier message. All members of a room see the keys, so a key alone proves nothing.

use std::collections::{HashSet, VecDeque};

/// The maximum number of keys of sent messages that the client remembers. A message whose key was forgotten counts as a
/// message of another client.
const UNSEEN_MAX: usize = 4096;

/// The maximum number of the client's own nicks that the client remembers.
const NICKS_MAX: usize = 8;

#[derive(Debug)]
pub(super) struct OwnMessages {
    /// The start of every key that this client makes.
    prefix: String,
    next: u64,
    /// The keys of messages that have not arrived from the server.
    unseen: HashSet<String>,
    /// The latest keys, oldest first, including the keys of messages that have arrived.
    order: VecDeque<String>,
    /// The nicks that the client had or requested, oldest first.
    nicks: VecDeque<String>,
}

impl OwnMessages {
    pub(super) fn new() -> Self {
        Self {
            prefix: (0..8).map(|_| fastrand::alphanumeric()).collect::<String>() + "-",
            next: 1,
            unseen: HashSet::new(),
            order: VecDeque::new(),
            nicks: VecDeque::new(),
        }
    }

    /// Makes a key for the next message.
    pub(super) fn key(&mut self) -> String {
        let key = format!("{}{}", self.prefix, self.next);
        self.next += 1;
        self.unseen.insert(key.clone());
        self.order.push_back(key.clone());
        // If the message of the oldest key has arrived, `unseen` no longer contains that key.
        while self.order.len() > UNSEEN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.unseen.remove(&oldest);
        }
        key
    }

    /// Adds a nick that the client has or has requested.
    pub(super) fn goes_by(&mut self, nick: &str) {
        if self.nicks.back().is_some_and(|last| last == nick) {
            return;
        }
        self.nicks.push_back(nick.to_owned());
        if self.nicks.len() > NICKS_MAX {
            self.nicks.pop_front();
        }
    }

    /// Returns whether a message is one of the client's own that the client has not seen yet. If so, marks its key as
    /// seen.
    pub(super) fn sees(&mut self, key: &str, from: &str) -> bool {
        self.nicks.iter().any(|nick| nick == from) && self.unseen.remove(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_alone_makes_no_message_the_clients_own() {
        let mut own = OwnMessages::new();
        own.goes_by("alice");
        let key = own.key();
        assert!(!own.sees(&key, "bob"), "somebody else uses it");
        assert!(own.sees(&key, "alice"));
        assert!(!own.sees(&key, "alice"), "it is said once");
        assert!(!own.sees("other-1", "alice"), "from another client of hers");
    }

    #[test]
    fn what_is_never_seen_is_forgotten_some_time() {
        let mut own = OwnMessages::new();
        own.goes_by("alice");
        let keys: Vec<_> = (0..=UNSEEN_MAX).map(|_| own.key()).collect();
        assert_eq!(own.unseen.len(), UNSEEN_MAX);
        assert!(!own.sees(&keys[0], "alice") && own.sees(&keys[1], "alice"));
    }
}
