//! Tab completion of the word before the cursor.

use crate::command::COMMANDS;

/// The state of a completion while Tab is pressed repeatedly. Any other key ends the completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Completion {
    candidates: Vec<String>,
    at: usize,
    /// The length in bytes of the text before the cursor that the next candidate replaces: the typed word, or the
    /// previous candidate.
    pub(crate) bytes: usize,
}

impl Completion {
    /// Returns the candidates for the word before the cursor, the best one first: commands at the start of the line,
    /// room names after `/join` and `/who`, and nicks elsewhere.
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

    /// Returns how many bytes before the cursor to replace, and the candidate to insert. Each call moves to the next
    /// candidate.
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
