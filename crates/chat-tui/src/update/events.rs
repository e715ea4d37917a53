//! Handles the events of the client library.

use super::{Effect, ROOMS_MAX, make_space, place, tell, window};
use crate::room::{self, Pending, Presence, Room};
use crate::scrollback::{Entry, What, day};
use crate::state::{Link, Overlay, State};
use crate::{LOBBY, names};
use chat_json::{Event, GapCause, Message, MessageKind};
use jiff::tz::TimeZone;

/// The most lines of the message of the day that are shown.
const MOTD_LINES_MAX: usize = 50;

/// Applies an event to the state.
pub(super) fn happen(state: &mut State, event: Event) -> Vec<Effect> {
    match event {
        Event::Online { nick } => online(state, &nick),
        Event::Greeting { lobby, motd } => return greet(state, lobby.as_deref(), &motd),
        Event::NickRefused {
            nick,
            code,
            message,
        } => nick_refused(state, &nick, &code, &message),
        Event::Offline { why, .. } => offline(state, &why),
        Event::Closed { why } => closed(state, &why),
        Event::Entered(entered) => enter(state, &entered),
        Event::NotEntered {
            room,
            code,
            message,
        } => not_entered(state, &room, &code, &message),
        Event::Message(message) => return said(state, &message),
        Event::Direct { at, from, text } => return told(state, at, &from, &text),
        Event::Invited { from, room, .. } => {
            let (from, room) = (room::name(&from), room::name(&room));
            let text = format!("{from} invites you to {room}: /join {room}");
            tell(state, Entry::notice(text));
        }
        Event::DirectsMissed { count } => {
            let text = format!("{count} direct messages were missed");
            tell(state, Entry::alert(text));
        }
        Event::Rejected { message, .. } => tell(state, Entry::alert(room::words(&message))),
        other => presence(state, &other),
    }
    Vec::new()
}

fn online(state: &mut State, nick: &str) {
    let was_offline = matches!(state.link, Link::Offline { .. });
    state.link = Link::Online;
    state.has_been_online = true;
    state.nick = room::name(nick);
    let wanted = state.wanted_nick.as_deref();
    if wanted.is_some_and(|wanted| names::is_same(wanted, &state.nick)) {
        state.chosen_nick = Some(state.nick.clone());
        state.taken_nick = None;
    }
    if was_offline {
        tell(state, Entry::notice("back online".into()));
    }
}

fn offline(state: &mut State, why: &str) {
    let why = room::words(why);
    if !matches!(state.link, Link::Offline { .. }) {
        let text = format!("offline: {why} (trying again)");
        tell(state, Entry::alert(text));
    }
    (state.link, state.latency) = (Link::Offline { why }, None);
}

fn closed(state: &mut State, why: &str) {
    let why = room::words(why);
    let text = format!("the connection is closed: {why} (/nick NAME connects again)");
    tell(state, Entry::alert(text));
    (state.link, state.latency) = (Link::Closed { why }, None);
}

/// Handles the server's greeting: joins the lobby if no room was requested, and shows the message of the day.
fn greet(state: &mut State, lobby: Option<&str>, motd: &[String]) -> Vec<Effect> {
    let effects = enter_lobby(state, lobby);
    let motd = motd.iter().take(MOTD_LINES_MAX);
    let motd: Vec<String> = motd.map(|line| room::words(line)).collect();
    if motd != state.motd {
        for line in &motd {
            tell(state, Entry::notice(line.clone()));
        }
        state.motd = motd;
    }
    effects
}

/// Returns whether a room of the server may have this name. Names of windows for direct messages are rejected.
fn is_room(name: &str) -> bool {
    let room = Room::new(name.to_owned());
    !room.is_nameless() && !room.is_direct()
}

fn enter_lobby(state: &mut State, lobby: Option<&str>) -> Vec<Effect> {
    let Some(nameless) = state.rooms.iter().position(Room::is_nameless) else {
        return Vec::new();
    };
    let others_are_open = state
        .rooms
        .iter()
        .any(|room| !room.is_nameless() && !room.is_direct());
    // An open paste question counts as text that the user typed.
    let is_pasted =
        state.current == nameless && matches!(state.overlay, Some(Overlay::Paste { .. }));
    if others_are_open && state.rooms[nameless].is_empty() && !is_pasted {
        // The user joined another room before the client reached the server, and typed nothing in the nameless room.
        state.remove(nameless);
        return Vec::new();
    }
    let lobby = lobby.map(room::name).filter(|lobby| is_room(lobby));
    let lobby = lobby.unwrap_or_else(|| LOBBY.to_owned());
    let mut moved = std::mem::take(&mut state.rooms[nameless].pending);
    let at = match state.position(&lobby) {
        Some(known) => merge(state, nameless, known),
        None => nameless,
    };
    let room = &mut state.rooms[at];
    let mut effects = Vec::new();
    // If this condition is false, the client is already in the lobby, or is joining it.
    if room.is_nameless() || room.presence == Presence::Out {
        room.name.clone_from(&lobby);
        room.presence = Presence::Wanted;
        let from = lobby.clone();
        effects.push(Effect::Join { room: lobby, from });
    }
    // Sends only the messages that were pending in the nameless room. The messages that are pending in the lobby's own
    // window were sent earlier.
    effects.extend(moved.iter().map(|pending| Effect::Say {
        room: room.name.clone(),
        id: pending.id,
        text: pending.text.clone(),
        is_action: pending.is_action,
    }));
    room.pending.append(&mut moved);
    effects
}

/// Moves the text that the user typed in the nameless room to the lobby's own window, and closes the nameless room. The
/// nameless room stands for the lobby until its name is known. Returns the index of the lobby's window.
fn merge(state: &mut State, nameless: usize, known: usize) -> usize {
    let was_shown = state.current == nameless;
    let editor = std::mem::take(&mut state.rooms[nameless].editor);
    let known_room = &mut state.rooms[known];
    if was_shown {
        known_room.editor.take_over(editor);
        // For the user, the nameless room is the lobby. So a question about pasted lines that was asked in the nameless
        // room stays open.
        state.current = known;
        known_room.enter();
        state.completion = None;
    } else {
        let shown = std::mem::replace(&mut known_room.editor, editor);
        known_room.editor.take_over(shown);
    }
    state.remove(nameless);
    known - usize::from(known > nameless)
}

/// Handles the refusal of a nick. The server admits the client as a guest.
fn nick_refused(state: &mut State, nick: &str, code: &str, message: &str) {
    let (nick, message) = (room::name(nick), room::words(message));
    let why = message.split(':').next().unwrap_or_default();
    let text = match code {
        "nick_taken" => {
            format!("{why}: you enter as a guest; /nick {nick} takes it once it is free")
        }
        _ => format!("{message}; you enter as a guest, /nick NAME takes another nick"),
    };
    state.taken_nick = (code == "nick_taken").then_some(nick);
    tell(state, Entry::alert(text));
}

/// Tells the user that a nick which was taken before is free now.
fn offer(state: &mut State, nick: &str) {
    let taken = state.taken_nick.as_deref();
    if taken.is_some_and(|taken| names::is_same(taken, nick)) {
        state.taken_nick = None;
        let text = format!("{nick} is free: /nick {nick} takes it");
        tell(state, Entry::alert(text));
    }
}

fn not_entered(state: &mut State, name: &str, code: &str, message: &str) {
    let shown = room::name(name);
    let what = match code {
        "closed" => format!("{shown} was closed"),
        "removed" => format!("you were removed from {shown}"),
        _ => format!("not in {shown}"),
    };
    let message = room::words(message);
    let entry = Entry::alert(if message.is_empty() {
        what
    } else {
        format!("{what}: {message}")
    });
    match state.find(name) {
        Some(room) => {
            room.presence = Presence::Out;
            room.scrollback.push(entry);
        }
        None => tell(state, entry),
    }
}

/// Shows a direct message in the window for its sender.
fn told(state: &mut State, at: u64, from: &str, text: &str) -> Vec<Effect> {
    let from = room::name(from);
    let day = day(&state.zone, at);
    let text = room::words(text);
    state.last_correspondent = Some(from.clone());
    let is_shown = state
        .room()
        .correspondent()
        .is_some_and(|nick| names::is_same(nick, &from));
    make_space(state, &from);
    let mut entry = Entry {
        at: Some(at),
        seq: None,
        day,
        what: What::Said {
            from: from.clone(),
            text: text.clone(),
            is_mention: false,
        },
    };
    match window(state, &from) {
        Some(window) => {
            window.scrollback.push(entry);
            if !is_shown {
                window.unread += 1;
                window.mentions += 1;
            }
        }
        None => {
            let to = "you".into();
            entry.what = What::Told { from, to, text };
            tell(state, entry);
        }
    }
    vec![Effect::Bell]
}

/// Handles events about a room's members, and gaps in a room's messages.
fn presence(state: &mut State, event: &Event) {
    match event {
        Event::Joined { room, nick } => joined(state, room, nick),
        Event::Left { room, nick, reason } => left(state, room, nick, reason.as_deref()),
        Event::Renamed { room, nick, to } => renamed(state, room, nick, to),
        Event::Away { room, nick, text } => away(state, room, nick, text.as_deref()),
        Event::Present(present) => {
            if let Some(room) = state.find(&present.room) {
                room.set_members(&present.members, present.count);
                room.set_away(&present.away);
            }
        }
        Event::Members { room, count } => {
            if let Some(room) = state.find(room) {
                room.count = *count;
            }
        }
        Event::Hushed { room, on } => {
            let text = match on {
                true => "this room is large: joins and leaves are not shown",
                false => "joins and leaves are shown again",
            };
            notice_in(state, room, text.into(), |_| {});
        }
        Event::Gap {
            room,
            from,
            to,
            why,
        } => skip(state, room, (*from, *to), *why),
        _ => {}
    }
}

fn joined(state: &mut State, room: &str, nick: &str) {
    let nick = room::name(nick);
    notice_in(state, room, format!("{nick} joined"), |room| {
        room.add_member(&nick)
    });
}

fn away(state: &mut State, room: &str, nick: &str, text: Option<&str>) {
    let nick = room::name(nick);
    let shown = match text {
        Some(text) => format!("{nick} is away: {}", room::words(text)),
        None => format!("{nick} is back"),
    };
    notice_in(state, room, shown, |room| {
        room.mark_away(&nick, text.is_some())
    });
}

fn left(state: &mut State, room: &str, nick: &str, reason: Option<&str>) {
    let nick = room::name(nick);
    let why = reason.map(|reason| format!(" ({})", room::words(reason)));
    let text = format!("{nick} left{}", why.unwrap_or_default());
    notice_in(state, room, text.clone(), |room| room.remove_member(&nick));
    // A member that leaves with a reason has ended its session. The window for direct messages with this member shows
    // the notice, too.
    if reason.is_some() {
        notice_to(state, &nick, text);
        offer(state, &nick);
    }
}

fn renamed(state: &mut State, room: &str, nick: &str, to: &str) {
    let (nick, to) = (room::name(nick), room::name(to));
    notice_in(state, room, format!("{nick} is now {to}"), |room| {
        room.rename_member(&nick, &to)
    });
    rename_window(state, &nick, &to);
    offer(state, &nick);
}

fn skip(state: &mut State, room: &str, range: (Option<u64>, Option<u64>), why: GapCause) {
    let (from, to) = range;
    if let Some(room) = state.find(room) {
        room.pass(to.unwrap_or_default());
        // Removes the pending messages that the server has accepted, because they may be in the gap.
        room.pending.retain(|pending| pending.taken_as.is_none());
        room.scrollback.push(Entry::alert(gap(from, to, why)));
    }
}

fn gap(from: Option<u64>, to: Option<u64>, why: GapCause) -> String {
    let count = from
        .zip(to)
        .map(|(from, to)| to.saturating_sub(from).saturating_add(1));
    match (why, count) {
        (GapCause::Epoch, _) => "the room's log was replaced: messages may be missing here".into(),
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

/// Adds a notice to the window for a correspondent, if there is such a window. Does not repeat the window's last entry,
/// because the same event may be reported in several shared rooms.
fn notice_to(state: &mut State, nick: &str, text: String) {
    if let Some(window) = state.find(&room::direct(nick)) {
        let last = window.scrollback.entries().next_back();
        if last.is_none_or(|(_, last)| last.text() != text) {
            window.scrollback.push(Entry::notice(text));
        }
    }
}

/// Renames the window for a correspondent, unless there is already a window for the new nick.
fn rename_window(state: &mut State, nick: &str, to: &str) {
    notice_to(state, nick, format!("{nick} is now {to}"));
    let last = state.last_correspondent.as_deref();
    if last.is_some_and(|last| names::is_same(last, nick)) {
        state.last_correspondent = Some(to.to_owned());
    }
    let name = room::direct(to);
    let is_free = state.position(&name).is_none();
    if let Some(window) = state.find(&room::direct(nick)).filter(|_| is_free) {
        window.name = name;
        window.members = vec![to.to_owned()];
    }
}

fn enter(state: &mut State, entered: &chat_json::Room) {
    let name = room::name(&entered.room);
    if !is_room(&name) {
        return;
    }
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
    room.set_away(&entered.away);
    let others: Vec<&str> = room
        .members
        .iter()
        .map(String::as_str)
        .filter(|other| *other != nick)
        .take(20)
        .collect();
    let here = match others.len() {
        0 => "no other members yet".to_owned(),
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

/// Adds a message to its room.
fn said(state: &mut State, message: &Message) -> Vec<Effect> {
    let (own, zone, current) = (state.nick.clone(), state.zone.clone(), state.current);
    let Some(at) = state.position(&message.room) else {
        return Vec::new();
    };
    let is_shown = at == current;
    let room = &mut state.rooms[at];
    let is_own = message.from == own;
    room.be_in(&message.epoch);
    settle(room, message, is_own);
    if message.is_replay && room.has_loaded(message) {
        // The client has joined the room again, and the server has replayed a message that is already shown.
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
    let entry = to_entry(message, &own, &zone);
    let is_mention = matches!(
        entry.what,
        What::Said {
            is_mention: true,
            ..
        }
    ) && !is_own;
    room.scrollback.push(entry);
    if is_read {
        // The message was read in an earlier session, so unread messages begin after it.
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

/// Removes the pending messages that the arrival of `message` confirms. These are the user's own copy of `message`, and
/// the accepted messages whose position is not higher.
fn settle(room: &mut Room, message: &Message, is_own: bool) {
    let is_answered = |pending: &Pending| pending.taken_as == Some(message.seq);
    let is_answered = room.pending.iter().any(is_answered);
    room.pass(message.seq);
    // The message may arrive before the answer with the message's position. The pending message is then recognised by
    // its text.
    let is_it = |pending: &Pending| pending.taken_as.is_none() && pending.text == message.text;
    if is_own
        && !is_answered
        && let Some(at) = room.pending.iter().position(is_it)
    {
        room.pending.remove(at);
    }
}

pub(super) fn to_entry(message: &Message, own: &str, zone: &TimeZone) -> Entry {
    let from = room::name(&message.from);
    let text = room::words(&message.text);
    let what = match message.kind {
        MessageKind::Acted => What::Acted { from, text },
        MessageKind::Topic if text.is_empty() => What::Notice(format!("{from} removed the topic")),
        MessageKind::Topic => What::Notice(format!("{from} set the topic: {text}")),
        MessageKind::Mode => What::Notice(format!("{from} {}", room::words(&message.in_words()))),
        _ => What::Said {
            is_mention: mentions(&text, own),
            from,
            text,
        },
    };
    Entry {
        at: Some(message.at),
        seq: Some(message.seq),
        day: day(zone, message.at),
        what,
    }
}

/// Returns whether a text contains a nick as a word. Composed and decomposed Unicode spellings count as equal.
fn mentions(text: &str, nick: &str) -> bool {
    if nick.is_empty() {
        return false;
    }
    let (text, nick) = (names::fold(text), names::fold(nick));
    text.match_indices(&nick).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + nick.len()..].chars().next();
        // Korean particles directly follow a name, so a letter of another script than Latin may follow the nick.
        let is_ascii_letter = |c: char| c.is_ascii_alphanumeric();
        before.is_none_or(|c| !c.is_alphanumeric())
            && after.is_none_or(|c| !is_ascii_letter(c) && c != '-' && c != '_')
    })
}
