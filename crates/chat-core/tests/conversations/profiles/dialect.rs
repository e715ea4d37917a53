//! A dialect in which each line is a command about sessions, and each reply is one line.

use bytes::BytesMut;
use chat_core::auth::{Credentials, Secret};
use chat_core::profile::{MemberInfo, NickStatus};
use chat_core::protocol::{
    Broadcast, Command, Commands, Detected, Detection, Detector, Dialect, DialectOptions, Encoder,
    Moment, Reply, WatchChange,
};
use chat_core::{CloseReason, Direct, Echo, PresenceChange};
use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

/// Writes one formatted line to a buffer.
macro_rules! put {
    ($out:expr, $($line:tt)*) => {
        writeln!($out, $($line)*).expect("a buffer takes everything")
    };
}

/// Recognises the dialect by its first line, which is `ASK`.
#[derive(Clone, Default)]
pub(crate) struct Ask(Arc<Lines>);

#[derive(Default)]
pub(crate) struct Lines;

impl Detector for Ask {
    fn detect(&self, prefix: &[u8]) -> Detection {
        let found = || Detected::Dialect(Box::new(self.clone()));
        Detection::by_opening(prefix, &["ASK"], found)
    }
}

fn list(nicks: &str) -> Vec<Cow<'_, str>> {
    let nicks = nicks.split(',').filter(|nick| !nick.is_empty());
    nicks.map(Cow::Borrowed).collect()
}

fn command(line: &str) -> Option<Command<'_>> {
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
    let watch = |change, nicks| Command::Watch {
        change,
        nicks: list(nicks),
    };
    Some(match verb {
        "USER" => Command::SetProfile {
            user: Some(first.into()),
            real_name: Some(second.into()),
            is_bot: None,
        },
        "NAME" => Command::SetProfile {
            user: None,
            real_name: Some(rest.into()),
            is_bot: None,
        },
        "BOT" => Command::SetProfile {
            user: None,
            real_name: None,
            is_bot: Some(true),
        },
        "HELLO" => Command::hello(first),
        "JOIN" => Command::join(first),
        "NICK" => Command::nick(first),
        "SAY" => Command::say(first, second),
        "TELL" => Command::tell(first, second),
        "MEMBERS" => Command::members(first),
        "AWAY" => Command::Away {
            message: (!rest.is_empty()).then(|| rest.into()),
        },
        "WHOIS" => Command::Whois { nick: first.into() },
        "WHOWAS" => Command::Whowas {
            nick: first.into(),
            limit: None,
        },
        "ONLINE" => Command::Online { nicks: list(rest) },
        "WATCH" => watch(WatchChange::Add, rest),
        "UNWATCH" => watch(WatchChange::Remove, rest),
        "CLEAR" => watch(WatchChange::Clear, ""),
        "WATCHED" => watch(WatchChange::List, ""),
        "LOGIN" => Command::Authenticate(Credentials::Password {
            account: first.into(),
            password: Secret::new(second),
        }),
        "OPER" => Command::Operate {
            name: first.into(),
            password: Secret::new(second),
        },
        "KILL" => Command::Disconnect {
            nick: first.into(),
            reason: Some(second.into()),
        },
        "QUIT" => Command::quit(rest),
        _ => return None,
    })
}

fn status(status: &NickStatus) -> String {
    match &status.online {
        Some(member) => format!("{} is {}", status.asked, entry(member)),
        None => format!("{} is offline", status.asked),
    }
}

fn entry(member: &MemberInfo) -> String {
    let marks = [
        (member.is_away, " away"),
        (member.is_bot, " bot"),
        (member.is_operator, " operator"),
    ];
    let marks = marks.into_iter().filter(|(is_so, _)| *is_so);
    let marks: String = marks.map(|(_, mark)| mark).collect();
    let name = member.real_name.as_deref().unwrap_or("-");
    format!("{}!{} ({name}){marks}", member.nick, member.user_host)
}

fn joined<T>(items: &[T], write: impl Fn(&T) -> String) -> String {
    let items: Vec<String> = items.iter().map(write).collect();
    items.join("; ")
}

impl Dialect for Ask {
    fn name(&self) -> &'static str {
        "ask"
    }

    fn encoder(&self) -> Arc<dyn Encoder> {
        Arc::<Lines>::clone(&self.0)
    }

    fn echo(&self) -> Echo {
        Echo::Exclude
    }

    fn options(&self) -> DialectOptions {
        let mut options = DialectOptions::default();
        options.registers = true;
        options.has_changes_once = true;
        options
    }

    fn receive<'a>(&mut self, line: &'a str, commands: &mut Commands<'a>) {
        if let Some(command) = command(line) {
            commands.push(command);
        }
    }

    fn reply(&mut self, reply: &Reply<'_>, out: &mut BytesMut) {
        match reply {
            Reply::Welcome {
                nick, user_host, ..
            } => put!(out, "you are {nick}!{user_host}"),
            Reply::Joined { joined, .. } => {
                let info = &joined.info;
                put!(out, "in {}, away: {:?}", info.room, info.away);
            }
            Reply::DirectSent { to, away, .. } => put!(out, "told {to}, away: {away:?}"),
            Reply::AwaySet { message } => put!(out, "away: {message:?}"),
            Reply::ProfileSet(profile) => put!(
                out,
                "profile {} {:?} bot: {}",
                profile.user_host,
                profile.real_name,
                profile.is_bot
            ),
            Reply::Whois(whois) => {
                let member = MemberInfo::new(whois.nick.clone(), whois.profile.clone());
                let rooms = joined(&whois.rooms, |room| room.to_string());
                let (since, idle) = (whois.since.map(|since| since.0), whois.idle);
                put!(
                    out,
                    "{} rooms: {rooms}, sessions: {}, since: {since:?}, idle: {idle:?}",
                    entry(&member),
                    whois.sessions
                );
            }
            Reply::Whowas { asked, ended } => {
                let ended = joined(ended, |ended| format!("{}!{}", ended.nick, ended.user_host));
                put!(out, "{asked} was: {ended}");
            }
            Reply::Online(statuses) => put!(out, "{}", joined(statuses, status)),
            Reply::Watching { nicks, refused } => {
                put!(
                    out,
                    "watching: {}, refused: {refused:?}",
                    joined(nicks, status)
                );
            }
            Reply::Members { members, .. } => put!(out, "{}", joined(members, entry)),
            Reply::Authenticated(account) => put!(out, "logged in as {account}"),
            Reply::Operating => put!(out, "operator"),
            Reply::Disconnected(nick) => put!(out, "killed {nick}"),
            Reply::Refused(refusal) => put!(out, "no: {refusal}"),
            _ => {}
        }
    }

    fn direct(&mut self, direct: &Direct, out: &mut BytesMut) {
        put!(out, "{} tells: {}", direct.from, direct.text);
    }

    fn watched(&mut self, news: &NickStatus, out: &mut BytesMut) {
        put!(out, "news: {}", status(news));
    }

    fn goodbye(&mut self, reason: &CloseReason, out: &mut BytesMut) {
        put!(out, "bye: {reason}");
    }
}

impl Encoder for Lines {
    fn encode(&self, item: &Broadcast<'_>, _: Moment, out: &mut BytesMut) {
        match item {
            Broadcast::Messages(batch, range) => {
                let from = batch.from();
                let user_host = batch.user_host().map_or("?", |seen| seen.as_str());
                for message in batch.messages(range.clone()) {
                    put!(out, "{from}!{user_host} says {}", message.text);
                }
            }
            Broadcast::Presence(presence) => {
                let (nick, profile) = (&presence.nick, &presence.profile);
                let change = match &presence.change {
                    PresenceChange::Joined => "joined".to_owned(),
                    PresenceChange::Left { reason: None } => "left".to_owned(),
                    PresenceChange::Left { reason: Some(why) } => format!("quit: {why}"),
                    PresenceChange::Renamed { to } => format!("is {to}"),
                    PresenceChange::Away { message } => format!("away: {message:?}"),
                    PresenceChange::ProfileChanged { was } => format!(
                        "was {} {:?} {:?} now {:?} {:?}",
                        was.user_host,
                        was.real_name,
                        was.account,
                        profile.real_name,
                        profile.account
                    ),
                    _ => return,
                };
                put!(out, "{nick}!{} {change}", profile.user_host);
            }
            _ => {}
        }
    }
}
