//! JOIN, PART, NAMES, TOPIC, LIST, MODE (Modern IRC Client Protocol, "Channel Operations").

use super::Asking;
use crate::capability::Capabilities;
use crate::isupport::TOPIC_BYTES_MAX;
use crate::names::{is_channel, is_same, middle, room_of};
use crate::numeric as n;
use crate::pending::{Conditions, What};
use crate::replies::write_list_end;
use chat_core::protocol::{Command, JoinRequest};

pub(super) fn join<'a>(ask: &mut Asking<'_, '_, 'a>, parameters: &[&'a str]) {
    let Some(targets) = parameters.first().filter(|targets| !targets.is_empty()) else {
        return ask.needs_more("JOIN");
    };
    if *targets == "0" {
        return part_all(ask);
    }
    let has_time = ask.peer.has(Capabilities::SERVER_TIME);
    // A client that asks for the history itself is sent none.
    let is_replayed = has_time && !ask.peer.has(Capabilities::CHAT_HISTORY);
    let replayed = if is_replayed {
        ask.peer.limits().history
    } else {
        0
    };
    for target in targets.split(',').filter(|target| !target.is_empty()) {
        let Some(room) = room_of(target) else {
            no_such_channel(ask, target);
            continue;
        };
        if ask.peer.is_in(room) {
            continue;
        }
        let request = JoinRequest::from(room);
        let request = if replayed > 0 {
            request.latest(replayed)
        } else {
            request
        };
        ask.push(Command::Join(request), What::Join(middle(target).into()));
    }
}

/// JOIN 0: leaves all channels.
fn part_all(ask: &mut Asking<'_, '_, '_>) {
    for room in ask.peer.rooms.clone() {
        let what = What::Part(format!("#{room}").into(), "".into());
        ask.push(Command::leave(room.as_str().to_owned()), what);
    }
}

pub(super) fn part<'a>(ask: &mut Asking<'_, '_, 'a>, parameters: &[&'a str]) {
    let Some(targets) = parameters.first().filter(|targets| !targets.is_empty()) else {
        return ask.needs_more("PART");
    };
    let reason = chat_core::text::clean(parameters.get(1).copied().unwrap_or_default());
    for target in targets.split(',').filter(|target| !target.is_empty()) {
        match room_of(target) {
            Some(room) => {
                let what = What::Part(middle(target).into(), reason.clone().into());
                ask.push(Command::leave(room), what);
            }
            None => no_such_channel(ask, target),
        }
    }
}

pub(super) fn names<'a>(ask: &mut Asking<'_, '_, 'a>, targets: &'a str) {
    // `TARGMAX=NAMES:1`
    let target = targets.split(',').next().unwrap_or_default();
    match room_of(target) {
        Some(room) => {
            ask.push(Command::members(room), What::Names(middle(target).into()));
        }
        None => {
            let target = middle(target);
            ask.numeric(n::RPL_ENDOFNAMES, &[&target], "End of /NAMES list");
        }
    }
}

pub(super) fn topic<'a>(ask: &mut Asking<'_, '_, 'a>, parameters: &[&'a str]) {
    let Some(target) = parameters.first() else {
        return ask.needs_more("TOPIC");
    };
    let Some(room) = room_of(target) else {
        return no_such_channel(ask, target);
    };
    let channel = middle(target).into();
    match parameters.get(1) {
        None => {
            ask.push(Command::topic(room), What::Topic(channel));
        }
        Some(_) if !ask.peer.is_in(room) => {
            let text = "You're not on that channel";
            ask.numeric(n::ERR_NOTONCHANNEL, &[&channel], text);
        }
        Some(topic) => {
            let topic = &topic[..topic.floor_char_boundary(TOPIC_BYTES_MAX)];
            let what = What::Say(channel, crate::reply::Form::Privmsg);
            ask.push(Command::set_topic(room, topic), what);
        }
    }
}

pub(super) fn list<'a>(ask: &mut Asking<'_, '_, 'a>, asked: &'a str) {
    let mut conditions = Conditions::default();
    let mut channels = Vec::new();
    for word in asked.split(',').filter(|word| !word.is_empty()) {
        match word.split_at_checked(1) {
            Some((">", count)) => conditions.more_than = count.parse().ok(),
            Some(("<", count)) => conditions.fewer_than = count.parse().ok(),
            Some(("!", mask)) => conditions.not_masks.push(mask.into()),
            _ if word.contains(['*', '?']) => conditions.masks.push(word.into()),
            _ => channels.extend(room_of(word)),
        }
    }
    ask.numeric(n::RPL_LISTSTART, &["Channel"], "Users  Name");
    let is_some = !asked.is_empty();
    let is_conditional = conditions.more_than.is_some()
        || conditions.fewer_than.is_some()
        || !conditions.masks.is_empty()
        || !conditions.not_masks.is_empty();
    if is_some && !is_conditional {
        for room in channels {
            ask.push(Command::topic(room), What::ListOne);
        }
        return ask.write(write_list_end);
    }
    let rooms = Command::Rooms {
        after: None,
        limit: None,
    };
    ask.push(rooms, What::List(Box::new(conditions)));
}

pub(super) fn mode<'a>(ask: &mut Asking<'_, '_, 'a>, parameters: &[&'a str]) {
    let Some(target) = parameters.first().filter(|target| !target.is_empty()) else {
        return ask.needs_more("MODE");
    };
    let modes = parameters.get(1).copied().unwrap_or_default();
    if !is_channel(target) {
        return user_mode(ask, target, modes);
    }
    let Some(room) = room_of(target) else {
        return no_such_channel(ask, target);
    };
    let channel = middle(target);
    let ends = [
        ("b", n::RPL_ENDOFBANLIST, "End of channel ban list"),
        ("e", n::RPL_ENDOFEXCEPTLIST, "End of channel exception list"),
        (
            "I",
            n::RPL_ENDOFINVEXLIST,
            "End of channel invite exception list",
        ),
    ];
    let asked = modes.trim_start_matches('+');
    let list = ends.iter().find(|(letter, ..)| *letter == asked);
    match list {
        _ if modes.is_empty() => {
            ask.push(Command::topic(room), What::Mode(channel.into()));
        }
        Some((_, end, text)) if parameters.len() == 2 => ask.numeric(*end, &[&channel], text),
        _ => ask.numeric(
            n::ERR_CHANOPRIVSNEEDED,
            &[&channel],
            "You're not a channel operator",
        ),
    }
}

/// MODE of a user. Every user is invisible (`i`) to those who share no channel with it.
fn user_mode(ask: &mut Asking<'_, '_, '_>, target: &str, modes: &str) {
    let nick = ask.peer.replies().nick.to_owned();
    if !is_same(target, &nick) {
        return ask.numeric(
            n::ERR_USERSDONTMATCH,
            &[],
            "Can't change mode for other users",
        );
    }
    if modes.is_empty() {
        return ask.replies(|replies, out| replies.plain_numeric(n::RPL_UMODEIS, &["+i"], out));
    }
    if modes.chars().any(|c| !matches!(c, '+' | '-' | 'i')) {
        ask.numeric(n::ERR_UMODEUNKNOWNFLAG, &[], "Unknown MODE flag");
    }
}

/// Refuses a command of channel operators: no channel has any.
pub(super) fn not_operator(ask: &mut Asking<'_, '_, '_>, command: &str, parameters: &[&str]) {
    let [one, other, ..] = parameters else {
        return ask.needs_more(command);
    };
    let channel = middle(if command == "INVITE" { other } else { one });
    ask.numeric(
        n::ERR_CHANOPRIVSNEEDED,
        &[&channel],
        "You're not a channel operator",
    );
}

/// Refuses a target that is not a channel of this server.
pub(super) fn no_such_channel(ask: &mut Asking<'_, '_, '_>, target: &str) {
    let target = middle(target);
    ask.numeric(n::ERR_NOSUCHCHANNEL, &[&target], "No such channel");
}
