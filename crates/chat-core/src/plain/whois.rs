//! Writes what is known of other members.

use crate::event::Whois;
use crate::name::Nick;
use crate::plain::write::notice;
use bytes::BytesMut;
use std::time::Duration;

/// A member that has said nothing for this long is shown as silent.
const SILENT_AFTER: Duration = Duration::from_secs(60);

/// Writes that a member is away. Writes nothing if it is not.
pub(super) fn write_away(nick: &Nick, message: Option<&str>, out: &mut BytesMut) {
    if let Some(message) = message {
        notice(out, format_args!("{nick} is away: {message}"));
    }
}

/// Writes what is known of a member: up to five lines.
pub(super) fn write_whois(whois: &Whois, out: &mut BytesMut) {
    let (nick, profile) = (&whois.nick, &whois.profile);
    let mut known = vec![profile.user_host.to_string()];
    known.extend(
        profile
            .account
            .iter()
            .map(|account| format!("account {account}")),
    );
    let marks = [
        (profile.is_bot, "a bot"),
        (profile.is_operator, "a server operator"),
    ];
    let marks = marks.into_iter().filter(|(is_so, _)| *is_so);
    known.extend(marks.map(|(_, mark)| mark.to_owned()));
    notice(out, format_args!("{nick}: {}", known.join(", ")));
    // The member chooses its real name. The name has a line of its own, so that it can't look like an account or a mark.
    if let Some(name) = &profile.real_name {
        notice(out, format_args!("{nick} calls itself: {name}"));
    }
    write_away(nick, profile.away.as_deref(), out);
    if !whois.rooms.is_empty() {
        let rooms: Vec<&str> = whois.rooms.iter().map(|room| room.as_str()).collect();
        notice(out, format_args!("{nick} is in {}", rooms.join(", ")));
    }
    if let Some(idle) = whois.idle.filter(|idle| *idle >= SILENT_AFTER) {
        notice(
            out,
            format_args!("{nick} has said nothing for {}", roughly(idle)),
        );
    }
}

/// Returns a time in the largest unit that fits, such as `3 min`.
fn roughly(time: Duration) -> String {
    const HOUR: u64 = 60 * 60;
    const DAY: u64 = 24 * HOUR;
    match time.as_secs() {
        seconds @ 0..HOUR => format!("{} min", seconds / 60),
        seconds @ HOUR..DAY => format!("{} h", seconds / HOUR),
        seconds => format!("{} days", seconds / DAY),
    }
}
