//! WHO, WHOIS, WHOWAS, ISON, USERHOST (Modern IRC Client Protocol, "User-Based Queries").
//!
//! Today a session finds only the nicks that share a room with it.

use super::Asking;
use crate::dialect::Peer;
use crate::isupport::NICKS_MAX;
use crate::modes;
use crate::names::{HOST, USER, is_channel, is_same, middle, room_of};
use crate::numeric as n;
use crate::pending::What;
use crate::replies::Outcome;
use bytes::BytesMut;
use chat_core::protocol::Command;
use chat_core::rooms::Role;
use chat_core::{Nick, RoomName};

/// A WHO that waits for its answer.
#[derive(Debug)]
pub(crate) struct Who {
    mask: Box<str>,
    /// The fields that the client asked for, and its token; `None` for the standard reply (IRCv3 WHOX).
    fields: Option<(Box<str>, Box<str>)>,
}

/// A search for nicks in the rooms of the session.
#[derive(Debug)]
pub(crate) struct Lookup {
    purpose: Purpose,
    nicks: Vec<Box<str>>,
    /// Each nick that was found, and its channels with the sign of its role.
    found: Vec<(Nick, Vec<String>)>,
    /// The rooms that were not searched yet.
    rooms: Vec<RoomName>,
}

#[derive(Debug)]
enum Purpose {
    Ison,
    Userhost,
    Whois,
    Who(Who),
    /// MODE of another user, which is refused whether or not there is such a user.
    UserMode,
}

pub(super) fn who<'a>(ask: &mut Asking<'_, '_, 'a>, parameters: &[&'a str]) {
    let Some(mask) = parameters.first().filter(|mask| !mask.is_empty()) else {
        return ask.needs_more("WHO");
    };
    let options = parameters.get(1).copied().unwrap_or_default();
    let fields = options.split_once('%').map(|(_, fields)| {
        let (fields, token) = fields.split_once(',').unwrap_or((fields, "0"));
        let digits = token.len() <= 3 && token.bytes().all(|byte| byte.is_ascii_digit());
        (fields.into(), if digits { token } else { "0" }.into())
    });
    let who = Who {
        mask: middle(mask).into(),
        fields,
    };
    match room_of(mask) {
        Some(room) => {
            ask.push(Command::members(room), What::Who(Box::new(who)));
        }
        None if is_channel(mask) || mask.contains(['*', '?']) || *mask == "0" => {
            ask.write(|peer, out| write_end_of_who(peer, &who, out));
        }
        None => look_up(ask, Purpose::Who(who), &[mask]),
    }
}

pub(super) fn whois(ask: &mut Asking<'_, '_, '_>, parameters: &[&str]) {
    // `WHOIS server nick` asks a server.
    let nick = match parameters {
        [nick] | [_, nick, ..] => nick.split(',').next().unwrap_or_default(),
        [] => "",
    };
    if nick.is_empty() {
        return ask.numeric(n::ERR_NONICKNAMEGIVEN, &[], "No nickname given");
    }
    look_up(ask, Purpose::Whois, &[nick]);
}

pub(super) fn whowas(ask: &mut Asking<'_, '_, '_>, parameters: &[&str]) {
    let nick = middle(parameters.first().copied().unwrap_or_default());
    if parameters.is_empty() {
        return ask.numeric(n::ERR_NONICKNAMEGIVEN, &[], "No nickname given");
    }
    ask.numeric(n::ERR_WASNOSUCHNICK, &[&nick], "There was no such nickname");
    ask.numeric(n::RPL_ENDOFWHOWAS, &[&nick], "End of WHOWAS");
}

pub(super) fn ison(ask: &mut Asking<'_, '_, '_>, parameters: &[&str]) {
    if parameters.is_empty() {
        return ask.needs_more("ISON");
    }
    let nicks: Vec<&str> = parameters
        .iter()
        .flat_map(|nicks| nicks.split(' '))
        .collect();
    look_up(ask, Purpose::Ison, &nicks);
}

pub(super) fn userhost(ask: &mut Asking<'_, '_, '_>, parameters: &[&str]) {
    if parameters.is_empty() {
        return ask.needs_more("USERHOST");
    }
    // The document allows five nicks.
    look_up(
        ask,
        Purpose::Userhost,
        &parameters[..parameters.len().min(5)],
    );
}

/// MODE of another user.
pub(super) fn user_mode(ask: &mut Asking<'_, '_, '_>, nick: &str) {
    look_up(ask, Purpose::UserMode, &[nick]);
}

/// Searches the rooms of the session for these nicks.
fn look_up(ask: &mut Asking<'_, '_, '_>, purpose: Purpose, nicks: &[&str]) {
    let nicks = nicks.iter().filter(|nick| !nick.is_empty()).take(NICKS_MAX);
    let mut lookup = Lookup {
        purpose,
        nicks: nicks.map(|nick| middle(nick).into()).collect(),
        found: Vec::new(),
        rooms: ask.peer.rooms.clone(),
    };
    let own = ask.peer.nick.iter().filter(|own| lookup.asks_for(own));
    lookup.found = own.map(|own| (own.clone(), Vec::new())).collect();
    match lookup.rooms.pop() {
        Some(room) => {
            let command = Command::members(room.as_str().to_owned());
            ask.push(command, What::Lookup(Box::new(lookup)));
        }
        None => ask.write(|peer, out| write_found(peer, &lookup, out)),
    }
}

impl Lookup {
    fn asks_for(&self, nick: &Nick) -> bool {
        self.nicks.iter().any(|asked| is_same(asked, nick.as_str()))
    }

    /// Returns the name of the command that searches.
    pub(crate) const fn command(&self) -> &'static str {
        match self.purpose {
            Purpose::Ison => "ISON",
            Purpose::Userhost => "USERHOST",
            Purpose::Whois => "WHOIS",
            Purpose::Who(_) => "WHO",
            Purpose::UserMode => "MODE",
        }
    }

    /// Notes which of the nicks are in a room.
    pub(crate) fn note<'n>(
        &mut self,
        room: &RoomName,
        members: impl Iterator<Item = (&'n Nick, Option<Role>)>,
    ) {
        for (nick, role) in members {
            if !self.asks_for(nick) {
                continue;
            }
            let channel = format!("{}#{room}", modes::sign(role));
            match self.found.iter_mut().find(|(known, _)| known == nick) {
                Some((_, channels)) => channels.push(channel),
                None => self.found.push((nick.clone(), vec![channel])),
            }
        }
    }
}

/// Searches the next room, or writes the result.
pub(crate) fn look_further(peer: &Peer, lookup: &mut Lookup, out: &mut BytesMut) -> Outcome {
    match lookup.rooms.pop() {
        Some(room) => Outcome::Follow(Command::members(room.as_str().to_owned())),
        None => {
            write_found(peer, lookup, out);
            Outcome::Done
        }
    }
}

fn write_found(peer: &Peer, lookup: &Lookup, out: &mut BytesMut) {
    let replies = peer.replies();
    let nicks = lookup.found.iter().map(|(nick, _)| nick);
    match &lookup.purpose {
        Purpose::Ison => {
            replies.list(n::RPL_ISON, &[], nicks.map(Nick::as_str), true, out);
        }
        Purpose::Userhost => {
            let hosts = nicks.map(|nick| format!("{nick}=+{USER}@{HOST}"));
            replies.list(n::RPL_USERHOST, &[], hosts, true, out);
        }
        Purpose::Who(who) => {
            write_who(peer, who, "", nicks.map(|nick| (nick, None)), out);
            write_end_of_who(peer, who, out);
        }
        Purpose::UserMode if lookup.found.is_empty() => {
            let asked = lookup.nicks.first().map_or("*", |nick| &**nick);
            replies.numeric(n::ERR_NOSUCHNICK, &[asked], "No such nick", out);
        }
        Purpose::UserMode => {
            let text = "Can't change or show the mode of other users";
            replies.numeric(n::ERR_USERSDONTMATCH, &[], text, out);
        }
        Purpose::Whois => write_whois(peer, lookup, out),
    }
}

fn write_whois(peer: &Peer, lookup: &Lookup, out: &mut BytesMut) {
    let replies = peer.replies();
    if lookup.found.is_empty() {
        let asked = lookup.nicks.first().map_or("*", |nick| &**nick);
        replies.numeric(n::ERR_NOSUCHNICK, &[asked], "No such nick", out);
    }
    for (nick, channels) in &lookup.found {
        let is_self = peer.nick.as_ref() == Some(nick);
        let nick = nick.as_str();
        let real_name = if is_self && !peer.real_name.is_empty() {
            &peer.real_name
        } else {
            nick
        };
        replies.numeric(n::RPL_WHOISUSER, &[nick, USER, HOST, "*"], real_name, out);
        replies.list(n::RPL_WHOISCHANNELS, &[nick], channels, false, out);
        let server = &*peer.shared.server;
        replies.numeric(
            n::RPL_WHOISSERVER,
            &[nick, server],
            &peer.shared.network,
            out,
        );
    }
    let asked = lookup.nicks.first().map_or("*", |nick| &**nick);
    replies.numeric(n::RPL_ENDOFWHOIS, &[asked], "End of /WHOIS list", out);
}

/// Writes a part of the answer to WHO. `room` is empty if WHO named no channel.
pub(crate) fn write_who<'n>(
    peer: &Peer,
    who: &Who,
    room: &str,
    members: impl Iterator<Item = (&'n Nick, Option<Role>)>,
    out: &mut BytesMut,
) {
    let channel = if room.is_empty() {
        "*".into()
    } else {
        format!("#{room}")
    };
    let (server, replies) = (&*peer.shared.server, peer.replies());
    for (nick, role) in members {
        let nick = nick.as_str();
        let flags = format!("H{}", modes::sign(role));
        let Some((fields, token)) = &who.fields else {
            let parameters = [&*channel, USER, HOST, server, nick, &flags];
            replies.numeric(n::RPL_WHOREPLY, &parameters, &format!("0 {nick}"), out);
            continue;
        };
        // WHOX: the fields come in this order, whatever the order of the request is.
        let known = [
            ('t', &**token),
            ('c', &*channel),
            ('u', USER),
            ('i', "255.255.255.255"),
            ('h', HOST),
            ('s', server),
            ('n', nick),
            ('f', &*flags),
            ('d', "0"),
            ('l', "0"),
            ('a', "0"),
            ('o', "n/a"),
        ];
        let asked = known.iter().filter(|(letter, _)| fields.contains(*letter));
        let asked: Vec<&str> = asked.map(|(_, value)| *value).collect();
        if fields.contains('r') {
            replies.numeric(n::RPL_WHOSPCRPL, &asked, nick, out);
        } else {
            replies.plain_numeric(n::RPL_WHOSPCRPL, &asked, out);
        }
    }
}

pub(crate) fn write_end_of_who(peer: &Peer, who: &Who, out: &mut BytesMut) {
    peer.replies()
        .numeric(n::RPL_ENDOFWHO, &[&who.mask], "End of /WHO list", out);
}
