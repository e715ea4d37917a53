//! The lines that one wire has sent and received, for the message of a failed test.

use std::fmt;

#[derive(Debug)]
pub(crate) struct Transcript {
    name: String,
    lines: Vec<(Direction, String)>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Direction {
    Sent,
    Seen,
}

impl Transcript {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            lines: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, direction: Direction, line: &str) {
        self.lines
            .push((direction, line.escape_debug().to_string()));
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "what {} sent (>) and saw (<):", self.name)?;
        for (direction, line) in &self.lines {
            let sign = match direction {
                Direction::Sent => '>',
                Direction::Seen => '<',
            };
            writeln!(f, "  {sign} {line}")?;
        }
        Ok(())
    }
}
