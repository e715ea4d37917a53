//! The public surface of the libraries, kept as a listing: whoever changes it sees so in review.
//!
//! `UPDATE_SNAPSHOTS=1 cargo test --test api` writes it anew. The listing comes from rustdoc's JSON, which stable
//! toolchains write only when they are told to be nightly, and whose format changes: with a toolchain that writes
//! another one the test is skipped, unless `CHAT_TOOLS=required`.

#![expect(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Has rustdoc describe a library, in a target directory of its own.
fn describe(library: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("api");
    let described = Command::new(env!("CARGO"))
        .args([
            "rustdoc",
            "--locked",
            "--quiet",
            "--lib",
            "--package",
            library,
        ])
        .args(["--", "-Z", "unstable-options", "--output-format", "json"])
        .args(["--cap-lints", "allow"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", &target)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&described.stderr);
    assert!(described.status.success(), "{errors}");
    target
        .join("doc")
        .join(library.replace('-', "_"))
        .with_extension("json")
}

fn check(library: &str) {
    let described = public_api::Builder::from_rustdoc_json(describe(library))
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build();
    let listing = match described {
        Ok(listing) => listing.to_string(),
        Err(error) if std::env::var_os("CHAT_TOOLS").is_none() => {
            eprintln!("skipped: this toolchain's listing can't be read: {error}");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/api/{library}.txt"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&kept, listing).unwrap();
        return;
    }
    let known = std::fs::read_to_string(&kept).unwrap_or_default();
    let is_in = |lines: &str, line: &str| lines.lines().any(|other| other == line);
    let gone = known.lines().filter(|line| !is_in(&listing, line));
    let new = listing.lines().filter(|line| !is_in(&known, line));
    let changes: Vec<_> = gone
        .map(|line| format!("- {line}"))
        .chain(new.map(|line| format!("+ {line}")))
        .collect();
    assert!(
        changes.is_empty(),
        "the public surface of {library} has changed; if that is meant, run this test with UPDATE_SNAPSHOTS=1 and \
         say so in CHANGELOG.md:\n{}",
        changes.join("\n")
    );
}

#[test]
fn the_public_surface_of_the_libraries_is_as_it_was() {
    for library in ["chat-core", "chat-json", "chat-sqlite", "chat-testkit"] {
        check(library);
    }
}
