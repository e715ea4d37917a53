//! PING, MOTD, LUSERS, VERSION, TIME, INFO, ADMIN, LINKS, HELP (Modern IRC Client Protocol, "Server Queries and
//! Commands").

use super::Asking;
use crate::dialect::Peer;
use crate::names::middle;
use crate::numeric as n;
use crate::replies::write_isupport;
use crate::time;
use bytes::BytesMut;
use chat_core::log::Timestamp;

/// The version that the server shows.
pub(crate) const VERSION: &str = concat!("chat-irc-", env!("CARGO_PKG_VERSION"));

pub(super) fn ping(ask: &mut Asking<'_, '_, '_>, parameters: &[&str]) {
    let Some(token) = parameters.first().filter(|token| !token.is_empty()) else {
        return ask.numeric(n::ERR_NOORIGIN, &[], "No origin specified");
    };
    let token = chat_core::text::clean(token);
    ask.replies(|replies, out| replies.line("PONG", &[replies.server], &token, out));
}

pub(crate) fn write_motd(peer: &Peer, out: &mut BytesMut) {
    let replies = peer.replies();
    let motd = peer.shared.hub.get().map(|(_, motd)| &**motd);
    let Some(motd) = motd.filter(|motd| !motd.is_empty()) else {
        return replies.numeric(n::ERR_NOMOTD, &[], "There is no message of the day", out);
    };
    let begin = format!("- {} Message of the day -", replies.server);
    replies.numeric(n::RPL_MOTDSTART, &[], &begin, out);
    for line in motd {
        replies.numeric(n::RPL_MOTD, &[], &format!("- {line}"), out);
    }
    replies.numeric(n::RPL_ENDOFMOTD, &[], "End of /MOTD command", out);
}

pub(crate) fn write_lusers(peer: &Peer, out: &mut BytesMut) {
    let stats = peer
        .shared
        .stats
        .as_ref()
        .map(|stats| stats())
        .unwrap_or_default();
    let (sessions, rooms) = (stats.sessions.to_string(), stats.rooms.to_string());
    let replies = peer.replies();
    let users = format!("There are {sessions} users and 0 invisible on 1 servers");
    replies.numeric(n::RPL_LUSERCLIENT, &[], &users, out);
    replies.numeric(n::RPL_LUSEROP, &["0"], "operator(s) online", out);
    replies.numeric(n::RPL_LUSERCHANNELS, &[&rooms], "channels formed", out);
    let here = format!("I have {sessions} clients and 0 servers");
    replies.numeric(n::RPL_LUSERME, &[], &here, out);
    let pair = [&*sessions, &*sessions];
    let local = format!("Current local users {sessions}, max {sessions}");
    replies.numeric(n::RPL_LOCALUSERS, &pair, &local, out);
    let global = format!("Current global users {sessions}, max {sessions}");
    replies.numeric(n::RPL_GLOBALUSERS, &pair, &global, out);
}

pub(super) fn write_version(peer: &Peer, out: &mut BytesMut) {
    let replies = peer.replies();
    let parameters = [VERSION, replies.server];
    replies.numeric(
        n::RPL_VERSION,
        &parameters,
        "plain, JSON, IRC: one room",
        out,
    );
    write_isupport(peer, out);
}

pub(super) fn write_time(peer: &Peer, out: &mut BytesMut) {
    let now = readable((peer.shared.now)());
    let replies = peer.replies();
    replies.numeric(n::RPL_TIME, &[replies.server], &now, out);
}

pub(super) fn write_info(peer: &Peer, out: &mut BytesMut) {
    let replies = peer.replies();
    for line in [
        "A chat server whose rooms nc, browsers, programs and IRC clients share.",
        "HELP lists what this server understands.",
    ] {
        replies.numeric(n::RPL_INFO, &[], line, out);
    }
    replies.numeric(n::RPL_ENDOFINFO, &[], "End of /INFO list", out);
}

pub(super) fn write_admin(peer: &Peer, out: &mut BytesMut) {
    let replies = peer.replies();
    replies.numeric(
        n::RPL_ADMINME,
        &[replies.server],
        "Administrative info",
        out,
    );
    replies.numeric(n::RPL_ADMINLOC1, &[], &peer.shared.network, out);
    replies.numeric(
        n::RPL_ADMINLOC2,
        &[],
        "Ask the person who gave you this address",
        out,
    );
    replies.numeric(n::RPL_ADMINEMAIL, &[], "none", out);
}

pub(super) fn write_links(peer: &Peer, out: &mut BytesMut) {
    let replies = peer.replies();
    let network = format!("0 {}", peer.shared.network);
    replies.numeric(
        n::RPL_LINKS,
        &[replies.server, replies.server],
        &network,
        out,
    );
    replies.numeric(n::RPL_ENDOFLINKS, &["*"], "End of /LINKS list", out);
}

/// What HELP shows about a subject. The first entry is shown if no subject is named.
const HELP: &[(&str, &[&str])] = &[
    (
        "index",
        &[
            "JOIN PART NAMES TOPIC LIST MODE KICK INVITE PRIVMSG NOTICE NICK QUIT",
            "WHO WHOIS WHOWAS ISON USERHOST SETNAME CHATHISTORY",
            "MOTD LUSERS VERSION TIME INFO ADMIN LINKS HELP PING CAP",
            "HELP COMMAND explains a command.",
        ],
    ),
    (
        "join",
        &["JOIN #room{,#room} [key{,key}]: joins rooms. JOIN 0 leaves all."],
    ),
    ("part", &["PART #room{,#room} [reason]: leaves rooms."]),
    ("names", &["NAMES #room: lists the members of a room."]),
    (
        "topic",
        &["TOPIC #room [text]: shows or sets a room's topic."],
    ),
    ("list", &["LIST [>n,<n,mask,#room]: lists rooms."]),
    (
        "privmsg",
        &["PRIVMSG target{,target} text: sends a message to a room or a nick."],
    ),
    (
        "notice",
        &["NOTICE target{,target} text: as PRIVMSG, but never answered by a program."],
    ),
    ("nick", &["NICK name: changes your nick."]),
    (
        "mode",
        &[
            "MODE #room [letters [arguments]]: shows or changes a room's modes.",
            "imnst: invite-only, moderated, no external, secret, topic lock.",
            "k: key. l: limit. b e I: lists. q o v: owner, operator, voice.",
        ],
    ),
    (
        "kick",
        &["KICK #room nick{,nick} [reason]: takes a user out of a room."],
    ),
    ("invite", &["INVITE nick #room: invites a user to a room."]),
    (
        "who",
        &["WHO #room|nick [%fields,token]: lists the members of a room."],
    ),
    (
        "whois",
        &["WHOIS nick: shows what is known of a user who shares a room with you."],
    ),
    (
        "chathistory",
        &["CHATHISTORY LATEST|BEFORE|AFTER|AROUND|BETWEEN|TARGETS ...: reads a room's history."],
    ),
    ("quit", &["QUIT [reason]: ends the session."]),
];

pub(super) fn help(ask: &mut Asking<'_, '_, '_>, subject: &str) {
    let asked = if subject.is_empty() { "index" } else { subject };
    let found = HELP
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(asked));
    let Some((name, lines)) = found else {
        let subject = middle(subject);
        return ask.numeric(
            n::ERR_HELPNOTFOUND,
            &[&subject],
            "No help available on this topic",
        );
    };
    ask.replies(|replies, out| {
        replies.numeric(n::RPL_HELPSTART, &[name], "This server's commands", out);
        for line in *lines {
            replies.numeric(n::RPL_HELPTXT, &[name], line, out);
        }
        replies.numeric(n::RPL_ENDOFHELP, &[name], "End of /HELP", out);
    });
}

/// Returns a time for people, in UTC.
pub(crate) fn readable(at: Timestamp) -> String {
    let time = time::format(at);
    let time = String::from_utf8_lossy(&time);
    format!("{} {} UTC", &time[..10], &time[11..19])
}
