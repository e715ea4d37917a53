//! Decides who may join, publish in, and change a room.
//!
//! Invariant: each decision is made under the room's lock, in one place for all dialects and for sessions in process.

use crate::event::{PresenceChange, Profile};
use crate::log::{
    Account, Batch, Drafts, Kind, MaskList, MaskSubject, ModeChange, ModeChanges, Modes, Role,
    RoleTarget, Seq, SessionId, Setting, Timestamp, UserHost,
};
use crate::name::Nick;
use crate::room::denied::Denied;
use crate::room::occupant::Removed;
use crate::room::participant::Participant;
use crate::room::rights::{Pass, Rights, Subject};
use crate::room::room::{Room, Standing, State};
use std::collections::HashMap;
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
        self.admit_outside(&state.rights, &who, pass)?;
        let limit = modes.limit();
        match limit.filter(|limit| state.count() >= limit.get() as usize) {
            Some(limit) => Err(Denied::RoomFull(limit)),
            None => Ok(()),
        }
    }

    /// Decides whether a session may use the room. This is [`admit`](Self::admit) without the limit of members.
    fn admit_outside(&self, rights: &Rights, who: &Subject, pass: Pass<'_>) -> Result<(), Denied> {
        let modes = rights.modes();
        if !modes.restrict_joining() || who.passes_all(modes) {
            return Ok(());
        }
        let who = self.subject(who);
        if rights.lists(MaskList::Ban, &who) && !rights.lists(MaskList::Except, &who) {
            return Err(Denied::Banned);
        }
        if modes.has(Setting::InviteOnly)
            && !pass.is_invited
            && !rights.lists(MaskList::InviteExcept, &who)
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
            nick: None,
            user_host,
            account: account.cloned(),
            is_operator: false,
        };
        let state = self.state.lock();
        self.admit_outside(&state.rights, &who, Pass::default())
    }

    /// Returns the role that a session gets when it enters the room. The first member of a room is its operator, unless
    /// the room has a log: then it has had members before, and who comes first is an accident.
    pub(super) fn first_role(&self, state: &State, session: &Participant) -> Option<Role> {
        let modes = state.rights.modes();
        let given = session
            .account()
            .and_then(|account| modes.role_of(&account));
        let is_new = state.count() == 0 && state.cursor.seq == Seq::START;
        let has_founder =
            is_new && self.key != self.context.lobby && modes.accounts().next().is_none();
        given.or_else(|| has_founder.then_some(Role::Operator))
    }

    /// Decides whether messages may be published. The caller calls this only if the room is guarded, or if the messages
    /// change modes.
    pub(super) fn may_publish(
        &self,
        state: &mut State,
        drafts: &Drafts,
        standing: Standing<'_>,
    ) -> Result<(), Denied> {
        let modes = state.rights.modes();
        let member = match standing {
            Standing::Program => return Ok(()),
            // A session that is in the room may publish as if it were outside.
            Standing::Member | Standing::Outside(_) => state.members.get(&drafts.author()),
        };
        let member = member.map(|occupant| Arc::clone(&occupant.session));
        let (session, role) = match (&member, standing) {
            (Some(session), _) => (&**session, state.rights.role(session.id())),
            (None, Standing::Outside(session)) => {
                if modes.has(Setting::NoExternal) {
                    return Err(Denied::NoExternal);
                }
                self.admit_outside(&state.rights, &Subject::of(session), Pass::default())?;
                (session, None)
            }
            // The caller has checked that the author is a member.
            (None, _) => return Ok(()),
        };
        let role = if session.is_operator() {
            Some(Role::Owner)
        } else {
            role
        };
        let is_locked = role < Some(Role::Operator) && modes.has(Setting::TopicLock);
        let mut is_heard = role.is_some();
        let mut mode_changes = drafts.mode_changes();
        for draft in drafts.messages() {
            match draft.kind {
                Kind::Mode => {
                    let Some(changes) = mode_changes.next() else {
                        continue;
                    };
                    self.may_change(state, &changes, session, role)?;
                    continue;
                }
                Kind::Topic if is_locked => return Err(Denied::TopicLocked),
                _ => {}
            }
            // The messages are of one author, so one decision holds for all.
            if !std::mem::replace(&mut is_heard, true) {
                self.may_speak(&mut state.rights, session, member.is_some())?;
            }
        }
        Ok(())
    }

    /// Decides whether a session without a role may speak. The decision about a member is remembered until the modes or
    /// the member change, because masks take long to match.
    fn may_speak(
        &self,
        rights: &mut Rights,
        session: &Participant,
        is_member: bool,
    ) -> Result<(), Denied> {
        let modes = rights.modes();
        if modes.has(Setting::Moderated) {
            return Err(Denied::Moderated);
        }
        let [bans, quiets] = [MaskList::Ban, MaskList::Quiet].map(|list| modes.list(list));
        if bans.is_empty() && quiets.is_empty() {
            return Ok(());
        }
        let identity = Subject::of(session);
        let is_silenced = rights.verdict(session.id(), &identity).unwrap_or_else(|| {
            let who = self.subject(&identity);
            let lists = |list| rights.lists(list, &who);
            let is_silenced =
                (lists(MaskList::Quiet) || lists(MaskList::Ban)) && !lists(MaskList::Except);
            drop(who);
            if is_member {
                rights.remember(session.id(), identity, is_silenced);
            }
            is_silenced
        });
        if is_silenced {
            return Err(Denied::Quieted);
        }
        Ok(())
    }

    /// Decides whether a session with this role may make all these changes, and whether they change anything.
    fn may_change(
        &self,
        state: &State,
        changes: &ModeChanges,
        session: &Participant,
        role: Option<Role>,
    ) -> Result<(), Denied> {
        let mut after = state.rights.modes().clone();
        let mut is_unchanged = true;
        let by = session.nick();
        let mut targets = None;
        for change in changes {
            is_unchanged &= match change {
                ModeChange::Grant(given, target) | ModeChange::Revoke(given, target) => {
                    let is_grant = matches!(change, ModeChange::Grant(..));
                    let may_take = role >= Some(Role::Operator) && role >= Some(*given);
                    let own = |nick: &Nick| !is_grant && self.is_sole(state, &by, nick);
                    match target {
                        // A member may give up its own role.
                        RoleTarget::Nick(nick) if !may_take && own(nick) => {
                            state.rights.role(session.id()) != Some(*given)
                        }
                        _ if role < Some(Role::Operator) => return Err(Denied::NotOperator),
                        _ if !may_take => return Err(Denied::NotOwner),
                        RoleTarget::Account(_) => true,
                        RoleTarget::Nick(nick) => {
                            let all = targets.get_or_insert_with(|| self.targets(state, changes));
                            let named = all.get(nick).filter(|named| !named.is_empty());
                            let named =
                                named.ok_or_else(|| Denied::target_not_in_room(nick.as_str()))?;
                            named.iter().all(|target| {
                                let had = state.rights.role(*target);
                                match is_grant {
                                    true => had >= Some(*given),
                                    false => had != Some(*given),
                                }
                            })
                        }
                    }
                }
                _ if role < Some(Role::Operator) => return Err(Denied::NotOperator),
                _ => true,
            };
            if after.is_full_for(change) {
                return Err(Denied::ListFull(Modes::ENTRIES_MAX));
            }
            // Neither the author nor the time matters for the decision.
            is_unchanged &= !after.change(change, &by, Timestamp(0));
        }
        if is_unchanged {
            Err(Denied::Unchanged)
        } else {
            Ok(())
        }
    }

    /// Returns whether `nick` is the nick `own` of a member in any spelling, and no other session in the room has it.
    fn is_sole(&self, state: &State, own: &Nick, nick: &Nick) -> bool {
        let fold = self.context.fold;
        !state.is_shared(own) && fold(own.as_str()) == fold(nick.as_str())
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

    /// Decides whether a member may invite to the room the sessions of `targets`, which have one nick. Returns whether
    /// the invitation lets them join: an invitation to a room that is not invite-only is a message, and no pass.
    pub(crate) fn may_invite(
        &self,
        by: &Participant,
        targets: &[SessionId],
    ) -> Result<bool, Denied> {
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
            _ => Ok(is_closed),
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
            let targets = self.targets(state, &changes);
            for change in &changes {
                modes.change(change, batch.from(), batch.at());
                if let ModeChange::Grant(role, target) | ModeChange::Revoke(role, target) = change {
                    let is_grant = matches!(change, ModeChange::Grant(..));
                    let sessions = match target {
                        RoleTarget::Nick(nick) => targets.get(nick).cloned().unwrap_or_default(),
                        RoleTarget::Account(account) => sessions_of(state, account),
                    };
                    change_roles(&mut state.rights, *role, &sessions, is_grant);
                }
            }
        }
        // A key that another hub has set is not in the message.
        modes.reveal_key(|| {
            let head = self.head_after(state, batch.last());
            head.map(|head| head.modes).unwrap_or_default()
        });
        state.rights.set_modes(modes);
    }

    /// Returns, for each nick that the changes name, the sessions in the room, on all nodes, that have this nick. Looks
    /// at each member once, whatever the number of nicks, and at no member if the changes name no nick.
    fn targets<'a>(
        &self,
        state: &State,
        changes: &'a ModeChanges,
    ) -> HashMap<&'a Nick, Vec<SessionId>> {
        let mut by_key: HashMap<String, Vec<(SessionId, &Nick)>> = HashMap::new();
        let nicks = changes.iter().filter_map(|change| match change {
            ModeChange::Grant(_, RoleTarget::Nick(nick))
            | ModeChange::Revoke(_, RoleTarget::Nick(nick)) => Some(nick),
            _ => None,
        });
        let fold = |nick: &Nick| (self.context.fold)(nick.as_str());
        let nicks: Vec<(&Nick, String)> = nicks.map(|nick| (nick, fold(nick))).collect();
        if nicks.is_empty() {
            return HashMap::new();
        }
        for (_, key) in &nicks {
            by_key.entry(key.clone()).or_default();
        }
        let here = state.members.iter();
        let here = here.map(|(who, occupant)| (*who, &occupant.nick));
        let elsewhere = state.elsewhere.iter();
        let elsewhere = elsewhere.map(|(who, session)| (*who, &session.nick));
        for (who, nick) in here.chain(elsewhere) {
            if let Some(same) = by_key.get_mut(&fold(nick)) {
                same.push((who, nick));
            }
        }
        let named = |(nick, key): (&'a Nick, String)| {
            let same = by_key.get(&key).map_or(&[][..], Vec::as_slice);
            let is_spelled = same.iter().any(|(_, other)| *other == nick);
            let same = same.iter();
            let named = same.filter(|(_, other)| !is_spelled || *other == nick);
            (nick, named.map(|(who, _)| *who).collect())
        };
        nicks.into_iter().map(named).collect()
    }

    fn subject<'a>(&self, who: &'a Subject) -> MaskSubject<'a> {
        let nick = who.nick.as_ref().map_or("", Nick::as_str);
        let fold = self.context.fold;
        MaskSubject::with_fold(nick, who.user_host.as_str(), who.account.as_ref(), fold)
    }
}

impl Subject {
    fn of(session: &Participant) -> Self {
        Self {
            nick: Some(session.nick()),
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

    /// Returns the highest role of each nick that several sessions share and one of which has a role.
    pub(super) fn shared_roles(&self) -> HashMap<Nick, Role> {
        let mut highest: HashMap<Nick, Role> = HashMap::new();
        for (who, role) in self.rights.roles() {
            let here = self.members.get(&who).map(|occupant| &occupant.nick);
            let nick = here.or_else(|| self.elsewhere.get(&who).map(|session| &session.nick));
            if let Some(nick) = nick.filter(|nick| self.is_shared(nick)) {
                let highest = highest.entry(nick.clone()).or_insert(role);
                *highest = role.max(*highest);
            }
        }
        highest
    }

    /// Returns the roles of the first `limit` members. If the sessions that share a nick have different roles, returns
    /// the highest.
    pub(super) fn roles(&self, limit: usize) -> Vec<(Nick, Role)> {
        let mut roles: Vec<(Nick, Role)> = Vec::new();
        if !self.rights.has_roles() {
            return roles;
        }
        let here = self.members.iter();
        let here = here.map(|(who, occupant)| (*who, &occupant.nick));
        let elsewhere = self.elsewhere.iter();
        let elsewhere = elsewhere.map(|(who, session)| (*who, &session.nick));
        for (who, nick) in here.chain(elsewhere).take(limit) {
            let Some(role) = self.rights.role(who) else {
                continue;
            };
            let same = match self.is_shared(nick) {
                true => roles.iter_mut().find(|(other, _)| other == nick),
                false => None,
            };
            match same {
                Some((_, highest)) => *highest = role.max(*highest),
                None => roles.push((nick.clone(), role)),
            }
        }
        roles
    }
}

/// Gives a role to these sessions, or takes it from them. A session keeps a higher role that it has.
fn change_roles(rights: &mut Rights, role: Role, sessions: &[SessionId], is_grant: bool) {
    for session in sessions {
        let had = rights.role(*session);
        if is_grant {
            rights.set_role(*session, had.max(Some(role)));
        } else if had == Some(role) {
            rights.set_role(*session, None);
        }
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
