//! Checks the layers of this crate. A folder imports only folders before it in [`LAYERS`]. Folders do not import each
//! other in a circle. Within a folder, a circle of imports has at most three files.
//!
//! The test reads every `use crate::…`, and every path that begins with `crate::` outside of comments. Unit tests in
//! the files, and re-exports in the root file of a folder, are ignored.

#![expect(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The folders of `src`, the lowest layer first. Files outside of folders form a layer below all folders.
const LAYERS: [&str; 12] = [
    "line",
    "log",
    "event",
    "admission",
    "room",
    "hub",
    "session",
    "protocol",
    "request",
    "plain",
    "connection",
    "server",
];

/// The maximum number of files of one folder that may import each other in a circle.
const CIRCLE_MAX: usize = 3;

type Graph = BTreeMap<String, BTreeSet<String>>;

#[test]
fn a_folder_imports_only_lower_ones() {
    let mut wrong = Vec::new();
    for (file, imports) in imports() {
        for import in imports {
            if layer(&import) > layer(&file) {
                wrong.push(format!("{file} imports {import}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "imports of a higher layer:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn every_folder_is_a_layer() {
    let folders: BTreeSet<String> = imports()
        .into_keys()
        .filter_map(|file| Some(file.split_once("::")?.0.to_owned()))
        .collect();
    assert_eq!(folders, LAYERS.map(str::to_owned).into());
}

#[test]
fn no_folders_import_each_other_in_a_circle() {
    let mut folders = Graph::new();
    for (file, imports) in imports() {
        let from = folder(&file);
        let others = imports
            .iter()
            .map(|import| folder(import))
            .filter(|to| *to != from);
        folders
            .entry(from.to_owned())
            .or_default()
            .extend(others.map(str::to_owned));
    }
    let circles = circles(&folders);
    assert!(
        circles.is_empty(),
        "folders that import each other: {circles:?}"
    );
}

#[test]
fn few_files_of_a_folder_import_each_other_in_a_circle() {
    let circles: Vec<_> = circles(&imports())
        .into_iter()
        .filter(|circle| circle.len() > CIRCLE_MAX)
        .collect();
    assert!(
        circles.is_empty(),
        "files that import each other: {circles:#?}"
    );
}

#[test]
fn circles_and_imports_are_found() {
    let text = "use crate::log::{Batch, keys::{self, Key}};\n/// [`x`](crate::Hub)\nuse crate::{name, text::clean};\n\
        fn f() { crate::room::ring() }\n#[cfg(test)]\nmod tests { use crate::server::Server; }\n";
    let found: BTreeSet<_> = paths(text).into_iter().collect();
    let expected = [
        "log::Batch",
        "log::keys",
        "log::keys::Key",
        "name",
        "room::ring",
        "text::clean",
    ];
    assert_eq!(found, expected.map(str::to_owned).into());
    let graph = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")]
        .map(|(from, to)| (from.to_owned(), BTreeSet::from([to.to_owned()])));
    let mut all = Graph::new();
    for (from, to) in graph {
        all.entry(from).or_default().extend(to);
    }
    assert_eq!(
        circles(&all),
        [BTreeSet::from(["a", "b", "c"].map(str::to_owned))]
    );
}

/// Returns the imports of each file, as module paths without `crate::`.
fn imports() -> Graph {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut texts = BTreeMap::new();
    read(&src, "", &mut texts);
    let is_root = |module: &str| LAYERS.contains(&module);
    let mut graph = Graph::new();
    for (file, text) in &texts {
        // The root file of a folder only declares the folder's files.
        if is_root(file) {
            continue;
        }
        let imported = paths(text).into_iter().filter_map(|path| {
            let segments: Vec<&str> = path.split("::").collect();
            let longest = (1..=segments.len())
                .rev()
                .map(|length| segments[..length].join("::"));
            let found = longest
                .into_iter()
                .find(|module| texts.contains_key(module))?;
            (found != *file).then_some(found)
        });
        graph.insert(file.clone(), imported.collect());
    }
    assert!(graph.len() > 40, "the sources are found: {}", graph.len());
    graph
}

fn read(folder: &Path, prefix: &str, texts: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let module = format!("{prefix}{name}");
        if path.is_dir() {
            read(&path, &format!("{module}::"), texts);
        } else if prefix.is_empty() && matches!(name, "lib" | "guide") {
            // These files describe or re-export all layers.
        } else {
            texts.insert(module, fs::read_to_string(&path).unwrap());
        }
    }
}

/// Returns the paths in `text` that begin with `crate::`, without this prefix.
fn paths(text: &str) -> Vec<String> {
    let code = text
        .split("#[cfg(test)]\nmod tests")
        .next()
        .unwrap_or_default();
    let lines = code
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    let code = lines.collect::<Vec<_>>().join(" ");
    let mut found = Vec::new();
    for rest in code.split("crate::").skip(1) {
        expand("", rest, &mut found);
    }
    found
}

/// Reads one path, or a group of paths in braces. Returns the text after the path or the group.
fn expand<'a>(prefix: &str, text: &'a str, found: &mut Vec<String>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = expand(prefix, rest, found).trim_start();
            match rest.strip_prefix(',') {
                Some(next) if !next.trim_start().starts_with('}') => rest = next,
                Some(next) => return next.trim_start().strip_prefix('}').unwrap_or(next),
                None => return rest.strip_prefix('}').unwrap_or(rest),
            }
        }
    }
    let end = text
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let path = match (prefix, name) {
        (prefix, "self") => prefix.to_owned(),
        ("", name) => name.to_owned(),
        (prefix, name) => format!("{prefix}::{name}"),
    };
    match rest.strip_prefix("::") {
        Some(rest) => expand(&path, rest, found),
        None => {
            found.push(path);
            rest
        }
    }
}

fn folder(module: &str) -> &str {
    module.split("::").next().unwrap_or(module)
}

/// Returns the layer of a module. The layer is the number of the module's folder in [`LAYERS`], counted from 1; 0 for
/// files outside of folders.
fn layer(module: &str) -> usize {
    let folder = folder(module);
    LAYERS
        .iter()
        .position(|layer| *layer == folder)
        .map_or(0, |at| at + 1)
}

/// Returns the sets of two or more modules that import each other, directly or through other modules.
fn circles(graph: &Graph) -> Vec<BTreeSet<String>> {
    let reachable: BTreeMap<&String, BTreeSet<&String>> = graph
        .keys()
        .map(|from| (from, reached(graph, from)))
        .collect();
    let mut found: Vec<BTreeSet<String>> = Vec::new();
    for (from, reached) in &reachable {
        let others = reached
            .iter()
            .filter(|to| reachable.get(*to).is_some_and(|back| back.contains(from)));
        let circle: BTreeSet<String> = others.map(|to| (*to).clone()).collect();
        if circle.len() > 1 && !found.contains(&circle) {
            found.push(circle);
        }
    }
    found
}

fn reached<'a>(graph: &'a Graph, from: &'a String) -> BTreeSet<&'a String> {
    let mut reached = BTreeSet::new();
    let mut next = vec![from];
    while let Some(module) = next.pop() {
        for to in graph.get(module).into_iter().flatten() {
            if reached.insert(to) {
                next.push(to);
            }
        }
    }
    reached
}
