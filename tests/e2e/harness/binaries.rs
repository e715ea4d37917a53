//! Builds the programs under test, once for the whole run, unless `CHAT_PROGRAMS` names the directory that has them.
//!
//! The programs belong to other packages than these tests, so cargo neither builds them nor provides their paths.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Returns the path of `chat-server` or `chat-client`, built with the profile of these tests.
pub(crate) fn binary(name: &str) -> &'static Path {
    static BINARIES: OnceLock<Vec<PathBuf>> = OnceLock::new();
    BINARIES
        .get_or_init(build)
        .iter()
        .find(|path| path.file_stem().is_some_and(|stem| stem == name))
        .unwrap_or_else(|| panic!("cargo built no {name}"))
}

fn build() -> Vec<PathBuf> {
    if let Some(directory) = env::var_os("CHAT_PROGRAMS") {
        let directory = Path::new(&directory);
        return ["chat-server", "chat-client"]
            .map(|name| {
                directory
                    .join(name)
                    .with_extension(env::consts::EXE_EXTENSION)
            })
            .to_vec();
    }
    let test = env::current_exe().unwrap();
    // The path of the test is `target/PROFILE/deps/e2e-HASH`.
    let directory = test.ancestors().nth(2).unwrap();
    let profile = match directory.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        profile => profile,
    };
    let output = Command::new(env!("CARGO"))
        .args(["build", "--locked", "--profile", profile])
        .args(["-p", "chat-server", "-p", "chat-client", "--bins"])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo build failed:\n{errors}");
    // Cargo prints one JSON object per line. In an object about a built program, `executable` is the program's path.
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.split_once(r#""executable":""#))
        .filter_map(|(_, rest)| rest.split_once('"'))
        .map(|(path, _)| PathBuf::from(path.replace(r"\\", r"\")))
        .collect()
}
