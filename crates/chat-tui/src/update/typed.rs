//! Handles typed lines.

use super::{Effect, answers, keys, reply, window};
use crate::command::{self, Command};
use crate::names;
use crate::room::{FoundAt, NO_LOG, Pending, Presence, Room};
use crate::scrollback::{Anchor, Entry};
use crate::state::{Link, Overlay, State};

/// Sends a message or an action to the room on the screen.
pub(super) fn say(state: &mut State, text: &str, is_action: bool) -> Vec<Effect> {
    if !state.room().has_space_for(1) {
        reply(
            state,
            Entry::alert("too many messages are waiting: not sent".into()),
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
    // This flag has an effect only in windows for direct messages.
    room.is_answered = true;
    if let Some(to) = room.correspondent() {
        return vec![Effect::Tell {
            room: room.name.clone(),
            id: Some(id),
            to: to.to_owned(),
            text: text.to_owned(),
        }];
    }
    if room.is_nameless() {
        // The message is sent later, once the name of the lobby is known.
        return Vec::new();
    }
    vec![Effect::Say {
        room: room.name.clone(),
        id,
        text: text.to_owned(),
        is_action,
    }]
}

/// Runs a command. If the command fails, the typed line is put back into the input line, so that the user can correct
/// it.
pub(super) fn execute(state: &mut State, line: &str, command: Command, typed: &str) -> Vec<Effect> {
    match run(state, command, typed) {
        Ok(effects) => effects,
        Err(why) => {
            reply(state, Entry::alert(why));
            state.room_mut().editor.put_back(line);
            Vec::new()
        }
    }
}

/// Runs a command. Returns an error text if the command can't be run.
fn run(state: &mut State, command: Command, typed: &str) -> Result<Vec<Effect>, String> {
    let room = state.room().name.clone();
    let is_direct = state.room().is_direct();
    if is_direct && command.is_for_rooms(typed) {
        return Err("this is a window for direct messages, not a room".into());
    }
    if typed.is_empty() && command.needs_arguments() {
        return Err(format!("missing arguments: {}", command.usage()));
    }
    let effect = match command {
        Command::Help => {
            state.overlay = Some(Overlay::Help { from: 0 });
            return Ok(Vec::new());
        }
        Command::Members => {
            state.shows_members = !state.shows_members;
            return Ok(Vec::new());
        }
        Command::Quit => return Ok(keys::quit(state, typed)),
        Command::Search => return Ok(search(state, typed)),
        Command::Around => around(room, typed)?,
        Command::Me => return Ok(say(state, typed, true)),
        Command::Join => return Ok(join(state, &names::room(typed)?)),
        Command::Nick => return Ok(nick(state, room, names::nick(typed)?)),
        Command::Msg => message(room, typed)?,
        Command::Query => {
            let (to, text) = typed.split_once(' ').unwrap_or((typed, ""));
            return converse(state, &names::nick(to)?, text.trim());
        }
        Command::Reply => return answer(state, typed),
        Command::Leave if is_direct => {
            answers::close(state, &room);
            return Ok(Vec::new());
        }
        Command::Leave => Effect::Leave { room },
        Command::Rooms => Effect::Rooms { room },
        Command::Who => who(room, typed),
        Command::Topic => return Ok(topic(state, room, typed)),
        Command::Away => Effect::Away {
            room,
            text: (!typed.is_empty()).then(|| typed.to_owned()),
        },
        Command::Whois => Effect::Whois {
            room,
            nick: names::nick(typed)?,
        },
    };
    Ok(vec![effect])
}

fn around(room: String, typed: &str) -> Result<Effect, String> {
    let seq = typed.parse();
    let seq =
        seq.map_err(|_| format!("not a message number: {typed} (search results show it in [ ])"))?;
    Ok(Effect::Around { room, seq })
}

/// Replies to the sender of the last direct message.
fn answer(state: &mut State, text: &str) -> Result<Vec<Effect>, String> {
    let Some(to) = state.last_correspondent.clone() else {
        return Err("no direct message has arrived yet".into());
    };
    converse(state, &to, text)
}

fn who(room: String, typed: &str) -> Effect {
    let of = match typed {
        "" => room.clone(),
        typed => typed.to_owned(),
    };
    Effect::Who { room, of }
}

/// Sets the topic of a room. Without a text, shows the topic.
fn topic(state: &mut State, room: String, text: &str) -> Vec<Effect> {
    if !text.is_empty() {
        let text = text.to_owned();
        return vec![Effect::Topic { room, text }];
    }
    let shown = match &*state.room().topic {
        "" => "no topic is set".to_owned(),
        topic => format!("topic: {topic}"),
    };
    reply(state, Entry::notice(shown));
    Vec::new()
}

/// Returns the effect of `/msg`.
fn message(room: String, typed: &str) -> Result<Effect, String> {
    match typed.split_once(' ') {
        Some((to, text)) if !text.trim().is_empty() => Ok(Effect::Tell {
            room,
            id: None,
            to: names::nick(to)?,
            text: text.trim().to_owned(),
        }),
        _ => Err(format!("missing arguments: {}", Command::Msg.usage())),
    }
}

/// Requests another nick. If the connection is closed, the client connects again with this nick.
fn nick(state: &mut State, room: String, nick: String) -> Vec<Effect> {
    if !matches!(state.link, Link::Closed { .. }) {
        return vec![Effect::Nick { room, nick }];
    }
    state.link = Link::Connecting;
    state.wanted_nick = Some(nick.clone());
    vec![Effect::Reconnect { nick }]
}

/// Shows the window for direct messages with a correspondent, and sends a message in it.
fn converse(state: &mut State, nick: &str, text: &str) -> Result<Vec<Effect>, String> {
    if names::is_same(nick, &state.nick) {
        return Err("that is you".into());
    }
    match window(state, nick) {
        Some(window) => window.is_answered = true,
        None => return Err("too many rooms are open: /leave closes one".into()),
    }
    if let Some(at) = state.position(&crate::room::direct(nick)) {
        state.show(at);
    }
    if text.is_empty() {
        return Ok(Vec::new());
    }
    Ok(say(state, text, false))
}

/// Shows a room, and joins the room if the client is not in it.
fn join(state: &mut State, name: &str) -> Vec<Effect> {
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
            Entry::notice("no connection: the room is joined once there is one".into()),
        );
    }
    vec![Effect::Join { room, from }]
}

/// Shows the latest match that is older than the previous match. If no loaded message matches, the server searches the
/// older messages of the room.
fn search(state: &mut State, words: &str) -> Vec<Effect> {
    let room = state.room_mut();
    let at = room.search(words);
    // The search stays in the input line, so that Enter continues the search from this match.
    room.editor.put_back(&format!("/search {words}"));
    match at {
        FoundAt::Loaded(number) => {
            room.scrollback.show(Anchor { number, hidden: 0 });
            Vec::new()
        }
        FoundAt::Server(_) if room.is_direct() => {
            reply(
                state,
                Entry::notice(format!("{NO_LOG}: no further matches")),
            );
            Vec::new()
        }
        FoundAt::Server(before) => vec![Effect::Search {
            room: room.name.clone(),
            words: words.to_owned(),
            before: before.or_else(|| room.scrollback.oldest_seq()),
        }],
    }
}
