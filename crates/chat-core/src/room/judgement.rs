//! Decides who may join, publish in, and change a room.
//!
//! Invariant: each decision is made under the room's lock, in one place for all dialects and for sessions in process.

use crate::event::{PresenceChange, Profile};
use crate::log::{
    Account, Batch, Drafts, Kind, MaskList, MaskSubject, ModeChange, ModeChanges, Modes, Role,
    RoleTarget, SessionId, Setting, Timestamp, UserHost,
};
use crate::name::Nick;
use crate::room::denied::Denied;
use crate::room::occupant::Removed;
use crate::room::participant::Participant;
use crate::room::rights::Pass;
use crate::room::room::{Room, Standing, State};
use std::collections::HashSet;
use std::sync::Arc;

impl Room {
    /// Returns a session's role in the room; `None` if it has none or is not in the room.
    pub(crate) fn role(&self, session: SessionId) -> Option<Role> {
        self.state.lock().rights.role(session)
    }

    /// Returns the room's modes.
    pub(crate) fn modes(&self) -> Modes {
        self.state.lock().rights.modes().clone()
    }

    /// Returns whether lists must hide the room from sessions that are not in it.
    pub(crate) fn is_secret(&self) -> bool {
        self.state.lock().rights.modes().has(Setting::Secret)
    }

    /// Decides whether a session may enter the room.
    pub(super) fn admit(
        &self,
        state: &State,
        session: &Participant,
        pass: Pass<'_>,
    ) -> Result<(), Denied> {
        let modes = state.rights.modes();
        if !modes.restrict_joining() {
            return Ok(());
        }
        let who = Subject::of(session);
        if who.passes_all(modes) {
            return Ok(());
        }
        self.admit_outside(modes, &who, pass)?;
        let limit = modes.limit();
        match limit.filter(|limit| state.count() >= limit.get() as usize) {
            Some(limit) => Err(Denied::RoomFull(limit)),
            None => Ok(()),
        }
    }

    /// Decides whether a session may use the room. This is [`admit`](Self::admit) without the limit of members.
    fn admit_outside(&self, modes: &Modes, who: &Subject, pass: Pass<'_>) -> Result<(), Denied> {
        if !modes.restrict_joining() || who.passes_all(modes) {
            return Ok(());
        }
        let who = self.subject(who);
        if modes.lists(MaskList::Ban, &who) && !modes.lists(MaskList::Except, &who) {
            return Err(Denied::Banned);
        }
        if modes.has(Setting::InviteOnly)
            && !pass.is_invited
            && !modes.lists(MaskList::InviteExcept, &who)
        {
            return Err(Denied::InviteOnly);
        }
        match modes.key() {
            Some(key) if key.is_hidden() || pass.key != Some(key.as_str()) => Err(Denied::BadKey),
            _ => Ok(()),
        }
    }

    /// Decides whether a peer without a session, who has this account, may read the room.
    pub(crate) fn may_read(
        &self,
        account: Option<&Account>,
        user_host: UserHost,
    ) -> Result<(), Denied> {
        let who = Subject {
            nick: String::new(),
            user_host,
            account: account.cloned(),
            is_operator: false,
        };
        let state = self.state.lock();
        self.admit_outside(state.rights.modes(), &who, Pass::default())
    }

    /// Returns the role that a session gets when it enters the room.
    pub(super) fn first_role(&self, state: &State, session: &Participant) -> Option<Role> {
        let modes = state.rights.modes();
        let given = session
            .account()
            .and_then(|account| modes.role_of(&account));
        let has_founder = state.count() == 0
            && self.key != self.context.lobby
            && modes.accounts().next().is_none();
        given.or_else(|| has_founder.then_some(Role::Operator))
    }

    /// Decides whether messages may be published. The caller calls this only if the room is guarded, or if the messages
    /// change modes.
    pub(super) fn may_publish(
        &self,
        state: &State,
        drafts: &Drafts,
        standing: Standing<'_>,
    ) -> Result<(), Denied> {
        let modes = state.rights.modes();
        let (session, role) = match standing {
            Standing::Program => return Ok(()),
            Standing::Outside(session) => {
                if modes.has(Setting::NoExternal) {
                    return Err(Denied::NoExternal);
                }
                self.admit_outside(modes, &Subject::of(session), Pass::default())?;
                (session, None)
            }
            Standing::Member => {
                let author = drafts.author();
                // The caller has checked that the author is a member.
                let Some(occupant) = state.members.get(&author) else {
                    return Ok(());
                };
                (&*occupant.session, state.rights.role(author))
            }
        };
        let role = if session.is_operator() {
            Some(Role::Owner)
        } else {
            role
        };
        let mut mode_changes = drafts.mode_changes();
        for draft in drafts.messages() {
            match draft.kind {
                Kind::Mode => {
                    let Some(changes) = mode_changes.next() else {
                        continue;
                    };
                    self.may_change(state, &changes, session.id(), role)?;
                    continue;
                }
                Kind::Topic if modes.has(Setting::TopicLock) && role < Some(Role::Operator) => {
                    return Err(Denied::TopicLocked);
                }
                _ => {}
            }
            if role.is_none() {
                self.may_speak(state, session)?;
            }
        }
        Ok(())
    }

    /// Decides whether a session without a role may speak.
    fn may_speak(&self, state: &State, session: &Participant) -> Result<(), Denied> {
        let modes = state.rights.modes();
        if modes.has(Setting::Moderated) {
            return Err(Denied::Moderated);
        }
        let [bans, quiets] = [MaskList::Ban, MaskList::Quiet].map(|list| modes.list(list));
        if bans.is_empty() && quiets.is_empty() {
            return Ok(());
        }
        let identity = Subject::of(session);
        let who = self.subject(&identity);
        let is_silenced = modes.lists(MaskList::Quiet, &who) || modes.lists(MaskList::Ban, &who);
        if is_silenced && !modes.lists(MaskList::Except, &who) {
            return Err(Denied::Quieted);
        }
        Ok(())
    }

    /// Decides whether a session with this role may make all these changes, and whether they change anything.
    fn may_change(
        &self,
        state: &State,
        changes: &ModeChanges,
        session: SessionId,
        role: Option<Role>,
    ) -> Result<(), Denied> {
        let mut after = state.rights.modes().clone();
        let mut is_unchanged = true;
        for change in changes {
            is_unchanged &= match change {
                ModeChange::Grant(given, target) | ModeChange::Revoke(given, target) => {
                    let is_grant = matches!(change, ModeChange::Grant(..));
                    self.may_change_role(state, (*given, target, is_grant), session, role)?
                }
                _ if role < Some(Role::Operator) => return Err(Denied::NotOperator),
                _ => true,
            };
            if after.is_full_for(change) {
                return Err(Denied::ListFull(Modes::ENTRIES_MAX));
            }
            // Neither the author nor the time matters for the decision.
            let by = &state
                .members
                .get(&session)
                .map(|occupant| occupant.nick.clone());
            if let Some(by) = by {
                is_unchanged &= !after.change(change, by, Timestamp(0));
            }
        }
        if is_unchanged {
            Err(Denied::Unchanged)
        } else {
            Ok(())
        }
    }

    /// Decides whether a session with this role may give or take a role. Returns whether the change of a member's role
    /// changes nothing; a change of an account's role is looked at by the caller.
    fn may_change_role(
        &self,
        state: &State,
        (given, target, is_grant): (Role, &RoleTarget, bool),
        session: SessionId,
        role: Option<Role>,
    ) -> Result<bool, Denied> {
        let (targets, is_own) = match target {
            RoleTarget::Account(_) => (Vec::new(), false),
            RoleTarget::Nick(nick) => {
                let targets = self.sessions_named(state, nick);
                if targets.is_empty() {
                    return Err(Denied::target_not_in_room(nick.as_str()));
                }
                let is_own = targets == [session];
                (targets, is_own)
            }
        };
        // A member may give up its own role.
        let gives_up = is_own && !is_grant;
        if !gives_up {
            if role < Some(Role::Operator) {
                return Err(Denied::NotOperator);
            }
            if role < Some(given) {
                return Err(Denied::NotOwner);
            }
        }
        let is_unchanged = |had: Option<Role>| {
            if is_grant {
                had >= Some(given)
            } else {
                had != Some(given)
            }
        };
        Ok(targets
            .iter()
            .all(|target| is_unchanged(state.rights.role(*target))))
    }

    /// Takes a member out of the room in the name of another session. Returns `None` if the target is not a member on
    /// this node.
    pub(crate) fn kick(
        self: &Arc<Self>,
        by: &Participant,
        target: SessionId,
        reason: Arc<str>,
    ) -> Result<Option<Removed>, Denied> {
        let mut state = self.state.lock();
        Self::may_kick_in(&state, by, target)?;
        let change = PresenceChange::Removed {
            reason,
            by: Some(by.nick()),
        };
        let occupant = self.take_out(&mut state, target, change, None);
        Ok(occupant.map(Removed::from))
    }

    /// Decides whether a session may take a member out of the room.
    pub(crate) fn may_kick(&self, by: &Participant, target: SessionId) -> Result<(), Denied> {
        Self::may_kick_in(&self.state.lock(), by, target)
    }

    fn may_kick_in(state: &State, by: &Participant, target: SessionId) -> Result<(), Denied> {
        let role = Self::rank(state, by);
        if role < Some(Role::Operator) {
            return Err(Denied::NotOperator);
        }
        if state.rights.role(target) > role {
            let here = state.members.get(&target).map(|occupant| &occupant.nick);
            let nick = here.or_else(|| state.elsewhere.get(&target).map(|session| &session.nick));
            return nick.map_or(Ok(()), |nick| Err(Denied::OutranksYou(nick.clone())));
        }
        Ok(())
    }

    /// Decides whether a member may invite to the room the sessions of `targets`, which have one nick.
    pub(crate) fn may_invite(&self, by: &Participant, targets: &[SessionId]) -> Result<(), Denied> {
        let state = self.state.lock();
        let is_closed = state.rights.modes().has(Setting::InviteOnly);
        if is_closed && Self::rank(&state, by) < Some(Role::Operator) {
            return Err(Denied::NotOperator);
        }
        let here = |who: &SessionId| state.members.get(who).map(|occupant| &occupant.nick);
        let nick = |who: &SessionId| {
            here(who).or_else(|| state.elsewhere.get(who).map(|session| &session.nick))
        };
        let present: Vec<&Nick> = targets.iter().filter_map(nick).collect();
        match present.first() {
            Some(nick) if present.len() == targets.len() => {
                Err(Denied::AlreadyInRoom((*nick).clone()))
            }
            _ => Ok(()),
        }
    }

    /// Returns the role by which a session is judged: an operator of the server counts as an owner.
    fn rank(state: &State, session: &Participant) -> Option<Role> {
        if session.is_operator() {
            Some(Role::Owner)
        } else {
            state.rights.role(session.id())
        }
    }

    /// Applies the changes of modes in a batch that is being delivered.
    pub(super) fn apply_modes(&self, state: &mut State, batch: &Batch) {
        let mut modes = state.rights.take_modes();
        for changes in batch.mode_changes() {
            for change in &changes {
                modes.change(change, batch.from(), batch.at());
                if let ModeChange::Grant(role, target) | ModeChange::Revoke(role, target) = change {
                    let is_grant = matches!(change, ModeChange::Grant(..));
                    self.change_roles(state, *role, target, is_grant);
                }
            }
        }
        // A key that another hub has set is not in the message.
        modes.reveal_key(|| self.log.head().modes);
        state.rights.set_modes(modes);
    }

    fn change_roles(&self, state: &mut State, role: Role, target: &RoleTarget, is_grant: bool) {
        let sessions = match target {
            RoleTarget::Nick(nick) => self.sessions_named(state, nick),
            RoleTarget::Account(account) => sessions_of(state, account),
        };
        for session in sessions {
            let had = state.rights.role(session);
            if is_grant {
                state.rights.set_role(session, had.max(Some(role)));
            } else if had == Some(role) {
                state.rights.set_role(session, None);
            }
        }
    }

    /// Returns the sessions in the room, on all nodes, whose nick is the same as this one.
    fn sessions_named(&self, state: &State, nick: &Nick) -> Vec<SessionId> {
        let here = state
            .members
            .iter()
            .map(|(who, occupant)| (who, &occupant.nick));
        let elsewhere = state.elsewhere.iter();
        let all = here.chain(elsewhere.map(|(who, session)| (who, &session.nick)));
        let spelled: Vec<_> = all
            .clone()
            .filter(|(_, other)| *other == nick)
            .map(|(who, _)| *who)
            .collect();
        if !spelled.is_empty() {
            return spelled;
        }
        let key = (self.context.fold)(nick.as_str());
        let is_same = |other: &Nick| (self.context.fold)(other.as_str()) == key;
        all.filter(|(_, other)| is_same(other))
            .map(|(who, _)| *who)
            .collect()
    }

    fn subject<'a>(&self, who: &'a Subject) -> MaskSubject<'a> {
        let Subject {
            nick,
            user_host,
            account,
            ..
        } = who;
        MaskSubject::with_fold(
            nick,
            user_host.as_str(),
            account.as_ref(),
            self.context.fold,
        )
    }
}

/// What a room judges a session by, besides the session's role.
struct Subject {
    nick: String,
    user_host: UserHost,
    account: Option<Account>,
    is_operator: bool,
}

impl Subject {
    fn of(session: &Participant) -> Self {
        Self {
            nick: session.nick().as_str().to_owned(),
            user_host: session.user_host(),
            account: session.account(),
            is_operator: session.is_operator(),
        }
    }

    /// Returns whether no mode keeps the session out: it is an operator of the server, or its account is an operator or
    /// owner of the room.
    fn passes_all(&self, modes: &Modes) -> bool {
        let role = self
            .account
            .as_ref()
            .and_then(|account| modes.role_of(account));
        self.is_operator || role >= Some(Role::Operator)
    }
}

impl State {
    /// Gives a session on another node that enters the room the role of its account. Its own node does the same.
    pub(super) fn give_role_of_account(&mut self, who: SessionId, profile: &Profile) {
        let account = profile.account.as_ref();
        let role = account.and_then(|account| self.rights.modes().role_of(account));
        self.rights.set_role(who, role);
    }

    /// Returns those of these nicks that have a role, and their roles. If the sessions that share a nick have different
    /// roles, returns the highest.
    pub(super) fn roles_of(&self, nicks: &[Nick]) -> Vec<(Nick, Role)> {
        let mut roles: Vec<(Nick, Role)> = Vec::new();
        let nicks: HashSet<&Nick> = nicks.iter().collect();
        let nick_of = |who| {
            let here = self.members.get(&who).map(|occupant| &occupant.nick);
            here.or_else(|| self.elsewhere.get(&who).map(|session| &session.nick))
        };
        for (who, role) in self.rights.roles() {
            let Some(nick) = nick_of(who).filter(|nick| nicks.contains(nick)) else {
                continue;
            };
            match roles.iter_mut().find(|(other, _)| other == nick) {
                Some((_, highest)) => *highest = role.max(*highest),
                None => roles.push((nick.clone(), role)),
            }
        }
        roles
    }
}

/// Returns the sessions in the room, on all nodes, that have this account.
fn sessions_of(state: &State, account: &Account) -> Vec<SessionId> {
    let is_of = |session: &Participant| session.account().as_ref() == Some(account);
    let here = state.members.iter();
    let here = here.filter(|(_, occupant)| is_of(&occupant.session));
    let elsewhere = state.elsewhere.iter();
    let elsewhere =
        elsewhere.filter(|(_, session)| session.profile.account.as_ref() == Some(account));
    let here = here.map(|(who, _)| *who);
    here.chain(elsewhere.map(|(who, _)| *who)).collect()
}
