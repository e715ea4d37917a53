//! MODE, KICK, INVITE (Modern IRC Client Protocol, "Channel Operations").

use super::Asking;
use super::channels::no_such_channel;
use super::queries;
use crate::modes::{self, Asked, Fault};
use crate::names::{is_channel, is_same, middle, room_of};
use crate::numeric as n;
use crate::pending::What;
use chat_core::protocol::Command;
use chat_core::rooms::ModeChanges;

pub(super) fn mode<'a>(ask: &mut Asking<'_, '_, 'a>, parameters: &[&'a str]) {
    let Some((target, parameters)) = parameters.split_first().filter(|(it, _)| !it.is_empty())
    else {
        return ask.needs_more("MODE");
    };
    let (letters, arguments) = parameters.split_first().unwrap_or((&"", &[]));
    if !is_channel(target) {
        return user_mode(ask, target, letters);
    }
    let Some(room) = room_of(target) else {
        return no_such_channel(ask, target);
    };
    let channel: Box<str> = middle(target).into();
    let Asked {
        changes,
        lists,
        faults,
    } = modes::parse(letters, arguments);
    for fault in faults {
        refuse(ask, &channel, &fault);
    }
    let room = || Some(room.into());
    let question = |lists: Vec<char>| What::Mode(channel.clone(), lists.into());
    for changes in changes {
        let what = What::SetMode(channel.clone(), modes::list_letter(&changes));
        let room = room();
        ask.push(Command::Mode { room, changes }, what);
    }
    if !lists.is_empty() || letters.is_empty() {
        let (room, changes) = (room(), ModeChanges::default());
        ask.push(Command::Mode { room, changes }, question(lists));
    }
}

fn refuse(ask: &mut Asking<'_, '_, '_>, channel: &str, fault: &Fault) {
    match fault {
        Fault::Unknown(letter) => {
            let letter = letter.to_string();
            let text = "is unknown mode char to me";
            ask.numeric(n::ERR_UNKNOWNMODE, &[&middle(&letter)], text);
        }
        Fault::Argument(letter, argument) => {
            let parameters = [channel, &letter.to_string(), &middle(argument)];
            let text = "That can't be the argument of this mode";
            ask.numeric(n::ERR_INVALIDMODEPARAM, &parameters, text);
        }
        Fault::Nick(nick) => {
            ask.numeric(n::ERR_NOSUCHNICK, &[&middle(nick)], "No such nick");
        }
    }
}

/// MODE of a user. Every user is invisible (`i`) to those who share no channel with it.
fn user_mode(ask: &mut Asking<'_, '_, '_>, target: &str, modes: &str) {
    let nick = ask.peer.replies().nick.to_owned();
    if !is_same(target, &nick) {
        return queries::user_mode(ask, target);
    }
    if modes.is_empty() {
        return ask.replies(|replies, out| replies.plain_numeric(n::RPL_UMODEIS, &["+i"], out));
    }
    if modes.chars().any(|c| !matches!(c, '+' | '-' | 'i')) {
        ask.numeric(n::ERR_UMODEUNKNOWNFLAG, &[], "Unknown MODE flag");
    }
}

pub(super) fn kick<'a>(ask: &mut Asking<'_, '_, 'a>, parameters: &[&'a str]) {
    let [target, nicks, reason @ ..] = parameters else {
        return ask.needs_more("KICK");
    };
    let Some(room) = room_of(target) else {
        return no_such_channel(ask, target);
    };
    let reason = reason.first().filter(|reason| !reason.is_empty());
    for nick in nicks.split(',').filter(|nick| !nick.is_empty()) {
        let command = Command::Kick {
            room: Some(room.into()),
            nick: nick.into(),
            reason: reason.map(|reason| (*reason).into()),
        };
        let what = What::Kick(middle(target).into(), middle(nick).into());
        if !ask.push(command, what) {
            return;
        }
    }
}

pub(super) fn invite<'a>(ask: &mut Asking<'_, '_, 'a>, parameters: &[&'a str]) {
    let [nick, target, ..] = parameters else {
        return ask.needs_more("INVITE");
    };
    let Some(room) = room_of(target) else {
        return no_such_channel(ask, target);
    };
    let what = What::Invite(middle(target).into(), middle(nick).into());
    let (room, nick) = (Some(room.into()), (*nick).into());
    ask.push(Command::Invite { room, nick }, what);
}
