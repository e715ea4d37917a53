//! NICK, QUIT, SETNAME, OPER (Modern IRC Client Protocol, "Connection Messages" and "Operator Messages").

use super::Asking;
use crate::encoder::begin;
use crate::names::middle;
use crate::numeric as n;
use crate::pending::What;
use crate::register::kept_real_name;
use chat_core::protocol::Command;

pub(super) fn nick<'a>(ask: &mut Asking<'_, '_, 'a>, nick: &'a str) {
    if nick.is_empty() {
        return ask.numeric(n::ERR_NONICKNAMEGIVEN, &[], "No nickname given");
    }
    if ask.peer.replies().nick == nick {
        return;
    }
    ask.push(Command::nick(nick), What::Nick(middle(nick).into()));
}

pub(super) fn quit<'a>(ask: &mut Asking<'_, '_, 'a>, reason: &'a str) {
    let reason = (!reason.is_empty()).then(|| reason.into());
    // The answer is the goodbye, and the connection ends, so nothing is pending.
    ask.commands.push(Command::Quit { reason });
}

/// SETNAME changes the real name, which only the peer itself sees yet (IRCv3 setname).
pub(super) fn set_name(ask: &mut Asking<'_, '_, '_>, parameters: &[&str]) {
    let Some(name) = parameters.first().filter(|name| !name.is_empty()) else {
        return ask.needs_more("SETNAME");
    };
    ask.peer.real_name = kept_real_name(name);
    ask.write(|peer, out| {
        if let Some(nick) = &peer.nick {
            begin(nick, out)
                .text(" SETNAME :")
                .text(&peer.real_name)
                .end();
        }
    });
}

pub(super) fn oper(ask: &mut Asking<'_, '_, '_>, parameters: &[&str]) {
    if parameters.len() < 2 {
        return ask.needs_more("OPER");
    }
    ask.numeric(n::ERR_NOOPERHOST, &[], "This server has no operators");
}

pub(super) fn operators_only(ask: &mut Asking<'_, '_, '_>) {
    let text = "Permission denied: you are not a server operator";
    ask.numeric(n::ERR_NOPRIVILEGES, &[], text);
}
