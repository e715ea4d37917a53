//! What one input line asks for: commands, and the dialect's own answers, in one order.
//!
//! Invariant: a line gives a bounded number of commands, and a line that gives one command costs no allocation.

use crate::protocol::command::Command;
use bytes::BytesMut;
use std::collections::VecDeque;

/// Maximum number of commands from one line: more than any list that a person or a client sends at once.
const COMMANDS_PER_LINE_MAX: usize = 64;

/// What one line asks for: [`Command`]s, and bytes that the dialect answers by itself, in the order in which they are
/// added.
///
/// Each command after the first is charged like a separate line, so a list of rooms does not bypass the rate limit.
///
/// # Examples
///
/// ```
/// use chat_core::protocol::{Command, Commands, JoinRequest, Step};
///
/// // `JOIN ops,dev`, of which the dialect refuses a third room by itself.
/// let mut commands = Commands::default();
/// commands.push(Command::Join(JoinRequest::new("ops".into())));
/// commands.out().extend_from_slice(b"no such room: ?\n");
/// commands.push(Command::Join(JoinRequest::new("dev".into())));
///
/// assert!(matches!(commands.pop(), Some(Step::Command(Command::Join(request))) if request.room == "ops"));
/// assert!(matches!(commands.pop(), Some(Step::Bytes(bytes)) if bytes == "no such room: ?\n"));
/// assert!(matches!(commands.pop(), Some(Step::Command(Command::Join(request))) if request.room == "dev"));
/// assert!(commands.pop().is_none());
/// ```
#[derive(Debug, Default)]
pub struct Commands<'a> {
    first: Option<Placed<'a>>,
    rest: VecDeque<Placed<'a>>,
    /// All bytes, before, between and after the commands.
    out: BytesMut,
    /// How many bytes were taken out of `out`, and how many commands were added.
    taken: usize,
    pushed: usize,
}

/// A command, and how many bytes were written before it.
#[derive(Debug)]
struct Placed<'a> {
    after: usize,
    command: Command<'a>,
}

/// The next thing that a line asks for.
#[derive(Debug)]
pub enum Step<'a> {
    /// The dialect's own answer.
    Bytes(BytesMut),
    /// A command of the peer.
    Command(Command<'a>),
}

impl<'a> Commands<'a> {
    /// Adds a command and returns whether it was added. One line gives at most 64 commands; the dialect itself refuses
    /// further ones.
    pub fn push(&mut self, command: Command<'a>) -> bool {
        if self.pushed == COMMANDS_PER_LINE_MAX {
            return false;
        }
        self.pushed += 1;
        let placed = Placed {
            after: self.taken + self.out.len(),
            command,
        };
        if self.first.is_none() && self.rest.is_empty() {
            self.first = Some(placed);
        } else {
            self.rest.push_back(placed);
        }
        true
    }

    /// Returns the buffer for the dialect's own answers. They are sent after the answers to the commands that were
    /// added before them.
    pub const fn out(&mut self) -> &mut BytesMut {
        &mut self.out
    }

    /// Takes the next bytes or the next command. Returns `None` if nothing is left.
    pub fn pop(&mut self) -> Option<Step<'a>> {
        let next = self.first.as_ref().or_else(|| self.rest.front());
        let before = next.map_or(self.out.len(), |next| next.after - self.taken);
        if before > 0 {
            self.taken += before;
            return Some(Step::Bytes(self.out.split_to(before)));
        }
        let next = self.first.take().or_else(|| self.rest.pop_front())?;
        Some(Step::Command(next.command))
    }

    /// Returns how many commands are left that will be answered: all but
    /// [`OptionsChanged`](Command::OptionsChanged).
    #[must_use]
    pub fn count(&self) -> usize {
        let left = self.first.iter().chain(&self.rest);
        left.filter(|placed| placed.command != Command::OptionsChanged)
            .count()
    }

    /// Returns whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.out.is_empty() && !self.has_command()
    }

    /// Returns whether a command is left.
    pub(crate) fn has_command(&self) -> bool {
        self.first.is_some() || !self.rest.is_empty()
    }

    /// Returns the same commands without borrowing from the line.
    pub(crate) fn into_owned(self) -> Commands<'static> {
        Commands {
            first: self.first.map(Placed::into_owned),
            rest: self.rest.into_iter().map(Placed::into_owned).collect(),
            out: self.out,
            taken: self.taken,
            pushed: self.pushed,
        }
    }
}

impl Placed<'_> {
    fn into_owned(self) -> Placed<'static> {
        Placed {
            after: self.after,
            command: self.command.into_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(mut commands: Commands<'_>) -> Vec<String> {
        let mut steps = Vec::new();
        while let Some(step) = commands.pop() {
            steps.push(match step {
                Step::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Step::Command(Command::Nick { nick }) => format!("nick {nick}"),
                Step::Command(other) => format!("{other:?}"),
            });
        }
        steps
    }

    #[test]
    fn commands_and_bytes_keep_their_order() {
        let line = "a b c".to_owned();
        let mut commands = Commands::default();
        commands.out().extend_from_slice(b"one");
        for (at, nick) in line.split(' ').enumerate() {
            assert!(commands.push(Command::Nick { nick: nick.into() }));
            if at != 1 {
                commands.out().extend_from_slice(b"after");
            }
        }
        let owned = commands.into_owned();
        drop(line);
        let expected = ["one", "nick a", "after", "nick b", "nick c", "after"];
        assert_eq!(shown(owned), expected);
    }

    #[test]
    fn the_commands_of_a_line_are_bounded() {
        let mut commands = Commands::default();
        let taken = (0..1000).filter(|_| commands.push(Command::Ping)).count();
        assert_eq!(taken, COMMANDS_PER_LINE_MAX);
        assert_eq!(shown(commands).len(), COMMANDS_PER_LINE_MAX);
        assert_eq!(shown(Commands::default()), [""; 0]);
    }
}
