//! What a member of the plain dialect knows from the lines that it receives, according to docs/protocol.md.

use chat_core::{Nick, text};
use std::collections::BTreeSet;

/// A parsed line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shown<'a> {
    Message {
        from: &'a str,
        text: &'a str,
    },
    Joined(&'a str),
    Left(&'a str),
    Renamed {
        from: &'a str,
        to: &'a str,
    },
    /// The member that reads this line has joined a room.
    Arrived {
        nick: &'a str,
        room: &'a str,
    },
    /// The other members of the room.
    Here(Vec<&'a str>),
    /// All members of the room, including the member that reads this line.
    RoomInfo {
        room: &'a str,
        nicks: Vec<&'a str>,
    },
    /// The member that reads this line has a new nick.
    Now(&'a str),
    Missed(u64),
    /// The room no longer announces joins and leaves.
    Hushed,
    Other,
}

pub(crate) fn read(line: &str) -> Shown<'_> {
    if let Some(message) = line.strip_prefix("14:02 ") {
        return match message.split_once(": ") {
            Some((from, text)) if !from.contains(' ') => Shown::Message { from, text },
            _ => Shown::Other,
        };
    }
    let Some(notice) = line.strip_prefix("* ") else {
        return Shown::Other;
    };
    read_notice(notice).unwrap_or(Shown::Other)
}

fn read_notice(notice: &str) -> Option<Shown<'_>> {
    if let Some(others) = notice.strip_prefix("here with you: ") {
        return Some(Shown::Here(others.split(", ").collect()));
    }
    if notice == "nobody else is here yet" {
        return Some(Shown::Here(Vec::new()));
    }
    let (subject, rest) = notice.split_once(' ')?;
    if subject == "you" {
        let rest = rest.strip_prefix("are ")?;
        if let Some(nick) = rest.strip_prefix("now ") {
            return Some(Shown::Now(nick));
        }
        let (nick, room) = rest.split_once(" in ")?;
        let room = room.split(':').next()?;
        return Some(Shown::Arrived { nick, room });
    }
    if let Some(room) = subject.strip_suffix(':') {
        let (count, nicks) = rest.split_once(": ")?;
        let count = count
            .strip_suffix("members")
            .or_else(|| count.strip_suffix("member"))?;
        count.trim().parse::<usize>().ok()?;
        // A mark follows some nicks: `kim (operator)`.
        let nicks = nicks
            .split(", ")
            .map(|nick| nick.split(" (").next().unwrap_or(nick));
        let nicks = nicks.collect();
        return Some(Shown::RoomInfo { room, nicks });
    }
    match rest {
        "joined" => Some(Shown::Joined(subject)),
        "left" => Some(Shown::Left(subject)),
        "message missed" | "messages missed" => subject.parse().ok().map(Shown::Missed),
        _ if rest.starts_with("left (gone: ") => Some(Shown::Left(subject)),
        _ if subject == "more" && rest.starts_with("than ") => Some(Shown::Hushed),
        _ => {
            let to = rest.strip_prefix("is now ")?;
            Some(Shown::Renamed { from: subject, to })
        }
    }
}

/// The other members of the room, according to the lines so far.
#[derive(Debug, Default)]
pub(crate) struct Others {
    own: String,
    nicks: BTreeSet<String>,
}

impl Others {
    /// Updates the list of members after a line. Returns whether the line is consistent with the list so far.
    #[must_use]
    pub(crate) fn note(&mut self, shown: &Shown<'_>) -> bool {
        match *shown {
            Shown::Joined(nick) => self.nicks.insert(nick.to_owned()),
            Shown::Left(nick) => self.nicks.remove(nick),
            Shown::Renamed { from, to } => {
                self.nicks.remove(from) && self.nicks.insert(to.to_owned())
            }
            Shown::Arrived { nick, .. } | Shown::Now(nick) => {
                nick.clone_into(&mut self.own);
                true
            }
            Shown::Here(ref nicks) | Shown::RoomInfo { ref nicks, .. } => {
                self.nicks = nicks.iter().map(|&nick| nick.to_owned()).collect();
                self.nicks.remove(&self.own);
                true
            }
            _ => true,
        }
    }

    pub(crate) fn nicks(&self) -> impl Iterator<Item = &str> {
        self.nicks.iter().map(String::as_str)
    }
}

/// Fails if a line contains unsafe characters, or does not have one of the forms in the protocol.
pub(crate) fn assert_is_proper(line: &str, shows_time: bool) {
    assert!(!line.chars().any(text::is_unsafe), "{line:?}");
    let is_nick = |nick: &str| Nick::parse(nick).is_ok() || nick == "you";
    let is_said = |rest: &str| {
        rest.split_once(": ")
            .is_some_and(|(from, _)| match from.split_once(" -> ") {
                Some((from, to)) => is_nick(from) && is_nick(to) && (from == "you" || to == "you"),
                None => Nick::parse(from).is_ok(),
            })
    };
    let is_timed = line
        .strip_prefix("14:02 ")
        .is_some_and(|rest| rest.starts_with("* ") || is_said(rest));
    let is_untimed = !shows_time && (line.starts_with("** ") || is_said(line));
    assert!(
        line.starts_with("* ") || line.starts_with("! ") || is_timed || is_untimed,
        "this line has no form of the protocol's: {line:?}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_are_meant() {
        assert_eq!(
            read("14:02 a: b: c"),
            Shown::Message {
                from: "a",
                text: "b: c"
            }
        );
        assert_eq!(read("* a left (gone: b joined)"), Shown::Left("a"));
        assert_eq!(read("* 12 messages missed"), Shown::Missed(12));
        assert_eq!(read("* a set the topic: b joined"), Shown::Other);
        let greeting = "* you are a in ops: /nick NAME changes your nick, /help lists the commands";
        assert_eq!(
            read(greeting),
            Shown::Arrived {
                nick: "a",
                room: "ops"
            }
        );
        let info = Shown::RoomInfo {
            room: "ops",
            nicks: vec!["a", "b"],
        };
        assert_eq!(read("* ops: 2 members: a, b"), info);
    }
}
