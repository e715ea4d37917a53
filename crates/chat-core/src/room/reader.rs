//! Reads the events of one room in process: for a member, and for a peer that follows the room without joining it.
//!
//! Invariant: a reader yields every message that is published after the reader subscribed, in order, or an explicit
//! gap.

use crate::event::{Event, PresenceChange, RoomInfo};
use crate::log::{BatchSlice, Epoch, SessionId};
use crate::room::catch_up::{Backlog, CatchUp, Step};
use crate::room::item::{Body, Cursor, Echo, Item};
use crate::room::room::{Room, Subscription};
use std::sync::Arc;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

/// The member or follower that a [`Reader`] reads for.
pub(crate) trait Viewer {
    /// Returns the room that the viewer reads.
    fn room(&self) -> &Arc<Room>;

    /// Returns the viewer's session; `None` if the viewer has none. The reader may leave out the session's own messages
    /// and changes of presence.
    fn session(&self) -> Option<SessionId>;

    /// Returns whether the viewer is about to end. The reader then yields only the events that have already happened,
    /// and ends.
    fn is_ending(&self) -> bool;
}

/// Receives the events of one room, and reads the messages that it has missed from the room's log.
#[derive(Debug)]
pub(crate) struct Reader {
    rx: broadcast::Receiver<Arc<Item>>,
    cursor: Cursor,
    echo: Echo,
    /// Whether the viewer is about to end. `next` then returns only the events that precede the end.
    is_ending: bool,
    /// Whether the reader receives no further events, because the viewer has left the room or the room is closed.
    is_over: bool,
    /// The received messages that were not returned yet.
    current: Option<BatchSlice>,
    /// Whether the messages that are returned now were published before the reader subscribed.
    is_replaying: bool,
    /// The part of the log that the reader has yet to return.
    backlog: Option<Backlog>,
    /// The room's present members. Set if the reader has missed changes of presence. `next` then returns the members as
    /// [`Event::Present`].
    missed_presence: Option<Box<RoomInfo>>,
}

/// The room's broadcast ring has dropped events that this reader had not received.
struct Lagged;

impl Reader {
    /// Creates a reader of a room's items. The viewer must have made the subscription just before this call.
    pub(crate) fn new(subscription: Subscription, viewer: &impl Viewer) -> Self {
        let Subscription { rx, cursor } = subscription;
        Self {
            // The subscription already exists. If the viewer begins to end after this check, the room sends an item.
            // The reader receives the item and checks again.
            is_ending: viewer.is_ending(),
            is_over: false,
            rx,
            cursor,
            echo: Echo::Exclude,
            current: None,
            is_replaying: false,
            backlog: None,
            missed_presence: None,
        }
    }

    /// Sets whether the reader returns the viewer's own messages.
    pub(crate) const fn set_echo(&mut self, echo: Echo) {
        self.echo = echo;
    }

    /// Returns the epoch of the positions in the message or gap that `next` returned last.
    pub(crate) const fn epoch(&self) -> Epoch {
        self.cursor.epoch
    }

    /// Makes `next` return the messages of `catch_up` first, as [`Event::Replayed`].
    pub(crate) fn replay(&mut self, catch_up: CatchUp) {
        self.is_replaying = true;
        self.backlog = Some(Backlog::new(catch_up));
    }

    /// Waits for the next event. Returns `None` once the viewer is about to end and all earlier events have been
    /// returned. Cancel safe.
    pub(crate) async fn next(&mut self, viewer: &impl Viewer) -> Option<Event> {
        loop {
            if let Some(message) = BatchSlice::take_first(&mut self.current) {
                return Some(if self.is_replaying {
                    Event::Replayed(message)
                } else {
                    Event::Message(message)
                });
            }
            if let Some(info) = self.missed_presence.take() {
                return Some(Event::Present(info));
            }
            if self.backlog.is_some() {
                if let Some(event) = self.read_on(viewer).await {
                    return Some(event);
                }
                continue;
            }
            match self.receive(viewer.room()).await? {
                Ok(item) => {
                    if let Some(event) = self.take(&item, viewer) {
                        return Some(event);
                    }
                }
                Err(Lagged) => self.fall_behind(viewer),
            }
        }
    }

    /// Receives the next item of the room's broadcast. Returns `None` if no further item will come: the viewer has left
    /// the room, the room is closed, or the viewer is about to end and no item is left.
    async fn receive(&mut self, room: &Room) -> Option<Result<Arc<Item>, Lagged>> {
        if self.is_over {
            return None;
        }
        while self.is_ending {
            // The check precedes `try_recv`. If it came after, messages that the room delivers between the two calls
            // could be lost.
            let is_settled = room.is_settled();
            match self.rx.try_recv() {
                Ok(item) => return Some(Ok(item)),
                Err(TryRecvError::Lagged(_)) => return Some(Err(Lagged)),
                Err(TryRecvError::Empty) if !is_settled => room.settled().await,
                Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
            }
        }
        match self.rx.recv().await {
            Ok(item) => Some(Ok(item)),
            Err(RecvError::Lagged(_)) => Some(Err(Lagged)),
            Err(RecvError::Closed) => None,
        }
    }

    fn take(&mut self, item: &Item, viewer: &impl Viewer) -> Option<Event> {
        if item.number < self.cursor.next {
            return None;
        }
        if item.number > self.cursor.next {
            self.fall_behind(viewer);
            return None;
        }
        self.cursor = item.end;
        let is_own = viewer.session() == Some(item.author);
        match &item.body {
            Body::Nudge => {
                self.is_over |= is_own;
                self.is_ending = viewer.is_ending();
                None
            }
            Body::Count(..) => None,
            Body::Missed(_, missed) => Some(Event::Gap(*missed)),
            Body::Closed(_, reason) => {
                self.is_over = true;
                Some(Event::Closed(Arc::clone(reason)))
            }
            Body::Presence(presence) if is_own => {
                let is_in = matches!(
                    presence.change,
                    PresenceChange::Renamed { .. }
                        | PresenceChange::Away { .. }
                        | PresenceChange::ProfileChanged { .. }
                );
                self.is_over = !is_in;
                self.is_ending = viewer.is_ending();
                let is_told = matches!(presence.change, PresenceChange::Removed { .. });
                is_told.then(|| Event::Presence(Arc::clone(presence)))
            }
            Body::Presence(presence) => Some(Event::Presence(Arc::clone(presence))),
            Body::Messages(_) if is_own && self.echo != Echo::Include => None,
            Body::Messages(batch) => {
                self.current = Some(BatchSlice {
                    batch: Arc::clone(batch),
                    range: 0..batch.len(),
                });
                BatchSlice::take_first(&mut self.current).map(Event::Message)
            }
        }
    }

    /// Subscribes again to the room's later events. After this call, `next` reads the messages that the reader missed
    /// from the log.
    fn fall_behind(&mut self, viewer: &impl Viewer) {
        let (subscription, catch_up, info) = viewer.room().subscribe_anew(self.cursor);
        self.missed_presence = info.map(Box::new);
        Subscription {
            rx: self.rx,
            cursor: self.cursor,
        } = subscription;
        self.is_ending = viewer.is_ending();
        self.backlog = Some(Backlog::new(catch_up));
    }

    /// Takes one step of catching up from the log. Puts the messages that it reads into `current`, and returns a gap if
    /// messages are missing.
    async fn read_on(&mut self, viewer: &impl Viewer) -> Option<Event> {
        let backlog = self.backlog.as_mut()?;
        match backlog.step(viewer.room()).await {
            Step::Slice(slice) => {
                let is_own = viewer.session() == Some(slice.batch.author());
                if self.is_replaying || !is_own || self.echo == Echo::Include {
                    self.current = Some(slice);
                }
            }
            Step::Missed(missed) => return Some(Event::Gap(missed)),
            Step::GoOn => {}
            Step::Done => {
                self.backlog = None;
                self.is_replaying = false;
            }
        }
        None
    }
}
