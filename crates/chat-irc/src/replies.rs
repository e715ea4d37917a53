//! Writes core's answers to the commands of a peer.

use crate::capability::Capabilities;
use crate::commands::{history, queries, server};
use crate::dialect::Peer;
use crate::encoder::begin;
use crate::isupport;
use crate::modes;
use crate::names::{HOST, USER};
use crate::numeric as n;
use crate::pending::{Conditions, What};
use crate::refusals;
use crate::reply::shortened;
use bytes::BytesMut;
use chat_core::profile::MemberInfo;
use chat_core::protocol::{Code, Command, Joined, Reply};
use chat_core::rooms::{MaskEntry, Modes, Role, RoomInfo, RoomSummary};
use chat_core::{Limits, Nick};

/// What follows an answer.
pub(crate) enum Outcome {
    /// The command is answered.
    Done,
    /// Another reply to the same command follows.
    More,
    /// The command is answered after the answer to this command.
    Follow(Command<'static>),
}

/// Writes the answer to a command. A reply that does not fit the command writes nothing.
pub(crate) fn answer(
    peer: &mut Peer,
    what: &mut What,
    reply: &Reply<'_>,
    out: &mut BytesMut,
) -> Outcome {
    if let Reply::Refused(refusal) = reply
        && !matches!(refusal.code, Code::RateLimited | Code::Unavailable)
    {
        // A room that the session has left, or that is hidden from it, does not end the search.
        match what {
            What::Lookup(lookup) => return queries::look_further(peer, lookup, out),
            What::History(history) if history.is_skipping() => {
                return history::go_on(peer, history, None, out);
            }
            _ => {}
        }
    }
    match (&mut *what, reply) {
        (_, Reply::Refused(refusal)) => {
            refusals::refuse(peer, what, refusal, out);
        }
        (
            What::Hello(_),
            Reply::Welcome {
                nick, limits, motd, ..
            },
        ) => welcome(peer, nick, limits, motd, out),
        (What::Join(_), Reply::Joined { nick, joined }) => {
            if let Some(command) = write_joined(peer, nick, joined, out) {
                *what = What::JoinNames(Box::new(joined.info.clone()));
                return Outcome::Follow(command);
            }
        }
        (
            What::JoinNames(_) | What::Names(_),
            Reply::Members {
                room,
                members,
                has_more,
            },
        ) => {
            let channel = format!("#{room}");
            write_names(peer, &channel, ranked(members), out);
            if *has_more {
                return Outcome::More;
            }
            write_end_of_names(peer, &channel, out);
        }
        (What::Part(_, reason), Reply::Left(info)) => {
            peer.rooms.retain(|room| *room != info.room);
            if let Some(nick) = &peer.nick {
                let mut line = begin(nick, out);
                line.text(" PART #").text(info.room.as_str());
                if !reason.is_empty() {
                    line.text(" :").text(reason);
                }
                line.end();
            }
        }
        (What::Topic(_), Reply::Topic(info)) => {
            if info.topic.is_empty() {
                let channel = channel(info);
                peer.replies()
                    .numeric(n::RPL_NOTOPIC, &[&channel], "No topic is set", out);
            } else {
                write_topic(peer, info, out);
            }
        }
        (What::Mode(_, lists), Reply::Modes { room, modes, .. }) => {
            write_modes(peer, room.as_str(), modes, lists, out);
        }
        (What::Invite(..), Reply::Invited { room, nick }) => {
            let parameters = [nick.as_str(), &format!("#{room}")];
            peer.replies()
                .plain_numeric(n::RPL_INVITING, &parameters, out);
        }
        (What::ListOne(is_last), Reply::Topic(info)) => {
            write_listed(peer, info.room.as_str(), info.count, &info.topic, out);
            if *is_last {
                write_list_end(peer, out);
            }
        }
        (What::List(conditions), Reply::Rooms { rooms, has_more }) => {
            return write_rooms(peer, conditions, rooms, *has_more, out);
        }
        (What::Tell(_, form), Reply::DirectSent { to, at, text, .. }) => {
            if let Some(nick) = peer
                .nick
                .as_ref()
                .filter(|_| peer.has(Capabilities::ECHO_MESSAGE))
            {
                let (lines, form) = (peer.lines(), *form);
                lines.write_direct(nick.as_str(), to.as_str(), *at, form, text, out);
            }
        }
        (What::Nick(_), Reply::Renamed(nick)) => {
            if let Some(old) = peer.nick.replace((*nick).clone()) {
                begin(&old, out).text(" NICK :").text(nick.as_str()).end();
            }
        }
        (
            What::Who(who),
            Reply::Members {
                room,
                members,
                has_more,
            },
        ) => {
            let members = ranked(members);
            queries::write_who(peer, who, room.as_str(), members, out);
            if *has_more {
                return Outcome::More;
            }
            queries::write_end_of_who(peer, who, out);
        }
        (
            What::Lookup(lookup),
            Reply::Members {
                room,
                members,
                has_more,
            },
        ) => {
            lookup.note(room, ranked(members));
            if *has_more {
                return Outcome::More;
            }
            return queries::look_further(peer, lookup, out);
        }
        (What::History(history), Reply::Page { room, page, .. }) => {
            return history::go_on(peer, history, Some((room, page)), out);
        }
        _ => {}
    }
    Outcome::Done
}

fn channel(info: &RoomInfo) -> String {
    format!("#{}", info.room)
}

fn welcome(peer: &mut Peer, nick: &Nick, limits: &Limits, motd: &[String], out: &mut BytesMut) {
    peer.begin(nick, limits, motd);
    let shared = &peer.shared;
    let (server, network) = (&*shared.server, &*shared.network);
    let replies = peer.replies();
    let hello = format!("Welcome to the {network} network, {nick}");
    replies.numeric(n::RPL_WELCOME, &[], &hello, out);
    let host = format!("Your host is {server}, running version {}", server::VERSION);
    replies.numeric(n::RPL_YOURHOST, &[], &host, out);
    let created = format!(
        "This server was started at {}",
        server::readable(shared.began)
    );
    replies.numeric(n::RPL_CREATED, &[], &created, out);
    let [letters, with_arguments] = modes::LETTERS;
    let known = [server, server::VERSION, "i", letters, with_arguments];
    replies.plain_numeric(n::RPL_MYINFO, &known, out);
    write_isupport(peer, out);
    server::write_lusers(peer, out);
    server::write_motd(peer, out);
}

pub(crate) fn write_isupport(peer: &Peer, out: &mut BytesMut) {
    let tokens = isupport::tokens(&peer.shared.server, &peer.shared.network, &peer.limits());
    for line in tokens.chunks(isupport::TOKENS_PER_LINE) {
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        peer.replies()
            .numeric(n::RPL_ISUPPORT, &line, "are supported by this server", out);
    }
}

/// Writes what a session finds in a room that it has joined. Returns the command that asks for the names of a room with
/// more members than the reply lists.
fn write_joined(
    peer: &mut Peer,
    nick: &Nick,
    joined: &Joined,
    out: &mut BytesMut,
) -> Option<Command<'static>> {
    let info = &joined.info;
    let room = info.room.as_str();
    if !peer.rooms.contains(&info.room) {
        peer.rooms.push(info.room.clone());
    }
    peer.lines().write_join(nick, room, &peer.real_name, out);
    if !info.topic.is_empty() {
        write_topic(peer, info, out);
    }
    // An empty list means that the policy hides the members.
    if info.nicks.len() < info.count && !info.nicks.is_empty() {
        return Some(Command::members(room.to_owned()));
    }
    if info.nicks.is_empty() {
        let channel = channel(info);
        write_names(peer, &channel, [(nick, joined.role)].into_iter(), out);
        write_end_of_names(peer, &channel, out);
    } else {
        write_known_names(peer, info, out);
    }
    None
}

/// Writes the names that a description of a room has.
pub(crate) fn write_known_names(peer: &Peer, info: &RoomInfo, out: &mut BytesMut) {
    let channel = channel(info);
    let members = info.nicks.iter().map(|nick| (nick, info.role_of(nick)));
    write_names(peer, &channel, members, out);
    write_end_of_names(peer, &channel, out);
}

/// Writes the modes of a room, or the lists with these letters.
fn write_modes(peer: &Peer, room: &str, of_room: &Modes, lists: &[char], out: &mut BytesMut) {
    let (replies, channel) = (peer.replies(), format!("#{room}"));
    if lists.is_empty() {
        let set = modes::lines(&modes::set(of_room), usize::MAX).pop();
        let set = set.unwrap_or_else(|| "+".into());
        replies.plain_numeric(n::RPL_CHANNELMODEIS, &[&channel, &set], out);
    }
    for &letter in lists {
        let (entry, end, text) = match letter {
            'e' => (
                n::RPL_EXCEPTLIST,
                n::RPL_ENDOFEXCEPTLIST,
                "End of channel exception list",
            ),
            'I' => (
                n::RPL_INVEXLIST,
                n::RPL_ENDOFINVEXLIST,
                "End of channel invite exception list",
            ),
            _ => (
                n::RPL_BANLIST,
                n::RPL_ENDOFBANLIST,
                "End of channel ban list",
            ),
        };
        for (mask, MaskEntry { by, at, .. }) in modes::entries(of_room, letter) {
            let at = (at.0 / 1000).to_string();
            let parameters = [&*channel, &mask, by.as_str(), &at];
            replies.plain_numeric(entry, &parameters, out);
        }
        replies.numeric(end, &[&channel], text, out);
    }
}

fn write_topic(peer: &Peer, info: &RoomInfo, out: &mut BytesMut) {
    let channel = channel(info);
    let replies = peer.replies();
    let topic = shortened(&info.topic, isupport::topic_bytes_max(replies.server));
    replies.numeric(n::RPL_TOPIC, &[&channel], &topic, out);
    if let Some(set) = &info.topic_set {
        let at = (set.at.0 / 1000).to_string();
        let parameters = [&*channel, set.by.as_str(), &at];
        replies.plain_numeric(n::RPL_TOPICWHOTIME, &parameters, out);
    }
}

/// Returns the nicks of members, with their roles.
fn ranked(members: &[MemberInfo]) -> impl Iterator<Item = (&Nick, Option<Role>)> {
    members.iter().map(|member| (&member.nick, member.role))
}

/// Writes a part of the names of a channel, each behind the sign of its role.
pub(crate) fn write_names<'n>(
    peer: &Peer,
    channel: &str,
    members: impl Iterator<Item = (&'n Nick, Option<Role>)>,
    out: &mut BytesMut,
) {
    let has_hosts = peer.has(Capabilities::USERHOST_IN_NAMES);
    let names = members.map(|(nick, role)| match (modes::sign(role), has_hosts) {
        (sign, true) => format!("{sign}{nick}!{USER}@{HOST}"),
        (sign, false) => format!("{sign}{nick}"),
    });
    peer.replies()
        .list(n::RPL_NAMREPLY, &["=", channel], names, false, out);
}

pub(crate) fn write_end_of_names(peer: &Peer, channel: &str, out: &mut BytesMut) {
    peer.replies()
        .numeric(n::RPL_ENDOFNAMES, &[channel], "End of /NAMES list", out);
}

fn write_rooms(
    peer: &Peer,
    conditions: &Conditions,
    rooms: &[RoomSummary],
    has_more: bool,
    out: &mut BytesMut,
) -> Outcome {
    for RoomSummary {
        room, count, topic, ..
    } in rooms
    {
        if conditions.select(&format!("#{room}"), *count) {
            write_listed(peer, room.as_str(), *count, topic, out);
        }
    }
    match rooms.last().filter(|_| has_more) {
        Some(last) => Outcome::Follow(Command::Rooms {
            after: Some(last.room.to_string().into()),
            limit: None,
        }),
        None => {
            write_list_end(peer, out);
            Outcome::Done
        }
    }
}

fn write_listed(peer: &Peer, room: &str, count: usize, topic: &str, out: &mut BytesMut) {
    let parameters = [&*format!("#{room}"), &count.to_string()];
    peer.replies().numeric(n::RPL_LIST, &parameters, topic, out);
}

pub(crate) fn write_list_end(peer: &Peer, out: &mut BytesMut) {
    peer.replies()
        .numeric(n::RPL_LISTEND, &[], "End of /LIST", out);
}
