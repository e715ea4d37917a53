//! Manual pages and shell completions, made from a program's arguments.
//!
//! `clap_mangen` and `clap_complete` do most of the work. This crate corrects their output for both `chat-server` and
//! `chat-client`.

#![forbid(unsafe_code)]

mod completions;
mod page;

pub use clap_complete::Shell;
pub use completions::completions;
pub use page::{Section, page};

use std::io::{self, Write};

/// Prints a page or a script to stdout. A reader that closes early is not an error.
///
/// # Errors
///
/// Returns an error if stdout can't be written.
pub fn print(text: &str) -> io::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}
