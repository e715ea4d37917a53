//! The harness: builds and runs the programs, and connects members over TCP.

mod binaries;
mod client;
mod member;
mod process;
mod random;
mod server;
mod tmux;

use std::process::Command;
use std::thread;
use std::time::Duration;

pub(crate) use binaries::binary;
pub(crate) use client::Client;
pub(crate) use member::{Member, hears_from, read_to_the_end, talk_a_lot, untimed};
pub(crate) use process::Process;
pub(crate) use random::random;
pub(crate) use server::Server;
pub(crate) use tmux::{Tmux, has_tmux};

/// Returns whether a program is installed. `version` is the argument with which the program prints its version. Tests
/// that need a missing program are skipped, unless `CHAT_TOOLS=required`.
pub(crate) fn has_tool(name: &str, version: &str) -> bool {
    let found = Command::new(name).arg(version).output().is_ok();
    let is_required = std::env::var_os("CHAT_TOOLS").is_some_and(|tools| tools == "required");
    assert!(found || !is_required, "{name} is not installed");
    if !found {
        eprintln!("skipped: {name} is not installed");
    }
    found
}

/// Waits for a fixed time. Used only where a test checks that nothing happens.
pub(crate) fn pause(silence: Duration) {
    thread::sleep(silence);
}

/// The limit of every wait, long enough for a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
