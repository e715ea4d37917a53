//! The rooms of a client: joins them, receives their messages, and reads messages that were left unread in the server's
//! logs.

use super::super::event::{Event, Message, MessageKind, Room, entry};
use super::super::request::{RequestError, printable};
use super::super::room::{Detection, JoinedRoom, Missing};
use super::unanswered::Question;
use super::{Conversation, EVENTS_MAX, Heard, PAGE, UNAVAILABLE};
use crate::wire::{self, Id, Request};
use std::time::Duration;
use tokio::time::Instant;

impl Conversation {
    pub(super) fn welcome(&mut self, ok: &str, now: Instant) -> Heard {
        let Ok(welcome) = serde_json::from_str::<wire::Welcome<'_>>(ok) else {
            let error = RequestError::Garbled("the answer to hello".into());
            return Heard::Refused(error);
        };
        let known = self.places.len();
        let faults = welcome.rooms.iter().take(known);
        if let Some(fault) = faults
            .filter_map(|place| place.err.as_ref())
            .find(|fault| fault.code.0 == UNAVAILABLE)
        {
            // The server can't open the room now, but the room still exists. So the whole hello is retried later.
            return Heard::Refused(RequestError::refused(fault));
        }
        self.is_welcome = true;
        self.nick_before = None;
        self.is_known_by_token = welcome.token.is_some();
        if let Some(token) = welcome.token {
            self.token = Some(token.into_string().into());
        }
        self.ping_after = Duration::from_secs(welcome.ping.clamp(1, 3600));
        let nick = printable(&welcome.nick);
        self.own.goes_by(&welcome.nick);
        (self.nick_refused_since, self.has_nick) = (None, self.nick.is_some());
        self.note(Event::Online { nick });
        self.note(Event::Greeting {
            lobby: welcome.lobby.map(|lobby| printable(&lobby)),
            motd: welcome.motd.iter().map(|line| printable(line)).collect(),
        });
        let mut places = std::mem::take(&mut self.places).into_iter();
        let mut wanted = std::mem::take(&mut self.wanted).into_iter();
        for found in welcome.rooms {
            let (place, wanted) = match places.next() {
                Some(place) => (Some(place), None),
                None => (None, wanted.next()),
            };
            match (place, wanted) {
                (place, wanted) if found.err.is_some() => {
                    if place.is_some() || wanted.is_some() {
                        self.be_kept_out(place, &found);
                    }
                }
                (Some(place), _) => self.enter_again(place, found),
                (None, Some(wanted)) => {
                    self.places.push(JoinedRoom::new(wanted, &found));
                    self.tell(Event::Entered(Room::new(found)));
                }
                // The server listed more rooms than were requested.
                (None, None) => break,
            }
        }
        // Rooms that the server's answer did not list are requested again with the next hello.
        self.places.extend(places);
        self.wanted = wanted.collect();
        self.send_unsent(now);
        Heard::Welcome
    }

    /// Reports that a room could not be joined.
    pub(super) fn be_kept_out(&mut self, place: Option<JoinedRoom>, found: &wire::Place<'_>) {
        if let Some(place) = place {
            self.abandon(place);
        }
        if let Some(fault) = &found.err {
            self.tell(Event::NotEntered {
                room: printable(&found.room),
                code: fault.code.to_string(),
                message: printable(&fault.msg),
            });
        }
    }

    pub(super) fn enter_again(&mut self, mut place: JoinedRoom, found: wire::Place<'_>) {
        let is_anew = place.enter_again(&found);
        place.missed_presence = self.events.len() >= EVENTS_MAX;
        let room = place.name.clone();
        self.places.push(place);
        self.note(Event::Entered(Room::new(found)));
        if is_anew {
            self.tell(Event::Gap {
                room,
                from: None,
                to: None,
                why: wire::Why::Epoch,
            });
        }
    }

    /// Reports a gap in place of the messages that the client left unread in the log. The client does not read them any
    /// more, because it is no longer in the room.
    pub(super) fn abandon(&mut self, mut place: JoinedRoom) {
        if let Some(missing) = place.give_up_log() {
            self.tell_missing(place.name, missing, wire::Why::Other);
        }
    }

    pub(super) fn tell_missing(&mut self, room: String, missing: Missing, why: wire::Why) {
        self.tell(Event::Gap {
            room,
            from: Some(missing.from),
            to: Some(missing.to),
            why,
        });
    }

    /// Handles the client's removal from a room. The client does not join the room again.
    pub(super) fn be_removed(&mut self, room: &str, message: String, closed: bool) {
        if let Some(at) = self.place(room) {
            let place = self.places.remove(at);
            self.abandon(place);
            let code = if closed { "closed" } else { "removed" };
            self.events.push_back(Event::NotEntered {
                room: room.to_owned(),
                code: code.to_owned(),
                message,
            });
        }
    }

    /// Handles a message, live or replayed.
    pub(super) fn said(&mut self, event: wire::Event<'_>) {
        let Some((entry, kind)) = entry(event) else {
            return;
        };
        let Some(at) = self.place(&entry.room) else {
            return;
        };
        let is_full = self.events.len() >= EVENTS_MAX;
        let place = &mut self.places[at];
        if is_full || place.is_behind() {
            return place.leave_in_log(entry.seq);
        }
        self.show(at, &entry, kind);
    }

    /// Delivers a message if it is new. Messages of the client itself are delivered only with `echo`.
    pub(super) fn show(&mut self, at: usize, entry: &wire::Entry<'_>, kind: MessageKind) {
        let place = &mut self.places[at];
        let is_new = place.take(entry) == Detection::Show;
        let key = entry.key.as_deref();
        let is_own = is_new && key.is_some_and(|key| self.own.sees(key, &entry.from));
        if is_new && (self.echo || !is_own) {
            let message = Message::new(entry, kind, &place.epoch);
            self.events.push_back(Event::Message(message));
        }
    }

    /// Handles a gap that the server reports.
    pub(super) fn miss(&mut self, room: &str, from: Option<u64>, to: Option<u64>, why: wire::Why) {
        let Some(at) = self.place(room) else {
            return;
        };
        let is_full = self.events.len() >= EVENTS_MAX;
        let place = &mut self.places[at];
        if (is_full || place.is_behind())
            && let Some(to) = to
        {
            // The next page that is read from the log reports this gap.
            return place.leave_in_log(to);
        }
        if place.skip(to, why) {
            let room = place.name.clone();
            let gap = Event::Gap {
                room,
                from,
                to,
                why,
            };
            // While [`EVENTS_MAX`] events wait, an equal gap is reported only once.
            if !is_full || !self.events.contains(&gap) {
                self.tell(gap);
            }
        }
    }

    /// Requests the messages that the client has left unread in the rooms' logs. If the client has dropped events about
    /// the members of a room, requests the room's members.
    pub(super) fn catch_up(&mut self, now: Instant) {
        if !self.is_welcome {
            return;
        }
        for at in 0..self.places.len() {
            let id = self.next_id;
            let place = &mut self.places[at];
            let room = place.name.clone();
            if place.starts_reading() {
                let request = Request {
                    id: Some(Id::Unsigned(id)),
                    room: Some(room.clone().into()),
                    after: Some(place.position()),
                    limit: Some(PAGE),
                    ..Request::new("history")
                };
                self.put(Box::new(request), Question::Log(room));
            } else if !place.is_behind() && std::mem::take(&mut place.missed_presence) {
                let request = Request {
                    id: Some(Id::Unsigned(id)),
                    room: Some(room.into()),
                    ..Request::new("who")
                };
                self.put(Box::new(request), Question::Who);
            }
        }
        self.send_unsent(now);
    }

    /// Handles a page of a room's log that the client has requested.
    pub(super) fn read_log(&mut self, room: &str, ok: &str) {
        let Some(at) = self.place(room) else {
            return;
        };
        let began = self.places[at].position().seq;
        if let Ok(page) = serde_json::from_str::<wire::Histories<'_>>(ok) {
            if let Some(gap) = page.gap
                && self.places[at].skip(Some(gap.to), wire::Why::Expired)
            {
                self.tell(Event::Gap {
                    room: self.places[at].name.clone(),
                    from: Some(gap.from),
                    to: Some(gap.to),
                    why: wire::Why::Expired,
                });
            }
            for (entry, kind) in page.messages.into_iter().filter_map(entry) {
                self.show(at, &entry, kind);
            }
        }
        if let Some(missing) = self.places[at].has_read(began) {
            self.tell_missing(room.to_owned(), missing, wire::Why::Other);
        }
    }

    pub(super) fn place(&self, room: &str) -> Option<usize> {
        self.places.iter().position(|place| place.is_called(room))
    }
}
