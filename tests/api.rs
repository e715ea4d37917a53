//! Compares the public API of the libraries with a stored listing, so that a review shows changes of the API.
//!
//! `UPDATE_SNAPSHOTS=1 cargo test --test api` writes the listing again. The listing is made from rustdoc's JSON. Stable
//! toolchains write this JSON only with `RUSTC_BOOTSTRAP`, and its format changes between toolchains. If the toolchain
//! writes another format, the test is skipped. So a newer toolchain alone does not fail the test.

#![expect(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const LIBRARIES: [&str; 6] = [
    "chat-core",
    "chat-irc",
    "chat-json",
    "chat-sqlite",
    "chat-testkit",
    "chat-web",
];

/// Creates a script that runs rustdoc with `RUSTC_BOOTSTRAP`, and returns its path. Cargo and the build scripts of
/// dependencies do not see the variable. If they saw it, they would build everything again.
fn rustdoc() -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rustdoc-nightly");
    let rustdoc = std::env::var("RUSTDOC").unwrap_or_else(|_| "rustdoc".into());
    let script = format!("#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec '{rustdoc}' \"$@\"\n");
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path
}

/// Runs rustdoc on all libraries. Returns the directory of the JSON files.
///
/// One call documents all libraries, in the target directory of the other builds, so that nothing is checked twice.
fn describe() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let flags = [
        "-Zunstable-options",
        "--output-format=json",
        "--cap-lints=allow",
    ];
    let described = Command::new(env!("CARGO"))
        .args(["doc", "--locked", "--quiet", "--no-deps", "--lib"])
        .args(LIBRARIES.map(|library| format!("--package={library}")))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("RUSTDOC", rustdoc())
        .env("CARGO_ENCODED_RUSTDOCFLAGS", flags.join("\u{1f}"))
        .env("CARGO_TARGET_DIR", target)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&described.stderr);
    assert!(described.status.success(), "{errors}");
    target.join("doc")
}

/// Lists the public items of a library. Returns `None` if the toolchain writes another format.
fn list(description: PathBuf) -> Option<String> {
    let described = public_api::Builder::from_rustdoc_json(description)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build();
    match described {
        Ok(listing) => Some(listing.to_string()),
        Err(public_api::Error::SerdeJsonError(error)) => {
            eprintln!("skipped: this toolchain's format of rustdoc's JSON is another one: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn check(library: &str, listing: &str) {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/api/{library}.txt"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&kept, listing).unwrap();
        return;
    }
    let known = std::fs::read_to_string(&kept).unwrap_or_default();
    let is_in = |lines: &str, line: &str| lines.lines().any(|other| other == line);
    let gone = known.lines().filter(|line| !is_in(listing, line));
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
    let descriptions = describe();
    for library in LIBRARIES {
        let name = library.replace('-', "_");
        if let Some(listing) = list(descriptions.join(name).with_extension("json")) {
            check(library, &listing);
        }
    }
}

#[test]
fn another_format_of_descriptions_is_skipped() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("other-format.json");
    std::fs::write(&path, r#"{"format_version": 1000, "elements": []}"#).unwrap();
    assert_eq!(list(path), None);
}
