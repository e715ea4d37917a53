//! The plain dialect, for people with `nc` or telnet, scripts, and simple socket programs.
//!
//! Invariant: the form of a line shows who speaks. Messages begin with the time or a nick, notices with `* `, and
//! errors with `! `. No text can forge a line, because a nick holds no space and no colon, and a text holds no line
//! break.

use crate::event::{CloseReason, Direct, DirectKind, Encoder, RoomInfo, RoomSummary};
use crate::log::{Gap, ModeChanges, Page, Timestamp};
use crate::name::Nick;
use crate::plain::commands::{self, Asked, Parsed};
use crate::plain::encoder::PlainEncoders;
use crate::plain::modes;
use crate::plain::whois::{write_away, write_whois};
use crate::plain::write::{because, line, notice, refusal};
use crate::protocol::{
    Command, Commands, Delimiter, Dialect, DialectOptions, Greeting, Joined, Reply,
};
use crate::room::Echo;
use bytes::{BufMut, BytesMut};
use std::sync::Arc;

/// The most nicks in one line: about as many as a person reads.
const NICKS_SHOWN_MAX: usize = 50;

/// The most bytes of nicks in one line, for a peer that accepts only a limited number of bytes about a room.
const SHORT_NICKS_BYTES_MAX: usize = 150;

/// The state of the plain dialect on one connection.
#[derive(Debug)]
pub(crate) struct Plain {
    encoders: PlainEncoders,
    shows_time: bool,
    /// What the peer has chosen with `/echo`. `None` is the default, which depends on `is_chunked`.
    echo: Option<Echo>,
    /// Whether silence ends the peer's messages.
    is_chunked: bool,
    /// The nick that the greeting showed. Kept from the greeting until the first join is answered.
    greeted_as: Option<Nick>,
    /// Whether the peer has asked for the lists of masks, not for all modes of the room.
    asked_for_bans: bool,
    /// The peer to whom the last direct message went, and the away message that was shown for it. Boxed, because few
    /// connections need it.
    away_shown: Option<Box<(Nick, String)>>,
}

impl Plain {
    pub(crate) const fn new(encoders: PlainEncoders) -> Self {
        Self {
            encoders,
            shows_time: true,
            echo: None,
            is_chunked: false,
            greeted_as: None,
            asked_for_bans: false,
            away_shown: None,
        }
    }

    /// Shows that the receiver of a direct message is away. The same away message is not shown twice in a row.
    fn show_away(&mut self, nick: &Nick, message: Option<&str>, out: &mut BytesMut) {
        let shown = message.map(|message| Box::new((nick.clone(), message.to_owned())));
        if shown != self.away_shown {
            write_away(nick, message, out);
            self.away_shown = shown;
        }
    }

    fn answer(&mut self, asked: Asked<'_>, commands: &mut Commands<'_>) {
        let out = commands.out();
        match asked {
            Asked::Help(None) => commands::write_help(out),
            Asked::Help(Some(command)) => commands::write_help_of(command, out),
            Asked::Echo(echo) => {
                self.echo = Some(echo);
                let shown = if echo == Echo::Include {
                    "shown to you too"
                } else {
                    "not shown to you"
                };
                notice(out, format_args!("your own messages are {shown}"));
                commands.push(Command::OptionsChanged);
            }
            Asked::Time(shows_time) => {
                self.shows_time = shows_time;
                notice(
                    out,
                    format_args!(
                        "the time is {}",
                        if shows_time { "shown" } else { "not shown" }
                    ),
                );
                commands.push(Command::OptionsChanged);
            }
            Asked::Bans => {
                self.asked_for_bans = true;
                commands.push(Command::Mode {
                    room: None,
                    changes: ModeChanges::default(),
                });
            }
            Asked::Nothing(why) => refusal(out, &why),
        }
    }

    fn write_time(&self, at: Timestamp, out: &mut BytesMut) {
        if self.shows_time {
            self.encoders.write_time(at, out);
        }
    }

    /// Writes the results of a search, and the range of messages that the search did not reach.
    fn found(&self, page: &Page, out: &mut BytesMut) {
        self.encoders.write_found(page, out);
        match page.len() {
            0 => notice(out, format_args!("nothing found")),
            count => notice(
                out,
                format_args!("{count} found; /history N PLACE shows what led to one"),
            ),
        }
        if let Some(Gap { from, to }) = page.gap {
            notice(
                out,
                format_args!(
                    "the messages [{from}] to [{to}] were not looked through: try again later"
                ),
            );
        }
    }
}

impl Dialect for Plain {
    fn name(&self) -> &'static str {
        "plain"
    }

    fn encoder(&self) -> Arc<dyn Encoder> {
        self.encoders.get(self.shows_time)
    }

    fn echo(&self) -> Echo {
        self.echo.unwrap_or(if self.is_chunked {
            Echo::Include
        } else {
            Echo::Exclude
        })
    }

    fn options(&self) -> DialectOptions {
        DialectOptions {
            arrives_in_lobby: true,
            registers: false,
            silence_ends_text: true,
            has_heartbeat: false,
            has_changes_once: false,
            line_bytes: None,
        }
    }

    fn receive<'a>(&mut self, line: &'a str, commands: &mut Commands<'a>) {
        match commands::parse(line) {
            Some(Parsed::Command(command)) => {
                commands.push(command);
            }
            Some(Parsed::Asked(asked)) => self.answer(asked, commands),
            None => {}
        }
    }

    fn set_delimiter(&mut self, ending: Delimiter) {
        self.is_chunked = ending == Delimiter::Silence;
    }

    fn greet(&mut self, greeting: &Greeting<'_>, out: &mut BytesMut) {
        greeting
            .motd
            .iter()
            .for_each(|line| notice(out, format_args!("{line}")));
        self.greeted_as = Some(greeting.nick.clone());
    }

    fn write_day(&self, previous: Timestamp, next: Timestamp, now: Timestamp, out: &mut BytesMut) {
        if self.shows_time {
            self.encoders.write_day(previous, next, now, out);
        }
    }

    fn reply(&mut self, reply: &Reply<'_>, out: &mut BytesMut) {
        match *reply {
            Reply::Joined {
                nick,
                joined: Joined {
                    info, bytes_max, ..
                },
            } => {
                let hint = if self.greeted_as.take().is_some() {
                    ": /nick NAME changes your nick, /help lists the commands"
                } else {
                    ""
                };
                let begin = out.len();
                notice(out, format_args!("you are {nick} in {}{hint}", info.room));
                match bytes_max {
                    None => write_arrival(nick, info, NICKS_SHOWN_MAX, out),
                    Some(bytes_max) => {
                        write_short_arrival(
                            nick,
                            info,
                            (bytes_max + begin).saturating_sub(out.len()),
                            out,
                        );
                    }
                }
            }
            Reply::Left(info) => notice(out, format_args!("you left {}", info.room)),
            Reply::Removed {
                room,
                reason,
                by,
                is_closed,
            } => {
                let because = because(reason);
                if let Some(by) = by {
                    notice(
                        out,
                        format_args!("you were kicked from {room} by {by}{because}"),
                    );
                } else if is_closed {
                    notice(out, format_args!("{room} was closed{because}"));
                } else {
                    notice(out, format_args!("you were taken out of {room}{because}"));
                }
            }
            Reply::Renamed(nick) => notice(out, format_args!("you are now {nick}")),
            Reply::DirectSent { to, at, text, away } => {
                self.write_time(at, out);
                line(out, format_args!("you -> {to}: {text}"));
                self.show_away(to, away, out);
            }
            Reply::Who(info) | Reply::Present(info) => write_roll(info, out),
            Reply::Rooms { rooms, has_more } => write_rooms(rooms, has_more, out),
            Reply::Topic(info) if info.topic.is_empty() => {
                notice(out, format_args!("no topic is set"))
            }
            Reply::Topic(info) => notice(out, format_args!("topic: {}", info.topic)),
            Reply::Modes { room, modes, role } => {
                if std::mem::take(&mut self.asked_for_bans) {
                    modes::write_masks(room, modes, out);
                } else {
                    modes::write_modes(room, modes, role, out);
                }
            }
            Reply::Invited { room, nick } => {
                notice(out, format_args!("{nick} is invited to {room}"))
            }
            Reply::Kicked {
                room,
                nick,
                is_announced: false,
            } => notice(out, format_args!("{nick} is kicked from {room}")),
            Reply::History { is_empty: true } => {
                notice(out, format_args!("nothing has been said here yet"))
            }
            Reply::Found { page, .. } => self.found(page, out),
            Reply::Refused(why) | Reply::Rejected(why) | Reply::Unpublished(_, why) => {
                self.asked_for_bans = false;
                refusal(out, why)
            }
            Reply::AwaySet {
                message: Some(text),
            } => notice(
                out,
                format_args!("you are away: {text} (/away alone tells that you are back)"),
            ),
            Reply::AwaySet { message: None } => notice(out, format_args!("you are back")),
            Reply::Whois(whois) => write_whois(whois, out),
            // The peer's terminal already shows the peer's own messages. The messages of a history follow as events. The
            // room announces that a member was kicked. No command of this dialect leads to any other reply of this list.
            Reply::Published(_)
            | Reply::Kicked {
                is_announced: true, ..
            }
            | Reply::History { is_empty: false }
            | Reply::Duplicate { .. }
            | Reply::Welcome { .. }
            | Reply::Page { .. }
            | Reply::Members { .. }
            | Reply::Authenticated(_)
            | Reply::ProfileSet(_)
            | Reply::Whowas { .. }
            | Reply::Online(_)
            | Reply::Watching { .. }
            | Reply::Operating
            | Reply::Disconnected(_)
            | Reply::Pong => {}
        }
    }

    fn direct(&mut self, direct: &Direct, out: &mut BytesMut) {
        let (from, text) = (&direct.from, &direct.text);
        match &direct.kind {
            // They are for programs, and a person can't answer them.
            DirectKind::Request | DirectKind::Response => {}
            DirectKind::Invitation(room) => notice(
                out,
                format_args!("{from} invites you to {room}: /join {room}"),
            ),
            DirectKind::Acted => {
                self.write_time(direct.at, out);
                // A text that begins with `*` looks different.
                line(out, format_args!("{from} -> you (action): {text}"));
            }
            DirectKind::Notice => {
                self.write_time(direct.at, out);
                line(out, format_args!("{from} -> you (notice): {text}"));
            }
            DirectKind::Said => {
                self.write_time(direct.at, out);
                line(out, format_args!("{from} -> you: {text}"));
            }
        }
    }

    fn goodbye(&mut self, reason: &CloseReason, out: &mut BytesMut) {
        match reason {
            CloseReason::Quit(_) => notice(out, format_args!("goodbye")),
            // The peer ended the connection or can't be reached, so nothing is written.
            CloseReason::Disconnected
            | CloseReason::Broken
            | CloseReason::Stalled
            | CloseReason::Silent => {}
            CloseReason::Draining => {
                notice(out, format_args!("goodbye: the server is shutting down"))
            }
            CloseReason::Refused | CloseReason::TimedOut | CloseReason::NotRegistered => {}
            CloseReason::TooSoon(wait) => {
                let seconds = wait.as_secs() + 1;
                notice(
                    out,
                    format_args!(
                        "goodbye: your address asks for too much: come back in {seconds} s"
                    ),
                );
            }
            CloseReason::NotAuthenticated => notice(out, format_args!("goodbye: {reason}")),
            CloseReason::TakenOver => notice(out, format_args!("goodbye: you came back elsewhere")),
            CloseReason::Kicked(reason) => {
                let because = because(reason);
                notice(out, format_args!("goodbye: you were sent away{because}"));
            }
            CloseReason::Failed | CloseReason::NoTimers | CloseReason::Dropped => {
                notice(out, format_args!("goodbye: {reason}"))
            }
        }
    }
}

/// Writes the description of a room to the session with this nick, which has just joined the room: at most `nicks_max`
/// other members, and the topic.
fn write_arrival(nick: &Nick, info: &RoomInfo, nicks_max: usize, out: &mut BytesMut) {
    write_present(nick, info, nicks_max, out);
    if info.is_hushed {
        notice(
            out,
            format_args!("so many are here that who comes and goes is not announced (/who tells)"),
        );
    }
    if !info.topic.is_empty() {
        notice(out, format_args!("topic: {}", info.topic));
    }
}

/// Writes the description of a room, as [`write_arrival`] does, to a peer that accepts at most `bytes_max` bytes about
/// the room. Writes only whole lines, and at most half of `bytes_max`, because the other half is for messages.
fn write_short_arrival(nick: &Nick, info: &RoomInfo, bytes_max: usize, out: &mut BytesMut) {
    let mut named = 0;
    let fits = |nick: &&Nick| {
        named += nick.as_str().len() + ", ".len();
        named <= SHORT_NICKS_BYTES_MAX
    };
    let nicks_max = info.nicks.iter().take_while(fits).count().max(1);
    let mut lines = BytesMut::new();
    write_arrival(nick, info, nicks_max, &mut lines);
    let mut left = bytes_max / 2;
    for line in lines.split_inclusive(|&byte| byte == b'\n') {
        if line.len() <= left {
            left -= line.len();
            out.put_slice(line);
        }
    }
}

fn write_present(nick: &Nick, info: &RoomInfo, nicks_max: usize, out: &mut BytesMut) {
    let others: Vec<&Nick> = info.nicks.iter().filter(|other| *other != nick).collect();
    if others.is_empty() && info.count > 1 {
        // The list of nicks is empty because the policy hides the members' nicks from the peer.
        return notice(out, format_args!("members here: {}", info.count));
    }
    if others.is_empty() {
        return notice(out, format_args!("nobody else is here yet"));
    }
    let shown = &others[..others.len().min(nicks_max)];
    let list = List {
        names: shown,
        unnamed: info.count.saturating_sub(shown.len() + 1),
    };
    notice(out, format_args!("here with you: {list}"));
}

fn write_roll(info: &RoomInfo, out: &mut BytesMut) {
    let members = if info.count == 1 { "member" } else { "members" };
    if info.nicks.is_empty() {
        return notice(out, format_args!("{}: {} {members}", info.room, info.count));
    }
    let shown = &info.nicks[..info.nicks.len().min(NICKS_SHOWN_MAX)];
    let marked = |nick: &Nick| {
        let role = info.role_of(nick).map(|role| role.as_str());
        let away = info.away.contains(nick).then_some("away");
        match (role, away) {
            (Some(role), Some(away)) => format!("{nick} ({role}; {away})"),
            (Some(mark), None) | (None, Some(mark)) => format!("{nick} ({mark})"),
            (None, None) => nick.to_string(),
        }
    };
    let names: Vec<String> = shown.iter().map(marked).collect();
    let list = List {
        names: &names,
        unnamed: info.count.saturating_sub(shown.len()),
    };
    notice(
        out,
        format_args!("{}: {} {members}: {list}", info.room, info.count),
    );
}

fn write_rooms(rooms: &[RoomSummary], has_more: bool, out: &mut BytesMut) {
    let Some(last) = rooms.last() else {
        return notice(out, format_args!("no rooms to list"));
    };
    let names: Vec<String> = rooms
        .iter()
        .map(|summary| format!("{} ({})", summary.room, summary.count))
        .collect();
    let list = List {
        names: &names,
        unnamed: 0,
    };
    notice(out, format_args!("rooms: {list}"));
    if has_more {
        notice(out, format_args!("there are more: /rooms {}", last.room));
    }
}

/// A comma-separated list of names. `unnamed` is how many further names are not listed.
struct List<'a, T> {
    names: &'a [T],
    unnamed: usize,
}

impl<T: std::fmt::Display> std::fmt::Display for List<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, name) in self.names.iter().enumerate() {
            write!(f, "{}{name}", if at == 0 { "" } else { ", " })?;
        }
        if self.unnamed > 0 {
            write!(f, " and {} more", self.unnamed)
        } else {
            Ok(())
        }
    }
}
