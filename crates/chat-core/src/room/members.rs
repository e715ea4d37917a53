//! The members of a room: who enters and leaves, and lists of them.
//!
//! Invariant: each change of the members is announced under the lock under which it is made.

use crate::event::{
    CloseReason, MemberInfo, Missed, PresenceChange, Profile, RoomInfo, RoomSummary,
};
use crate::log::{Account, SessionId};
use crate::name::Nick;
use crate::room::announcing::Change;
use crate::room::delivery;
use crate::room::delivery::{Place, Shard, Tail};
use crate::room::denied::Denied;
use crate::room::identity::changes;
use crate::room::item::{Body, DeliveryOptions, Item};
use crate::room::occupant::{Elsewhere, Occupant, Removed, SeatNumber};
use crate::room::outbound::Outbound;
use crate::room::participant::Participant;
use crate::room::rights::Pass;
use crate::room::room::{Closed, Lifecycle, Room, State, Subscription};
use std::collections::HashSet;
use std::num::NonZeroU32;
use std::ops::Bound;
use std::sync::Arc;

/// The most nicks in a description of a room, unless the description lists all members. The default of
/// [`Limits::announce`](crate::Limits::announce) is the same number. So by default, a room that announces each arrival
/// lists all its members. A line has space for this many nicks.
const INFO_NICKS_MAX: usize = 100;

/// The fewest members that each delivery task of a room must serve before the room starts a further task.
const MEMBERS_PER_SHARD_MIN: usize = 128;

/// One session in a list of a room's members.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) session: SessionId,
    pub(crate) member: MemberInfo,
    /// Whether other sessions may be in the room under the same nick.
    pub(crate) is_shared: bool,
}

impl State {
    /// Returns how many members the room has on all nodes. Sessions that share a nick count as one member.
    pub(super) fn count(&self) -> usize {
        self.members.len() + self.elsewhere.len() - self.doubles
    }

    /// Returns the nicks of all members, each nick once. The nicks of members on this node come first.
    fn nicks(&self) -> impl Iterator<Item = &Nick> {
        let here = self.members.values().map(|occupant| &occupant.nick);
        let mut seen = HashSet::new();
        let elsewhere = self.elsewhere.values().map(|session| &session.nick);
        here.chain(elsewhere)
            .filter(move |nick| !self.is_shared(nick) || seen.insert(*nick))
    }

    /// Returns whether several sessions in the room have the nick.
    pub(super) fn is_shared(&self, nick: &Nick) -> bool {
        self.shared.get(nick).is_some_and(|count| *count > 1)
    }

    /// Returns those of the first `limit` members that are away. A nick that several sessions share is not among them.
    fn away(&self, limit: usize) -> Vec<Nick> {
        let here = self.members.values();
        let here = here.map(|occupant| (&occupant.nick, occupant.session.is_away()));
        let elsewhere = self.elsewhere.values();
        let elsewhere = elsewhere.map(|session| (&session.nick, session.profile.away.is_some()));
        let listed = here.chain(elsewhere).take(limit);
        listed
            .filter(|(nick, is_away)| *is_away && !self.is_shared(nick))
            .map(|(nick, _)| nick.clone())
            .collect()
    }

    /// Counts one more session under a nick. Returns whether other sessions have the nick, too. A session without an
    /// account is not counted, because it can't share its nick.
    pub(super) fn share(&mut self, nick: &Nick, account: Option<&Account>) -> bool {
        if account.is_none() {
            return false;
        }
        let count = self.shared.entry(nick.clone()).or_default();
        *count += 1;
        let is_double = *count > 1;
        self.doubles += usize::from(is_double);
        is_double
    }

    /// Removes one session from the count of the sessions that share a nick. Returns whether other sessions still have
    /// the nick.
    pub(super) fn unshare(&mut self, nick: &Nick) -> bool {
        let Some(count) = self.shared.get_mut(nick) else {
            return false;
        };
        *count -= 1;
        if *count == 0 {
            self.shared.remove(nick);
            return false;
        }
        self.doubles -= 1;
        true
    }
}

impl Room {
    /// Adds a session of this process as a member. The member receives the room's items through a receiver of its own.
    /// Returns `None` if the room is gone.
    ///
    /// # Errors
    ///
    /// Returns an error if the room's modes do not let the session join.
    pub(crate) fn join(
        self: &Arc<Self>,
        session: &Arc<Participant>,
        seat: SeatNumber,
        pass: Pass<'_>,
    ) -> Result<Option<(Subscription, RoomInfo)>, Denied> {
        let mut state = self.state.lock();
        let Some(info) = self.enter(&mut state, session, seat, pass)? else {
            return Ok(None);
        };
        let subscription = Subscription {
            rx: self.tx.subscribe(),
            cursor: state.cursor,
        };
        Ok(Some((subscription, info)))
    }

    /// Adds a member that the room's delivery tasks serve. Returns `None` if the room is gone.
    ///
    /// The room writes all later items to `outbound`. If the connection must write other output before these items, the
    /// caller first calls [`Outbound::cork`].
    ///
    /// # Errors
    ///
    /// Returns an error if the room's modes do not let the session join.
    pub(crate) fn join_wire(
        self: &Arc<Self>,
        session: &Arc<Participant>,
        seat: SeatNumber,
        pass: Pass<'_>,
        outbound: Arc<Outbound>,
        options: DeliveryOptions,
    ) -> Result<Option<(RoomInfo, Arc<Tail>, Place)>, Denied> {
        let mut state = self.state.lock();
        let Some(info) = self.enter(&mut state, session, seat, pass)? else {
            return Ok(None);
        };
        let appended = self.appended_in(&state);
        let (id, cursor) = (session.id(), state.cursor);
        let tail = Arc::new(Tail::new(id, outbound, options, cursor, appended));
        let place = self.shard(&mut state).insert(Arc::clone(&tail));
        if let Some(occupant) = state.members.get_mut(&session.id()) {
            occupant.tail = Some(Arc::clone(&tail));
        }
        Ok(Some((info, tail, place)))
    }

    /// Takes a member out and announces that the member has left. Does nothing if the session is not in the room, or
    /// has joined the room again under another seat number.
    pub(crate) fn leave(
        self: &Arc<Self>,
        session: SessionId,
        seat: SeatNumber,
        reason: Option<CloseReason>,
        number: Option<NonZeroU32>,
    ) {
        let mut state = self.state.lock();
        let is_there = |occupant: &Occupant| occupant.seat == seat;
        if state.members.get(&session).is_some_and(is_there) {
            self.take_out(&mut state, session, PresenceChange::Left { reason }, number);
        }
    }

    /// Removes a member from the room for the application, or for a session of another node with the nick `by`, and
    /// announces the removal. Returns `None` if the session is not in the room.
    pub(crate) fn remove(
        self: &Arc<Self>,
        session: SessionId,
        reason: Arc<str>,
        by: Option<Nick>,
    ) -> Option<Removed> {
        let mut state = self.state.lock();
        let change = PresenceChange::Removed { reason, by };
        let occupant = self.take_out(&mut state, session, change, None)?;
        Some(occupant.into())
    }

    /// Refuses all further appends, because the hub is about to close the room. Returns how many sessions are in the
    /// room; `None` if the hub is closing the room already.
    pub(crate) fn begin_to_close(&self) -> Option<usize> {
        let mut state = self.state.lock();
        if let Lifecycle::Closing | Lifecycle::Gone = state.lifecycle {
            return None;
        }
        state.lifecycle = Lifecycle::Closing;
        Some(state.members.len())
    }

    /// Removes all members and marks the room as gone. A session that wants to join must open the room again. Messages
    /// that the journal has not stored yet are reported as missing, and are not delivered later.
    pub(crate) fn close(self: &Arc<Self>, reason: &Arc<str>) -> Vec<Removed> {
        let mut state = self.state.lock();
        state.is_uncertain |= !self.has_settled(&state);
        if state.is_uncertain {
            self.send_missed(&mut state, Missed::Unreadable(None));
        }
        self.set_gone(&mut state);
        self.notify_settled(&state);
        let members = std::mem::take(&mut state.members);
        state.rights.clear_roles();
        state.elsewhere.clear();
        state.shared.clear();
        state.doubles = 0;
        for tail in members.values().filter_map(|member| member.tail.as_ref()) {
            tail.end(state.cursor.seq);
        }
        // One item notifies all in-process members. Members over connections are notified by their connections.
        let closed = || Closed {
            room: Arc::downgrade(self),
            name: self.name.clone(),
            key: Arc::clone(&self.key),
            reason: Arc::clone(reason),
        };
        self.context.feed.close(closed, |number| {
            let body = Body::Closed(number, Arc::clone(reason));
            let item = Arc::new(Item::new(state.cursor, SessionId(0), body));
            self.send_item(&mut state, Arc::clone(&item));
            state.closed = Some(item);
        });
        members.into_values().map(Removed::from).collect()
    }

    /// Gives a member another nick, and announces the change.
    pub(crate) fn rename(
        self: &Arc<Self>,
        session: SessionId,
        to: &Nick,
        number: Option<NonZeroU32>,
    ) {
        let mut state = self.state.lock();
        let Some(occupant) = state.members.get_mut(&session) else {
            return;
        };
        let nick = std::mem::replace(&mut occupant.nick, to.clone());
        let change = Change {
            change: PresenceChange::Renamed { to: to.clone() },
            number,
            profile: occupant.session.profile(),
        };
        self.announce_rename(&mut state, session, nick, change);
    }

    /// Sets the members on other nodes, as they were when the room was opened.
    pub(crate) fn set_elsewhere(&self, members: Vec<(SessionId, Elsewhere)>) {
        let mut state = self.state.lock();
        for (who, session) in members {
            state.share(&session.nick, session.profile.account.as_ref());
            state.give_role_of_account(who, &session.profile);
            state.elsewhere.insert(who, session);
        }
        state.hushed |= state.count() > self.context.limits.announce;
    }

    /// Records that a session on another node is in the room under this nick. Announces the session's arrival, its new
    /// nick, or what else has changed.
    pub(crate) fn enter_elsewhere(
        self: &Arc<Self>,
        who: SessionId,
        nick: &Nick,
        profile: &Profile,
    ) {
        let mut state = self.state.lock();
        if state.lifecycle == Lifecycle::Gone {
            return;
        }
        let now = Elsewhere {
            nick: nick.clone(),
            profile: profile.clone(),
        };
        let Some(had) = state.elsewhere.insert(who, now) else {
            state.give_role_of_account(who, profile);
            if !state.share(nick, profile.account.as_ref()) {
                self.announce_arrival(&mut state, who, nick, profile.clone());
            }
            return;
        };
        if had.nick != *nick {
            let change = PresenceChange::Renamed { to: nick.clone() };
            let change = Change::here(change, profile.clone());
            self.announce_rename(&mut state, who, had.nick, change);
        }
        for change in changes(&had.profile, profile) {
            let change = Change::here(change, profile.clone());
            self.announce_change(&mut state, who, nick, change);
        }
    }

    /// Announces what has changed of a member: whether it is away, or its profile.
    pub(crate) fn change(
        self: &Arc<Self>,
        session: SessionId,
        change: PresenceChange,
        profile: Profile,
        number: Option<NonZeroU32>,
    ) {
        let mut state = self.state.lock();
        let Some(occupant) = state.members.get(&session) else {
            return;
        };
        let nick = occupant.nick.clone();
        let change = Change {
            change,
            number,
            profile,
        };
        self.announce_change(&mut state, session, &nick, change);
    }

    /// Records and announces that a session on another node has left the room.
    pub(crate) fn leave_elsewhere(self: &Arc<Self>, who: SessionId, reason: Option<CloseReason>) {
        let mut state = self.state.lock();
        state.rights.forget(who);
        if let Some(Elsewhere { nick, profile }) = state.elsewhere.remove(&who)
            && !state.unshare(&nick)
        {
            let change = Change::here(PresenceChange::Left { reason }, profile);
            self.announce_departure(&mut state, who, &nick, change);
        }
    }

    /// Returns how many members of this hub receive an announcement when a session joins or leaves.
    pub(crate) fn announces_to(&self) -> usize {
        let state = self.state.lock();
        if state.hushed { 0 } else { state.members.len() }
    }

    /// Returns whether the room has too many members to announce each change of presence.
    pub(crate) fn is_hushed(&self) -> bool {
        self.state.lock().hushed
    }

    pub(crate) fn has(&self, session: SessionId) -> bool {
        self.state.lock().members.contains_key(&session)
    }

    /// Returns the nicks of all members. Members on this node come first, in the order in which their sessions began.
    pub(crate) fn nicks(&self) -> Vec<Nick> {
        self.state.lock().nicks().cloned().collect()
    }

    /// Returns at most `limit` members on all nodes, in the order of their session ids. The list begins after the
    /// session `after`, or with the first member if `after` is `None`.
    pub(crate) fn members_after(&self, after: Option<SessionId>, limit: usize) -> Vec<Listed> {
        let state = self.state.lock();
        let from = (
            after.map_or(Bound::Unbounded, Bound::Excluded),
            Bound::Unbounded,
        );
        let here = state.members.range(from).take(limit);
        let here = here.map(|(session, occupant)| {
            (*session, occupant.nick.clone(), occupant.session.profile())
        });
        let elsewhere = state.elsewhere.range(from).take(limit);
        let elsewhere = elsewhere.map(|(session, Elsewhere { nick, profile })| {
            (*session, nick.clone(), profile.clone())
        });
        let highest = state.shared_roles();
        let mut listed: Vec<_> = here
            .chain(elsewhere)
            .map(|(session, nick, profile)| {
                let is_shared = state.is_shared(&nick);
                let mut member = MemberInfo::new(nick, profile);
                member.is_away &= !is_shared;
                let highest = highest.get(&member.nick).copied();
                member.role = highest.or_else(|| state.rights.role(session));
                Listed {
                    session,
                    member,
                    is_shared,
                }
            })
            .collect();
        listed.sort_unstable_by_key(|listed| listed.session);
        listed.truncate(limit);
        listed
    }

    pub(crate) fn info(&self) -> RoomInfo {
        self.room_info(&self.state.lock())
    }

    /// Returns the room's name, topic and number of members; `None` if the room has no members.
    pub(crate) fn summary(&self) -> Option<RoomSummary> {
        let state = self.state.lock();
        let count = state.count();
        (count > 0).then(|| RoomSummary {
            room: self.name.clone(),
            count,
            topic: Arc::clone(&state.topic.text),
        })
    }

    pub(super) fn take_out(
        self: &Arc<Self>,
        state: &mut State,
        session: SessionId,
        change: PresenceChange,
        number: Option<NonZeroU32>,
    ) -> Option<Occupant> {
        let occupant = state.members.remove(&session)?;
        state.rights.forget(session);
        let is_sent_away = match &change {
            PresenceChange::Removed { .. } => true,
            PresenceChange::Left { reason } => matches!(
                reason,
                Some(CloseReason::Kicked(_) | CloseReason::TakenOver)
            ),
            _ => false,
        };
        if let Some(tail) = occupant.tail.as_ref().filter(|_| is_sent_away) {
            tail.end(state.cursor.seq);
        }
        if state.unshare(&occupant.nick) {
            // The departure is not announced, because another session keeps the nick. This item makes the session's
            // in-process member notice that the session has left.
            self.send(state, session, Body::Nudge);
        } else {
            let change = Change {
                change,
                number,
                profile: occupant.session.profile(),
            };
            self.announce_departure(state, session, &occupant.nick, change);
        }
        Some(occupant)
    }

    fn enter(
        self: &Arc<Self>,
        state: &mut State,
        session: &Arc<Participant>,
        seat: SeatNumber,
        pass: Pass<'_>,
    ) -> Result<Option<RoomInfo>, Denied> {
        if state.lifecycle == Lifecycle::Gone {
            return Ok(None);
        }
        self.admit(state, session, pass)?;
        let (id, nick) = (session.id(), session.nick());
        let role = self.first_role(state, session);
        state.rights.set_role(id, role);
        let occupant = Occupant {
            nick: nick.clone(),
            session: Arc::clone(session),
            seat,
            tail: None,
        };
        state.members.insert(id, occupant);
        let profile = session.profile();
        if !state.share(&nick, profile.account.as_ref()) {
            self.announce_arrival(state, id, &nick, profile);
        }
        Ok(Some(self.room_info(state)))
    }

    /// Returns the description of the room with all nicks. If the room is too big to announce each change, the
    /// description has only the first [`INFO_NICKS_MAX`] nicks.
    pub(super) fn whole_info(&self, state: &State) -> RoomInfo {
        let mut info = self.room_info(state);
        if !state.hushed {
            info.nicks = state.nicks().cloned().collect();
            info.roles = state.roles(usize::MAX);
            info.away = state.away(usize::MAX);
        }
        info
    }

    pub(super) fn room_info(&self, state: &State) -> RoomInfo {
        let nicks: Vec<Nick> = state.nicks().take(INFO_NICKS_MAX).cloned().collect();
        RoomInfo {
            room: self.name.clone(),
            count: state.count(),
            roles: state.roles(INFO_NICKS_MAX),
            nicks,
            away: state.away(INFO_NICKS_MAX),
            topic: Arc::clone(&state.topic.text),
            topic_set: state.topic.set.clone(),
            is_hushed: state.hushed,
            position: state.cursor.position(),
            is_lost: self.is_lost(),
        }
    }

    /// Returns the shard for one more member: the shard with the fewest members. If each shard has at least
    /// [`MEMBERS_PER_SHARD_MIN`] members and the room may have a further shard, adds a new one and returns it.
    fn shard(&self, state: &mut State) -> Arc<Shard> {
        let emptiest = state.shards.iter().min_by_key(|shard| shard.len());
        if let Some(shard) = emptiest
            && (shard.len() < MEMBERS_PER_SHARD_MIN
                || state.shards.len() >= self.context.shards_max)
        {
            return Arc::clone(shard);
        }
        let shard = Arc::new(Shard::default());
        let queue_max = self.context.limits.queue_bytes.get();
        self.context.tasks.spawn(delivery::deliver(
            Arc::clone(&shard),
            self.tx.subscribe(),
            queue_max,
            Arc::clone(&self.context.counters),
            Arc::clone(&self.context.announcing),
        ));
        state.shards.push(Arc::clone(&shard));
        shard
    }
}
