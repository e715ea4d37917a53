//! Who owns which nick.
//!
//! Invariant: one nick, one owner. A nick is claimed under its folded key and under its shape, both or neither, so
//! that no two owners have nicks that compare equal or look alike.

use crate::log::SessionId;
use crate::name::{NameRules, Nick, TYPED_NICK_BYTES_MAX};
use crate::room::Participant;
use crate::sync::Mutex;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// The owners of nicks in this process.
#[derive(Debug)]
pub(crate) struct Roster {
    names: NameRules,
    claims: Mutex<Claims>,
}

#[derive(Debug, Default)]
struct Claims {
    by_key: HashMap<Arc<str>, Arc<Participant>>,
    by_shape: HashMap<Arc<str>, SessionId>,
}

/// Why a session can't have a nick.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NickError {
    /// It is no name.
    Name(crate::name::NameError),
    /// Another session has it.
    Taken(Nick),
    /// A reader could not tell it from the nick of another session.
    LooksLike {
        /// The nick that was asked for.
        nick: Nick,
        /// The nick that is taken.
        taken: Nick,
    },
    /// The session has ended: it has no nick any more.
    Ended,
}

impl Roster {
    pub(crate) fn new(names: NameRules) -> Self {
        Self {
            names,
            claims: Mutex::default(),
        }
    }

    /// Gives a session a nick, and frees the one it had.
    pub(crate) fn claim(
        &self,
        session: &Arc<Participant>,
        nick: &Nick,
        had: Option<&Nick>,
    ) -> Result<(), NickError> {
        let (key, shape) = self.keys(nick);
        let mut claims = self.claims.lock();
        if let Some(owner) = claims.by_key.get(&key)
            && owner.id() != session.id()
        {
            return Err(NickError::Taken(owner.nick()));
        }
        if let Some(&owner) = claims.by_shape.get(&shape)
            && owner != session.id()
        {
            let taken = claims
                .owner(owner)
                .map_or_else(|| nick.clone(), |owner| owner.nick());
            return Err(NickError::LooksLike {
                nick: nick.clone(),
                taken,
            });
        }
        if let Some(had) = had {
            claims.release(self.keys(had), session.id());
        }
        claims.by_key.insert(key, Arc::clone(session));
        claims.by_shape.insert(shape, session.id());
        Ok(())
    }

    /// Frees a session's nick.
    pub(crate) fn release(&self, session: SessionId, nick: &Nick) {
        let keys = self.keys(nick);
        self.claims.lock().release(keys, session);
    }

    /// The session that has this nick, however it is spelled.
    pub(crate) fn find(&self, nick: &str) -> Option<Arc<Participant>> {
        // Checked before folding, whose cost grows with the length.
        if nick.len() > TYPED_NICK_BYTES_MAX {
            return None;
        }
        let key = (self.names.fold)(nick);
        self.claims.lock().by_key.get(key.as_str()).cloned()
    }

    /// All sessions.
    pub(crate) fn sessions(&self) -> Vec<Arc<Participant>> {
        self.claims.lock().by_key.values().cloned().collect()
    }

    /// How many sessions there are.
    pub(crate) fn len(&self) -> usize {
        self.claims.lock().by_key.len()
    }

    fn keys(&self, nick: &Nick) -> (Arc<str>, Arc<str>) {
        let share = |key: String| {
            if key == nick.as_str() {
                nick.shared()
            } else {
                key.into()
            }
        };
        let key = share((self.names.fold)(nick.as_str()));
        let shape = (self.names.skeleton)(nick.as_str());
        let shape = if *shape == *key {
            Arc::clone(&key)
        } else {
            share(shape)
        };
        (key, shape)
    }
}

impl Claims {
    fn release(&mut self, (key, shape): (Arc<str>, Arc<str>), session: SessionId) {
        if self
            .by_key
            .get(&key)
            .is_some_and(|owner| owner.id() == session)
        {
            self.by_key.remove(&key);
        }
        if self.by_shape.get(&shape) == Some(&session) {
            self.by_shape.remove(&shape);
        }
    }

    fn owner(&self, session: SessionId) -> Option<&Arc<Participant>> {
        self.by_key.values().find(|owner| owner.id() == session)
    }
}

impl fmt::Display for NickError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(_) => f.write_str("that can't be a nick"),
            Self::Ended => f.write_str("the session has ended"),
            Self::Taken(nick) => write!(f, "{nick} is taken: choose another nick"),
            Self::LooksLike { nick, taken } => {
                write!(
                    f,
                    "{nick} looks like {taken}, which is taken: choose another nick"
                )
            }
        }
    }
}

impl std::error::Error for NickError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Name(source) => Some(source),
            _ => None,
        }
    }
}
