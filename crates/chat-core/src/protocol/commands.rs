//! The result of one input line: its commands and the dialect's own answers, in the order in which the dialect adds
//! them.
//!
//! Invariant: one line adds a bounded number of commands. A line that adds one command allocates no memory.

use crate::protocol::command::Command;
use bytes::BytesMut;
use std::collections::VecDeque;

/// Maximum number of commands that one line may add. Clients do not list this many rooms in one line.
const COMMANDS_PER_LINE_MAX: usize = 64;

/// The result of one input line: [`Command`]s for the hub, and bytes that the dialect answers by itself, in the order
/// in which [`Dialect::receive`](crate::protocol::Dialect::receive) adds them. The connection executes the commands and
/// sends the bytes in this order.
///
/// # Rate limit
///
/// Each command after the first is charged like a separate line, so a list of rooms in one line does not bypass
/// [`Limits::rate`](crate::Limits::rate). When the connection has no tokens left, the rest of the line waits for
/// tokens, and the connection does not read from the peer during the wait. With the default rate (20 at once, then 5 a
/// second), a line that joins 40 rooms takes about 4 s.
///
/// # Examples
///
/// ```
/// use chat_core::protocol::{Command, Commands, JoinRequest, Step};
///
/// // `JOIN ops,?,dev`: the dialect itself answers for `?`, which is not a room's name.
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
    /// The dialect's own answers: all bytes before, between and after the commands.
    out: BytesMut,
    /// Number of bytes that were taken out of `out`.
    taken: usize,
    /// Number of commands that were added.
    pushed: usize,
}

/// A command, and the number of bytes of the dialect's own answers that come before the command.
#[derive(Debug)]
struct Placed<'a> {
    after: usize,
    command: Command<'a>,
}

/// One element of [`Commands`].
#[derive(Debug)]
pub enum Step<'a> {
    /// Bytes that the dialect answers by itself. They are sent to the peer.
    Bytes(BytesMut),
    /// A command for the hub.
    Command(Command<'a>),
}

impl<'a> Commands<'a> {
    /// Adds a command. Returns `false`, and drops the command, if this line has already added 64 commands.
    ///
    /// Core does not answer a dropped command. A dialect whose lines can ask for more than 64 things writes an error
    /// for the dropped commands to [`out`](Self::out), in its own form. A dialect that adds one command for each line
    /// may ignore the result.
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

    /// Returns the buffer for the dialect's own answers. Bytes that the dialect appends are sent after the answers to
    /// the commands added before, and before the answers to the commands added afterwards.
    pub const fn out(&mut self) -> &mut BytesMut {
        &mut self.out
    }

    /// Removes and returns the next bytes or the next command. Returns `None` if there are no more. The connection
    /// calls this method; a dialect needs it only in its own tests.
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

    /// Returns the number of commands that were added and not yet taken with [`pop`](Self::pop). At the end of
    /// [`Dialect::receive`](crate::protocol::Dialect::receive), this is the number of commands from the line.
    ///
    /// The number does not include [`OptionsChanged`](Command::OptionsChanged), which no
    /// [`Reply`](crate::protocol::Reply) answers. It includes [`Quit`](Command::Quit), which is answered by
    /// [`Dialect::goodbye`](crate::protocol::Dialect::goodbye).
    #[must_use]
    pub fn count(&self) -> usize {
        let left = self.first.iter().chain(&self.rest);
        left.filter(|placed| placed.command != Command::OptionsChanged)
            .count()
    }

    /// Returns whether there are neither commands nor bytes left to take with [`pop`](Self::pop).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.out.is_empty() && !self.has_command()
    }

    /// Returns whether a command is left to take with [`pop`](Self::pop).
    pub(crate) fn has_command(&self) -> bool {
        self.first.is_some() || !self.rest.is_empty()
    }

    /// Copies the commands' texts, so that they no longer borrow from the input line.
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
