//! Recorded conversations: every byte that each connection receives, in both dialects.
//!
//! Each file in the folders beside this one is a scenario. The steps of a scenario run in order, and the output to each
//! connection is recorded below the step. A test fails if the recorded file would change, so these files show each
//! change of the protocol. `UPDATE_TRANSCRIPTS=1 cargo test -p chat-json --test transcripts` records all files again.
//!
//! `format.md` describes the steps.

#![expect(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

mod hub;
mod journal;
mod notation;
mod policy;
mod scenario;

use std::fs;
use std::path::{Path, PathBuf};

/// Declares a test for each scenario. The test is named after the scenario's file, and its module after the folder.
macro_rules! scenarios {
    ($($folder:ident: $($file:ident)*;)*) => {
        $(mod $folder {
            $(#[tokio::test(start_paused = true)]
            async fn $file() {
                super::matches_its_recording(stringify!($folder), stringify!($file)).await;
            })*
        })*

        const DECLARED: &[(&str, &[&str])] = &[$((stringify!($folder), &[$(stringify!($file)),*])),*];
    };
}

scenarios! {
    plain:
        addresses away
        arrival bad_lines big_rooms chunks draining endings gaps greeting_bytes hangul help
        history journal limits listener lobby moderation names openings policies rates rooms
        search talking telnet twenty;
    json:
        away broken commands draining errors gaps hello history journal keys limits moderation ping
        policies presence publish rates replay rooms search tokens;
    mixed:
        big_rooms gaps rooms;
}

async fn matches_its_recording(folder: &str, file: &str) {
    let path = folder_path(folder).join(format!("{file}.txt"));
    let recorded = fs::read_to_string(&path).unwrap();
    let now = scenario::run(&recorded).await;
    if std::env::var_os("UPDATE_TRANSCRIPTS").is_some() {
        fs::write(&path, now).unwrap();
        return;
    }
    let (mut before, mut after) = (recorded.lines(), now.lines());
    for number in 1.. {
        let (before, after) = (before.next(), after.next());
        assert!(
            before == after,
            "{}:{number}: the wire has changed\n  recorded: {}\n  now:      {}\n",
            path.display(),
            before.unwrap_or("(nothing more)"),
            after.unwrap_or("(nothing more)"),
        );
        if before.is_none() {
            return;
        }
    }
}

fn folder_path(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/transcripts")
        .join(folder)
}

#[test]
fn every_scenario_is_run() {
    for (folder, files) in DECLARED {
        for entry in fs::read_dir(folder_path(folder)).unwrap() {
            let path = entry.unwrap().path();
            let file = path.file_stem().and_then(|stem| stem.to_str()).unwrap();
            assert!(files.contains(&file), "{} is not run", path.display());
        }
    }
}
