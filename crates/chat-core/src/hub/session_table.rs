//! The sessions of this hub, and those of other nodes.
//!
//! Invariant: a session of this hub is listed from the moment it has its nick until it ends.

use crate::event::MemberInfo;
use crate::event::RoomSummary;
use crate::hub::roster::{RosterEvent, SessionPresence};
use crate::log::SessionId;
use crate::name::{Nick, RoomName};
use crate::room::{Elsewhere as InRoom, Listed, Participant};
use crate::sync::Mutex;
use futures::stream::BoxStream;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

/// The sessions of this hub, and the hub's knowledge of sessions on other nodes.
#[derive(Default)]
pub(super) struct Sessions {
    pub(super) here: Mutex<HashMap<SessionId, Arc<Participant>>>,
    pub(super) elsewhere: Mutex<Elsewhere>,
    /// For each session that was invited: the keys of the rooms, the latest invitation last. Kept here, so that a
    /// session without invitations needs no memory for them.
    pub(super) invitations: Mutex<HashMap<SessionId, VecDeque<Arc<str>>>>,
    /// The roster's events about other nodes. `None` after a task has taken the events, or if the sessions are not
    /// shared.
    pub(super) events: Mutex<Option<BoxStream<'static, RosterEvent>>>,
    /// Whether other nodes are notified of the nicks and rooms of this hub's sessions.
    pub(super) is_shared: bool,
}

/// The sessions on other nodes.
#[derive(Default)]
pub(super) struct Elsewhere {
    pub(super) sessions: HashMap<SessionId, SessionPresence>,
    /// The rooms that have members on other nodes, by the rooms' keys. Each value has the room's name and these
    /// members.
    pub(super) by_room: BTreeMap<Arc<str>, (RoomName, BTreeMap<SessionId, Nick>)>,
}

impl Sessions {
    pub(super) fn new(events: Option<BoxStream<'static, RosterEvent>>) -> Self {
        Self {
            is_shared: events.is_some(),
            events: Mutex::new(events),
            ..Self::default()
        }
    }

    pub(super) fn len(&self) -> usize {
        self.here.lock().len()
    }

    pub(super) fn all(&self) -> Vec<Arc<Participant>> {
        self.here.lock().values().cloned().collect()
    }

    pub(super) fn find(&self, who: SessionId) -> Option<Arc<Participant>> {
        self.here.lock().get(&who).cloned()
    }

    /// Forgets a session that has ended.
    pub(super) fn remove(&self, who: SessionId) {
        self.here.lock().remove(&who);
        self.invitations.lock().remove(&who);
    }

    /// Returns the members of a room that are on other nodes.
    pub(super) fn elsewhere_in(&self, key: &str) -> Vec<(SessionId, InRoom)> {
        let elsewhere = self.elsewhere.lock();
        let members = elsewhere.by_room.get(key).map(|(_, members)| members);
        let members = members.into_iter().flatten();
        members
            .map(|(who, nick)| {
                let session = elsewhere.sessions.get(who);
                let session = InRoom {
                    nick: nick.clone(),
                    profile: session.map_or_else(Default::default, |now| now.profile.clone()),
                };
                (*who, session)
            })
            .collect()
    }

    /// Returns at most `limit` members of a room, in the order of their session ids, beginning after the session
    /// `after`. `None` begins with the first member. The room must not be open on this hub, so that all its members are
    /// on other nodes.
    pub(super) fn elsewhere_after(
        &self,
        key: &str,
        after: Option<SessionId>,
        limit: usize,
    ) -> Vec<Listed> {
        let elsewhere = self.elsewhere.lock();
        let Some((_, members)) = elsewhere.by_room.get(key) else {
            return Vec::new();
        };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let members = members.range((from, Bound::Unbounded)).take(limit);
        let listed = |(session, nick): (&SessionId, &Nick)| {
            let known = elsewhere.sessions.get(session);
            let profile = known.map_or_else(Default::default, |now| now.profile.clone());
            Listed {
                session: *session,
                member: MemberInfo::new(nick.clone(), profile),
                is_shared: true,
            }
        };
        members.map(listed).collect()
    }

    /// Returns at most `limit` rooms that have members on other nodes, sorted by key. The list begins after the key
    /// `after`, or with the first room if `after` is `None`. This hub does not know the topics of these rooms, so it
    /// leaves them empty.
    pub(super) fn rooms_elsewhere(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<(Arc<str>, RoomSummary)> {
        if !self.is_shared {
            return Vec::new();
        }
        let elsewhere = self.elsewhere.lock();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rooms = elsewhere.by_room.range::<str, _>((from, Bound::Unbounded));
        let rooms = rooms.take(limit);
        let summary = |(key, (room, members)): (&Arc<str>, &(RoomName, BTreeMap<_, _>))| {
            let (room, count) = (room.clone(), members.len());
            let topic = Arc::default();
            (Arc::clone(key), RoomSummary { room, count, topic })
        };
        rooms.map(summary).collect()
    }
}

impl Elsewhere {
    pub(super) fn leave(&mut self, who: SessionId, key: &str) {
        if let Some((_, members)) = self.by_room.get_mut(key) {
            members.remove(&who);
            if members.is_empty() {
                self.by_room.remove(key);
            }
        }
    }
}
