//! What events do.

use super::{Answer, Effect, place, tell};
use crate::room::{self, FoundAt, Older, Pending, Presence, Room};
use crate::scrollback::{Entry, What};
use crate::state::{Link, State};
use chat_json::{Event, GapCause, Message, MessageKind};
use jiff::Timestamp;

/// How many rooms are shown at most, whatever the server says.
const ROOMS_MAX: usize = 256;

/// Something happened.
pub(super) fn happen(state: &mut State, event: Event) -> Vec<Effect> {
    match event {
        Event::Online { nick } => {
            let was_offline = matches!(state.link, Link::Offline { .. });
            state.link = Link::Online;
            state.nick = room::name(&nick);
            if was_offline {
                tell(state, Entry::notice("back online".into()));
            }
        }
        Event::Offline { why, .. } => {
            let why = room::words(&why);
            if !matches!(state.link, Link::Offline { .. }) {
                tell(
                    state,
                    Entry::alert(format!("offline: {why} (trying again)")),
                );
            }
            state.link = Link::Offline { why };
        }
        Event::Closed { why } => {
            let why = room::words(&why);
            tell(
                state,
                Entry::alert(format!("the connection is closed: {why}")),
            );
            state.link = Link::Closed { why };
        }
        Event::Entered(entered) => enter(state, &entered),
        Event::NotEntered {
            room,
            code,
            message,
        } => {
            let name = room::name(&room);
            let what = match &*code {
                "closed" => format!("{name} was closed"),
                "removed" => format!("you were taken out of {name}"),
                _ => format!("not in {name}"),
            };
            let message = room::words(&message);
            let entry = Entry::alert(if message.is_empty() {
                what
            } else {
                format!("{what}: {message}")
            });
            match state.find(&room) {
                Some(room) => {
                    room.presence = Presence::Out;
                    room.scrollback.push(entry);
                }
                None => tell(state, entry),
            }
        }
        Event::Message(message) => return said(state, &message),
        Event::Told { at, from, text } => {
            let entry = Entry {
                at: Some(at),
                seq: None,
                what: What::Told {
                    from: room::name(&from),
                    to: "you".into(),
                    text: room::words(&text),
                },
            };
            tell(state, entry);
            return vec![Effect::Bell];
        }
        Event::DirectsMissed { count } => {
            tell(
                state,
                Entry::alert(format!("{count} direct messages were missed")),
            );
        }
        Event::Rejected { message, .. } => tell(state, Entry::alert(room::words(&message))),
        other => presence(state, &other),
    }
    Vec::new()
}

/// Who is in a room, or what it is like, changed.
fn presence(state: &mut State, event: &Event) {
    match event {
        Event::Joined { room, nick } => {
            let nick = room::name(nick);
            notice_in(state, room, format!("{nick} joined"), |room| {
                room.add_member(&nick)
            });
        }
        Event::Left { room, nick, reason } => {
            let nick = room::name(nick);
            let why = reason
                .as_ref()
                .map(|reason| format!(" ({})", room::words(reason)));
            let text = format!("{nick} left{}", why.unwrap_or_default());
            notice_in(state, room, text, |room| room.remove_member(&nick));
        }
        Event::Renamed { room, nick, to } => {
            let (nick, to) = (room::name(nick), room::name(to));
            notice_in(state, room, format!("{nick} is now {to}"), |room| {
                room.rename_member(&nick, &to)
            });
        }
        Event::Present(present) => {
            if let Some(room) = state.find(&present.room) {
                room.set_members(&present.members, present.count);
            }
        }
        Event::Members { room, count } => {
            if let Some(room) = state.find(room) {
                room.count = *count;
            }
        }
        Event::Hushed { room, on } => {
            let text = match on {
                true => "so many are here that who comes and goes is not announced",
                false => "who comes and goes is announced again",
            };
            notice_in(state, room, text.into(), |_| {});
        }
        Event::Gap {
            room,
            from,
            to,
            why,
        } => {
            let text = gap(*from, *to, *why);
            if let Some(room) = state.find(room) {
                room.scrollback.push(Entry::alert(text));
            }
        }
        _ => {}
    }
}

fn gap(from: Option<u64>, to: Option<u64>, why: GapCause) -> String {
    let count = from
        .zip(to)
        .map(|(from, to)| to.saturating_sub(from).saturating_add(1));
    match (why, count) {
        (GapCause::Epoch, _) => "the room's log began anew: messages may be missing here".into(),
        (_, Some(1)) => "1 message is missing here".into(),
        (_, Some(count)) => format!("{count} messages are missing here"),
        (_, None) => "messages are missing here".into(),
    }
}

fn notice_in(state: &mut State, name: &str, text: String, change: impl FnOnce(&mut Room)) {
    if let Some(room) = state.find(name) {
        change(room);
        room.scrollback.push(Entry::notice(text));
    }
}

fn enter(state: &mut State, entered: &chat_json::Room) {
    let name = room::name(&entered.room);
    let nick = state.nick.clone();
    let at = match state.position(&name) {
        Some(at) => at,
        None if state.rooms.len() < ROOMS_MAX => {
            state.rooms.push(Room::new(name.clone()));
            state.rooms.len() - 1
        }
        None => return,
    };
    let room = &mut state.rooms[at];
    room.name = name;
    room.presence = Presence::In;
    room.topic = room::words(&entered.topic);
    room.older = Older::Unknown;
    room.set_members(&entered.members, entered.count);
    let others: Vec<&str> = room
        .members
        .iter()
        .map(String::as_str)
        .filter(|other| *other != nick)
        .take(20)
        .collect();
    let here = match others.len() {
        0 => "nobody else is here yet".to_owned(),
        _ => format!("here with you: {}", others.join(", ")),
    };
    if entered.recovered.is_none() || room.scrollback.range().is_empty() {
        room.scrollback
            .push(Entry::notice(format!("you are {nick} in {}", room.name)));
        room.scrollback.push(Entry::notice(here));
        if !room.topic.is_empty() {
            let topic = format!("topic: {}", room.topic);
            room.scrollback.push(Entry::notice(topic));
        }
    }
}

/// A message came.
fn said(state: &mut State, message: &Message) -> Vec<Effect> {
    let (own, current) = (state.nick.clone(), state.current);
    let Some(at) = state.position(&message.room) else {
        return Vec::new();
    };
    let is_shown = at == current;
    let room = &mut state.rooms[at];
    let is_own = message.from == own;
    if is_own {
        settle(room, message);
    }
    room.latest = Some(place(message));
    let is_read = room
        .read
        .as_ref()
        .is_some_and(|read| read.epoch == message.epoch && message.seq <= read.seq);
    let is_replay = message.is_replay;
    if message.kind == MessageKind::Topic {
        room.topic = room::words(&message.text);
    }
    let entry = to_entry(message, &own);
    let is_mention = matches!(
        entry.what,
        What::Said {
            is_mention: true,
            ..
        }
    ) && !is_own;
    room.scrollback.push(entry);
    if is_read {
        // It was read in an earlier session: unread begins behind it.
        room.marker = Some(room.scrollback.range().end - 1);
    } else if is_shown {
        room.read.clone_from(&room.latest);
    } else if !is_own {
        room.unread += 1;
        room.mentions += usize::from(is_mention);
    }
    if is_mention && !is_replay && !is_read {
        return vec![Effect::Bell];
    }
    Vec::new()
}

/// The client's own message has come back: it is no longer pending.
fn settle(room: &mut Room, message: &Message) {
    let is_it = |pending: &Pending| {
        pending.taken_as == Some(message.seq)
            || pending.taken_as.is_none() && pending.text == message.text
    };
    if let Some(at) = room.pending.iter().position(is_it) {
        room.pending.remove(at);
    }
}

fn to_entry(message: &Message, own: &str) -> Entry {
    let from = room::name(&message.from);
    let text = room::words(&message.text);
    let what = match message.kind {
        MessageKind::Acted => What::Acted { from, text },
        MessageKind::Topic if text.is_empty() => {
            What::Notice(format!("{from} took the topic away"))
        }
        MessageKind::Topic => What::Notice(format!("{from} set the topic: {text}")),
        _ => What::Said {
            is_mention: mentions(&text, own),
            from,
            text,
        },
    };
    Entry {
        at: Some(message.at),
        seq: Some(message.seq),
        what,
    }
}

/// Whether a text holds a nick as a word of its own.
fn mentions(text: &str, nick: &str) -> bool {
    if nick.is_empty() {
        return false;
    }
    let (text, nick) = (text.to_lowercase(), nick.to_lowercase());
    text.match_indices(&nick).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + nick.len()..].chars().next();
        // Korean puts its particles right behind a name, so what follows a name of another script may be a letter.
        let is_ascii_letter = |c: char| c.is_ascii_alphanumeric();
        before.is_none_or(|c| !c.is_alphanumeric())
            && after.is_none_or(|c| !is_ascii_letter(c) && c != '-' && c != '_')
    })
}

/// What came of an effect.
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
                taken(room, id, result);
            }
        }
        Answer::Older { room, result } => {
            let own = state.nick.clone();
            if let Some(room) = state.find(&room) {
                older(room, result, &own);
            }
        }
        Answer::Told { room, result } => tell_lines(state, &room, result),
        Answer::Found {
            room,
            words,
            result,
        } => {
            if let Ok((_, Some(oldest))) = &result
                && let Some(room) = state.find(&room)
                && let Some(found) = &mut room.found
                && found.words == words
            {
                found.at = FoundAt::Server(Some(*oldest));
            }
            tell_lines(state, &room, result.map(|(lines, _)| lines));
        }
        Answer::Direct {
            room,
            to,
            text,
            result,
        } => {
            let entry = match result {
                Ok(()) => Entry {
                    at: Some(Timestamp::now().as_millisecond().unsigned_abs()),
                    seq: None,
                    what: What::Told {
                        from: "you".into(),
                        to: room::name(&to),
                        text: room::words(&text),
                    },
                },
                Err(error) => Entry::alert(format!(
                    "not sent to {}: {}",
                    room::name(&to),
                    room::words(&error)
                )),
            };
            tell_in(state, &room, vec![entry]);
        }
        Answer::Renamed { room, result } => match result {
            Ok(nick) => {
                let nick = room::name(&nick);
                let old = std::mem::replace(&mut state.nick, nick.clone());
                // Its own renaming is not announced to a client.
                state
                    .rooms
                    .iter_mut()
                    .for_each(|room| room.rename_member(&old, &nick));
                tell_in(
                    state,
                    &room,
                    vec![Entry::notice(format!("you are now {nick}"))],
                );
            }
            Err(error) => tell_in(state, &room, vec![Entry::alert(room::words(&error))]),
        },
        Answer::Joined { room, from, result } => {
            if let Err(error) = result {
                not_joined(state, &room, &from, &error);
            }
        }
        Answer::Left { room, result } => match result {
            Ok(()) => close(state, &room),
            // It was not in it: then there is nothing to keep open either.
            Err(error) => {
                close(state, &room);
                tell(state, Entry::alert(room::words(&error)));
            }
        },
    }
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
    // It answers the user, who is to see it.
    if is_answer {
        room.scrollback.show_end();
    }
}

/// The server has taken a message, or refuses it.
fn taken(room: &mut Room, id: u64, result: Result<u64, String>) {
    let Some(at) = room.pending.iter().position(|pending| pending.id == id) else {
        return;
    };
    match result {
        // It has come back already, in a form that could not be recognised.
        Ok(seq) if room.latest.as_ref().is_some_and(|latest| latest.seq >= seq) => {
            room.pending.remove(at);
        }
        Ok(seq) => room.pending[at].taken_as = Some(seq),
        Err(error) => {
            let pending = room.pending.remove(at);
            let error = room::words(&error);
            room.scrollback.push(Entry::alert(format!(
                "not sent: {} ({error})",
                pending.text
            )));
            room.scrollback.show_end();
            room.editor.put_back(&pending.text);
        }
    }
}

/// What was said before has come.
fn older(room: &mut Room, result: Result<Vec<Message>, String>, own: &str) {
    match result {
        Ok(messages) => {
            let entries: Vec<Entry> = messages
                .iter()
                .map(|message| to_entry(message, own))
                .collect();
            room.older = if entries.is_empty() {
                Older::Nothing
            } else {
                Older::Unknown
            };
            if entries.is_empty() {
                room.scrollback
                    .push_older(vec![Entry::notice("nothing older is kept".into())]);
            }
            room.scrollback.push_older(entries);
        }
        Err(error) => {
            room.older = Older::Unknown;
            let error = room::words(&error);
            room.scrollback.push(Entry::alert(format!(
                "what was said before can't be had: {error}"
            )));
        }
    }
}

/// A room could not be joined: it is told where that was asked for, which is shown again if the room is on the screen.
/// One with nothing in it is closed.
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
        remove(state, at);
    }
    tell_in(state, from, vec![error]);
}

/// A room was left: it is closed, unless it is the only one.
fn close(state: &mut State, name: &str) {
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
    remove(state, at);
}

/// Closes a room that is not the only one.
fn remove(state: &mut State, at: usize) {
    state.rooms.remove(at);
    if state.current >= at && state.current > 0 {
        state.current -= 1;
    }
    state.room_mut().enter();
}
