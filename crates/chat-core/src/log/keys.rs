//! Remembers which message was published under which key, so that a client can safely repeat a message.
//!
//! Invariant: while a key is remembered, its owner can publish at most one message under the key. A key is remembered
//! for [`Limits::key_lifetime`](crate::Limits::key_lifetime), or until too many later keys displace the key. The owner
//! of a key is the client's token, or the session if the client has no token. The owner is never a nick, because
//! another client may take the nick. The hub claims a key before it appends the message. When the append ends, the key
//! is remembered or released, even if the connection has ended by then.

use crate::limits::Limits;
use crate::log::batch::Batch;
use crate::log::journal::BatchSlice;
use crate::log::key::{Key, Owner};
use crate::log::position::Seq;
use crate::name::RoomName;
use crate::sync::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The keys under which messages were published lately, or are being published now.
#[derive(Debug)]
pub(crate) struct Keys {
    lifetime: Duration,
    per_owner: usize,
    total: usize,
    known: Mutex<Known>,
    /// Notified when a claim ends: its key is now remembered, or was released.
    settled: Notify,
}

#[derive(Debug, Default)]
struct Known {
    by_owner: HashMap<Owner, OfOwner>,
    /// The keys of published messages, oldest first. Each entry has the time of the message and the owner of the key.
    /// An entry is out of date if its owner has forgotten the key, or has used the key again later.
    said: VecDeque<(Instant, Owner, Key)>,
    /// The number of entries of `said` whose keys are still remembered.
    remembered: usize,
}

#[derive(Debug, Default)]
struct OfOwner {
    states: HashMap<Key, State>,
    said: VecDeque<Key>,
}

#[derive(Debug)]
enum State {
    /// A message is being published under the key.
    Pending,
    /// A message was published under the key. The values are the time when the message was recorded, and the message.
    Said(Instant, Said),
}

/// The message that was published under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) room: RoomName,
    pub(crate) seq: Seq,
}

/// The result of claiming a key.
#[derive(Debug)]
pub(crate) enum Claimed {
    /// No message is remembered under the key, so the caller may publish one.
    New(Claim),
    /// Another call is publishing a message under the key. The caller can wait for [`Keys::settled`] and try again.
    Pending,
    /// A message was published under the key before. The value is that message.
    Already(Said),
}

/// The right to publish a message under a key. Dropping the claim releases the key, unless a message was recorded for
/// the key.
#[derive(Debug)]
pub(crate) struct Claim {
    keys: Arc<Keys>,
    owner: Owner,
    key: Key,
    /// The index of the message in the batch that will be appended.
    index: usize,
}

impl Keys {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            lifetime: limits.key_lifetime,
            per_owner: limits.keys_per_nick.get(),
            total: limits.keys.get(),
            known: Mutex::default(),
            settled: Notify::new(),
        }
    }

    /// Claims a key for the message that will have this index in its batch.
    pub(crate) fn claim(self: &Arc<Self>, owner: Owner, key: &Key, index: usize) -> Claimed {
        let mut known = self.known.lock();
        known.forget(self.total, Instant::now().checked_sub(self.lifetime));
        let of_owner = known.by_owner.entry(owner).or_default();
        match of_owner.states.get(key) {
            Some(State::Pending) => return Claimed::Pending,
            Some(State::Said(_, said)) => return Claimed::Already(said.clone()),
            None => of_owner.states.insert(key.clone(), State::Pending),
        };
        Claimed::New(Claim {
            keys: Arc::clone(self),
            owner,
            key: key.clone(),
            index,
        })
    }

    /// Claims a key for a message that is published alone. If another call is publishing a message under the key, waits
    /// for that call's result. If a message was published under the key before, returns that message as the error.
    ///
    /// Cancel safe.
    pub(crate) async fn claim_settled(
        self: &Arc<Self>,
        owner: Owner,
        key: &Key,
    ) -> Result<Claim, Said> {
        loop {
            match self.claim(owner, key, 0) {
                Claimed::New(claim) => return Ok(claim),
                Claimed::Already(said) => return Err(said),
                Claimed::Pending => self.settled(|| self.is_pending(owner, key)).await,
            }
        }
    }

    /// Returns the message that was published under a key; `None` if the key is not remembered.
    pub(crate) fn said(&self, owner: Owner, key: &Key) -> Option<Said> {
        let mut known = self.known.lock();
        known.forget(self.total, Instant::now().checked_sub(self.lifetime));
        match known.by_owner.get(&owner)?.states.get(key)? {
            State::Said(_, said) => Some(said.clone()),
            State::Pending => None,
        }
    }

    /// Records the message that was published under a key before this process began.
    pub(crate) fn remember(self: &Arc<Self>, owner: Owner, key: &Key, said: Said) {
        if let Claimed::New(claim) = self.claim(owner, key, 0) {
            claim.settle_as(said);
        }
    }

    /// Waits until a claim of any key ends. Returns at once if `is_pending` returns false.
    pub(crate) async fn settled(&self, is_pending: impl FnOnce() -> bool) {
        let mut settled = std::pin::pin!(self.settled.notified());
        // `enable` registers the waiter before the check, so that no notification is lost in between.
        settled.as_mut().enable();
        if is_pending() {
            settled.await;
        }
    }

    /// Returns whether another call is publishing a message under a key.
    pub(crate) fn is_pending(&self, owner: Owner, key: &Key) -> bool {
        let known = self.known.lock();
        let state = known.by_owner.get(&owner).and_then(|of| of.states.get(key));
        matches!(state, Some(State::Pending))
    }
}

impl Claim {
    /// Records which message of `batch` was published under the key.
    pub(crate) fn settle(self, batch: &Batch) {
        if let Some(seq) = batch.seq(self.index) {
            let room = batch.room().clone();
            self.settle_as(Said { room, seq });
        }
    }

    /// Records that the log already has a message under the key, at this position.
    pub(crate) fn settle_at(self, room: RoomName, seq: Seq) {
        self.settle_as(Said { room, seq });
    }

    /// Records the message that was published under the key, if these slices hold the message. Otherwise releases the
    /// key.
    pub(crate) fn settle_if_in(self, slices: &[BatchSlice]) {
        let found = slices.iter().rev().find_map(|BatchSlice { batch, range }| {
            let seq = batch.place_of(range.clone(), &self.key, self.owner)?;
            let room = batch.room().clone();
            Some(Said { room, seq })
        });
        if let Some(said) = found {
            self.settle_as(said);
        }
    }

    fn settle_as(self, said: Said) {
        let now = Instant::now();
        let mut known = self.keys.known.lock();
        known.said.push_back((now, self.owner, self.key.clone()));
        if let Some(of_owner) = known.by_owner.get_mut(&self.owner) {
            of_owner
                .states
                .insert(self.key.clone(), State::Said(now, said));
            of_owner.said.push_back(self.key.clone());
            if of_owner.said.len() > self.keys.per_owner {
                of_owner.forget_oldest();
            } else {
                known.remembered += 1;
            }
        }
        known.forget(self.keys.total, None);
        // The key is no longer pending, so dropping `self` does not release the key. The drop wakes the tasks that wait
        // for the key.
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut known = self.keys.known.lock();
        if let Some(of_owner) = known.by_owner.get_mut(&self.owner) {
            if matches!(of_owner.states.get(&self.key), Some(State::Pending)) {
                of_owner.states.remove(&self.key);
            }
            if of_owner.states.is_empty() {
                known.by_owner.remove(&self.owner);
            }
        }
        drop(known);
        self.keys.settled.notify_waiters();
    }
}

impl Known {
    /// Forgets all entries from before `horizon`. Then forgets the oldest entries until at most `total` entries are
    /// remembered.
    fn forget(&mut self, total: usize, horizon: Option<Instant>) {
        while let Some(entry) = self.said.front()
            && (self.remembered > total
                || horizon.is_some_and(|horizon| entry.0 <= horizon)
                || !is_remembered(&self.by_owner, entry))
        {
            let Some(entry) = self.said.pop_front() else {
                return;
            };
            let is_remembered = is_remembered(&self.by_owner, &entry);
            let (_, owner, _) = entry;
            let Some(of_owner) = self.by_owner.get_mut(&owner) else {
                continue;
            };
            if is_remembered {
                // The owner's queue has the same order as `said`, so the queue's oldest key is the key of this entry.
                of_owner.forget_oldest();
                self.remembered -= 1;
            }
            if of_owner.states.is_empty() {
                self.by_owner.remove(&owner);
            }
        }
        if self.said.len() > 2 * total {
            // Removes the entries that are out of date, so that `said` stays bounded.
            let Self { by_owner, said, .. } = self;
            said.retain(|entry| is_remembered(by_owner, entry));
        }
    }
}

/// Returns whether an entry of `said` is up to date. An entry is out of date once its key was forgotten, or was used
/// again later.
fn is_remembered(
    by_owner: &HashMap<Owner, OfOwner>,
    (at, owner, key): &(Instant, Owner, Key),
) -> bool {
    by_owner.get(owner).is_some_and(|of_owner| {
        matches!(of_owner.states.get(key), Some(State::Said(said_at, _)) if said_at == at)
    })
}

impl OfOwner {
    fn forget_oldest(&mut self) {
        if let Some(key) = self.said.pop_front() {
            self.states.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::drafts::Drafts;
    use crate::log::key::{KeyError, TokenDigest};
    use crate::log::kind::Kind;
    use crate::log::position::{SessionId, Timestamp};
    use crate::name::Nick;
    use std::num::NonZeroUsize;

    const ALICE: Owner = Owner::Session(SessionId(1));
    const BOB: Owner = Owner::Token(TokenDigest::new([7; 16]));

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

    fn say(keys: &Arc<Keys>, owner: Owner, text: &str, seq: u64) {
        match keys.claim(owner, &key(text), 0) {
            Claimed::New(claim) => claim.settle(&batch(seq)),
            other => panic!("{text} of {owner:?}: {other:?}"),
        }
    }

    fn said(keys: &Arc<Keys>, owner: Owner, text: &str) -> Option<u64> {
        match keys.claim(owner, &key(text), 0) {
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

    #[test]
    fn a_digest_is_kept_as_text_and_not_shown() {
        let digest = TokenDigest::new([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 0xab, 0xff]);
        let mut text = String::new();
        digest.write(&mut text);
        assert_eq!(text, "000102030405060708090a0b0c0dabff");
        assert_eq!(TokenDigest::parse(&text), Some(digest));
        for bad in ["", &text[1..], &text.replace("00", "+0")] {
            assert_eq!(TokenDigest::parse(bad), None, "{bad}");
        }
        assert!(!format!("{digest:?}").contains(|c: char| c.is_ascii_digit()));
    }

    #[tokio::test]
    async fn a_key_is_said_once_and_each_owner_has_its_own() {
        let keys = keys(8, 8);
        say(&keys, ALICE, "k", 7);
        assert_eq!(said(&keys, ALICE, "k"), Some(7));
        assert_eq!(said(&keys, BOB, "k"), None);
    }

    #[tokio::test]
    async fn a_claim_that_is_dropped_gives_its_key_back() {
        let keys = keys(8, 8);
        let claimed = keys.claim(ALICE, &key("k"), 0);
        assert!(matches!(keys.claim(ALICE, &key("k"), 0), Claimed::Pending));
        assert!(keys.is_pending(ALICE, &key("k")));
        drop(claimed);
        assert!(!keys.is_pending(ALICE, &key("k")));
        say(&keys, ALICE, "k", 1);
    }

    #[tokio::test]
    async fn the_oldest_keys_are_forgotten_first() {
        let keys = keys(2, 3);
        for (seq, text) in ["a", "b", "c"].iter().enumerate() {
            say(&keys, ALICE, text, seq as u64);
        }
        assert_eq!(said(&keys, ALICE, "a"), None);
        assert_eq!(said(&keys, ALICE, "b"), Some(1));
        say(&keys, BOB, "x", 10);
        say(&keys, BOB, "y", 11);
        assert_eq!(said(&keys, ALICE, "b"), None, "beyond the total");
        assert_eq!(said(&keys, ALICE, "c"), Some(2));
        assert_eq!(said(&keys, BOB, "x"), Some(10));
    }

    #[tokio::test]
    async fn one_that_says_much_under_keys_takes_no_others_keys() {
        let keys = keys(2, 8);
        say(&keys, BOB, "b", 1);
        for seq in 0..100 {
            say(&keys, ALICE, &format!("a{seq}"), seq);
        }
        assert_eq!(said(&keys, BOB, "b"), Some(1));
        assert_eq!(said(&keys, ALICE, "a99"), Some(99));
        let known = keys.known.lock();
        assert_eq!(known.remembered, 3);
        assert!(known.said.len() <= 16, "{} entries", known.said.len());
    }

    #[tokio::test(start_paused = true)]
    async fn keys_are_forgotten_after_their_lifetime_and_leave_nothing_behind() {
        let keys = keys(8, 8);
        say(&keys, ALICE, "k", 1);
        tokio::time::advance(Duration::from_secs(599)).await;
        assert_eq!(said(&keys, ALICE, "k"), Some(1));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(said(&keys, ALICE, "k"), None);
        let known = keys.known.lock();
        assert!(known.by_owner.is_empty() && known.said.is_empty());
    }
}
