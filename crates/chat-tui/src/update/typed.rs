//! What typed lines do.

use super::{Effect, keys, reply};
use crate::command::{self, Command};
use crate::room::{FoundAt, Pending, Presence, Room};
use crate::scrollback::{Anchor, Entry};
use crate::state::{Link, Overlay, State};

/// Says or does something in the room on the screen.
pub(super) fn say(state: &mut State, text: &str, is_action: bool) -> Vec<Effect> {
    if !state.room().has_space_for(1) {
        reply(
            state,
            Entry::alert("too much waits to be sent: not sent".into()),
        );
        let line = command::line(text, is_action);
        state.room_mut().editor.put_back(&line);
        return Vec::new();
    }
    let id = state.next_id;
    state.next_id += 1;
    let room = state.room_mut();
    room.pending.push(Pending {
        id,
        text: text.to_owned(),
        is_action,
        taken_as: None,
    });
    room.scrollback.show_end();
    room.marker = None;
    vec![Effect::Say {
        room: room.name.clone(),
        id,
        text: text.to_owned(),
        is_action,
    }]
}

/// Executes a command.
pub(super) fn execute(state: &mut State, command: Command, arguments: &str) -> Vec<Effect> {
    let room = state.room().name.clone();
    let arguments = arguments.to_owned();
    let effect = match command {
        Command::Help => {
            state.overlay = Some(Overlay::Help { from: 0 });
            return Vec::new();
        }
        Command::Members => {
            state.shows_members = !state.shows_members;
            return Vec::new();
        }
        Command::Quit => return keys::quit(state, &arguments),
        Command::Search => return search(state, &arguments),
        Command::Around => match arguments.parse() {
            Ok(place) => Effect::Around { room, place },
            Err(_) => return misused(state, "/around PLACE"),
        },
        Command::Me if !arguments.is_empty() => return say(state, &arguments, true),
        Command::Join if !arguments.is_empty() => return join(state, &arguments),
        Command::Nick if !arguments.is_empty() => Effect::Nick {
            room,
            nick: arguments,
        },
        Command::Msg => match arguments.split_once(' ') {
            Some((to, text)) if !text.trim().is_empty() => Effect::Tell {
                room,
                to: to.to_owned(),
                text: text.trim().to_owned(),
            },
            _ => return misused(state, "/msg NICK TEXT"),
        },
        Command::Leave => Effect::Leave { room },
        Command::Rooms => Effect::Rooms { room },
        Command::Who => Effect::Who {
            of: if arguments.is_empty() {
                room.clone()
            } else {
                arguments
            },
            room,
        },
        Command::Topic if arguments.is_empty() => {
            let topic = state.room().topic.clone();
            let text = if topic.is_empty() {
                "no topic is set".to_owned()
            } else {
                format!("topic: {topic}")
            };
            reply(state, Entry::notice(text));
            return Vec::new();
        }
        Command::Topic => Effect::Topic {
            room,
            text: arguments,
        },
        Command::Me => return misused(state, "/me TEXT"),
        Command::Join => return misused(state, "/join ROOM"),
        Command::Nick => return misused(state, "/nick NAME"),
    };
    vec![effect]
}

fn misused(state: &mut State, usage: &str) -> Vec<Effect> {
    reply(
        state,
        Entry::alert(format!("something is missing: {usage}")),
    );
    Vec::new()
}

/// Shows a room; joins it unless the client is in it.
fn join(state: &mut State, name: &str) -> Vec<Effect> {
    let name = name.strip_prefix('#').unwrap_or(name);
    if let Some(at) = state.position(name) {
        state.show(at);
        let opened = state.room_mut();
        if opened.presence != Presence::Out {
            return Vec::new();
        }
        opened.presence = Presence::Wanted;
        let room = opened.name.clone();
        let from = room.clone();
        return vec![Effect::Join { room, from }];
    }
    let from = state.room().name.clone();
    let room = crate::room::name(name);
    state.rooms.push(Room::new(room.clone()));
    state.show(state.rooms.len() - 1);
    if state.link != Link::Online {
        reply(
            state,
            Entry::notice("there is no connection: it is joined when there is".into()),
        );
    }
    vec![Effect::Join { room, from }]
}

/// Goes to the next find before the last one; the server is asked for what is not loaded.
fn search(state: &mut State, words: &str) -> Vec<Effect> {
    if words.is_empty() {
        return misused(state, "/search WORDS");
    }
    let room = state.room_mut();
    let at = room.search(words);
    // The same again goes on from there.
    room.editor.put_back(&format!("/search {words}"));
    match at {
        FoundAt::Loaded(number) => {
            room.scrollback.show(Anchor { number, hidden: 0 });
            Vec::new()
        }
        FoundAt::Server(before) => vec![Effect::Search {
            room: room.name.clone(),
            words: words.to_owned(),
            before: before.or_else(|| room.scrollback.oldest_seq()),
        }],
    }
}
