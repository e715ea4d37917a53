//! The modes of a room and the roles of its members.
//!
//! Invariant: the modes and roles change only when the message that changes them is delivered, so all members, and all
//! hubs that follow the log, see a change at the same place among the room's messages. The role of a founder is an
//! exception: the session gets it when it enters the empty room.

use crate::log::{Modes, Role, SessionId};
use std::collections::BTreeMap;

/// What a session shows to enter a room.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pass<'a> {
    /// The key that the session names.
    pub(crate) key: Option<&'a str>,
    pub(crate) is_invited: bool,
}

/// The modes of a room, and the roles of its members.
#[derive(Debug, Default)]
pub(super) struct Rights {
    modes: Modes,
    /// The sessions that have a role, on this node and on others.
    roles: BTreeMap<SessionId, Role>,
    /// Whether [`Modes::restrict_publishing`], so that publishing in a room without such modes costs one test.
    pub(super) is_guarded: bool,
}

impl Rights {
    pub(super) fn new(modes: Modes) -> Self {
        let mut rights = Self::default();
        rights.set_modes(modes);
        rights
    }

    /// Replaces the modes. The roles of members stay as they are.
    pub(super) fn set_modes(&mut self, modes: Modes) {
        self.is_guarded = modes.restrict_publishing();
        self.modes = modes;
    }

    /// Takes the modes out, to change them. The caller calls [`set_modes`](Self::set_modes) afterwards.
    pub(super) fn take_modes(&mut self) -> Modes {
        std::mem::take(&mut self.modes)
    }

    pub(super) const fn modes(&self) -> &Modes {
        &self.modes
    }

    pub(super) fn role(&self, session: SessionId) -> Option<Role> {
        self.roles.get(&session).copied()
    }

    /// Returns the sessions that have a role, in the order in which they began.
    pub(super) fn roles(&self) -> impl Iterator<Item = (SessionId, Role)> {
        self.roles.iter().map(|(who, role)| (*who, *role))
    }

    /// Gives a session its role; `None` takes the role.
    pub(super) fn set_role(&mut self, session: SessionId, role: Option<Role>) {
        match role {
            Some(role) => drop(self.roles.insert(session, role)),
            None => drop(self.roles.remove(&session)),
        }
    }

    pub(super) fn clear_roles(&mut self) {
        self.roles.clear();
    }
}
