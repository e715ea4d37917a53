//! Writes why core has refused a command, with the numeric that the documents name for it.

use crate::commands::{history, queries};
use crate::dialect::Peer;
use crate::names::middle;
use crate::numeric::{self as n, Numeric};
use crate::pending::What;
use crate::replies::{write_end_of_names, write_list_end};
use crate::reply::Form;
use bytes::BytesMut;
use chat_core::error::Denied;
use chat_core::protocol::{Code, Refusal};

/// Writes the refusal of a command.
pub(crate) fn refuse(peer: &mut Peer, what: &What, refusal: &Refusal, out: &mut BytesMut) {
    let text = &*refusal.message;
    if is_silent(what, refusal) {
        return;
    }
    if let Some((numeric, parameters)) = by_modes(what, refusal) {
        let parameters: Vec<_> = parameters.iter().map(|one| middle(one)).collect();
        let parameters: Vec<&str> = parameters.iter().map(|one| &**one).collect();
        return peer.replies().numeric(numeric, &parameters, text, out);
    }
    let is_later = matches!(refusal.code, Code::RateLimited | Code::Unavailable);
    if let Some(command) = list_command(what).filter(|_| is_later) {
        // The answer would otherwise say that there is nothing.
        peer.replies()
            .numeric(n::RPL_TRYAGAIN, &[command], text, out);
        if matches!(what, What::Names(_) | What::Lookup(_)) {
            return;
        }
    }
    let (numeric, target): (Numeric, &str) = match (what, refusal.code) {
        (What::Hello(nick), code) => {
            peer.not_begun();
            if code == Code::Denied {
                return peer
                    .replies()
                    .numeric(n::ERR_YOUREBANNEDCREEP, &[], text, out);
            }
            (nick_numeric(code), nick)
        }
        (What::Nick(nick), code) => (nick_numeric(code), nick),
        (What::Join(channel), code) => (join_numeric(code), channel),
        (What::JoinNames(info), _) => return crate::replies::write_known_names(peer, info, out),
        (What::Names(channel), _) => return write_end_of_names(peer, channel, out),
        (What::Who(who), _) => return queries::write_end_of_who(peer, who, out),
        (What::ListOne(is_last), _) => {
            if *is_last {
                write_list_end(peer, out);
            }
            return;
        }
        (What::List(_), _) => {
            if !is_later {
                peer.replies()
                    .numeric(n::ERR_UNKNOWNERROR, &["LIST"], text, out);
            }
            return write_list_end(peer, out);
        }
        (What::History(history), _) => return history::fail(peer, history, refusal, out),
        (What::Say(..) | What::Tell(..), Code::BadRequest) => {
            return peer
                .replies()
                .numeric(n::ERR_NOTEXTTOSEND, &[], "No text to send", out);
        }
        (What::Say(channel, _), Code::NotFound | Code::BadName) => (n::ERR_NOSUCHCHANNEL, channel),
        (What::Say(channel, _), _) => (n::ERR_CANNOTSENDTOCHAN, channel),
        (What::Tell(nick, _), _) => (n::ERR_NOSUCHNICK, nick),
        (What::Kick(_, nick) | What::Invite(_, nick), Code::NotFound) => (n::ERR_NOSUCHNICK, nick),
        (What::SetTopic(channel), code) if code != Code::Denied || !is_outside(peer, channel) => {
            (n::ERR_CHANOPRIVSNEEDED, channel)
        }
        (
            What::Part(channel, _)
            | What::Topic(channel)
            | What::SetTopic(channel)
            | What::Mode(channel, _)
            | What::SetMode(channel, _)
            | What::Kick(channel, _)
            | What::Invite(channel, _),
            code,
        ) => (channel_numeric(code), channel),
        (What::Lookup(_), _) => return,
    };
    peer.replies()
        .numeric(numeric, &[&middle(target)], text, out);
}

/// Returns whether a refusal is not written.
fn is_silent(what: &What, refusal: &Refusal) -> bool {
    let is_unchanged = refusal.denied == Some(Denied::Unchanged);
    match what {
        // A notice is never answered automatically (Modern, "NOTICE message").
        What::Say(_, form) | What::Tell(_, form) => matches!(form, Form::Notice | Form::Response),
        What::Join(_) | What::SetMode(..) => is_unchanged,
        _ => false,
    }
}

/// Returns the numeric and the parameters of a refusal that a room's modes or the roles of its members are the reason
/// of.
fn by_modes<'a>(what: &'a What, refusal: &'a Refusal) -> Option<(Numeric, Vec<&'a str>)> {
    let denied = refusal.denied.as_ref()?;
    let channel: &str = match what {
        What::Join(channel)
        | What::Say(channel, _)
        | What::SetTopic(channel)
        | What::SetMode(channel, _)
        | What::Kick(channel, _)
        | What::Invite(channel, _) => channel,
        _ => return None,
    };
    let numeric = match denied {
        Denied::InviteOnly => n::ERR_INVITEONLYCHAN,
        Denied::Banned => n::ERR_BANNEDFROMCHAN,
        Denied::BadKey => n::ERR_BADCHANNELKEY,
        Denied::RoomFull(_) => n::ERR_CHANNELISFULL,
        Denied::Moderated | Denied::Quieted | Denied::NoExternal => n::ERR_CANNOTSENDTOCHAN,
        Denied::TargetNotInRoom(nick) => {
            return Some((n::ERR_USERNOTINCHANNEL, vec![nick, channel]));
        }
        Denied::AlreadyInRoom(nick) => {
            return Some((n::ERR_USERONCHANNEL, vec![nick.as_str(), channel]));
        }
        Denied::ListFull(_) => {
            let letter = match what {
                What::SetMode(_, 'e') => "e",
                What::SetMode(_, 'I') => "I",
                _ => "b",
            };
            return Some((n::ERR_BANLISTFULL, vec![channel, letter]));
        }
        _ if matches!(what, What::Say(..)) => n::ERR_CANNOTSENDTOCHAN,
        _ => n::ERR_CHANOPRIVSNEEDED,
    };
    Some((numeric, vec![channel]))
}

/// Returns the command of a question that has a list as its answer.
const fn list_command(what: &What) -> Option<&'static str> {
    match what {
        What::Names(_) | What::JoinNames(_) => Some("NAMES"),
        What::Who(_) => Some("WHO"),
        What::List(_) | What::ListOne(_) => Some("LIST"),
        What::Lookup(lookup) => Some(lookup.command()),
        What::Topic(_) => Some("TOPIC"),
        What::Mode(..) => Some("MODE"),
        _ => None,
    }
}

fn is_outside(peer: &Peer, channel: &str) -> bool {
    !peer.is_in(channel.trim_start_matches('#'))
}

const fn join_numeric(code: Code) -> Numeric {
    match code {
        Code::NotFound => n::ERR_NOSUCHCHANNEL,
        Code::BadName => n::ERR_BADCHANMASK,
        Code::Full => n::ERR_TOOMANYCHANNELS,
        Code::Denied => n::ERR_BANNEDFROMCHAN,
        _ => n::ERR_UNAVAILRESOURCE,
    }
}

const fn channel_numeric(code: Code) -> Numeric {
    match code {
        Code::Denied => n::ERR_NOTONCHANNEL,
        _ => n::ERR_NOSUCHCHANNEL,
    }
}

const fn nick_numeric(code: Code) -> Numeric {
    match code {
        Code::NickTaken => n::ERR_NICKNAMEINUSE,
        Code::BadName => n::ERR_ERRONEUSNICKNAME,
        Code::Denied => n::ERR_CANTCHANGENICK,
        _ => n::ERR_UNAVAILRESOURCE,
    }
}
