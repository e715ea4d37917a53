//! Runs `chat-client`, types its input and reads its output.

use std::io::Write;
use std::ops::{Deref, DerefMut};
use std::process::{ChildStdin, Command, Stdio};

use super::binaries::binary;
use super::{Process, untimed};

/// A running `chat-client`. It is killed when the test ends.
#[derive(Debug)]
pub(crate) struct Client {
    process: Process,
    keyboard: Option<ChildStdin>,
}

impl Client {
    /// Starts a client whose input the test types with [`types`](Self::types).
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::reading(Stdio::piped(), arguments)
    }

    /// Starts a client that reads `input`.
    pub(crate) fn reading(input: impl Into<Stdio>, arguments: &[&str]) -> Self {
        let mut process = Process::start(Self::command(arguments).stdin(input));
        let keyboard = process.take_stdin();
        Self { process, keyboard }
    }

    /// Returns the command that runs a client, for a test that starts the command itself.
    pub(crate) fn command(arguments: &[&str]) -> Command {
        let mut command = Command::new(binary("chat-client"));
        command.args(arguments);
        command
    }

    /// Types a line.
    pub(crate) fn types(&mut self, line: &str) {
        let keyboard = self.keyboard.as_mut().expect("the input has not ended");
        writeln!(keyboard, "{line}").unwrap();
    }

    /// Ends the client's input.
    pub(crate) fn ends_input(&mut self) {
        self.keyboard = None;
    }

    /// Waits until the client has printed this line, with any time of day before it.
    pub(crate) fn shows(&mut self, line: &str) {
        let wanted = |shown: &str| (untimed(shown) == line).then_some(());
        self.process.stdout.wait_for(line, wanted);
    }

    /// Waits until the client has printed a line that contains `part`. Returns the line.
    pub(crate) fn shows_part(&mut self, part: &str) -> String {
        let wanted = |shown: &str| shown.contains(part).then(|| shown.to_owned());
        self.process.stdout.wait_for(part, wanted)
    }
}

impl Deref for Client {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}
