//! The guide lists exactly the log lines that the sources write.

use std::path::Path;

const GUIDE: &str = include_str!("../../guide/logging.md");

/// Finds the calls of tracing's macros in the sources, each with its arguments.
fn calls(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            calls(&path, found);
        } else {
            let source = std::fs::read_to_string(&path).unwrap();
            let rest = source.split("tracing::").skip(1);
            let calls = rest.filter_map(|rest| rest.split_once(");").map(|(call, _)| call));
            found.extend(calls.filter(|call| call.contains("!(")).map(str::to_owned));
        }
    }
}

#[test]
fn the_guide_lists_each_event_that_is_logged() {
    let mut found = Vec::new();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    calls(&sources, &mut found);
    assert!(found.len() > 5, "{found:?}");
    for call in found {
        let (level, _) = call.split_once("!(").unwrap();
        let message = call.split('"').rev().nth(1).unwrap();
        let row = format!("| `{}` | `{message}` |", level.to_uppercase());
        assert!(GUIDE.contains(&row), "{row} is not in the guide");
    }
}
