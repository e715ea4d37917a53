//! What events do.

use super::{Effect, place, tell};
use crate::room::{self, Pending, Presence, Room};
use crate::scrollback::{Entry, What};
use crate::state::{Link, State};
use chat_json::{Event, GapCause, Message, MessageKind};

/// How many rooms are shown at most, whatever the server says.
const ROOMS_MAX: usize = 256;

/// Something happened.
pub(super) fn happen(state: &mut State, event: Event) -> Vec<Effect> {
    match event {
        Event::Online { nick } => {
            let was_offline = matches!(state.link, Link::Offline { .. });
            state.link = Link::Online;
            state.has_been_online = true;
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
                room.pass(to.unwrap_or_default());
                // Whether it is among what is missing is not known, but that the server has it is.
                room.pending.retain(|pending| pending.taken_as.is_none());
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
    let is_shorter =
        |latest: &room::Place| latest.epoch == entered.epoch && entered.seq < latest.seq;
    if room.latest.as_ref().is_some_and(is_shorter) {
        room.begin_anew();
    }
    room.be_in(&entered.epoch);
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
    room.be_in(&message.epoch);
    settle(room, message, is_own);
    if message.is_replay && room.has_loaded(message) {
        // The room was left and joined again.
        return Vec::new();
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

/// The client's own message may have come back: it is no longer pending. Nor is what the server took before.
fn settle(room: &mut Room, message: &Message, is_own: bool) {
    let is_answered = |pending: &Pending| pending.taken_as == Some(message.seq);
    let is_answered = room.pending.iter().any(is_answered);
    room.pass(message.seq);
    // It comes before its answer: then it is known by its text only.
    let is_it = |pending: &Pending| pending.taken_as.is_none() && pending.text == message.text;
    if is_own
        && !is_answered
        && let Some(at) = room.pending.iter().position(is_it)
    {
        room.pending.remove(at);
    }
}

pub(super) fn to_entry(message: &Message, own: &str) -> Entry {
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
