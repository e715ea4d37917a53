//! The rooms of a hub, and the choice of the rooms without members that the hub forgets.
//!
//! Invariant: a room that has members is never forgotten. Every room without members is listed as empty, or is in use
//! by a caller that lists it afterwards. The lobby is an exception: unless [`Limits::empty_rooms`] is 0, it is never
//! listed, so the hub keeps the lobby's log.

use crate::hub::hub::Hub;
use crate::limits::Limits;
use crate::room::{JoinError, Opener, Room};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

/// The rooms of a hub.
pub(super) struct Rooms {
    pub(super) by_key: BTreeMap<Arc<str>, Arc<Room>>,
    lobby: Arc<str>,
    /// How many rooms each address has opened, not counting the lobby.
    opened: HashMap<IpAddr, usize>,
    empty: EmptyRooms,
}

/// Rooms without members, grouped by the address that opened them. In each group, the room that has been empty longest
/// is first.
#[derive(Default)]
struct EmptyRooms {
    /// The number of the newest entry. Entries are numbered in the order in which the rooms became empty.
    ticks: u64,
    /// For each empty room, by the room's key: the opener of the room, and the number of the room's entry.
    listed: HashMap<Arc<str>, (Opener, u64)>,
    /// For each opener: the keys of its empty rooms, by the numbers of the rooms' entries.
    by_opener: BTreeMap<Opener, BTreeMap<u64, Arc<str>>>,
    /// The openers, sorted by the number of their empty rooms. Openers with equally many empty rooms are sorted by
    /// their oldest empty room: the opener whose room has been empty longest is the last.
    by_count: BTreeSet<(usize, Reverse<u64>, Opener)>,
}

/// A use of a room without joining it. The hub does not forget the room before its last visit is dropped.
pub(crate) struct Visit {
    room: Arc<Room>,
    hub: Hub,
}

impl Hub {
    /// Must be called when a room may have become empty. The hub forgets an empty room if the room's log is empty as
    /// well. The hub keeps other empty rooms, within [`Limits::empty_rooms`].
    pub(crate) fn let_go(&self, room: &Arc<Room>) {
        if room.is_empty() {
            let mut rooms = self.0.rooms.lock();
            rooms.retire(room, self.limits());
        }
    }
}

impl Rooms {
    pub(super) fn new(lobby: String) -> Self {
        Self {
            by_key: BTreeMap::new(),
            lobby: lobby.into(),
            opened: HashMap::new(),
            empty: EmptyRooms::default(),
        }
    }

    /// Returns the room with this folded name and marks it as in use. The caller must call [`Hub::let_go`] afterwards.
    pub(super) fn take(&mut self, key: &str) -> Option<Arc<Room>> {
        let room = self.by_key.get(key)?;
        self.empty.unlist(key);
        Some(Arc::clone(room))
    }

    /// Makes space for one more room within the limits, by forgetting an empty room if needed. The limits do not count
    /// the lobby.
    pub(super) fn make_place(
        &mut self,
        key: &str,
        opener: Opener,
        limits: &Limits,
    ) -> Result<(), JoinError> {
        if *key == *self.lobby {
            return Ok(());
        }
        if let (Some(address), Some(limit)) = (opener, limits.rooms_per_address) {
            let limit = limit.get();
            let opened = self.opened.get(&address).copied().unwrap_or_default();
            if opened >= limit && !self.forget(|empty| empty.oldest_of(opener)) {
                return Err(JoinError::TooManyOpened(limit));
            }
        }
        let limit = limits.rooms.get();
        let others = self.by_key.len() - usize::from(self.by_key.contains_key(&self.lobby));
        if others >= limit && !self.forget(EmptyRooms::first_to_go) {
            return Err(JoinError::Full(limit));
        }
        Ok(())
    }

    pub(super) fn insert(&mut self, room: Arc<Room>) {
        if let Some(address) = self.opener(&room) {
            *self.opened.entry(address).or_default() += 1;
        }
        self.by_key.insert(Arc::clone(&room.key), room);
    }

    /// Forgets a room. Returns `false` if the hub has forgotten or closed it already.
    pub(super) fn remove(&mut self, room: &Arc<Room>) -> bool {
        if !self.has(room) {
            return false;
        }
        self.by_key.remove(&room.key);
        self.empty.unlist(&room.key);
        if let Some(address) = self.opener(room)
            && let Some(count) = self.opened.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                self.opened.remove(&address);
            }
        }
        true
    }

    /// Adds a room without members to the list of empty rooms. If the room's log is empty as well, forgets the room
    /// instead. The lobby is not listed, unless [`Limits::empty_rooms`] is 0.
    fn retire(&mut self, room: &Arc<Room>, limits: &Limits) {
        // The room is checked again, because a session may have joined before the lock was taken.
        if !self.has(room) || !room.is_empty() {
            return;
        }
        if room.is_blank() && room.retire() {
            self.remove(room);
            return;
        }
        if room.key == self.lobby && limits.empty_rooms > 0 {
            return;
        }
        self.empty.list(&room.key, self.opener(room));
        while self.empty.len() > limits.empty_rooms && self.forget(EmptyRooms::first_to_go) {}
    }

    /// Forgets the first empty room that `next` returns and that can be forgotten. Returns whether a room was
    /// forgotten.
    fn forget(&mut self, next: impl Fn(&EmptyRooms) -> Option<Arc<str>>) -> bool {
        // Each empty room is tried once. A room can't be forgotten while its journal stores messages; it stays listed.
        for _ in 0..self.empty.len() {
            let Some(room) = next(&self.empty).and_then(|key| self.by_key.get(&key).cloned())
            else {
                return false;
            };
            if room.retire() {
                return self.remove(&room);
            }
            self.empty.unlist(&room.key);
            if room.is_empty() {
                self.empty.list(&room.key, self.opener(&room));
            }
        }
        false
    }

    fn has(&self, room: &Arc<Room>) -> bool {
        let known = self.by_key.get(&room.key);
        known.is_some_and(|known| Arc::ptr_eq(known, room))
    }

    /// Returns the address whose limit counts the room. `None` if the room counts for no address. The lobby never
    /// counts.
    fn opener(&self, room: &Room) -> Opener {
        room.opener.filter(|_| room.key != self.lobby)
    }
}

impl EmptyRooms {
    fn len(&self) -> usize {
        self.listed.len()
    }

    /// Adds a room that has just become empty. If the room is already in the list, moves it to the end.
    fn list(&mut self, key: &Arc<str>, opener: Opener) {
        self.unlist(key);
        self.ticks += 1;
        let tick = self.ticks;
        self.listed.insert(Arc::clone(key), (opener, tick));
        self.change(opener, |rooms| {
            rooms.insert(tick, Arc::clone(key));
        });
    }

    fn unlist(&mut self, key: &str) {
        if let Some((opener, tick)) = self.listed.remove(key) {
            self.change(opener, |rooms| {
                rooms.remove(&tick);
            });
        }
    }

    fn change(&mut self, opener: Opener, change: impl FnOnce(&mut BTreeMap<u64, Arc<str>>)) {
        let rank = |rooms: &BTreeMap<u64, Arc<str>>| {
            let (oldest, _) = rooms.first_key_value()?;
            Some((rooms.len(), Reverse(*oldest), opener))
        };
        let rooms = self.by_opener.entry(opener).or_default();
        if let Some(rank) = rank(rooms) {
            self.by_count.remove(&rank);
        }
        change(rooms);
        match rank(rooms) {
            Some(rank) => {
                self.by_count.insert(rank);
            }
            None => {
                self.by_opener.remove(&opener);
            }
        }
    }

    /// Returns the room to forget first. This room was opened from the address with the most empty rooms, and has been
    /// empty longest among the rooms of that address. So a peer that opens and leaves many rooms loses its own rooms
    /// first.
    fn first_to_go(&self) -> Option<Arc<str>> {
        let (_, _, opener) = self.by_count.last()?;
        self.oldest_of(*opener)
    }

    fn oldest_of(&self, opener: Opener) -> Option<Arc<str>> {
        let (_, key) = self.by_opener.get(&opener)?.first_key_value()?;
        Some(Arc::clone(key))
    }
}

impl Visit {
    pub(crate) fn new(room: Arc<Room>, hub: Hub) -> Self {
        room.begin_visit();
        Self { room, hub }
    }
}

impl Deref for Visit {
    type Target = Arc<Room>;

    fn deref(&self) -> &Arc<Room> {
        &self.room
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if self.room.end_visit() {
            self.hub.let_go(&self.room);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_left_most_rooms_empty_loses_one_first_and_of_equals_the_longest_empty() {
        let mut empty = EmptyRooms::default();
        let [a, b]: [Opener; 2] = ["192.0.2.1", "192.0.2.2"].map(|address| address.parse().ok());
        for (key, opener) in [
            ("n1", None),
            ("b1", b),
            ("a1", a),
            ("a2", a),
            ("a3", a),
            ("b2", b),
        ] {
            empty.list(&key.into(), opener);
        }
        // A room that is listed again counts as the last one that became empty.
        empty.list(&"n1".into(), None);
        let mut gone = Vec::new();
        while let Some(key) = empty.first_to_go() {
            empty.unlist(&key);
            gone.push(key.to_string());
        }
        assert_eq!(gone, ["a1", "b1", "a2", "a3", "b2", "n1"]);
        assert!(empty.by_opener.is_empty() && empty.listed.is_empty() && empty.by_count.is_empty());
    }

    /// Calls `retire` while the room has a member, as if a session had joined after the room became empty.
    #[tokio::test]
    async fn a_room_that_was_joined_again_in_between_is_not_listed_as_empty() {
        let hub = Hub::default();
        let session = hub.session(None).await.unwrap();
        let member = session.join("ops").await.unwrap();
        member.say("hello").await.unwrap();
        let room = hub.find("ops").unwrap();
        hub.0.rooms.lock().retire(&room, hub.limits());
        assert_eq!(hub.0.rooms.lock().empty.len(), 0);
        drop(member);
        assert_eq!(hub.0.rooms.lock().empty.len(), 1);
    }

    #[tokio::test]
    async fn a_room_that_is_opened_while_its_like_is_closed_is_let_go() {
        let hub = Hub::default();
        let session = hub.session(None).await.unwrap();
        let _member = session.join("ops").await.unwrap();
        let room = hub.find("ops").unwrap();
        // This is the state in the middle of `close_room`.
        assert!(hub.0.rooms.lock().remove(&room));
        let again = session.join("ops").await;
        assert!(matches!(again, Err(JoinError::AlreadyIn(_))));
        assert!(hub.find("ops").is_none());
    }
}
