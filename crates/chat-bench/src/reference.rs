//! The servers that are part of this program, each run as a child process so that its figures are its own.

pub(crate) mod floor;
pub(crate) mod obvious;

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::Context;
use nix::sys::signal::Signal;

/// The kernel's limit is 4,096 here by default too; Tokio's 1,024 makes a burst of connections wait a second.
const BACKLOG: i32 = 4096;

/// Becomes `command`, which the kernel ends should our parent die. Returns only if that failed.
pub(crate) fn run(command: &[OsString]) -> anyhow::Result<()> {
    let (program, arguments) = command.split_first().context("no command was given")?;
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("could not run {}", program.display()))
}
