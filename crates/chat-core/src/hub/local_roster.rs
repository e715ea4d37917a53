//! The roster of one process: a table of nicks, which answers at once.
//!
//! Invariant: a nick is claimed under both its key and its shape, or under neither, while one lock is held.

use crate::hub::roster::{
    Claimed, IfTaken, NickClaim, NickError, NickKeys, Roster, RosterCommand, TellError,
};
use crate::log::{Account, SessionId, TokenDigest};
use crate::name::Nick;
use crate::sync::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// Keeps the owners of nicks in memory. It is the default roster, for a hub that shares no sessions with other hubs.
#[derive(Debug, Default)]
pub struct LocalRoster(Mutex<Claims>);

#[derive(Debug, Default)]
struct Claims {
    by_key: HashMap<Arc<str>, Entry>,
    /// Maps the shape of each taken nick to the key of that nick. Nicks with the same shape look alike.
    by_shape: HashMap<Arc<str>, Arc<str>>,
}

/// A nick that is taken. The hub has one entry for each session, so values that most sessions lack are boxed.
#[derive(Debug)]
struct Entry {
    nick: Nick,
    owner: NickOwner,
    /// The other sessions of the owner's account that share the nick.
    #[expect(
        clippy::box_collection,
        reason = "every session has this entry, and hardly any shares its nick"
    )]
    sharing: Option<Box<Vec<NickOwner>>>,
}

#[derive(Debug)]
struct NickOwner {
    who: SessionId,
    account: Option<Account>,
    token: Option<Box<TokenDigest>>,
}

impl Roster for LocalRoster {
    async fn claim(&self, claim: NickClaim) -> Result<Claimed, NickError> {
        self.0.lock().claim(claim)
    }

    fn release(&self, who: SessionId, nick: &NickKeys) {
        self.0.lock().release(who, nick);
    }

    fn find(&self, key: &str) -> Vec<SessionId> {
        let claims = self.0.lock();
        let entry = claims.by_key.get(key);
        entry.map_or_else(Vec::new, |entry| {
            entry.owners().map(|owner| owner.who).collect()
        })
    }

    async fn send(&self, _to: SessionId, _command: RosterCommand) -> Result<Nick, TellError> {
        // There is no other node: a session that is not in this process has ended.
        Err(TellError::NoSuchNick(String::new()))
    }
}

impl Claims {
    fn claim(&mut self, claim: NickClaim) -> Result<Claimed, NickError> {
        let NickClaim {
            who, nick, keys, ..
        } = &claim;
        let mut replaced = Vec::new();
        // Nicks with the same shape look alike. Another nick with this shape makes the claim fail, unless the claiming
        // session is the only owner of that nick.
        if let Some(key) = self.by_shape.get(&keys.shape)
            && *key != keys.key
            && let Some(entry) = self.by_key.get(key)
            && !entry.is_of(*who)
        {
            if !entry.yields_to(&claim) {
                return Err(NickError::LooksLike {
                    nick: nick.clone(),
                    taken: entry.nick.clone(),
                });
            }
            let key = Arc::clone(key);
            replaced.extend(self.remove(&key, &keys.shape));
        }
        match self.by_key.get_mut(&keys.key) {
            Some(entry) if entry.is_of(*who) => {
                // The entry is updated, because the session's token or account may have changed.
                entry.nick = nick.clone();
                entry.owner = NickOwner::of(claim.clone());
            }
            Some(entry) if entry.shares_with(&claim) => {
                if entry.owners().all(|owner| owner.who != *who) {
                    let shared = entry.nick.clone();
                    entry
                        .sharing
                        .get_or_insert_default()
                        .push(NickOwner::of(claim));
                    return Ok(Claimed {
                        nick: shared,
                        replaced,
                    });
                }
                // The session shares the nick already. The spelling of the first owner stays.
                let nick = entry.nick.clone();
                return Ok(Claimed { nick, replaced });
            }
            Some(entry) if entry.yields_to(&claim) => {
                replaced.extend(self.remove(&keys.key, &keys.shape));
            }
            Some(entry) => return Err(NickError::Taken(entry.nick.clone())),
            None => {}
        }
        let nick = nick.clone();
        self.by_shape
            .insert(Arc::clone(&keys.shape), Arc::clone(&keys.key));
        self.by_key
            .entry(Arc::clone(&keys.key))
            .or_insert_with(|| Entry {
                nick: nick.clone(),
                owner: NickOwner::of(claim),
                sharing: None,
            });
        Ok(Claimed { nick, replaced })
    }

    fn release(&mut self, who: SessionId, keys: &NickKeys) {
        let Some(entry) = self.by_key.get_mut(&keys.key) else {
            return;
        };
        let sharing = entry.sharing.as_mut();
        if entry.owner.who != who {
            if let Some(sharing) = sharing {
                sharing.retain(|owner| owner.who != who);
            }
        } else if let Some(next) = sharing.and_then(|sharing| sharing.pop()) {
            entry.owner = next;
        } else {
            self.remove(&keys.key, &keys.shape);
        }
        if let Some(entry) = self.by_key.get_mut(&keys.key)
            && entry
                .sharing
                .as_ref()
                .is_some_and(|sharing| sharing.is_empty())
        {
            entry.sharing = None;
        }
    }

    /// Frees a nick. Returns the sessions that had it.
    fn remove(&mut self, key: &str, shape: &str) -> Vec<SessionId> {
        if self
            .by_shape
            .get(shape)
            .is_some_and(|owned| **owned == *key)
        {
            self.by_shape.remove(shape);
        }
        let removed = self.by_key.remove(key);
        removed.map_or_else(Vec::new, |entry| {
            entry.owners().map(|owner| owner.who).collect()
        })
    }
}

impl Entry {
    fn owners(&self) -> impl Iterator<Item = &NickOwner> {
        let sharing = self.sharing.iter().flat_map(|sharing| sharing.iter());
        std::iter::once(&self.owner).chain(sharing)
    }

    /// Returns whether this session is the only owner of the nick.
    fn is_of(&self, who: SessionId) -> bool {
        self.owner.who == who && self.sharing.is_none()
    }

    /// Returns whether the claimant has the owner's account.
    fn shares_with(&self, claim: &NickClaim) -> bool {
        claim.account.is_some() && self.owner.account == claim.account
    }

    /// Returns whether the claimant takes the nick over. It does so only if all owners are earlier sessions of the same
    /// client. So a connection whose claim was delayed does not end a later connection.
    fn yields_to(&self, claim: &NickClaim) -> bool {
        let is_earlier = |owner: &NickOwner| {
            owner.token.as_deref() == claim.token.as_ref() && owner.who < claim.who
        };
        claim.if_taken == IfTaken::TakeOver
            && claim.token.is_some()
            && self.owners().all(is_earlier)
    }
}

impl NickOwner {
    fn of(claim: NickClaim) -> Self {
        Self {
            who: claim.who,
            account: claim.account,
            token: claim.token.map(Box::new),
        }
    }
}
