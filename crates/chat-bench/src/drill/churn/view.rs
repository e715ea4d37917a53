//! The member list of a room, as one member of the room knows it.

use std::collections::BTreeSet;

/// One member's view of its room. It is built from greetings and announcements alone.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) own: String,
    pub(super) room: String,
    others: BTreeSet<String>,
    /// Whether the server has named all members of the room. In a large room, it names only some of them.
    pub(super) is_whole: bool,
}

impl View {
    /// Applies a received line to the view. Returns whether the line was an announcement. The error says how the
    /// announcement contradicts earlier lines.
    pub(super) fn take(&mut self, line: &str) -> Result<bool, String> {
        let Some(notice) = line.strip_prefix("* ") else {
            return Ok(false);
        };
        if let Some(nick) = notice.strip_prefix("you are now ") {
            nick.clone_into(&mut self.own);
        } else if let Some(rest) = notice.strip_prefix("you are ") {
            self.arrive(rest);
        } else if let Some(names) = notice.strip_prefix("here with you: ") {
            self.is_whole = !names.contains(" and ");
            self.others = names.split(", ").map(str::to_owned).collect();
        } else if let Some(nick) = notice.strip_suffix(" joined") {
            let is_new = self.others.insert(nick.to_owned());
            return self.announced(is_new, line);
        } else if let Some((nick, to)) = notice.split_once(" is now ") {
            let was_here = self.others.remove(nick);
            let is_new = self.others.insert(to.to_owned());
            return self.announced(was_here && is_new, line);
        } else if let Some(info) = self.info(notice) {
            // The server sends a lagging member this list of members instead of the announcements that the member
            // missed.
            if let Some(all) = Self::named(info) {
                self.others = all;
                self.others.remove(&self.own);
                self.is_whole = true;
            }
        } else if let Some(nick) = left(notice) {
            let was_here = self.others.remove(nick);
            return self.announced(was_here, line);
        }
        Ok(false)
    }

    /// All members of the room, including the member whose view this is.
    pub(super) fn all(&self) -> BTreeSet<String> {
        let mut all = self.others.clone();
        all.insert(self.own.clone());
        all
    }

    /// Returns the nicks in an answer to `/who`. `answer` is the part of this answer after the room, such as
    /// `3 members: a, b, c`. Returns `None` if the answer does not name all members.
    pub(super) fn named(answer: &str) -> Option<BTreeSet<String>> {
        let (_, names) = answer.split_once(": ")?;
        // A mark follows some names: `a (operator)`.
        let name = |name: &str| name.split(" (").next().unwrap_or(name).to_owned();
        (!names.contains(" and ")).then(|| names.split(", ").map(name).collect())
    }

    /// Reads the nick and room of a greeting, such as `kim in lobby`. The first greeting continues with a colon and a
    /// hint.
    fn arrive(&mut self, rest: &str) {
        let rest = rest.split(": ").next().unwrap_or(rest);
        if let Some((nick, room)) = rest.split_once(" in ") {
            nick.clone_into(&mut self.own);
            room.clone_into(&mut self.room);
            // The member is alone in the room unless the next line names other members.
            self.others.clear();
            self.is_whole = true;
        }
    }

    /// Returns what follows the room's name in a `/who` line. Returns `None` if the line is about another room.
    fn info<'a>(&self, notice: &'a str) -> Option<&'a str> {
        notice.strip_prefix(self.room.as_str())?.strip_prefix(": ")
    }

    fn announced(&self, is_consistent: bool, line: &str) -> Result<bool, String> {
        if is_consistent || !self.is_whole {
            return Ok(true);
        }
        let Self {
            own, room, others, ..
        } = self;
        Err(format!("{own} in {room}, with {others:?} after it: {line}"))
    }
}

/// Returns the nick in `kim left` or `kim left (gone: ..)`.
fn left(notice: &str) -> Option<&str> {
    let (nick, rest) = notice.split_once(" left")?;
    (rest.is_empty() || rest.starts_with(" (gone: ")).then_some(nick)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(lines: &[&str]) -> View {
        let mut view = View::default();
        for line in lines {
            view.take(line).unwrap();
        }
        view
    }

    #[test]
    fn a_view_follows_announcements() {
        let view = view(&[
            "* you are guest-7 in lobby: /nick NAME changes your nick, /help lists the commands",
            "* here with you: alice, bob",
            "* you are now kim",
            "* lee joined",
            "* bob left (gone: connection lost)",
            "* alice is now ann",
            "14:02 ann: * bob joined",
        ]);
        let all: Vec<String> = view.all().into_iter().collect();
        assert_eq!(all, ["ann", "kim", "lee"]);
        assert_eq!(
            Some(view.all()),
            View::named("3 members: kim (operator; away), lee, ann (away)")
        );
        assert_eq!(view.room, "lobby");
    }

    #[test]
    fn announcements_that_contradict_are_found() {
        let mut view = view(&["* you are kim in ops", "* lee joined"]);
        assert!(view.take("* lee joined").is_err());
        assert_eq!(view.take("* lee left"), Ok(true));
        assert!(view.take("* lee left (gone: quit)").is_err());
        assert!(view.take("* ann is now bob").is_err());
    }
}
