//! The reference servers, which are part of this program. Each runs as a child process, so that it is measured
//! separately.

pub(crate) mod floor;
pub(crate) mod obvious;

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::Context;
use nix::sys::signal::Signal;

/// The listen backlog: the kernel's default limit. With Tokio's 1,024, a burst of connections waits for a second.
const BACKLOG: i32 = 4096;

/// Executes `command`. The kernel ends it when this program's parent ends. Returns only on failure.
pub(crate) fn run(command: &[OsString]) -> anyhow::Result<()> {
    let (program, arguments) = command.split_first().context("no command was given")?;
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("could not run {}", program.display()))
}
