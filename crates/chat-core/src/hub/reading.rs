//! Reading rooms and their logs without being a member.

use crate::event::{RoomInfo, RoomSummary};
use crate::hub::follower::Follower;
use crate::hub::hub::Hub;
use crate::hub::rooms::Visit;
use crate::log::{JournalError, Page, Position, Seq, SessionId, Span};
use crate::name::Nick;
use crate::room::{JoinError, Listed, Room};
use std::collections::HashSet;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

/// Maximum number of rooms that are read before the lock on the hub's rooms is released.
const ROOMS_PER_LOCK: usize = 128;

/// Why a room's log could not be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum HistoryError {
    /// The room is not open and could not be opened.
    Room(JoinError),
    /// The log can't be read now.
    Journal(JournalError),
}

impl Hub {
    /// Lists all rooms that have members, sorted by name.
    #[must_use]
    pub fn rooms(&self) -> Vec<RoomSummary> {
        let open = self.all_rooms();
        let mut rooms: Vec<_> = open.iter().filter_map(|room| room.summary()).collect();
        let open: HashSet<&str> = open.iter().map(|room| &*room.key).collect();
        let elsewhere = self.0.participants.rooms_elsewhere(None, usize::MAX);
        let closed = elsewhere
            .into_iter()
            .filter(|(key, _)| !open.contains(&**key));
        rooms.extend(closed.map(|(_, room)| room));
        rooms.sort_by(|a, b| a.room.cmp(&b.room));
        rooms
    }

    /// Lists at most `limit` rooms that have members, in the order of their folded names.
    ///
    /// The list begins after the name `after`, which need not be the name of a room. If `after` is empty, the list
    /// begins with the first room. The cost of a call grows with the number of listed rooms, not with the number of the
    /// hub's rooms, so use this method to answer peers. [`rooms`](Self::rooms) lists all rooms at once.
    #[must_use]
    pub fn rooms_after(&self, after: &str, limit: usize) -> Vec<RoomSummary> {
        self.rooms_seen(after, limit, |_| true)
    }

    /// As [`rooms_after`](Self::rooms_after), but lists a room only if `sees` returns `true` for the room's key.
    pub(crate) fn rooms_seen(
        &self,
        after: &str,
        limit: usize,
        sees: impl Fn(&str) -> bool,
    ) -> Vec<RoomSummary> {
        let mut listed: Vec<(Arc<str>, RoomSummary)> = Vec::new();
        let mut last: Option<Arc<str>> = match after {
            "" => None,
            after => match self.room_key(after) {
                Some(key) => Some(key.into()),
                None => return Vec::new(),
            },
        };
        let elsewhere = self.rooms_seen_elsewhere(last.clone(), limit, &sees);
        while listed.len() < limit {
            let chunk: Vec<Arc<Room>> = {
                let rooms = self.0.rooms.lock();
                let from = last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
                let range = rooms.by_key.range::<str, _>((from, Bound::Unbounded));
                range
                    .take(ROOMS_PER_LOCK)
                    .map(|(_, room)| Arc::clone(room))
                    .collect()
            };
            let Some(room) = chunk.last() else { break };
            last = Some(Arc::clone(&room.key));
            let left = limit - listed.len();
            let listable = chunk.iter().filter_map(|room| {
                let summary = room.summary()?;
                sees(&room.key).then(|| (Arc::clone(&room.key), summary))
            });
            listed.extend(listable.take(left));
        }
        if !elsewhere.is_empty() {
            listed.extend(elsewhere);
            listed.sort_by(|(a, _), (b, _)| a.cmp(b));
            listed.truncate(limit);
        }
        listed.into_iter().map(|(_, room)| room).collect()
    }

    /// Returns at most `limit` rooms after the key `last` that are open on other nodes only. No lock is held during a
    /// call of `sees`, which asks the policy.
    fn rooms_seen_elsewhere(
        &self,
        mut last: Option<Arc<str>>,
        limit: usize,
        sees: impl Fn(&str) -> bool,
    ) -> Vec<(Arc<str>, RoomSummary)> {
        let mut listed = Vec::new();
        while listed.len() < limit {
            let elsewhere = &self.0.participants;
            let chunk = elsewhere.rooms_elsewhere(last.as_deref(), ROOMS_PER_LOCK);
            let Some((key, _)) = chunk.last() else { break };
            last = Some(Arc::clone(key));
            let left = limit - listed.len();
            let is_listed = |key: &str| self.find(key).is_none() && sees(key);
            let listable = chunk.into_iter().filter(|(key, _)| is_listed(key));
            listed.extend(listable.take(left));
        }
        listed
    }

    /// Returns the members and the topic of a room, and the end of its log. The nicks of at most 100 members are
    /// listed. `None` if the room has no members, or is not open on this hub.
    #[must_use]
    pub fn info(&self, room: &str) -> Option<RoomInfo> {
        let room = self.find_named(room)?;
        Some(room.info()).filter(|info| info.count > 0)
    }

    /// Lists the nicks of all members of a room: members of this hub first, in the order in which their sessions began.
    /// The list is empty if the room has no members.
    #[must_use]
    pub fn members(&self, room: &str) -> Vec<Nick> {
        let Some(key) = self.room_key(room) else {
            return Vec::new();
        };
        match self.find(&key) {
            Some(room) => room.nicks(),
            None => {
                let elsewhere = self.0.participants.elsewhere_in(&key);
                elsewhere
                    .into_iter()
                    .map(|(_, session)| session.nick)
                    .collect()
            }
        }
    }

    /// Returns at most `limit` members of the room with this folded name, beginning after the session `after`. `None`
    /// begins with the first member.
    pub(crate) fn members_after(
        &self,
        key: &str,
        after: Option<SessionId>,
        limit: usize,
    ) -> Vec<Listed> {
        match self.find(key) {
            Some(room) => room.members_after(after, limit),
            None => self.0.participants.elsewhere_after(key, after, limit),
        }
    }

    /// Reads at most `limit` messages of a room's log: the messages nearest to the position that `span` names, oldest
    /// first. If the log no longer holds some of these messages, [`Page::gap`] says so. The room is opened if it is not
    /// open, even if it never existed. No limit other than `limit` applies. If a peer chooses the room's name and
    /// `limit`, the caller must check both.
    ///
    /// # Errors
    ///
    /// See [`HistoryError`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn history(
        &self,
        room: &str,
        span: Span,
        limit: usize,
    ) -> Result<Page, HistoryError> {
        let room = self.open_named(room).await.map_err(HistoryError::Room)?;
        let page = room.read(span, limit).await;
        page.map_err(HistoryError::Journal)
    }

    /// Finds the messages of a room's log that hold all the words of `text` and are before the position `before`.
    /// Returns the latest of these messages, at most `limit`, oldest first; see
    /// [`Log::search`](crate::log::Log::search). Opens the room if it is not open.
    ///
    /// # Errors
    ///
    /// See [`HistoryError`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn search(
        &self,
        room: &str,
        text: &str,
        before: Seq,
        limit: usize,
    ) -> Result<Page, HistoryError> {
        let room = self.open_named(room).await.map_err(HistoryError::Room)?;
        let page = room.search(text, before, limit).await.page;
        page.map_err(HistoryError::Journal)
    }

    /// Returns the end of a room's log: the position of its last message, and the log's epoch. Opens the room if it is
    /// not open, without joining it.
    ///
    /// A program can store the position and later pass it to [`JoinRequest::resume`](crate::JoinRequest::resume), to
    /// receive everything that was said after this call. For a client that has seen no message yet, the program takes
    /// the position before the client joins.
    ///
    /// A position is valid as long as the log keeps its epoch. If the log is lost or restored, it has another epoch,
    /// and a member that resumes from the position receives [`Missed::OtherEpoch`](crate::Missed::OtherEpoch). A log in
    /// memory is lost when the hub forgets or closes the room. The hub forgets only rooms without members; see
    /// [`Limits::empty_rooms`](crate::Limits::empty_rooms). A room in which nothing was said has the same epoch when it
    /// is opened again.
    ///
    /// # Errors
    ///
    /// See [`JoinError`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn position(&self, room: &str) -> Result<Position, JoinError> {
        let room = self.open_named(room).await?;
        Ok(room.cursor().position())
    }

    /// Follows one room without being a member. The room need not be open. The follower receives the events of the room
    /// once the room is opened, and again whenever the hub has forgotten the room and opens it again.
    ///
    /// # Errors
    ///
    /// Returns an error if the text is not a room name.
    pub fn follow(&self, room: &str) -> Result<Follower, JoinError> {
        let (_, key) = self.room_name(room).map_err(JoinError::Name)?;
        Ok(Follower::new(self.clone(), Some(key.into())))
    }

    /// Follows all rooms without being a member, including rooms that are opened later.
    #[must_use]
    pub fn follow_all(&self) -> Follower {
        Follower::new(self.clone(), None)
    }

    pub(crate) fn all_rooms(&self) -> Vec<Arc<Room>> {
        self.0.rooms.lock().by_key.values().cloned().collect()
    }

    /// Returns the room with this folded name, if it is open.
    pub(crate) fn find(&self, key: &str) -> Option<Arc<Room>> {
        self.0.rooms.lock().by_key.get(key).cloned()
    }

    /// Returns the room with this name in any spelling, if it is open.
    pub(crate) fn find_named(&self, room: &str) -> Option<Arc<Room>> {
        self.find(&self.room_key(room)?)
    }

    async fn open_named(&self, room: &str) -> Result<Visit, JoinError> {
        let (name, key) = self.room_name(room).map_err(JoinError::Name)?;
        let room = self.open(&name, &key, None).await?;
        Ok(Visit::new(room, self.clone()))
    }
}

impl fmt::Display for HistoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Room(error) => error.fmt(f),
            Self::Journal(_) => f.write_str("the room's log can't be read now, try again"),
        }
    }
}

impl std::error::Error for HistoryError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Room(error) => error.source(),
            Self::Journal(source) => Some(source),
        }
    }
}
