//! Tab: completes the word before the cursor, and goes through what it may become.

use crate::command::COMMANDS;

/// What the last Tab did; any other key ends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Completion {
    candidates: Vec<String>,
    at: usize,
    /// How many bytes the present candidate takes before the cursor.
    pub(crate) bytes: usize,
}

impl Completion {
    /// What the word before the cursor may become: a command at the start of the line, a room after `/join`, a nick
    /// elsewhere. The one to be tried first comes first.
    pub(crate) fn begin(before: &str, nicks: &[String], rooms: &[String]) -> Option<Self> {
        let word = before.rsplit(' ').next().unwrap_or_default();
        let is_first = word.len() == before.len();
        let candidates: Vec<String> =
            if let Some(command) = word.strip_prefix('/').filter(|_| is_first) {
                let rows = COMMANDS.iter().filter(|row| begins(row.name, command));
                rows.map(|row| format!("/{} ", row.name)).collect()
            } else if before.starts_with("/join ") || before.starts_with("/who ") {
                let rooms = rooms.iter().filter(|room| begins(room, word));
                rooms.cloned().collect()
            } else {
                let ending = if is_first { ": " } else { " " };
                let nicks = nicks.iter().filter(|nick| begins(nick, word));
                nicks.map(|nick| format!("{nick}{ending}")).collect()
            };
        if word.is_empty() || candidates.is_empty() {
            return None;
        }
        Some(Self {
            candidates,
            at: 0,
            bytes: word.len(),
        })
    }

    /// The candidate at hand, and how many bytes before the cursor it replaces. The next time it is the next one.
    pub(crate) fn take(&mut self) -> (usize, String) {
        let candidate = self.candidates[self.at].clone();
        self.at = (self.at + 1) % self.candidates.len();
        (
            std::mem::replace(&mut self.bytes, candidate.len()),
            candidate,
        )
    }
}

fn begins(name: &str, beginning: &str) -> bool {
    name.to_lowercase().starts_with(&beginning.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn all(before: &str) -> Vec<String> {
        let (nicks, rooms) = (
            names(&["alice", "Albert", "김철수"]),
            names(&["ops", "lobby"]),
        );
        let Some(mut completion) = Completion::begin(before, &nicks, &rooms) else {
            return Vec::new();
        };
        (0..completion.candidates.len())
            .map(|_| completion.take().1)
            .collect()
    }

    #[test]
    fn the_word_before_the_cursor_is_completed() {
        assert_eq!(all("al"), ["alice: ", "Albert: "]);
        assert_eq!(all("hi 김"), ["김철수 "]);
        assert_eq!(all("/jo"), ["/join "]);
        assert_eq!(all("/join o"), ["ops"]);
        assert_eq!(all("zz"), [""; 0]);
        assert_eq!(all("hi "), [""; 0]);
    }

    #[test]
    fn the_next_tab_replaces_what_the_last_one_wrote() {
        let nicks = names(&["alice", "albert"]);
        let mut completion = Completion::begin("al", &nicks, &[]).unwrap();
        assert_eq!(completion.take(), (2, "alice: ".into()));
        assert_eq!(completion.take(), (7, "albert: ".into()));
        assert_eq!(completion.take(), (8, "alice: ".into()));
    }
}
