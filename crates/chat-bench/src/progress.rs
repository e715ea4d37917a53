//! Shows progress on standard error: one line that is overwritten on a terminal, otherwise one line for each step.

use std::io::{IsTerminal, Write, stderr};

/// Shows the current step, and erases it when dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    is_terminal: bool,
}

impl Progress {
    /// Checks whether standard error is a terminal.
    pub(crate) fn new() -> Self {
        Self {
            is_terminal: stderr().is_terminal(),
        }
    }

    /// Shows the current step.
    pub(crate) fn now(&self, what: &str) {
        if self.is_terminal {
            paint(&format!("\r\x1b[2K{what}"));
        } else {
            paint(&format!("{what}\n"));
        }
    }

    /// Prints a line that is not overwritten.
    pub(crate) fn note(&self, what: &str) {
        if self.is_terminal {
            paint("\r\x1b[2K");
        }
        paint(&format!("{what}\n"));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_terminal {
            paint("\r\x1b[2K");
        }
    }
}

/// Writes to standard error, and ignores a failure, because a failure can't be reported.
fn paint(text: &str) {
    drop(stderr().write_all(text.as_bytes()));
}
