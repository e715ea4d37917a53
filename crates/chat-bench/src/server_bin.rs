//! Where our server's program is.
//!
//! Invariant: what is measured is the code at hand. Under `cargo run`, cargo is asked to build the server first, which
//! it does not do by itself: it belongs to another package.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

/// The program that was named, or the one beside this program.
pub(crate) fn find(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    let program = match named {
        Some(program) => program.to_owned(),
        None => {
            let own = std::env::current_exe().context("where is this program?")?;
            build(&own)?;
            own.with_file_name("chat-server")
        }
    };
    // A bare name would be looked for on PATH.
    let program = std::path::absolute(program).context("--server-bin")?;
    ensure!(
        program.is_file(),
        "{} was not found: build chat-server, or name it with --server-bin",
        program.display()
    );
    Ok(program)
}

/// Has cargo build the server in the profile of this program, if cargo runs this.
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
