//! Creates the state in which a session of the program starts, and selects what the program remembers afterwards.
//!
//! Invariant: a session that never reached its server leaves the remembered state unchanged.

use crate::memory::{ReadMark, Server};
use crate::room::{Place, Presence, Room};
use crate::scrollback::Entry;
use crate::state::State;
use crate::{Config, names};
use jiff::tz::TimeZone;

/// Returns the state at the start of a session. `known` is what the client remembers of the server.
pub(crate) fn begin(config: &Config, known: &Server) -> State {
    let mut state = State::new(config.address.clone(), config.colours, TimeZone::system());
    open_rooms(&mut state, config, &known.rooms);
    let nick = config.nick.as_ref().or(known.nick.as_ref());
    match nick.map(|nick| names::nick(nick)).transpose() {
        Ok(nick) => {
            state.nick = nick.clone().unwrap_or_default();
            state.wanted_nick = nick;
        }
        Err(why) => {
            let why = format!("{why}; /nick NAME takes another nick");
            state.room_mut().scrollback.push(Entry::alert(why));
        }
    }
    state
}

/// Returns what to remember of the server at the end of a session. `None` if the session never reached the server.
pub(crate) fn end(state: &mut State, known: &Server) -> Option<Server> {
    state.room_mut().enter();
    so_far(state, known)
}

/// Returns what to remember of the server while the session continues. `None` if the session has not reached the server
/// yet.
pub(crate) fn so_far(state: &State, known: &Server) -> Option<Server> {
    if !state.has_been_online {
        // The address or the nick may be wrong, so neither is remembered.
        return None;
    }
    let nick = state.chosen_nick.clone().or_else(|| known.nick.clone());
    let is_open =
        |room: &&Room| room.presence != Presence::Out && !room.is_direct() && !room.is_nameless();
    let rooms = state.rooms.iter().filter(is_open).map(|room| {
        let read = room.read.as_ref();
        ReadMark {
            room: room.name.clone(),
            epoch: read.map(|read| read.epoch.clone()).unwrap_or_default(),
            seq: read.map(|read| read.seq).unwrap_or_default(),
        }
    });
    Some(Server {
        nick,
        rooms: rooms.collect(),
    })
}

/// Opens the remembered rooms and the room that the arguments name, and shows the room of the arguments. If there are
/// no such rooms, opens a nameless room. The nameless room stands for the server's lobby until the lobby's name is
/// known.
fn open_rooms(state: &mut State, config: &Config, marks: &[ReadMark]) {
    let mut rooms: Vec<Room> = Vec::new();
    let mut alerts = Vec::new();
    let wanted = config.room.as_deref().map(names::room).transpose();
    let wanted = wanted.unwrap_or_else(|why| {
        alerts.push(why);
        None
    });
    for mark in marks {
        let mut room = match names::room(&mark.room) {
            Ok(name) => Room::new(name),
            Err(why) => {
                alerts.push(why);
                continue;
            }
        };
        room.read = (!mark.epoch.is_empty()).then(|| Place {
            epoch: mark.epoch.clone(),
            seq: mark.seq,
        });
        if !rooms.iter().any(|known| known.is_called(&room.name)) {
            rooms.push(room);
        }
    }
    if let Some(wanted) = wanted {
        let known = rooms.iter().position(|room| room.is_called(&wanted));
        state.current = known.unwrap_or(rooms.len());
        if known.is_none() {
            rooms.push(Room::new(wanted));
        }
    }
    if rooms.is_empty() {
        rooms.push(Room::new(String::new()));
    }
    state.rooms = rooms;
    let alerts = alerts.into_iter().map(Entry::alert);
    alerts.for_each(|alert| state.room_mut().scrollback.push(alert));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Colours, Store};

    fn config(nick: Option<&str>, room: Option<&str>) -> Config {
        Config {
            address: "server:5000".into(),
            nick: nick.map(str::to_owned),
            room: room.map(str::to_owned),
            memory: Store::default(),
            colours: Colours::Off,
        }
    }

    fn mark(room: &str, seq: u64) -> ReadMark {
        ReadMark {
            room: room.into(),
            epoch: "k3f".into(),
            seq,
        }
    }

    fn known(nick: Option<&str>, rooms: &[(&str, u64)]) -> Server {
        Server {
            nick: nick.map(str::to_owned),
            rooms: rooms.iter().map(|(room, seq)| mark(room, *seq)).collect(),
        }
    }

    #[test]
    fn a_session_without_a_server_changes_nothing() {
        let last = known(Some("kim"), &[("lobby", 7), ("ops", 9)]);
        let mut state = begin(&config(None, None), &last);
        assert_eq!(state.nick, "kim");
        state.show(1);
        state.show(0);
        assert_eq!(end(&mut state, &last), None);
        // The server has not granted the nick yet.
        let mut state = begin(&config(Some("lee"), None), &last);
        assert_eq!(end(&mut state, &last), None);
        // The server admitted the client as a guest.
        state.has_been_online = true;
        assert_eq!(end(&mut state, &last), Some(last.clone()));
        state.chosen_nick = Some("lee".into());
        let ended = end(&mut state, &last).unwrap();
        assert_eq!(ended.nick.as_deref(), Some("lee"));
        assert_eq!(ended.rooms, last.rooms);
    }

    #[test]
    fn a_remembered_name_that_is_none_does_not_brick_the_client() {
        let last = known(Some("bad:nick"), &[("bad room", 7)]);
        let mut state = begin(&config(None, None), &last);
        assert_eq!(state.wanted_nick, None, "it comes in as a guest");
        assert!(state.room().is_nameless(), "and into the lobby");
        let entries = state.room().scrollback.entries();
        let texts: Vec<&str> = entries.map(|(_, entry)| entry.text()).collect();
        assert!(texts[0].starts_with("invalid room name"));
        assert!(texts[1].starts_with("invalid nick"), "{texts:?}");
        state.has_been_online = true;
        assert_eq!(end(&mut state, &last).unwrap().rooms, []);
    }

    #[test]
    fn windows_for_direct_messages_are_not_remembered_as_rooms() {
        let last = known(Some("kim"), &[("lobby", 7)]);
        let mut state = begin(&config(None, None), &last);
        state.has_been_online = true;
        state.rooms.push(Room::new(crate::room::direct("이영희")));
        assert_eq!(end(&mut state, &last).unwrap().rooms, last.rooms);
    }

    #[test]
    fn a_room_that_is_spelled_differently_is_opened_once() {
        let last = known(None, &[("lobby", 7), ("ops", 9), ("OPS", 8)]);
        for wanted in ["Ops", "new", "한글"] {
            let state = begin(&config(None, Some(wanted)), &last);
            let is_known = wanted == "Ops";
            assert_eq!(state.rooms.len(), if is_known { 2 } else { 3 });
            assert_eq!(state.current, if is_known { 1 } else { 2 });
        }
    }

    #[test]
    fn a_room_that_was_left_is_not_remembered() {
        let last = known(Some("kim"), &[("lobby", 7), ("ops", 9)]);
        let mut state = begin(&config(None, None), &last);
        state.has_been_online = true;
        state.rooms[1].presence = Presence::Out;
        let rooms = end(&mut state, &last).unwrap().rooms;
        assert_eq!(rooms, [mark("lobby", 7)]);
    }
}
