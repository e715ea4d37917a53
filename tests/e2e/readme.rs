//! Checks the project's documents: the program for readers to copy, the table of limits, and the links.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use std::{fs, thread};

use crate::harness::{DEADLINE, Member, Server, binary, has_tool, pause};

/// How many times the program is run, and how many copies run at the same time.
const JOINS: usize = 100;
const AT_A_TIME: usize = 10;

/// Returns the text of a document.
fn document(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the only code block of this language in a document.
fn block(path: &str, language: &str) -> String {
    let text = document(path);
    let fence = format!("```{language}\n");
    let mut blocks = text.split(&fence).skip(1);
    let block = blocks.next().and_then(|rest| rest.split("```").next());
    assert!(blocks.next().is_none(), "more than one block of {language}");
    block.expect("the document has such a block").to_owned()
}

/// The Python program in docs/clients.md, changed to connect to this server. Its file is removed when the test ends.
struct Program(PathBuf);

impl Program {
    fn new(server: &Server) -> Self {
        let path = std::env::temp_dir().join(format!("chat-e2e-{}-readme.py", std::process::id()));
        let (program, ours) = (block("docs/clients.md", "python"), r#"("127.0.0.1", 5000)"#);
        assert!(program.contains(ours), "{program}");
        let (host, port) = (server.address().ip(), server.address().port());
        fs::write(
            &path,
            program.replace(ours, &format!(r#"("{host}", {port})"#)),
        )
        .unwrap();
        Self(path)
    }

    fn start(&self) -> Child {
        Command::new("python3")
            .args(["-X", "utf8"])
            .arg(&self.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

/// Waits until a program has ended. Returns its exit code, stdout and stderr.
fn end(mut program: Child) -> (Option<i32>, String, String) {
    let mut outputs: [Box<dyn Read + Send>; 2] = [
        Box::new(program.stdout.take().unwrap()),
        Box::new(program.stderr.take().unwrap()),
    ];
    let readers = outputs.each_mut().map(|output| {
        let mut output = std::mem::replace(output, Box::new(std::io::empty()));
        thread::spawn(move || {
            let mut text = String::new();
            output.read_to_string(&mut text).map(|_| text)
        })
    });
    let until = Instant::now() + DEADLINE;
    let status = loop {
        match program.try_wait().unwrap() {
            Some(status) => break status,
            None if Instant::now() > until => {
                program.kill().unwrap();
                break program.wait().unwrap();
            }
            None => pause(std::time::Duration::from_millis(10)),
        }
    };
    let [shown, errors] = readers.map(|reader| reader.join().unwrap().unwrap());
    (status.code(), shown, errors)
}

#[test]
fn the_python_program_talks_in_a_room_full_of_korean_and_ends() {
    if !has_tool("python3", "--version") {
        return;
    }
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    // Each Korean character takes three bytes in UTF-8, and the lines have many lengths. So some of the program's reads
    // end in the middle of a character.
    let korean = "가나다라마바사".repeat(14);
    for number in 0..20 {
        alice.says(&format!("{korean}{korean}{}", "~".repeat(number)));
    }
    alice.says("/who");
    alice.sees_part("* lobby: 1 member");
    let program = Program::new(&server);
    for round in 0..JOINS / AT_A_TIME {
        let mut programs: Vec<Child> = (0..AT_A_TIME).map(|_| program.start()).collect();
        for (number, program) in programs.iter_mut().enumerate() {
            // An empty line must not count as the end of the input.
            let mut input = program.stdin.take().unwrap();
            writeln!(input, "\n{korean} {round}-{number}").unwrap();
        }
        for program in programs {
            let (code, shown, errors) = end(program);
            assert_eq!((code, errors.as_str()), (Some(0), ""), "{shown}");
            assert!(shown.contains(&korean), "{shown}");
        }
        let mut missing: Vec<String> = (0..AT_A_TIME)
            .map(|number| format!(": {korean} {round}-{number}"))
            .collect();
        while !missing.is_empty() {
            let line = alice.sees_part(&format!(" {round}-"));
            missing.retain(|text| !line.ends_with(text));
        }
    }
}

/// Returns the flags of limits and their defaults, as `chat-server --help` lists them.
fn limits_in_help() -> Vec<(String, Option<String>)> {
    let output = Command::new(binary("chat-server")).arg("--help").output();
    let help = String::from_utf8(output.unwrap().stdout).unwrap();
    let (_, limits) = help.split_once("\nLimits:\n").expect("help has limits");
    let flags = limits.split("\n      --").map(|flag| {
        let flag = flag.split_whitespace().collect::<Vec<_>>().join(" ");
        let name = flag.trim_start_matches("--").split(' ').next().unwrap();
        let default = flag.split("[default: ").nth(1);
        let default = default.map(|rest| rest.trim_end_matches(']').to_owned());
        (format!("--{name}"), default)
    });
    flags.collect()
}

#[test]
fn every_limit_is_documented_with_its_default() {
    let text = document("docs/limits.md");
    // Each row of the table has three cells: one or more flags, a default for each flag, and the effect.
    let mut documented = Vec::new();
    for row in text.lines().filter(|line| line.starts_with("| `--")) {
        let cells: Vec<&str> = row.split(" | ").collect();
        let flags = cells[0].trim_start_matches("| ").split(", ");
        let flags: Vec<&str> = flags.map(|flag| flag.trim_matches('`')).collect();
        let defaults: Vec<&str> = cells[1].split(", ").collect();
        assert_eq!(flags.len(), defaults.len(), "{row}");
        documented.extend(flags.into_iter().zip(defaults));
    }
    let limits = limits_in_help();
    assert!(limits.len() > 30, "{limits:?}");
    for (flag, default) in limits {
        if flag == "--count-loopback" {
            assert!(text.contains("`--count-loopback`"));
            continue;
        }
        let row = documented.iter().find(|(name, _)| *name == flag);
        let (_, shown) = row.unwrap_or_else(|| panic!("docs/limits.md lacks {flag}"));
        // Defaults that depend on the machine are documented in words.
        if let Some(default) = default.filter(|default| !default.starts_with("what ")) {
            assert_eq!(*shown, default, "{flag}");
        }
    }
}

/// Returns the anchor that GitHub generates for a heading.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
        _ => None,
    });
    kept.collect()
}

#[test]
fn every_link_in_the_documents_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = vec!["README.md".to_owned(), "CHANGELOG.md".to_owned()];
    for entry in fs::read_dir(root.join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        paths.extend(name.ends_with(".md").then(|| format!("docs/{name}")));
    }
    let mut links = 0;
    let mut wrong = BTreeSet::new();
    for path in paths {
        for link in document(&path).split("](").skip(1) {
            let target = link.split(')').next().unwrap();
            if target.starts_with("http") {
                continue;
            }
            links += 1;
            let (file, place) = target.split_once('#').unwrap_or((target, ""));
            let found = match file {
                "" => root.join(&path),
                file => root.join(&path).with_file_name("").join(file),
            };
            let leads = fs::read_to_string(found).is_ok_and(|text| {
                let mut headings = text.lines().filter(|line| line.starts_with('#'));
                place.is_empty() || headings.any(|heading| anchor(heading) == place)
            });
            if !leads {
                wrong.insert(format!("{path}: {target}"));
            }
        }
    }
    assert!(links > 20, "{links}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
