//! PRIVMSG, NOTICE, TAGMSG, and CTCP inside them (Modern IRC Client Protocol, "Sending Messages").

use super::Asking;
use crate::capability::Capabilities;
use crate::isupport::TARGETS_MAX;
use crate::names::{is_channel, middle, room_of};
use crate::numeric as n;
use crate::pending::What;
use crate::reply::Form;
use chat_core::DirectKind;
use chat_core::protocol::Command;

pub(super) fn privmsg<'a>(ask: &mut Asking<'_, '_, 'a>, parameters: &[&'a str]) {
    let Some(targets) = parameters.first().filter(|targets| !targets.is_empty()) else {
        return ask.numeric(n::ERR_NORECIPIENT, &[], "No recipient given (PRIVMSG)");
    };
    let Some(text) = parameters.get(1).filter(|text| !text.is_empty()) else {
        return ask.numeric(n::ERR_NOTEXTTOSEND, &[], "No text to send");
    };
    if targets.split(',').count() > TARGETS_MAX {
        let targets = middle(targets);
        return ask.numeric(n::ERR_TOOMANYTARGETS, &[&targets], "Too many targets");
    }
    let (form, text) = match ctcp(text) {
        None => (Form::Privmsg, *text),
        Some(("ACTION", text)) => (Form::Action, text),
        Some(_) => (Form::Request, text.trim_matches('\x01')),
    };
    send(ask, targets, form, text);
}

pub(super) fn notice<'a>(ask: &mut Asking<'_, '_, 'a>, parameters: &[&'a str]) {
    // Nothing about a notice is ever answered (Modern, "NOTICE message").
    let [targets, text, ..] = parameters else {
        return;
    };
    if targets.split(',').count() > TARGETS_MAX {
        return;
    }
    let (form, text) = match ctcp(text) {
        None => (Form::Notice, *text),
        Some(_) => (Form::Response, text.trim_matches('\x01')),
    };
    send(ask, targets, form, text);
}

/// TAGMSG carries client-only tags, which this server does not deliver yet.
pub(super) fn tagmsg(ask: &mut Asking<'_, '_, '_>, parameters: &[&str]) {
    if !ask.peer.has(Capabilities::MESSAGE_TAGS) {
        return ask.numeric(n::ERR_UNKNOWNCOMMAND, &["TAGMSG"], "Unknown command");
    }
    if parameters.is_empty() {
        ask.needs_more("TAGMSG");
    }
}

fn send<'a>(ask: &mut Asking<'_, '_, 'a>, targets: &'a str, form: Form, text: &'a str) {
    let is_answered = !matches!(form, Form::Notice | Form::Response);
    for target in targets.split(',').filter(|target| !target.is_empty()) {
        let named = || middle(target).into();
        if !is_channel(target) {
            let kind = match form {
                Form::Privmsg => DirectKind::Said,
                Form::Action => DirectKind::Acted,
                Form::Notice => DirectKind::Notice,
                Form::Request => DirectKind::Request,
                Form::Response => DirectKind::Response,
            };
            let (to, text) = (target.into(), text.into());
            let command = Command::TellAs { to, kind, text };
            ask.push(command, What::Tell(named(), form));
            continue;
        }
        let Some(room) = room_of(target) else {
            if is_answered {
                super::channels::no_such_channel(ask, target);
            }
            continue;
        };
        let Some(command) = speak(room, form, text) else {
            if is_answered {
                let target = middle(target);
                let text = "Only the CTCP request ACTION can be sent to a channel";
                ask.numeric(n::ERR_CANNOTSENDTOCHAN, &[&target], text);
            }
            continue;
        };
        ask.push(command, What::Say(named(), form));
    }
}

/// Returns the command that speaks in a room; `None` if a room can't be sent this.
fn speak<'a>(room: &'a str, form: Form, text: &'a str) -> Option<Command<'a>> {
    let (room, text, key) = (Some(room.into()), text.into(), None);
    match form {
        Form::Privmsg => Some(Command::Say { room, text, key }),
        Form::Action => Some(Command::Act { room, text, key }),
        Form::Notice => Some(Command::Notice { room, text, key }),
        Form::Request | Form::Response => None,
    }
}

/// Returns the command of a CTCP message and its text; `None` if the text is not a CTCP message (the CTCP document,
/// "Message Syntax": the last delimiter may be missing).
fn ctcp(text: &str) -> Option<(&str, &str)> {
    let message = text.strip_prefix('\x01')?;
    let message = message.strip_suffix('\x01').unwrap_or(message);
    Some(message.split_once(' ').unwrap_or((message, "")))
}
