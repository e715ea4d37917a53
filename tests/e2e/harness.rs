//! What the tests stand on: the programs, their processes, and members that talk to them over TCP.

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

/// Whether there is a program of this name; it is asked for its version with this argument. Without it the tests that
/// need it are skipped, unless `CHAT_TOOLS=required` says otherwise.
pub(crate) fn has_tool(name: &str, version: &str) -> bool {
    let found = Command::new(name).arg(version).output().is_ok();
    let is_required = std::env::var_os("CHAT_TOOLS").is_some_and(|tools| tools == "required");
    assert!(found || !is_required, "{name} is not installed");
    if !found {
        eprintln!("skipped: {name} is not installed");
    }
    found
}

/// Keeps silent for a while, where the silence itself is what is tested.
pub(crate) fn pause(silence: Duration) {
    thread::sleep(silence);
}

/// How long anything that must happen may take, on a machine that is busy with other things.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
