//! The client's own messages, among those that come.
//!
//! Invariant: a message is taken for the client's own only if it bears a key that this client has given and not seen
//! again, and a nick that it has gone by: keys are shown to everybody in a room, so one alone proves nothing.

use std::collections::{HashSet, VecDeque};

/// How many own messages may be said and not seen.
const UNSEEN_MAX: usize = 4096;

/// How many nicks are remembered.
const NICKS_MAX: usize = 8;

#[derive(Debug)]
pub(super) struct Own {
    /// What the keys begin with.
    prefix: String,
    next: u64,
    unseen: HashSet<String>,
    order: VecDeque<String>,
    nicks: VecDeque<String>,
}

impl Own {
    pub(super) fn new() -> Self {
        Self {
            prefix: (0..8).map(|_| fastrand::alphanumeric()).collect::<String>() + "-",
            next: 1,
            unseen: HashSet::new(),
            order: VecDeque::new(),
            nicks: VecDeque::new(),
        }
    }

    /// A key for the next message.
    pub(super) fn key(&mut self) -> String {
        let key = format!("{}{}", self.prefix, self.next);
        self.next += 1;
        self.unseen.insert(key.clone());
        self.order.push_back(key.clone());
        // Those that were seen are still in the order; they go first.
        while self.order.len() > UNSEEN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.unseen.remove(&oldest);
        }
        key
    }

    /// The client goes by this nick, or is about to.
    pub(super) fn goes_by(&mut self, nick: &str) {
        if self.nicks.back().is_some_and(|last| last == nick) {
            return;
        }
        self.nicks.push_back(nick.to_owned());
        if self.nicks.len() > NICKS_MAX {
            self.nicks.pop_front();
        }
    }

    /// Whether a message that came is the client's own; counts as seen.
    pub(super) fn sees(&mut self, key: &str, from: &str) -> bool {
        self.nicks.iter().any(|nick| nick == from) && self.unseen.remove(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_alone_makes_no_message_the_clients_own() {
        let mut own = Own::new();
        own.goes_by("alice");
        let key = own.key();
        assert!(!own.sees(&key, "bob"), "somebody else uses it");
        assert!(own.sees(&key, "alice"));
        assert!(!own.sees(&key, "alice"), "it is said once");
        assert!(!own.sees("other-1", "alice"), "from another client of hers");
    }

    #[test]
    fn what_is_never_seen_is_forgotten_some_time() {
        let mut own = Own::new();
        own.goes_by("alice");
        let keys: Vec<_> = (0..=UNSEEN_MAX).map(|_| own.key()).collect();
        assert_eq!(own.unseen.len(), UNSEEN_MAX);
        assert!(!own.sees(&keys[0], "alice") && own.sees(&keys[1], "alice"));
    }
}
