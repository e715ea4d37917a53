//! Who is in a room, and how that is told.
//!
//! Invariant: one item tells of one change; where there are too many members to announce each, only those who follow
//! the hub are told.

use crate::event::{CloseReason, Presence, PresenceChange, RoomInfo, RoomSummary};
use crate::log::{Account, Position, SessionId};
use crate::name::Nick;
use crate::room::delivery;
use crate::room::delivery::{Body, Cursor, DeliveryOptions, Place, Shard, Tail};
use crate::room::occupant::{Occupant, Removed, SeatNumber};
use crate::room::outbound::Outbound;
use crate::room::participant::Participant;
use crate::room::room::{Lifecycle, Room, State, Subscription, Told, What};
use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// How many nicks a [`RoomInfo`] names: all of a room whose arrivals are announced one by one by default, so that programs
/// can keep count, and few enough for one line.
const INFO_NICKS_MAX: usize = 100;

/// How often a room with too many members to announce each tells how many there are, at most.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// From how many members on a room's delivery is worth a second task.
const MEMBERS_PER_SHARD_MIN: usize = 128;

/// What changed, and which number that has in all rooms of the session.
struct Change {
    change: PresenceChange,
    number: Option<NonZeroU32>,
}

impl From<PresenceChange> for Change {
    /// A change of one room alone.
    fn from(change: PresenceChange) -> Self {
        Self {
            change,
            number: None,
        }
    }
}

impl State {
    /// How many members there are, on all nodes: sessions that share a nick are one.
    fn count(&self) -> usize {
        self.members.len() + self.elsewhere.len() - self.doubles
    }

    /// The nicks of all members: first those on this node.
    fn nicks(&self) -> impl Iterator<Item = &Nick> {
        let here = self.members.values().map(|occupant| &occupant.nick);
        let mut seen = HashSet::new();
        here.chain(self.elsewhere.values()).filter(move |nick| {
            let is_shared = self.shared.get(nick).is_some_and(|count| *count > 1);
            !is_shared || seen.insert(*nick)
        })
    }

    /// Counts one more session of an account under a nick. Returns whether others are there under it.
    fn share(&mut self, nick: &Nick, account: Option<&Account>) -> bool {
        if account.is_none() {
            return false;
        }
        let count = self.shared.entry(nick.clone()).or_default();
        *count += 1;
        let is_double = *count > 1;
        self.doubles += usize::from(is_double);
        is_double
    }

    /// Counts one session less under a nick. Returns whether others are there under it.
    fn unshare(&mut self, nick: &Nick) -> bool {
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
    /// Adds a member with a receiver of its own. `None`: the room is gone.
    pub(crate) fn join(
        self: &Arc<Self>,
        session: &Arc<Participant>,
        seat: SeatNumber,
    ) -> Option<Subscription> {
        let mut state = self.state.lock();
        self.enter(&mut state, session, seat)?;
        Some(Subscription {
            rx: self.tx.subscribe(),
            cursor: state.cursor,
        })
    }

    /// Adds a member that the room's delivery tasks serve. `None`: the room is gone.
    ///
    /// What happens from now on is written to `outbound`; cork it first if something has to precede.
    pub(crate) fn join_wire(
        self: &Arc<Self>,
        session: &Arc<Participant>,
        seat: SeatNumber,
        outbound: Arc<Outbound>,
        options: DeliveryOptions,
    ) -> Option<(RoomInfo, Arc<Tail>, Place)> {
        let mut state = self.state.lock();
        let info = self.enter(&mut state, session, seat)?;
        let tail = Arc::new(Tail::new(session.id(), outbound, options, state.cursor));
        let place = self.shard(&mut state).insert(Arc::clone(&tail));
        if let Some(occupant) = state.members.get_mut(&session.id()) {
            occupant.tail = Some(Arc::clone(&tail));
        }
        Some((info, tail, place))
    }

    /// Takes a member out and announces it, if it is there.
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
            let change = Change {
                change: PresenceChange::Left { reason },
                number,
            };
            self.take_out(&mut state, session, change);
        }
    }

    /// Takes a member out for the application, and announces it. `None`: it is not there.
    pub(crate) fn remove(
        self: &Arc<Self>,
        session: SessionId,
        reason: Arc<str>,
    ) -> Option<Removed> {
        let mut state = self.state.lock();
        let change = PresenceChange::Removed { reason };
        let occupant = self.take_out(&mut state, session, change.into())?;
        Some(occupant.into())
    }

    /// Takes all members out and lets nobody in any more: who wants to join must open the room anew.
    pub(crate) fn close(self: &Arc<Self>, reason: Arc<str>) -> Vec<Removed> {
        let mut state = self.state.lock();
        self.set_gone(&mut state);
        let members = std::mem::take(&mut state.members);
        state.elsewhere.clear();
        state.shared.clear();
        state.doubles = 0;
        for tail in members.values().filter_map(|member| member.tail.as_ref()) {
            tail.end(state.cursor.seq);
        }
        // One item, not one for each member; those over a wire are told by their connections.
        self.send(&mut state, SessionId(0), Body::Closed(reason));
        members.into_values().map(Removed::from).collect()
    }

    /// Gives a member another nick and announces it.
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
        let account = occupant.session.account();
        let change = Change {
            change: PresenceChange::Renamed { to: to.clone() },
            number,
        };
        self.announce_rename(&mut state, session, nick, change, account.as_ref());
    }

    /// Tells of a new nick: as an arrival if other sessions keep the old one, as a departure if others have the new one.
    fn announce_rename(
        self: &Arc<Self>,
        state: &mut State,
        session: SessionId,
        nick: Nick,
        change: Change,
        account: Option<&Account>,
    ) {
        let PresenceChange::Renamed { to } = &change.change else {
            return;
        };
        let to = to.clone();
        let (keeps_old, has_new) = (state.unshare(&nick), state.share(&to, account));
        match (keeps_old, has_new) {
            (false, false) if state.hushed => self.whisper(session, nick, change),
            (false, false) => self.announce(state, session, nick, change),
            // In nobody's name: a change of its own that is no renaming tells a member that it has left.
            (true, false) => self.announce_arrival(state, SessionId::NOBODY, &to),
            (false, true) => {
                let left = PresenceChange::Left { reason: None };
                self.announce_departure(state, SessionId::NOBODY, &nick, left.into());
            }
            (true, true) => {}
        }
    }

    /// Takes note of members on other nodes, as they were when the room was opened.
    pub(crate) fn set_elsewhere(&self, members: Vec<(SessionId, Nick, Option<Account>)>) {
        let mut state = self.state.lock();
        for (who, nick, account) in members {
            state.share(&nick, account.as_ref());
            state.elsewhere.insert(who, nick);
        }
        state.hushed |= state.count() > self.context.limits.announce;
    }

    /// A session on another node is in the room under this nick: announces what is new of it.
    pub(crate) fn enter_elsewhere(
        self: &Arc<Self>,
        who: SessionId,
        nick: &Nick,
        account: Option<&Account>,
    ) {
        let mut state = self.state.lock();
        if state.lifecycle == Lifecycle::Gone {
            return;
        }
        match state.elsewhere.insert(who, nick.clone()) {
            None => {
                if !state.share(nick, account) {
                    self.announce_arrival(&mut state, who, nick);
                }
            }
            Some(had) if had == *nick => {}
            Some(had) => {
                let change = PresenceChange::Renamed { to: nick.clone() };
                self.announce_rename(&mut state, who, had, change.into(), account);
            }
        }
    }

    /// A session on another node is in the room no more.
    pub(crate) fn leave_elsewhere(self: &Arc<Self>, who: SessionId, reason: Option<CloseReason>) {
        let mut state = self.state.lock();
        if let Some(nick) = state.elsewhere.remove(&who)
            && !state.unshare(&nick)
        {
            let change = PresenceChange::Left { reason };
            self.announce_departure(&mut state, who, &nick, change.into());
        }
    }

    /// How many members are told when one comes or goes.
    pub(crate) fn announces_to(&self) -> usize {
        let state = self.state.lock();
        if state.hushed { 0 } else { state.members.len() }
    }

    /// Whether this session is a member.
    pub(crate) fn has(&self, session: SessionId) -> bool {
        self.state.lock().members.contains_key(&session)
    }

    /// All members' nicks, in the order in which their sessions began.
    pub(crate) fn nicks(&self) -> Vec<Nick> {
        self.state.lock().nicks().cloned().collect()
    }

    pub(crate) fn info(&self) -> RoomInfo {
        self.room_info(&self.state.lock())
    }

    /// The room's information without the nicks; `None` if it has no members.
    pub(crate) fn summary(&self) -> Option<RoomSummary> {
        let state = self.state.lock();
        let count = state.count();
        (count > 0).then(|| RoomSummary {
            room: self.name.clone(),
            count,
            topic: Arc::clone(&state.topic),
        })
    }

    fn take_out(
        self: &Arc<Self>,
        state: &mut State,
        session: SessionId,
        change: Change,
    ) -> Option<Occupant> {
        let occupant = state.members.remove(&session)?;
        let is_sent_away = match &change.change {
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
            // Its member in process learns that it is over.
            self.send(state, session, Body::Nudge);
        } else {
            self.announce_departure(state, session, &occupant.nick, change);
        }
        Some(occupant)
    }

    /// Tells of a member that has left.
    fn announce_departure(
        self: &Arc<Self>,
        state: &mut State,
        session: SessionId,
        nick: &Nick,
        change: Change,
    ) {
        let limit = self.context.limits.announce;
        if !state.hushed {
            self.announce(state, session, nick.clone(), change);
            return;
        }
        self.whisper(session, nick.clone(), change);
        if state.count() <= limit - limit / 4 {
            // Below the limit by a quarter, so that one member coming and going does not toggle it.
            state.hushed = false;
            self.announce(
                state,
                session,
                nick.clone(),
                PresenceChange::Unhushed.into(),
            );
        } else {
            self.count_soon(state);
            if self.tx.receiver_count() > state.shards.len() {
                // The one that left may be among those in process.
                self.send(state, session, Body::Nudge);
            }
        }
    }

    /// Tells of a member that has come.
    fn announce_arrival(self: &Arc<Self>, state: &mut State, session: SessionId, nick: &Nick) {
        let limit = self.context.limits.announce;
        if state.count() <= limit && !state.hushed {
            self.announce(state, session, nick.clone(), PresenceChange::Joined.into());
        } else {
            self.whisper(session, nick.clone(), PresenceChange::Joined.into());
            if !std::mem::replace(&mut state.hushed, true) {
                let hushed = PresenceChange::Hushed { limit };
                self.announce(state, session, nick.clone(), hushed.into());
            }
        }
        if state.hushed {
            self.count_soon(state);
        }
    }

    fn enter(
        self: &Arc<Self>,
        state: &mut State,
        session: &Arc<Participant>,
        seat: SeatNumber,
    ) -> Option<RoomInfo> {
        if state.lifecycle == Lifecycle::Gone {
            return None;
        }
        let (id, nick) = (session.id(), session.nick());
        let occupant = Occupant {
            nick: nick.clone(),
            session: Arc::clone(session),
            seat,
            tail: None,
        };
        state.members.insert(id, occupant);
        if !state.share(&nick, session.account().as_ref()) {
            self.announce_arrival(state, id, &nick);
        }
        Some(self.room_info(state))
    }

    /// Subscribes anew, at the live end. A member that was told of so many changes of presence is told who is there
    /// now, if there have been others.
    pub(crate) fn subscribe_anew(&self, presences: u64) -> (Subscription, Option<RoomInfo>) {
        let state = self.state.lock();
        let subscription = Subscription {
            rx: self.tx.subscribe(),
            cursor: state.cursor,
        };
        let missed_presence = state.cursor.presences != presences;
        (
            subscription,
            missed_presence.then(|| self.whole_info(&state)),
        )
    }

    /// The live end, for a follower that was told of so many changes of presence: who is there now, if it missed some.
    ///
    /// `missed_whispers`: it may also have missed those that only followers are told of.
    pub(crate) fn live_end(
        &self,
        presences: u64,
        missed_whispers: bool,
    ) -> (Cursor, Option<RoomInfo>) {
        let state = self.state.lock();
        let missed_presence =
            state.cursor.presences != presences || (missed_whispers && state.hushed);
        (
            state.cursor,
            missed_presence.then(|| self.whole_info(&state)),
        )
    }

    /// The room's information with all nicks, unless the room has too many members to announce each.
    fn whole_info(&self, state: &State) -> RoomInfo {
        let mut info = self.room_info(state);
        if !state.hushed {
            info.nicks = state.nicks().cloned().collect();
        }
        info
    }

    /// Has the members over wires told how many there are, a second from now.
    fn count_soon(self: &Arc<Self>, state: &mut State) {
        if !state.shards.is_empty() && !std::mem::replace(&mut state.counting, true) {
            let room = Arc::clone(self);
            self.context.tasks.spawn(async move {
                tokio::time::sleep(COUNT_EVERY).await;
                let mut state = room.state.lock();
                state.counting = false;
                if state.hushed {
                    let body = Body::Count(room.name.clone(), state.count());
                    room.send(&mut state, SessionId(0), body);
                }
            });
        }
    }

    fn room_info(&self, state: &State) -> RoomInfo {
        RoomInfo {
            room: self.name.clone(),
            count: state.count(),
            nicks: state.nicks().take(INFO_NICKS_MAX).cloned().collect(),
            topic: Arc::clone(&state.topic),
            is_hushed: state.hushed,
            position: Position {
                epoch: state.epoch,
                seq: state.cursor.seq,
            },
        }
    }

    fn announce(
        self: &Arc<Self>,
        state: &mut State,
        session: SessionId,
        nick: Nick,
        change: Change,
    ) {
        state.cursor.presences += 1;
        let presence = self.presence(session, nick, change);
        self.send(state, session, Body::Presence(Arc::new(presence)));
    }

    /// Tells those who follow the hub alone: the room has too many members to announce each.
    fn whisper(self: &Arc<Self>, session: SessionId, nick: Nick, change: Change) {
        self.context.feed.send(|| Told {
            room: Arc::clone(self),
            what: What::Whisper(Arc::new(self.presence(session, nick, change))),
        });
    }

    fn presence(&self, session: SessionId, nick: Nick, change: Change) -> Presence {
        Presence {
            room: self.name.clone(),
            session,
            nick,
            change: change.change,
            number: change.number,
        }
    }

    /// The shard for one more member: the emptiest, or a new one while all are well filled.
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
