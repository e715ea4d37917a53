//! The modes of a room and the roles of its members.
//!
//! Invariant: the modes and roles change only when the message that changes them is delivered, so all members, and all
//! hubs that follow the log, see a change at the same place among the room's messages. The role of a founder is an
//! exception: the session gets it when it enters the empty room.

use crate::log::{Account, MaskList, MaskPattern, MaskSubject, Modes, Role, SessionId, UserHost};
use crate::name::Nick;
use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

/// What a session shows to enter a room.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pass<'a> {
    /// The key that the session names.
    pub(crate) key: Option<&'a str>,
    pub(crate) is_invited: bool,
}

/// What a room judges a session by, besides the session's role. A guest has no nick.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) nick: Option<Nick>,
    pub(super) user_host: UserHost,
    pub(super) account: Option<Account>,
    pub(super) is_operator: bool,
}

/// The modes of a room, and the roles of its members.
#[derive(Debug, Default)]
pub(super) struct Rights {
    modes: Modes,
    /// The masks of `modes`, compiled when the first session is compared with them.
    patterns: [OnceLock<Vec<MaskPattern>>; MaskList::ALL.len()],
    /// The members that were compared with the masks that silence, and whether these masks silence them.
    verdicts: HashMap<SessionId, (Subject, bool)>,
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
        self.patterns = Default::default();
        self.verdicts = HashMap::new();
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

    pub(super) fn has_roles(&self) -> bool {
        !self.roles.is_empty()
    }

    /// Returns whether a mask of the list stands for the user. All users that are compared with the masks of one room
    /// are folded by the same function.
    pub(super) fn lists(&self, list: MaskList, who: &MaskSubject<'_>) -> bool {
        let entries = self.modes.list(list);
        if entries.is_empty() {
            return false;
        }
        let patterns = self.patterns[list as usize].get_or_init(|| {
            let masks = entries.iter();
            masks.map(|entry| entry.mask.compile(who)).collect()
        });
        patterns.iter().any(|pattern| pattern.matches(who))
    }

    /// Returns whether the masks silence a member, if that is remembered.
    pub(super) fn verdict(&self, session: SessionId, who: &Subject) -> Option<bool> {
        let (judged, is_silenced) = self.verdicts.get(&session)?;
        (judged == who).then_some(*is_silenced)
    }

    /// Remembers whether the masks silence a member.
    pub(super) fn remember(&mut self, session: SessionId, who: Subject, is_silenced: bool) {
        self.verdicts.insert(session, (who, is_silenced));
    }

    /// Forgets a session that leaves the room.
    pub(super) fn forget(&mut self, session: SessionId) {
        self.roles.remove(&session);
        self.verdicts.remove(&session);
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
        self.verdicts.clear();
    }
}
