//! Finds the program `chat-server`.
//!
//! Invariant: benchmarks measure the current code. If cargo runs this program, this program first builds the server,
//! because cargo does not build programs of other packages.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

/// Returns the path `named`. If `named` is `None`, returns the path of the `chat-server` beside this program.
pub(crate) fn find(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    let program = match named {
        Some(program) => program.to_owned(),
        None => {
            let own = std::env::current_exe().context("the path of this program is unknown")?;
            build(&own)?;
            own.with_file_name("chat-server")
        }
    };
    // `Command` would search a bare name on PATH, so the path is made absolute.
    let program = std::path::absolute(program).context("--server-bin")?;
    ensure!(
        program.is_file(),
        "{} not found: build chat-server, or set --server-bin",
        program.display()
    );
    Ok(program)
}

/// Builds `chat-server` with the cargo profile of this program. Does nothing if this program was not started by cargo.
fn build(own: &Path) -> anyhow::Result<()> {
    let (Some(cargo), Some(package)) = (
        std::env::var_os("CARGO"),
        std::env::var_os("CARGO_MANIFEST_DIR"),
    ) else {
        return Ok(());
    };
    let directory = own.parent().and_then(Path::file_name);
    let profile = match directory.and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--profile", profile])
        .args(["-p", "chat-server", "--bins"])
        .current_dir(package)
        .stdin(Stdio::null())
        .status()
        .context("can't run cargo")?;
    ensure!(built.success(), "chat-server can't be built");
    Ok(())
}
