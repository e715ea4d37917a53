//! What has been said under which key, so that saying it again is safe.
//!
//! Invariant: while it is remembered, one key of one nick is said at most once. It is remembered for
//! [`Limits::key_lifetime`](crate::Limits::key_lifetime), or until too many others have come after it.
//! A key is claimed before its message is appended, and the claim settles or lapses with the append, whatever becomes
//! of the connection.

use crate::batch::{Batch, Seq};
use crate::limits::Limits;
use crate::name::RoomName;
use crate::sync::Mutex;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The longest key in bytes.
const KEY_BYTES_MAX: usize = 64;

/// A name that an author gives to one message, to tell a repetition from a new one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key(Arc<str>);

/// The text can't be a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyError;

impl Key {
    pub(crate) fn parse(text: &str) -> Result<Self, KeyError> {
        let is_short = (1..=KEY_BYTES_MAX).contains(&text.len());
        if is_short && crate::text::clean(text) == text {
            Ok(Self(text.into()))
        } else {
            Err(KeyError)
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a key is 1 to {KEY_BYTES_MAX} bytes without control characters"
        )
    }
}

impl std::error::Error for KeyError {}

/// The keys under which something was said lately, or is being said.
#[derive(Debug)]
pub(crate) struct Keys {
    lifetime: Duration,
    per_nick: usize,
    total: usize,
    known: Mutex<Known>,
    /// Notified when a claim has settled or lapsed.
    settled: Notify,
}

#[derive(Debug, Default)]
struct Known {
    by_nick: HashMap<Arc<str>, OfNick>,
    /// What was said, the oldest first. An entry may be older than the key's state if its nick has forgotten it.
    said: VecDeque<(Instant, Arc<str>, Key)>,
}

#[derive(Debug, Default)]
struct OfNick {
    states: HashMap<Key, State>,
    said: VecDeque<Key>,
}

#[derive(Debug)]
enum State {
    Pending,
    Said(Instant, Said),
}

/// What was said under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) room: RoomName,
    pub(crate) seq: Seq,
}

/// What a key is to somebody who wants to say something under it.
#[derive(Debug)]
pub(crate) enum Claimed {
    /// Nothing has been said under it.
    New(Claim),
    /// Something is being said under it: wait for [`Keys::settled`] and try again.
    Pending,
    /// This was said under it.
    Already(Said),
}

/// The right to say something under a key. Dropping it gives the key back.
#[derive(Debug)]
pub(crate) struct Claim {
    keys: Arc<Keys>,
    nick: Arc<str>,
    key: Key,
    /// Which message of its batch it is for.
    index: usize,
}

impl Keys {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            lifetime: limits.key_lifetime,
            per_nick: limits.keys_per_nick.get(),
            total: limits.keys.get(),
            known: Mutex::default(),
            settled: Notify::new(),
        }
    }

    /// Claims a key for the message with this number within its batch. `nick` is folded.
    pub(crate) fn claim(self: &Arc<Self>, nick: &str, key: &Key, index: usize) -> Claimed {
        let mut known = self.known.lock();
        known.forget(self.total, Instant::now().checked_sub(self.lifetime));
        let nick = match known.by_nick.get_key_value(nick) {
            Some((nick, _)) => Arc::clone(nick),
            None => nick.into(),
        };
        let of_nick = known.by_nick.entry(Arc::clone(&nick)).or_default();
        match of_nick.states.get(key) {
            Some(State::Pending) => return Claimed::Pending,
            Some(State::Said(_, said)) => return Claimed::Already(said.clone()),
            None => of_nick.states.insert(key.clone(), State::Pending),
        };
        Claimed::New(Claim {
            keys: Arc::clone(self),
            nick,
            key: key.clone(),
            index,
        })
    }

    /// What was said under a key. `nick` is folded.
    pub(crate) fn said(&self, nick: &str, key: &Key) -> Option<Said> {
        let mut known = self.known.lock();
        known.forget(self.total, Instant::now().checked_sub(self.lifetime));
        match known.by_nick.get(nick)?.states.get(key)? {
            State::Said(_, said) => Some(said.clone()),
            State::Pending => None,
        }
    }

    /// Remembers what was said under a key before this process began. `nick` is folded.
    pub(crate) fn remember(self: &Arc<Self>, nick: &str, key: &Key, said: Said) {
        if let Claimed::New(claim) = self.claim(nick, key, 0) {
            claim.settle_as(said);
        }
    }

    /// Waits until some claim has settled or lapsed, unless `is_pending` says that there is no need to.
    pub(crate) async fn settled(&self, is_pending: impl FnOnce() -> bool) {
        let mut settled = std::pin::pin!(self.settled.notified());
        // Listens first and looks then, so that it can't fall between.
        settled.as_mut().enable();
        if is_pending() {
            settled.await;
        }
    }

    /// Whether something is being said under a key. `nick` is folded.
    pub(crate) fn is_pending(&self, nick: &str, key: &Key) -> bool {
        let known = self.known.lock();
        let state = known.by_nick.get(nick).and_then(|of| of.states.get(key));
        matches!(state, Some(State::Pending))
    }
}

impl Claim {
    /// Remembers what was said under the key.
    pub(crate) fn settle(self, batch: &Batch) {
        if let Some(seq) = batch.seq(self.index) {
            let room = batch.room().clone();
            self.settle_as(Said { room, seq });
        }
    }

    fn settle_as(self, said: Said) {
        let now = Instant::now();
        let mut known = self.keys.known.lock();
        known
            .said
            .push_back((now, Arc::clone(&self.nick), self.key.clone()));
        if let Some(of_nick) = known.by_nick.get_mut(&self.nick) {
            of_nick
                .states
                .insert(self.key.clone(), State::Said(now, said));
            of_nick.said.push_back(self.key.clone());
            if of_nick.said.len() > self.keys.per_nick {
                of_nick.forget_oldest();
            }
        }
        known.forget(self.keys.total, None);
        // Dropped, it finds that the key is no longer pending, and wakes who waits for it.
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut known = self.keys.known.lock();
        if let Some(of_nick) = known.by_nick.get_mut(&self.nick) {
            if matches!(of_nick.states.get(&self.key), Some(State::Pending)) {
                of_nick.states.remove(&self.key);
            }
            if of_nick.states.is_empty() {
                known.by_nick.remove(&self.nick);
            }
        }
        drop(known);
        self.keys.settled.notify_waiters();
    }
}

impl Known {
    /// Forgets the oldest beyond `total`, and what was said before `horizon`.
    fn forget(&mut self, total: usize, horizon: Option<Instant>) {
        while let Some((at, ..)) = self.said.front()
            && (self.said.len() > total || horizon.is_some_and(|horizon| *at <= horizon))
        {
            let Some((at, nick, key)) = self.said.pop_front() else {
                return;
            };
            let Some(of_nick) = self.by_nick.get_mut(&nick) else {
                continue;
            };
            // What a nick says is in the same order here and there.
            if matches!(of_nick.states.get(&key), Some(State::Said(said_at, _)) if *said_at == at)
                && of_nick.said.front() == Some(&key)
            {
                of_nick.forget_oldest();
            }
            if of_nick.states.is_empty() {
                self.by_nick.remove(&nick);
            }
        }
    }
}

impl OfNick {
    fn forget_oldest(&mut self) {
        if let Some(key) = self.said.pop_front() {
            self.states.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Drafts, Kind, SessionId, Timestamp};
    use crate::name::Nick;
    use std::num::NonZeroUsize;

    fn keys(per_nick: usize, total: usize) -> Arc<Keys> {
        let limits = Limits {
            keys_per_nick: NonZeroUsize::new(per_nick).unwrap(),
            keys: NonZeroUsize::new(total).unwrap(),
            ..Limits::default()
        };
        Arc::new(Keys::new(&limits))
    }

    fn key(text: &str) -> Key {
        Key::parse(text).unwrap()
    }

    fn batch(seq: u64) -> Batch {
        let mut drafts = Drafts::new(SessionId(1), Nick::parse("alice").unwrap(), Timestamp(0));
        drafts.push(Kind::Said, "hello");
        drafts.number(RoomName::parse("ops").unwrap(), [Seq(seq)])
    }

    fn say(keys: &Arc<Keys>, nick: &str, text: &str, seq: u64) {
        match keys.claim(nick, &key(text), 0) {
            Claimed::New(claim) => claim.settle(&batch(seq)),
            other => panic!("{text} of {nick}: {other:?}"),
        }
    }

    fn said(keys: &Arc<Keys>, nick: &str, text: &str) -> Option<u64> {
        match keys.claim(nick, &key(text), 0) {
            Claimed::Already(said) => Some(said.seq.0),
            Claimed::New(_) | Claimed::Pending => None,
        }
    }

    #[test]
    fn a_key_is_one_to_64_visible_bytes() {
        for bad in ["", "a\nb", "\x1b", &"x".repeat(65)] {
            assert_eq!(Key::parse(bad), Err(KeyError), "{bad:?}");
        }
        assert!(Key::parse(&"x".repeat(64)).is_ok());
    }

    #[tokio::test]
    async fn a_key_is_said_once_and_each_nick_has_its_own() {
        let keys = keys(8, 8);
        say(&keys, "alice", "k", 7);
        assert_eq!(said(&keys, "alice", "k"), Some(7));
        assert_eq!(said(&keys, "bob", "k"), None);
    }

    #[tokio::test]
    async fn a_claim_that_is_dropped_gives_its_key_back() {
        let keys = keys(8, 8);
        let claimed = keys.claim("alice", &key("k"), 0);
        assert!(matches!(
            keys.claim("alice", &key("k"), 0),
            Claimed::Pending
        ));
        assert!(keys.is_pending("alice", &key("k")));
        drop(claimed);
        assert!(!keys.is_pending("alice", &key("k")));
        say(&keys, "alice", "k", 1);
    }

    #[tokio::test]
    async fn the_oldest_keys_are_forgotten_first() {
        let keys = keys(2, 3);
        for (seq, text) in ["a", "b", "c"].iter().enumerate() {
            say(&keys, "alice", text, seq as u64);
        }
        assert_eq!(said(&keys, "alice", "a"), None);
        assert_eq!(said(&keys, "alice", "b"), Some(1));
        say(&keys, "bob", "x", 10);
        say(&keys, "bob", "y", 11);
        assert_eq!(said(&keys, "alice", "b"), None, "beyond the total");
        assert_eq!(said(&keys, "alice", "c"), Some(2));
        assert_eq!(said(&keys, "bob", "x"), Some(10));
    }

    #[tokio::test(start_paused = true)]
    async fn keys_are_forgotten_after_their_lifetime_and_leave_nothing_behind() {
        let keys = keys(8, 8);
        say(&keys, "alice", "k", 1);
        tokio::time::advance(Duration::from_secs(599)).await;
        assert_eq!(said(&keys, "alice", "k"), Some(1));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(said(&keys, "alice", "k"), None);
        let known = keys.known.lock();
        assert!(known.by_nick.is_empty() && known.said.is_empty());
    }
}
