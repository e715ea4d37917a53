//! WHO, WHOIS, WHOWAS, ISON, USERHOST (Modern IRC Client Protocol, "User-Based Queries").
//!
//! Today a session finds only the nicks that share a room with it.

use super::Asking;
use crate::dialect::Peer;
use crate::names::{HOST, USER, is_channel, is_same, middle, room_of};
use crate::numeric as n;
use crate::pending::What;
use crate::replies::Outcome;
use bytes::BytesMut;
use chat_core::protocol::Command;
use chat_core::{Nick, RoomName};

/// The most nicks that one line looks up.
const NICKS_MAX: usize = 32;

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
    found: Vec<(Nick, Vec<RoomName>)>,
    /// The rooms that were not searched yet.
    rooms: Vec<RoomName>,
}

#[derive(Debug)]
enum Purpose {
    Ison,
    Userhost,
    Whois,
    Who(Who),
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

    /// Notes which of the nicks are in a room.
    pub(crate) fn note(&mut self, room: &RoomName, nicks: &[Nick]) {
        for nick in nicks {
            if !self.asks_for(nick) {
                continue;
            }
            match self.found.iter_mut().find(|(known, _)| known == nick) {
                Some((_, rooms)) => rooms.push(room.clone()),
                None => self.found.push((nick.clone(), vec![room.clone()])),
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
            nicks.for_each(|nick| write_who(peer, who, "", std::slice::from_ref(nick), out));
            write_end_of_who(peer, who, out);
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
    for (nick, rooms) in &lookup.found {
        let is_self = peer.nick.as_ref() == Some(nick);
        let nick = nick.as_str();
        let real_name = if is_self && !peer.real_name.is_empty() {
            &peer.real_name
        } else {
            nick
        };
        replies.numeric(n::RPL_WHOISUSER, &[nick, USER, HOST, "*"], real_name, out);
        let channels = rooms.iter().map(|room| format!("#{room}"));
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
pub(crate) fn write_who(peer: &Peer, who: &Who, room: &str, nicks: &[Nick], out: &mut BytesMut) {
    let channel = if room.is_empty() {
        "*".into()
    } else {
        format!("#{room}")
    };
    let (server, replies) = (&*peer.shared.server, peer.replies());
    for nick in nicks {
        let nick = nick.as_str();
        let Some((fields, token)) = &who.fields else {
            let parameters = [&*channel, USER, HOST, server, nick, "H"];
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
            ('f', "H"),
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
