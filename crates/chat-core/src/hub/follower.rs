//! Following rooms without being a member, for applications that observe a hub.
//!
//! Invariant: a follower receives every message since it began to follow, in each room's order, or an explicit gap. No
//! room waits for a follower.

use crate::event::{Event, Missed, RoomInfo};
use crate::hub::hub::Hub;
use crate::log::{BatchSlice, Position, Seq};
use crate::name::RoomName;
use crate::room::{Backlog, Body, Closed, Cursor, Room, Step, Told, What};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Weak};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

/// Whenever the number of cursors reaches a multiple of this number, the follower drops the cursors of rooms that no
/// longer exist.
const GONE_MAX: usize = 64;

/// Observes one room or all rooms of a hub for the application. [`Hub::follow`] and [`Hub::follow_all`] create it.
///
/// A follower is not a member: no list or count of members includes it. It receives all changes of presence, also those
/// of rooms that have too many members to announce them. It does not receive direct messages.
///
/// # Lagging
///
/// No room waits for a follower. A follower lags if more than [`Limits::ring_batches`](crate::Limits::ring_batches)
/// events wait for it. [`next`](Self::next) then reads the messages that the follower missed from the rooms' logs.
/// Messages that a log no longer holds, or that can't be read, are reported as an [`Event::Gap`]. If the follower
/// missed changes of presence, it receives the present members of the room with [`Event::Present`]. If a room is closed
/// before the follower has caught up, the follower receives the remaining messages or an [`Event::Gap`], and then
/// [`Event::Closed`]; this holds for the last 256 rooms that were closed. If a room is forgotten before the follower
/// has caught up, the follower may receive neither the remaining messages of the room nor a gap.
///
/// # Logs that other hubs append to
///
/// A follower does not keep a room open. If no session of this hub uses a room, the hub may forget the room, and the
/// follower then receives no events of it. When the room is next opened on this hub, the follower first receives the
/// messages that other hubs appended in between, or an [`Event::Gap`].
///
/// For this purpose, the follower remembers the position that it has reached in each room, for at most twice
/// [`Limits::rooms`](crate::Limits::rooms) rooms. When there are more rooms, it discards the positions of the rooms
/// that the hub has forgotten. If such a room is opened again, the follower receives an [`Event::Gap`] without a range.
pub struct Follower {
    hub: Hub,
    /// The folded name of the room that the follower observes. `None` if it observes all rooms.
    only: Option<Arc<str>>,
    rx: broadcast::Receiver<Told>,
    /// The follower's cursor in each room, by the room's address in memory. The weak handle keeps the address from
    /// being reused.
    places: HashMap<usize, (Weak<Room>, Cursor)>,
    /// The last position that the follower has reached in each log that other hubs append to, by the room's key. The
    /// position is kept when the hub forgets the room.
    logs: HashMap<Arc<str>, Position>,
    /// Whether the follower has removed positions from `logs`, because `logs` had too many.
    has_dropped_logs: bool,
    /// The rooms in which the follower is lagging and has to catch up. A closed room precedes an open room of the same
    /// name.
    behind: VecDeque<Behind>,
    catching_up: Option<CatchingUp>,
    /// The number that the next closed room will have. For each room with a lower number, the follower has received the
    /// end of the room, or will receive it from `behind`.
    next_closed: u64,
    /// The messages that the follower has read from a room, and that `next` has not returned yet.
    current: Option<BatchSlice>,
}

impl Follower {
    pub(crate) fn new(hub: Hub, only: Option<Arc<str>>) -> Self {
        // The follower subscribes before it reads the rooms' cursors. An event between these two steps is received but
        // ignored, because its number is lower than that of the cursor.
        let rx = hub.feed().subscribe();
        let next_closed = hub.feed().closed_count();
        let mut follower = Self {
            hub,
            only,
            rx,
            places: HashMap::new(),
            logs: HashMap::new(),
            has_dropped_logs: false,
            behind: VecDeque::new(),
            catching_up: None,
            next_closed,
            current: None,
        };
        for room in follower.rooms() {
            let cursor = room.cursor();
            follower.set_place(&room, cursor);
        }
        follower
    }

    /// Waits for the next event, and returns the event with the name of its room.
    ///
    /// Returns `None` once the hub drains and all earlier messages have been returned.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future loses no event.
    pub async fn next(&mut self) -> Option<(RoomName, Event)> {
        loop {
            if let Some(message) = BatchSlice::take_first(&mut self.current) {
                return Some((message.room().clone(), Event::Message(message)));
            }
            if self.catching_up.is_some() {
                if let Some(event) = self.read_on().await {
                    return Some(event);
                }
                continue;
            }
            if let Some(behind) = self.behind.pop_front() {
                match behind {
                    Behind::Open(room) => self.catch_up_in(room, true, None),
                    Behind::Closed(closed) => self.end(closed),
                }
                continue;
            }
            match self.receive().await? {
                Ok(told) => {
                    if let Some(event) = self.take(told) {
                        return Some(event);
                    }
                }
                Err(Lagged) => self.fall_behind(),
            }
        }
    }

    async fn receive(&mut self) -> Option<Result<Told, Lagged>> {
        loop {
            if self.hub.is_draining() {
                // The rooms are checked before the ring is read. In the other order, the follower would miss a message
                // that a room delivers between the two steps.
                let unsettled = self.rooms().into_iter().find(|room| !room.is_settled());
                return match self.rx.try_recv() {
                    Ok(told) => Some(Ok(told)),
                    Err(TryRecvError::Lagged(_)) => Some(Err(Lagged)),
                    Err(TryRecvError::Empty | TryRecvError::Closed) => match unsettled {
                        Some(room) => {
                            room.settled().await;
                            continue;
                        }
                        None => None,
                    },
                };
            }
            tokio::select! {
                told = self.rx.recv() => return match told {
                    Ok(told) => Some(Ok(told)),
                    Err(RecvError::Lagged(_)) => Some(Err(Lagged)),
                    Err(RecvError::Closed) => None,
                },
                () = self.hub.draining() => {}
            }
        }
    }

    /// Makes the follower catch up in all rooms, first in those that were closed while it lagged.
    fn fall_behind(&mut self) {
        // The open rooms are listed before the closed rooms. If a listed room is closed and opened again before the
        // closed rooms are listed, the list contains the old room. The follower receives the events of the new room
        // from the ring, after the end of the old room.
        let open = self.rooms();
        let (closed, next_closed) = self.hub.feed().closed_from(self.next_closed);
        self.next_closed = next_closed;
        let only = self.only.as_ref();
        let closed = closed.into_iter();
        let closed = closed.filter(|closed| only.is_none_or(|only| *only == closed.key));
        let open = open.into_iter().map(Behind::Open);
        self.behind = closed.map(Behind::Closed).chain(open).collect();
    }

    fn take(&mut self, told: Told) -> Option<(RoomName, Event)> {
        let Told { room, what } = told;
        if self.only.as_ref().is_some_and(|only| *only != room.key) {
            return None;
        }
        let item = match what {
            What::Item(item) => item,
            What::Whisper(presence) => {
                return Some((room.name.clone(), Event::Presence(presence)));
            }
        };
        let place = self.place(&room);
        let closed = match &item.body {
            Body::Closed(number, _) if *number < self.next_closed => return None,
            Body::Closed(number, reason) => {
                self.next_closed = number + 1;
                Some(Arc::clone(reason))
            }
            _ if item.number < place.next => return None,
            _ => None,
        };
        if item.number != place.next || self.is_back(&room, place) {
            self.catch_up_in(room, false, closed);
            return None;
        }
        self.set_place(&room, item.end);
        if let Body::Messages(batch) = &item.body
            && batch.last() <= place.seq
            && item.end.epoch == place.epoch
        {
            // The room was opened again and read its log once more, so the follower has already received these
            // messages.
            return None;
        }
        let event = match &item.body {
            Body::Messages(batch) => {
                self.current = Some(BatchSlice {
                    batch: Arc::clone(batch),
                    range: 0..batch.len(),
                });
                BatchSlice::take_first(&mut self.current).map(Event::Message)
            }
            Body::Presence(presence) => Some(Event::Presence(Arc::clone(presence))),
            Body::Missed(_, missed) => Some(Event::Gap(*missed)),
            Body::Closed(_, reason) => Some(Event::Closed(Arc::clone(reason))),
            Body::Count(..) | Body::Nudge => None,
        };
        event.map(|event| (room.name.clone(), event))
    }

    /// Moves the follower's cursor to the room's newest event. `next` then reads the messages that the follower missed
    /// from the log. If the room is closed, `closed` is the reason, which `next` reports after the messages. `None`
    /// means that the room is open.
    fn catch_up_in(&mut self, room: Arc<Room>, missed_whispers: bool, closed: Option<Arc<str>>) {
        let was = self.place(&room);
        let is_unknown = self.is_unknown(&room);
        let (now, catch_up, missed_presence) = room.live_end(was, missed_whispers);
        if was.next < now.next || missed_presence.is_some() || closed.is_some() {
            self.set_place(&room, now);
            self.catching_up = Some(CatchingUp {
                room: room.name.clone(),
                missed_presence: missed_presence.map(Box::new),
                missed: is_unknown.then_some(Missed::Unreadable(None)),
                backlog: Some((room, Backlog::new(catch_up))),
                closed,
            });
        }
    }

    /// Catches up in a closed room. If the room is no longer in memory, reports a gap and the end of the room.
    fn end(&mut self, closed: Closed) {
        match closed.room.upgrade() {
            Some(room) => self.catch_up_in(room, false, Some(closed.reason)),
            None => {
                self.catching_up = Some(CatchingUp {
                    room: closed.name,
                    missed_presence: None,
                    missed: Some(Missed::Unreadable(None)),
                    backlog: None,
                    closed: Some(closed.reason),
                });
            }
        }
    }

    /// Takes one step of catching up in a room. Messages go to `current`; any other event is returned.
    async fn read_on(&mut self) -> Option<(RoomName, Event)> {
        let catching_up = self.catching_up.as_mut()?;
        let room = &catching_up.room;
        if let Some(info) = catching_up.missed_presence.take() {
            return Some((room.clone(), Event::Present(info)));
        }
        if let Some(missed) = catching_up.missed.take() {
            return Some((room.clone(), Event::Gap(missed)));
        }
        let step = match &mut catching_up.backlog {
            Some((room, backlog)) => backlog.step(room).await,
            None => Step::Done,
        };
        match step {
            Step::Slice(slice) => self.current = Some(slice),
            Step::Missed(missed) => return Some((room.clone(), Event::Gap(missed))),
            Step::GoOn => {}
            Step::Done => {
                let done = self.catching_up.take()?;
                return Some((done.room, Event::Closed(done.closed?)));
            }
        }
        None
    }

    /// Returns the open rooms that the follower observes.
    fn rooms(&self) -> Vec<Arc<Room>> {
        match &self.only {
            Some(key) => self.hub.find(key).into_iter().collect(),
            None => self.hub.all_rooms(),
        }
    }

    /// Returns the follower's cursor in a room. If no cursor is stored, the room was opened after the follower began,
    /// and its first cursor is used. If the follower remembers a position in the room's log, such as from an earlier
    /// instance of the room, the cursor continues from that position.
    fn place(&self, room: &Arc<Room>) -> Cursor {
        let known = self.places.get(&address(room)).map(|(_, cursor)| *cursor);
        let place = known.unwrap_or(room.begin);
        let Some(Position { epoch, seq }) = self.logs.get(&room.key).copied() else {
            return place;
        };
        match known {
            None => Cursor {
                epoch,
                seq,
                ..place
            },
            Some(_) if epoch == place.epoch => Cursor {
                seq: seq.max(place.seq),
                ..place
            },
            Some(_) => place,
        }
    }

    /// Returns whether a room was opened again. If so, the room's log may hold messages that this follower has not
    /// received.
    fn is_back(&self, room: &Arc<Room>, place: Cursor) -> bool {
        let is_known = place.next > 0 || self.places.contains_key(&address(room));
        !is_known && (place.position() != room.begin.position() || self.is_unknown(room))
    }

    /// Returns whether this follower may have received earlier messages of a log but no longer knows which.
    fn is_unknown(&self, room: &Arc<Room>) -> bool {
        self.has_dropped_logs
            && room.is_shared()
            && room.begin.seq > Seq::START
            && !self.logs.contains_key(&room.key)
    }

    /// Remembers the position that the follower has reached in a log that other hubs append to.
    fn set_log(&mut self, room: &Arc<Room>, at: Position) {
        match self.logs.get_mut(&room.key) {
            Some(last) if last.epoch == at.epoch => last.seq = last.seq.max(at.seq),
            Some(last) => *last = at,
            None => {
                if self.logs.len() >= self.hub.limits().rooms.get() * 2 {
                    self.has_dropped_logs = true;
                    let hub = &self.hub;
                    self.logs.retain(|key, _| hub.find(key).is_some());
                }
                self.logs.insert(Arc::clone(&room.key), at);
            }
        }
    }

    fn set_place(&mut self, room: &Arc<Room>, cursor: Cursor) {
        if room.is_shared() {
            self.set_log(room, cursor.position());
        }
        let known = self
            .places
            .insert(address(room), (Arc::downgrade(room), cursor));
        if known.is_none() && self.places.len().is_multiple_of(GONE_MAX) {
            self.places.retain(|_, (room, _)| room.strong_count() > 0);
        }
    }
}

/// The hub's broadcast ring has dropped events that this follower had not received.
struct Lagged;

/// A room in which a follower lags.
enum Behind {
    Open(Arc<Room>),
    Closed(Closed),
}

/// The part of a room's events that a lagging follower has yet to receive.
struct CatchingUp {
    room: RoomName,
    /// The room's present members, which `next` returns because the follower missed changes of presence.
    missed_presence: Option<Box<RoomInfo>>,
    /// A gap that is reported before the messages of the backlog.
    missed: Option<Missed>,
    /// The messages that the follower missed; `None` if the room is no longer in memory.
    backlog: Option<(Arc<Room>, Backlog)>,
    /// Why the room is closed; `None` if the room is open. The follower reports the close after the backlog.
    closed: Option<Arc<str>>,
}

fn address(room: &Arc<Room>) -> usize {
    Arc::as_ptr(room).addr()
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower")
            .field("only", &self.only)
            .finish_non_exhaustive()
    }
}
