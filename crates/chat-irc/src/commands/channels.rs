//! JOIN, PART, NAMES, TOPIC, LIST (Modern IRC Client Protocol, "Channel Operations").

use super::Asking;
use crate::capability::Capabilities;
use crate::isupport::topic_bytes_max;
use crate::names::{middle, room_of};
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
    let mut keys = parameters.get(1).copied().unwrap_or_default().split(',');
    for target in targets.split(',') {
        let key = keys.next().unwrap_or_default();
        if target.is_empty() {
            continue;
        }
        let Some(room) = room_of(target) else {
            no_such_channel(ask, target);
            continue;
        };
        let mut request = JoinRequest::from(room);
        if replayed > 0 {
            request = request.latest(replayed);
        }
        if !key.is_empty() {
            request = request.key(key);
        }
        if !ask.push(Command::Join(request), What::Join(middle(target).into())) {
            return;
        }
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
                if !ask.push(Command::leave(room), what) {
                    return;
                }
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
        Some(topic) => {
            let bytes_max = topic_bytes_max(&ask.peer.shared.server);
            if topic.len() > bytes_max {
                let text = format!("A topic has at most {bytes_max} bytes");
                return ask.numeric(n::ERR_INPUTTOOLONG, &[], &text);
            }
            ask.push(Command::set_topic(room, *topic), What::SetTopic(channel));
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
            Some(("!", mask)) => conditions.add(mask, false),
            _ if word.contains(['*', '?']) => conditions.add(word, true),
            _ => channels.extend(room_of(word)),
        }
    }
    ask.numeric(n::RPL_LISTSTART, &["Channel"], "Users  Name");
    let is_some = !asked.is_empty();
    let is_conditional =
        conditions.more_than.is_some() || conditions.fewer_than.is_some() || conditions.has_masks();
    if is_some && !is_conditional {
        let count = channels.len();
        for (at, room) in channels.into_iter().enumerate() {
            if !ask.push(Command::topic(room), What::ListOne(at + 1 == count)) {
                break;
            }
        }
        if count == 0 {
            ask.write(write_list_end);
        }
        return;
    }
    let rooms = Command::Rooms {
        after: None,
        limit: None,
    };
    ask.push(rooms, What::List(Box::new(conditions)));
}

/// Refuses a target that is not a channel of this server.
pub(super) fn no_such_channel(ask: &mut Asking<'_, '_, '_>, target: &str) {
    let target = middle(target);
    ask.numeric(n::ERR_NOSUCHCHANNEL, &[&target], "No such channel");
}
