//! Handles the results of effects.

use super::events::to_entry;
use super::{Answer, tell};
use crate::command;
use crate::room::{self, FoundAt, NO_SPACE, NOTHING_OLDER, Older, Pending, Presence, Room};
use crate::scrollback::{Entry, What, day};
use crate::state::{Link, State};
use chat_json::Message;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Applies the result of an effect to the state.
pub(super) fn answered(state: &mut State, answer: Answer) {
    match answer {
        Answer::Said {
            room,
            id,
            result,
            took,
        } => {
            if result.is_ok() {
                state.latency = Some(took);
            }
            if let Some(room) = state.find(&room) {
                resolve_pending(room, id, result);
            }
        }
        Answer::Older {
            room,
            epoch,
            result,
        } => older(state, &room, &epoch, result),
        Answer::Lines { room, result } => tell_lines(state, &room, result),
        Answer::Found {
            room,
            words,
            result,
        } => found(state, &room, &words, result),
        Answer::Direct {
            room,
            id,
            to,
            text,
            result,
        } => direct(state, &room, id, (&to, &text), result),
        Answer::Ponged(took) => {
            state.latency = took.filter(|_| state.link == Link::Online);
        }
        Answer::Renamed { room, result } => renamed(state, &room, result),
        Answer::Joined { room, from, result } => {
            if let Err(error) = result {
                not_joined(state, &room, &from, &error);
            }
        }
        Answer::Left { room, result } => left(state, &room, result),
    }
}

fn found(
    state: &mut State,
    name: &str,
    words: &str,
    result: Result<(Vec<String>, Option<u64>), String>,
) {
    if let Ok((_, Some(oldest))) = &result
        && let Some(room) = state.find(name)
        && let Some(found) = &mut room.found
        && found.words == words
    {
        found.at = FoundAt::Server(Some(*oldest));
    }
    tell_lines(state, name, result.map(|(lines, _)| lines));
}

/// Shows a delivered direct message in the window of its correspondent. If the message was typed in another room, that
/// room also shows the message.
fn direct(
    state: &mut State,
    from: &str,
    id: Option<u64>,
    (to, text): (&str, &str),
    result: Result<(), String>,
) {
    let (nick, zone) = (state.nick.clone(), state.zone.clone());
    let at = Timestamp::now().as_millisecond().unsigned_abs();
    let entry = |what| Entry {
        at: Some(at),
        seq: None,
        day: day(&zone, at),
        what,
    };
    // The correspondent may have a new nick, in which case the window has been renamed as well.
    let typed_in = id.and_then(|id| take_pending(state, id));
    if let Err(error) = result {
        let (shown, error) = (room::name(to), room::words(&error));
        let entry = Entry::alert(format!("not sent to {shown}: {error}"));
        let Some(at) = typed_in else {
            return tell_in(state, from, vec![entry]);
        };
        let window = &mut state.rooms[at];
        window.editor.put_back(&command::line(text, false));
        let window = window.name.clone();
        return tell_in(state, &window, vec![entry]);
    }
    let window = match typed_in {
        Some(at) => Some(&mut state.rooms[at]),
        None => super::window(state, to),
    };
    if let Some(window) = window {
        window.is_answered = true;
        window.scrollback.push(entry(What::Said {
            from: nick,
            text: room::words(text),
            is_mention: false,
        }));
    }
    if typed_in.is_none() && room::direct(to) != from {
        let told = entry(What::Told {
            from: "you".into(),
            to: room::name(to),
            text: room::words(text),
        });
        tell_in(state, from, vec![told]);
    }
}

/// Removes a pending direct message. Returns the index of the window that held it.
fn take_pending(state: &mut State, id: u64) -> Option<usize> {
    let is_it = |pending: &Pending| pending.id == id;
    let has_it = |room: &Room| room.is_direct() && room.pending.iter().any(is_it);
    let at = state.rooms.iter().position(has_it)?;
    state.rooms[at].pending.retain(|pending| !is_it(pending));
    Some(at)
}

fn renamed(state: &mut State, room: &str, result: Result<String, String>) {
    let nick = match result {
        Ok(nick) => room::name(&nick),
        Err(error) => return tell_in(state, room, vec![Entry::alert(room::words(&error))]),
    };
    state.wanted_nick = Some(nick.clone());
    if state.link != Link::Online {
        let text = format!("{nick} is requested once there is a connection");
        return tell_in(state, room, vec![Entry::notice(text)]);
    }
    state.chosen_nick = Some(nick.clone());
    state.taken_nick = None;
    let old = std::mem::replace(&mut state.nick, nick.clone());
    // The server does not announce a client's own rename to that client.
    let rooms = state.rooms.iter_mut().filter(|room| !room.is_direct());
    rooms.for_each(|room| room.rename_member(&old, &nick));
    let text = format!("you are now {nick}");
    tell_in(state, room, vec![Entry::notice(text)]);
}

fn tell_lines(state: &mut State, room: &str, result: Result<Vec<String>, String>) {
    let lines = match result {
        Ok(lines) => lines
            .into_iter()
            .map(|line| Entry::notice(room::words(&line)))
            .collect(),
        Err(error) => vec![Entry::alert(room::words(&error))],
    };
    tell_in(state, room, lines);
}

fn tell_in(state: &mut State, name: &str, entries: Vec<Entry>) {
    let at = state.position(name);
    let is_answer = at.is_none_or(|at| at == state.current) && !entries.is_empty();
    let room = &mut state.rooms[at.unwrap_or(state.current)];
    entries
        .into_iter()
        .for_each(|entry| room.scrollback.push(entry));
    // An answer to the user must be on the screen.
    if is_answer {
        room.scrollback.show_end();
    }
}

/// Notes that the server accepted or refused a pending message.
fn resolve_pending(room: &mut Room, id: u64, result: Result<u64, String>) {
    let Some(at) = room.pending.iter().position(|pending| pending.id == id) else {
        return;
    };
    match result {
        // No further message at this position will arrive. The message was delivered already, but was not recognised as
        // this pending message; or the position is in a gap.
        Ok(seq) if room.passed >= Some(seq) => {
            room.pending.remove(at);
        }
        Ok(seq) => room.pending[at].taken_as = Some(seq),
        Err(error) => {
            let pending = room.pending.remove(at);
            let line = command::line(&pending.text, pending.is_action);
            let error = room::words(&error);
            let entry = Entry::alert(format!("not sent: {line} ({error})"));
            room.scrollback.push(entry);
            room.scrollback.show_end();
            room.editor.put_back(&line);
        }
    }
}

/// Adds older messages. `epoch` is the epoch of the room's log when the messages were requested.
fn older(state: &mut State, room: &str, epoch: &str, result: Result<Vec<Message>, String>) {
    let (own, zone) = (state.nick.clone(), state.zone.clone());
    match state.find(room) {
        Some(room) if room.epoch == epoch => add_older(room, result, &own, &zone),
        // The log was replaced since the request, so these messages do not belong above the messages of the new log.
        Some(room) if room.older == Older::Asked => room.older = Older::Unasked,
        _ => {}
    }
}

fn add_older(room: &mut Room, result: Result<Vec<Message>, String>, own: &str, zone: &TimeZone) {
    room.older = Older::Unasked;
    match result {
        Ok(messages) => {
            let oldest = room.scrollback.oldest_seq().unwrap_or(u64::MAX);
            let older = messages.iter().filter(|message| message.seq < oldest);
            let entries: Vec<Entry> = older.map(|message| to_entry(message, own, zone)).collect();
            let count = entries.len();
            if count == 0 {
                room.scrollback.end_at_top(NOTHING_OLDER);
            } else if room.scrollback.push_older(entries) < count {
                room.scrollback.end_at_top(NO_SPACE);
            }
        }
        Err(error) => {
            let error = room::words(&error);
            room.scrollback.push(Entry::alert(format!(
                "older messages can't be loaded: {error}"
            )));
        }
    }
}

/// Shows why the room `name` could not be joined, in the room `from`, where the user typed the command. If the window
/// of `name` is empty, closes the window and shows `from` again.
fn not_joined(state: &mut State, name: &str, from: &str, error: &str) {
    let error = Entry::alert(format!("{}: {}", room::name(name), room::words(error)));
    let Some(at) = state.position(name) else {
        return tell_in(state, from, vec![error]);
    };
    if state.rooms[at].presence == Presence::In {
        return tell_in(state, from, vec![error]);
    }
    state.rooms[at].presence = Presence::Out;
    let back = state.position(from).filter(|&back| back != at);
    if let Some(back) = back
        && state.rooms[at].is_empty()
    {
        if state.current == at {
            state.show(back);
        }
        state.remove(at);
    }
    tell_in(state, from, vec![error]);
}

fn left(state: &mut State, room: &str, result: Result<(), String>) {
    // A refusal means that the client was not in the room, so the window is closed after a refusal too.
    close(state, room);
    if let Err(error) = result {
        tell(state, Entry::alert(room::words(&error)));
    }
}

/// Closes the window of a room that the client has left. If no other window is open, the window stays open and shows a
/// notice.
pub(super) fn close(state: &mut State, name: &str) {
    let Some(at) = state.position(name) else {
        return;
    };
    if state.rooms.len() == 1 {
        tell(
            state,
            Entry::notice("you left: /join ROOM joins another".into()),
        );
        state.rooms[0].set_members(&[], 0);
        state.rooms[0].presence = Presence::Out;
        return;
    }
    state.remove(at);
}
