//! Writes core's answers to the commands of a peer.

use crate::capability::Capabilities;
use crate::commands::{history, queries, server};
use crate::dialect::Peer;
use crate::encoder::begin;
use crate::isupport;
use crate::names::{HOST, USER, middle};
use crate::numeric::{self as n, Numeric};
use crate::pending::{Conditions, What};
use crate::reply::Form;
use bytes::BytesMut;
use chat_core::profile::MemberInfo;
use chat_core::protocol::{Code, Command, Joined, Refusal, Reply};
use chat_core::rooms::{RoomInfo, RoomSummary};
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
    let is_refused = matches!(reply, Reply::Refused(_));
    if is_refused {
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
            refuse(peer, what, refusal, out);
        }
        (
            What::Hello(_),
            Reply::Welcome {
                nick, limits, motd, ..
            },
        ) => welcome(peer, nick, limits, motd, out),
        (What::Join(_), Reply::Joined { nick, joined }) => {
            if let Some(command) = write_joined(peer, nick, joined, out) {
                *what = What::JoinNames(joined.info.room.clone());
                return Outcome::Follow(command);
            }
        }
        (
            What::JoinNames(room),
            Reply::Members {
                members, has_more, ..
            },
        ) => {
            write_names(peer, room.as_str(), nicks(members), out);
            if *has_more {
                return Outcome::More;
            }
            write_end_of_names(peer, room.as_str(), out);
        }
        (
            What::Names(_),
            Reply::Members {
                room,
                members,
                has_more,
                ..
            },
        ) => {
            write_names(peer, room.as_str(), nicks(members), out);
            if *has_more {
                return Outcome::More;
            }
            write_end_of_names(peer, room.as_str(), out);
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
        (What::Mode(_), Reply::Topic(info)) => {
            let channel = channel(info);
            let began = (peer.shared.began.0 / 1000).to_string();
            let replies = peer.replies();
            replies.plain_numeric(n::RPL_CHANNELMODEIS, &[&channel, "+"], out);
            replies.plain_numeric(n::RPL_CREATIONTIME, &[&channel, &began], out);
        }
        (What::ListOne, Reply::Topic(info)) => {
            write_listed(peer, info.room.as_str(), info.count, &info.topic, out);
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
                ..
            },
        ) => {
            let nicks: Vec<Nick> = nicks(members).cloned().collect();
            queries::write_who(peer, who, room.as_str(), &nicks, out);
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
                ..
            },
        ) => {
            let nicks: Vec<Nick> = nicks(members).cloned().collect();
            lookup.note(room, &nicks);
            if *has_more {
                return Outcome::More;
            }
            return queries::look_further(peer, lookup, out);
        }
        (What::History(history), Reply::Page { page, .. }) => {
            return history::go_on(peer, history, Some(page), out);
        }
        _ => {}
    }
    Outcome::Done
}

fn nicks(members: &[MemberInfo]) -> impl Iterator<Item = &Nick> {
    members.iter().map(|member| &member.nick)
}

/// Writes why a command was refused, with the numeric that the documents name for it.
fn refuse(peer: &mut Peer, what: &What, refusal: &Refusal, out: &mut BytesMut) {
    let text = &*refusal.message;
    let (numeric, target): (Numeric, &str) = match (what, refusal.code) {
        // A notice is never answered automatically (Modern, "NOTICE message").
        (
            What::Say(_, Form::Notice | Form::Response)
            | What::Tell(_, Form::Notice | Form::Response),
            _,
        ) => return,
        (What::Hello(nick), code) => {
            peer.not_begun();
            (nick_numeric(code), nick)
        }
        (What::Nick(nick), code) => (nick_numeric(code), nick),
        (What::Join(channel), Code::NotFound) => (n::ERR_NOSUCHCHANNEL, channel),
        (What::Join(channel), Code::BadName) => (n::ERR_BADCHANMASK, channel),
        (What::Join(channel), Code::Full) => (n::ERR_TOOMANYCHANNELS, channel),
        (What::Join(channel), Code::Denied) => (n::ERR_BANNEDFROMCHAN, channel),
        (What::Join(channel), _) => (n::ERR_UNAVAILRESOURCE, channel),
        (What::JoinNames(room), _) => return write_end_of_names(peer, room.as_str(), out),
        (What::Names(channel), _) => {
            let channel = middle(channel);
            return peer.replies().numeric(
                n::RPL_ENDOFNAMES,
                &[&channel],
                "End of /NAMES list",
                out,
            );
        }
        (What::Who(who), _) => return queries::write_end_of_who(peer, who, out),
        (What::ListOne, _) => return,
        (What::List(_), _) => {
            peer.replies()
                .numeric(n::ERR_UNKNOWNERROR, &["LIST"], text, out);
            return write_list_end(peer, out);
        }
        (What::History(history), _) => return history::fail(peer, history, text, out),
        (What::Part(channel, _) | What::Topic(channel) | What::Mode(channel), Code::Denied) => {
            (n::ERR_NOTONCHANNEL, channel)
        }
        (What::Part(channel, _) | What::Topic(channel) | What::Mode(channel), _) => {
            (n::ERR_NOSUCHCHANNEL, channel)
        }
        (What::Say(..) | What::Tell(..), Code::BadRequest) => {
            return peer
                .replies()
                .numeric(n::ERR_NOTEXTTOSEND, &[], "No text to send", out);
        }
        (What::Say(channel, _), Code::NotFound | Code::BadName) => (n::ERR_NOSUCHCHANNEL, channel),
        (What::Say(channel, _), _) => (n::ERR_CANNOTSENDTOCHAN, channel),
        (What::Tell(nick, _), Code::NotFound) => (n::ERR_NOSUCHNICK, nick),
        (What::Tell(nick, _), _) => (n::ERR_CANNOTSENDTOCHAN, nick),
        (What::Lookup(_), _) => return,
    };
    peer.replies()
        .numeric(numeric, &[&middle(target)], text, out);
}

const fn nick_numeric(code: Code) -> Numeric {
    match code {
        Code::NickTaken => n::ERR_NICKNAMEINUSE,
        Code::BadName => n::ERR_ERRONEUSNICKNAME,
        Code::Denied => n::ERR_CANTCHANGENICK,
        _ => n::ERR_UNAVAILRESOURCE,
    }
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
    replies.plain_numeric(n::RPL_MYINFO, &[server, server::VERSION, "i", "n"], out);
    write_isupport(peer, out);
    server::write_lusers(peer, out);
    server::write_motd(peer, out);
}

pub(crate) fn write_isupport(peer: &Peer, out: &mut BytesMut) {
    let tokens = isupport::tokens(&peer.shared.network, &peer.limits());
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
    if !peer.is_in(room) {
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
        write_names(peer, room, [nick].into_iter(), out);
    } else {
        write_names(peer, room, info.nicks.iter(), out);
    }
    write_end_of_names(peer, room, out);
    None
}

fn write_topic(peer: &Peer, info: &RoomInfo, out: &mut BytesMut) {
    let channel = channel(info);
    let replies = peer.replies();
    replies.numeric(n::RPL_TOPIC, &[&channel], &info.topic, out);
    if let Some(set) = &info.topic_set {
        let at = (set.at.0 / 1000).to_string();
        let parameters = [&*channel, set.by.as_str(), &at];
        replies.plain_numeric(n::RPL_TOPICWHOTIME, &parameters, out);
    }
}

/// Writes a part of the names of a room.
pub(crate) fn write_names<'n>(
    peer: &Peer,
    room: &str,
    nicks: impl Iterator<Item = &'n Nick>,
    out: &mut BytesMut,
) {
    let channel = format!("#{room}");
    let has_hosts = peer.has(Capabilities::USERHOST_IN_NAMES);
    let names = nicks.map(|nick| match has_hosts {
        true => format!("{nick}!{USER}@{HOST}"),
        false => nick.to_string(),
    });
    peer.replies()
        .list(n::RPL_NAMREPLY, &["=", &channel], names, false, out);
}

pub(crate) fn write_end_of_names(peer: &Peer, room: &str, out: &mut BytesMut) {
    let channel = format!("#{room}");
    peer.replies()
        .numeric(n::RPL_ENDOFNAMES, &[&channel], "End of /NAMES list", out);
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
