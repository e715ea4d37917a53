//! The commands of the plain dialect: one table for parsing, help and suggestions.

use crate::log::{Mask, MaskList, ModeChange, ModeChanges, Role, RoleTarget, Seq};
use crate::plain::write::{error, notice};
use crate::protocol::{Code, Command, Refusal};
use crate::room::Echo;
use bytes::{BufMut, BytesMut};
use std::borrow::Cow;

/// A parsed line of input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed<'a> {
    /// A request to the hub.
    Command(Command<'a>),
    /// A request that the plain dialect answers without the hub.
    Asked(Asked<'a>),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked<'a> {
    /// Explains the named command; `None` lists all commands.
    Help(Option<&'a str>),
    /// Sets whether the peer receives its own messages.
    Echo(Echo),
    /// Sets whether lines begin with the time.
    Time(bool),
    /// Lists the masks of the room, which the hub is asked for.
    Bans,
    /// The line is not a valid command. The plain dialect tells the peer the reason, and does nothing else.
    Nothing(Refusal),
}

struct Entry {
    name: &'static str,
    arguments: &'static str,
    does: &'static str,
    parse: for<'a> fn(&'a str) -> Option<Parsed<'a>>,
}

#[rustfmt::skip]
const COMMANDS: [Entry; 27] = [
    Entry { name: "help", arguments: "[COMMAND]", does: "lists the commands, or explains one", parse: parse_help },
    Entry { name: "nick", arguments: "NAME", does: "changes your nick", parse: parse_nick },
    Entry { name: "join", arguments: "ROOM [KEY]", does: "goes to another room, which is opened if need be", parse: parse_join },
    Entry { name: "leave", arguments: "", does: "goes back to the room you arrived in", parse: parse_leave },
    Entry { name: "rooms", arguments: "[ROOM]", does: "lists the rooms that have members, or those after a room by name", parse: parse_rooms },
    Entry { name: "who", arguments: "[ROOM]", does: "tells who is in a room", parse: parse_who },
    Entry { name: "whois", arguments: "NICK", does: "tells what is known of a member", parse: parse_whois },
    Entry { name: "msg", arguments: "NICK TEXT", does: "says something to one member alone", parse: parse_msg },
    Entry { name: "me", arguments: "TEXT", does: "shows you doing something: /me waves", parse: parse_me },
    Entry { name: "topic", arguments: "[TEXT]", does: "sets the room's topic, or tells it; - takes it away", parse: parse_topic },
    Entry { name: "history", arguments: "[N [PLACE]]", does: "shows the last N messages again, or those up to a place that /search gave", parse: parse_history },
    Entry { name: "search", arguments: "WORDS", does: "finds messages that hold all the words, the latest first", parse: parse_search },
    Entry { name: "kick", arguments: "NICK [REASON]", does: "takes a member out of the room", parse: parse_kick },
    Entry { name: "invite", arguments: "NICK", does: "invites someone to the room", parse: parse_invite },
    Entry { name: "op", arguments: "NICK", does: "makes a member an operator of the room", parse: parse_op },
    Entry { name: "deop", arguments: "NICK", does: "makes a member no longer an operator", parse: parse_deop },
    Entry { name: "voice", arguments: "NICK", does: "lets a member speak in a moderated room", parse: parse_voice },
    Entry { name: "devoice", arguments: "NICK", does: "takes the voice from a member", parse: parse_devoice },
    Entry { name: "ban", arguments: "MASK", does: "keeps users out: a nick, nick!user@host with * and ?, or $a:ACCOUNT", parse: parse_ban },
    Entry { name: "unban", arguments: "MASK", does: "lifts a ban", parse: parse_unban },
    Entry { name: "bans", arguments: "", does: "lists the bans of the room", parse: parse_bans },
    Entry { name: "mode", arguments: "[MODE on|off]", does: "tells the room's modes, or sets one: moderated, invite-only, topic-lock, secret, no-external, key SECRET, limit N", parse: parse_mode },
    Entry { name: "away", arguments: "[TEXT]", does: "tells others that you are away, and why; alone, that you are back", parse: parse_away },
    Entry { name: "echo", arguments: "on|off", does: "chooses whether you get your own messages back", parse: parse_echo },
    Entry { name: "time", arguments: "on|off", does: "chooses whether lines begin with the time", parse: parse_time },
    Entry { name: "quit", arguments: "[REASON]", does: "says goodbye", parse: parse_quit },
    Entry { name: "/", arguments: "TEXT", does: "says a text that begins with a slash: //shrug", parse: parse_slash },
];

/// Parses a line. Returns `None` if the line holds nothing but white space.
pub(super) fn parse(line: &str) -> Option<Parsed<'_>> {
    let Some(command) = line.strip_prefix('/') else {
        return (!line.trim().is_empty()).then(|| {
            Parsed::Command(Command::Say {
                room: None,
                key: None,
                text: line.into(),
            })
        });
    };
    if command.starts_with('/') {
        return parse_slash(command);
    }
    let (name, arguments) = command
        .split_once(char::is_whitespace)
        .unwrap_or((command, ""));
    Some(match find(name) {
        Some(entry) => (entry.parse)(arguments.trim()).unwrap_or_else(|| misused(entry)),
        None => Parsed::Asked(Asked::Nothing(unknown(name))),
    })
}

pub(super) fn write_help(out: &mut BytesMut) {
    for Entry {
        name,
        arguments,
        does,
        ..
    } in &COMMANDS
    {
        let usage = format!("/{name} {arguments}");
        notice(out, format_args!("{usage:<16} {does}"));
    }
    out.put_slice(b"* anything else is said to the room\n");
}

pub(super) fn write_help_of(name: &str, out: &mut BytesMut) {
    let name = name.strip_prefix('/').unwrap_or(name);
    match find(name) {
        Some(Entry {
            name,
            arguments,
            does,
            ..
        }) => {
            notice(
                out,
                format_args!("{}: {does}", format!("/{name} {arguments}").trim_end()),
            );
        }
        None => error(out, format_args!("{}", unknown(name))),
    }
}

fn find(name: &str) -> Option<&'static Entry> {
    COMMANDS
        .iter()
        .find(|entry| entry.name.eq_ignore_ascii_case(name))
}

fn misused(entry: &Entry) -> Parsed<'static> {
    let message = format!("usage: /{} {}", entry.name, entry.arguments);
    Parsed::Asked(Asked::Nothing(Refusal::new(
        Code::BadRequest,
        message.trim_end(),
    )))
}

fn unknown(name: &str) -> Refusal {
    /// The most bytes of an unknown command that are shown to the peer. All known commands are shorter.
    const SHOWN_BYTES_MAX: usize = 32;
    let nearest = COMMANDS
        .iter()
        .map(|entry| (distance(name, entry.name), entry.name))
        .min()
        .filter(|&(distance, nearest)| distance <= 2 && distance < nearest.len())
        .map_or_else(
            || "/help lists the commands".to_owned(),
            |(_, nearest)| format!("did you mean /{nearest}?"),
        );
    let name = crate::text::clean(crate::text::truncate(name, SHOWN_BYTES_MAX)).into_owned();
    Refusal::new(
        Code::UnknownCmd,
        format!("no such command: /{name} ({nearest})"),
    )
}

/// Returns how many characters of `typed` must be inserted, deleted, replaced or swapped with their neighbour to get
/// `name` (optimal string alignment).
fn distance(typed: &str, name: &str) -> usize {
    let name: Vec<char> = name.chars().collect();
    // Only the first 16 characters are compared, because a longer word is unlike every command anyway.
    let typed: Vec<char> = typed
        .chars()
        .flat_map(char::to_lowercase)
        .take(16)
        .collect();
    let mut rows: Vec<Vec<usize>> = vec![(0..=name.len()).collect()];
    for (i, &a) in typed.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &b) in name.iter().enumerate() {
            let mut cost = (rows[i][j + 1] + 1)
                .min(row[j] + 1)
                .min(rows[i][j] + usize::from(a != b));
            if i > 0 && j > 0 && a == name[j - 1] && typed[i - 1] == b {
                cost = cost.min(rows[i - 1][j - 1] + 1);
            }
            row.push(cost);
        }
        rows.push(row);
    }
    rows[typed.len()][name.len()]
}

const fn command(command: Command<'_>) -> Option<Parsed<'_>> {
    Some(Parsed::Command(command))
}

fn some(text: &str) -> Option<Cow<'_, str>> {
    (!text.is_empty()).then_some(Cow::Borrowed(text))
}

fn parse_help(arguments: &str) -> Option<Parsed<'_>> {
    Some(Parsed::Asked(Asked::Help(
        (!arguments.is_empty()).then_some(arguments),
    )))
}

fn parse_nick(arguments: &str) -> Option<Parsed<'_>> {
    command(Command::Nick {
        nick: some(arguments)?,
    })
}

fn parse_join(arguments: &str) -> Option<Parsed<'_>> {
    let (room, key) = first_word(arguments);
    command(Command::Move {
        room: Some(some(room)?),
        key: some(key),
    })
}

fn parse_leave(_: &str) -> Option<Parsed<'_>> {
    command(Command::Move {
        room: None,
        key: None,
    })
}

fn parse_kick(arguments: &str) -> Option<Parsed<'_>> {
    let (nick, reason) = first_word(arguments);
    command(Command::Kick {
        room: None,
        nick: some(nick)?,
        reason: some(reason),
    })
}

fn parse_invite(arguments: &str) -> Option<Parsed<'_>> {
    command(Command::Invite {
        room: None,
        nick: some(arguments)?,
    })
}

fn parse_op(arguments: &str) -> Option<Parsed<'_>> {
    change_role(arguments, |who| ModeChange::Grant(Role::Operator, who))
}

fn parse_deop(arguments: &str) -> Option<Parsed<'_>> {
    change_role(arguments, |who| ModeChange::Revoke(Role::Operator, who))
}

fn parse_voice(arguments: &str) -> Option<Parsed<'_>> {
    change_role(arguments, |who| ModeChange::Grant(Role::Voice, who))
}

fn parse_devoice(arguments: &str) -> Option<Parsed<'_>> {
    change_role(arguments, |who| ModeChange::Revoke(Role::Voice, who))
}

fn change_role(
    who: &str,
    change: impl FnOnce(RoleTarget) -> ModeChange,
) -> Option<Parsed<'static>> {
    some(who)?;
    Some(match RoleTarget::parse(who) {
        Ok(who) => change_mode(change(who)),
        Err(error) => Parsed::Asked(Asked::Nothing(error.into())),
    })
}

fn parse_ban(arguments: &str) -> Option<Parsed<'_>> {
    change_bans(arguments, ModeChange::Add)
}

fn parse_unban(arguments: &str) -> Option<Parsed<'_>> {
    change_bans(arguments, ModeChange::Remove)
}

fn change_bans(mask: &str, change: fn(MaskList, Mask) -> ModeChange) -> Option<Parsed<'static>> {
    some(mask)?;
    Some(match Mask::parse(mask) {
        Ok(mask) => change_mode(change(MaskList::Ban, mask)),
        Err(error) => {
            let refusal = Refusal::new(Code::BadRequest, error.to_string());
            Parsed::Asked(Asked::Nothing(refusal))
        }
    })
}

fn parse_bans(_: &str) -> Option<Parsed<'_>> {
    Some(Parsed::Asked(Asked::Bans))
}

/// Parses the modes of `/mode`: none, a mode with `on` or `off`, a mode with its value, or changes as
/// [`ModeChanges::parse`] takes them.
fn parse_mode(arguments: &str) -> Option<Parsed<'_>> {
    if arguments.is_empty() {
        let changes = ModeChanges::default();
        return command(Command::Mode {
            room: None,
            changes,
        });
    }
    let changes = match first_word(arguments) {
        _ if arguments.starts_with(['+', '-']) => ModeChanges::parse(arguments),
        (mode, "on") => ModeChanges::parse(&format!("+{mode}")),
        (mode, "off") => ModeChanges::parse(&format!("-{mode}")),
        (_, "") => return None,
        (mode, value) => ModeChanges::parse(&format!("+{mode} {value}")),
    };
    Some(match changes {
        Ok(changes) => Parsed::Command(Command::Mode {
            room: None,
            changes,
        }),
        Err(error) => Parsed::Asked(Asked::Nothing(error.into())),
    })
}

fn change_mode(change: ModeChange) -> Parsed<'static> {
    Parsed::Command(Command::Mode {
        room: None,
        changes: change.into(),
    })
}

/// Returns the first word, and the rest of the text without the white space before it.
fn first_word(text: &str) -> (&str, &str) {
    let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (first, rest.trim_start())
}

fn parse_rooms(arguments: &str) -> Option<Parsed<'_>> {
    command(Command::Rooms {
        after: some(arguments),
        limit: None,
    })
}

fn parse_who(arguments: &str) -> Option<Parsed<'_>> {
    command(Command::Who {
        room: some(arguments),
    })
}

fn parse_whois(arguments: &str) -> Option<Parsed<'_>> {
    command(Command::Whois {
        nick: some(arguments)?,
    })
}

fn parse_away(arguments: &str) -> Option<Parsed<'_>> {
    command(Command::Away {
        message: some(arguments),
    })
}

fn parse_msg(arguments: &str) -> Option<Parsed<'_>> {
    let (to, text) = arguments.split_once(char::is_whitespace)?;
    command(Command::Tell {
        to: to.into(),
        text: some(text.trim_start())?,
    })
}

fn parse_me(arguments: &str) -> Option<Parsed<'_>> {
    command(Command::Act {
        room: None,
        key: None,
        text: some(arguments)?,
    })
}

fn parse_topic(arguments: &str) -> Option<Parsed<'_>> {
    let text = some(arguments).map(|text| if text == "-" { "".into() } else { text });
    command(Command::Topic { room: None, text })
}

fn parse_history(arguments: &str) -> Option<Parsed<'_>> {
    let mut arguments = arguments.split_whitespace();
    let limit = arguments.next().map(str::parse).transpose().ok()?;
    let place = arguments.next().map(str::parse).transpose().ok()?;
    if arguments.next().is_some() {
        return None;
    }
    command(Command::History {
        room: None,
        before: place.map(|place| Seq(place).next()),
        limit,
    })
}

fn parse_search(arguments: &str) -> Option<Parsed<'_>> {
    command(Command::Search {
        room: None,
        text: some(arguments)?,
        before: None,
        limit: None,
    })
}

fn parse_echo(arguments: &str) -> Option<Parsed<'_>> {
    let echo = if parse_switch(arguments)? {
        Echo::Include
    } else {
        Echo::Exclude
    };
    Some(Parsed::Asked(Asked::Echo(echo)))
}

fn parse_time(arguments: &str) -> Option<Parsed<'_>> {
    Some(Parsed::Asked(Asked::Time(parse_switch(arguments)?)))
}

fn parse_quit(arguments: &str) -> Option<Parsed<'_>> {
    command(Command::Quit {
        reason: some(arguments),
    })
}

fn parse_slash(text: &str) -> Option<Parsed<'_>> {
    command(Command::Say {
        room: None,
        key: None,
        text: text.into(),
    })
}

fn parse_switch(word: &str) -> Option<bool> {
    match word {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(line: &str) -> Option<String> {
        match parse(line)? {
            Parsed::Command(Command::Say { text, .. }) => Some(text.into_owned()),
            _ => None,
        }
    }

    fn refused(line: &str) -> String {
        match parse(line) {
            Some(Parsed::Asked(Asked::Nothing(refusal))) => refusal.message,
            other => panic!("{line} gives {other:?}"),
        }
    }

    #[test]
    fn what_is_no_command_is_said() {
        assert_eq!(says("hello").as_deref(), Some("hello"));
        assert_eq!(says("  indented /x").as_deref(), Some("  indented /x"));
        assert_eq!(says("//shrug").as_deref(), Some("/shrug"));
        assert_eq!(parse(""), None);
        assert_eq!(parse(" \t"), None);
    }

    #[test]
    fn commands_take_their_arguments() {
        let tell = Command::Tell {
            to: "한글".into(),
            text: "a  b".into(),
        };
        assert_eq!(parse("/msg 한글  a  b "), Some(Parsed::Command(tell)));
        assert_eq!(
            parse("/JOIN #ops"),
            Some(Parsed::Command(Command::Move {
                room: Some("#ops".into()),
                key: None,
            }))
        );
        assert_eq!(
            parse("/join ops s3cret"),
            Some(Parsed::Command(Command::Move {
                room: Some("ops".into()),
                key: Some("s3cret".into()),
            }))
        );
        let topic = Command::Topic {
            room: None,
            text: Some("".into()),
        };
        assert_eq!(parse("/topic -"), Some(Parsed::Command(topic)));
        assert_eq!(parse("/time off"), Some(Parsed::Asked(Asked::Time(false))));
    }

    #[test]
    fn modes_are_set_by_words() {
        for (typed, text) in [
            ("/mode moderated on", "+moderated"),
            ("/mode invite-only off", "-invite-only"),
            ("/mode key s3cret", "+key s3cret"),
            ("/mode key off", "-key"),
            ("/mode limit 5", "+limit 5"),
            ("/mode limit off", "-limit"),
            ("/mode +secret -moderated", "+secret -moderated"),
            ("/op bob", "+operator bob"),
            ("/deop bob", "-operator bob"),
            ("/voice bob", "+voice bob"),
            ("/devoice bob", "-voice bob"),
            ("/ban Bob", "+ban bob!*@*"),
            ("/unban *@h", "-ban *!*@h"),
        ] {
            let Some(Parsed::Command(Command::Mode { changes, .. })) = parse(typed) else {
                panic!("{typed} gives {:?}", parse(typed));
            };
            assert_eq!(changes.to_string(), text, "{typed}");
        }
        let asks = |changes: &ModeChanges| changes.is_empty();
        assert!(
            matches!(parse("/mode"), Some(Parsed::Command(Command::Mode { changes, .. })) if asks(&changes))
        );
        assert_eq!(refused("/mode loud on"), "no such mode: +loud");
        assert_eq!(refused("/mode limit many"), "a limit is a number from 1");
        assert_eq!(refused("/mode moderated"), "usage: /mode [MODE on|off]");
        assert_eq!(refused("/op"), "usage: /op NICK");
        assert_eq!(refused("/kick"), "usage: /kick NICK [REASON]");
    }

    #[test]
    fn a_misused_command_is_answered_with_its_usage() {
        assert_eq!(refused("/msg bob"), "usage: /msg NICK TEXT");
        assert_eq!(refused("/history many"), "usage: /history [N [PLACE]]");
        assert_eq!(refused("/history 1 2 3"), "usage: /history [N [PLACE]]");
        assert_eq!(refused("/search"), "usage: /search WORDS");
        assert_eq!(refused("/echo"), "usage: /echo on|off");
    }

    #[test]
    fn an_unknown_command_is_answered_with_the_nearest() {
        assert_eq!(
            refused("/hepl me"),
            "no such command: /hepl (did you mean /help?)"
        );
        assert_eq!(
            refused("/y"),
            "no such command: /y (/help lists the commands)"
        );
        assert_eq!(
            refused("/jion x"),
            "no such command: /jion (did you mean /join?)"
        );
        assert_eq!(
            refused("/frobnicate"),
            "no such command: /frobnicate (/help lists the commands)"
        );
        assert!(!refused(&format!("/{}", "\x1b한".repeat(5000))).contains('\x1b'));
    }
}
