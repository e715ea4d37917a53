//! What the program is doing, on standard error: one line that is painted over, or one line each where that can't be.

use std::io::{IsTerminal, Write, stderr};

/// Says what is being done; erases it when dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    is_terminal: bool,
}

impl Progress {
    /// Looks whether standard error is a terminal.
    pub(crate) fn new() -> Self {
        Self {
            is_terminal: stderr().is_terminal(),
        }
    }

    /// Says what is being done now.
    pub(crate) fn now(&self, what: &str) {
        if self.is_terminal {
            paint(&format!("\r\x1b[2K{what}"));
        } else {
            paint(&format!("{what}\n"));
        }
    }

    /// Says something that is to stay.
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

/// Nobody can be told that standard error is gone.
fn paint(text: &str) {
    drop(stderr().write_all(text.as_bytes()));
}
