//! HTTP for programs: each line of `curl` in docs/http.md is run, and what programs rely on over a restart.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::{DEADLINE, Member, Process, Server, has_tool};
use serde_json::Value;

/// The address in the document.
const DOCUMENTED: &str = "http://localhost:5000";

/// A line of `curl` in the document, and the lines that it prints.
struct Example {
    command: String,
    printed: Vec<String>,
}

/// The epochs in the document, each with the server's epoch that it stands for.
type Epochs = HashMap<String, String>;

/// Returns whether these tests can run: `curl` is installed.
fn can_run() -> bool {
    has_tool("curl", "--version")
}

/// Runs `curl` with these arguments, of which the last one is a target, and returns what it prints.
fn curl(server: &Server, arguments: &[&str]) -> String {
    let (target, options) = arguments.split_last().unwrap();
    let output = Command::new("curl")
        .args(["-sS", "--max-time", "20"])
        .args(options)
        .arg(format!("http://{}{target}", server.address()))
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs `curl` for a stream of events.
fn stream(server: &Server, options: &[&str], target: &str) -> Process {
    let url = format!("http://{}{target}", server.address());
    let mut command = Command::new("curl");
    command.args(["-sSN"]).args(options).arg(url);
    Process::start(command.stdin(Stdio::null()))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn examples() -> Vec<Example> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/http.md");
    let text = fs::read_to_string(path).unwrap();
    let mut examples = Vec::new();
    for block in text.split("```console\n").skip(1) {
        let block = block.split("\n```").next().unwrap();
        for line in block.lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                examples.push(Example {
                    command: command.to_owned(),
                    printed: Vec::new(),
                });
            } else {
                let example = examples.last_mut().expect("a block begins with a command");
                example.printed.push(line.to_owned());
            }
        }
    }
    examples
}

impl Example {
    /// Runs the command, with the server's address and its epochs, and compares what it prints with the document.
    fn check(&self, server: &Server, epochs: &mut Epochs) {
        let mut command = self
            .command
            .replace(DOCUMENTED, &format!("http://{}", server.address()));
        for (documented, actual) in &*epochs {
            command = command.replace(documented, actual);
        }
        let command = command.replacen("curl ", "curl -sS --max-time 20 ", 1);
        let mut shell = Command::new("bash");
        shell
            .args(["-c", &format!("exec {command}")])
            .stdin(Stdio::null());
        let mut process = Process::start(&mut shell);
        for expected in &self.printed {
            let what = format!("`{expected}` after `{}`", self.command);
            let line = process.stdout.wait_for(&what, |line| Some(line.to_owned()));
            assert!(is_like(expected, &line, epochs), "{what}, not:\n{line}");
        }
    }
}

/// Returns whether a line is the documented one, apart from values that the server chooses.
fn is_like(documented: &str, actual: &str, epochs: &mut Epochs) -> bool {
    let parts = |line: &str| {
        let (field, value) = line.split_once(": ").unwrap_or_default();
        (field.to_owned(), value.to_owned())
    };
    match (parts(documented), parts(actual)) {
        ((field, documented), (same, actual)) if field == "data" && same == field => {
            is_like_json(&json(&documented), &json(&actual), epochs)
        }
        ((field, documented), (same, actual)) if field == "id" && same == field => {
            let position = |id: &str| {
                let (epoch, seq) = id.split_once(':').unwrap();
                (epoch.to_owned(), seq.to_owned())
            };
            let ((documented, seq), (actual, same)) = (position(&documented), position(&actual));
            seq == same && is_epoch(&documented, &actual, epochs)
        }
        _ if documented.starts_with('{') => is_like_json(&json(documented), &json(actual), epochs),
        _ => documented == actual,
    }
}

fn is_like_json(documented: &Value, actual: &Value, epochs: &mut Epochs) -> bool {
    match (documented, actual) {
        (Value::Object(documented), Value::Object(actual)) => {
            documented.len() == actual.len()
                && documented.iter().all(|(field, documented)| {
                    let Some(actual) = actual.get(field) else {
                        return false;
                    };
                    match (field.as_str(), documented.as_str(), actual.as_str()) {
                        ("ts", ..) => actual.is_u64(),
                        ("epoch", Some(documented), Some(actual)) => {
                            is_epoch(documented, actual, epochs)
                        }
                        _ => is_like_json(documented, actual, epochs),
                    }
                })
        }
        (Value::Array(documented), Value::Array(actual)) => {
            let mut both = documented.iter().zip(actual);
            documented.len() == actual.len()
                && both.all(|(documented, actual)| is_like_json(documented, actual, epochs))
        }
        (documented, actual) => documented == actual,
    }
}

fn is_epoch(documented: &str, actual: &str, epochs: &mut Epochs) -> bool {
    let known = epochs.entry(documented.to_owned());
    known.or_insert_with(|| actual.to_owned()) == actual
}

#[test]
fn every_line_of_curl_in_the_document_does_what_it_says() {
    if !can_run() {
        return;
    }
    let server = Server::start();
    let _alice = Member::arrive(&server, "alice");
    let examples = examples();
    assert!(examples.len() > 10, "{}", examples.len());
    let mut epochs = Epochs::new();
    for example in examples {
        example.check(&server, &mut epochs);
    }
}

/// A directory for the data of one test. It is removed when the test ends.
struct Data(PathBuf);

impl Data {
    fn new(name: &str) -> Self {
        let name = format!("chat-e2e-{}-http-{name}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    fn server(&self) -> Server {
        let file = self.0.join("chat.db");
        Server::with(&["--data", file.to_str().unwrap()])
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

#[test]
fn a_key_repeated_100_times_over_a_restart_says_one_message() {
    if !can_run() {
        return;
    }
    let data = Data::new("key");
    let mut server = data.server();
    let mut said = Vec::new();
    for number in 0..100 {
        if number == 50 {
            server.signal("KILL");
            server.ends_within(DEADLINE);
            server = data.server();
        }
        let key = "Idempotency-Key: 5f2d8c1e-7d4c-4b8e-9c55-0d6d1f0b7a11";
        let target = "/rooms/ops/messages?nick=ci";
        let answer = curl(&server, &["-H", key, "-d", "build failed", target]);
        said.push(json(&answer));
    }
    assert_eq!(said[0]["dup"], Value::Null, "{}", said[0]);
    for (number, again) in said.iter().enumerate().skip(1) {
        assert_eq!(again["dup"], Value::Bool(true), "{number}: {again}");
        for field in ["room", "epoch", "seq"] {
            assert_eq!(again[field], said[0][field], "{number}: {again}");
        }
    }
    let log = json(&curl(&server, &["/rooms/ops/messages"]));
    let messages = log["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 1, "{log}");
    assert_eq!(messages[0]["text"], "build failed");
}

#[test]
fn events_go_on_over_a_restart_from_the_last_id() {
    if !can_run() {
        return;
    }
    let data = Data::new("events");
    let mut server = data.server();
    let say =
        |server: &Server, text: &str| curl(server, &["-d", text, "/rooms/ops/messages?nick=ci"]);
    let mut events = stream(&server, &[], "/rooms/ops/events");
    events.stdout.wait_for("the room", |line| {
        line.starts_with("event: room").then_some(())
    });
    say(&server, "one");
    let id = events.stdout.wait_for("an id", |line| {
        line.strip_prefix("id: ")
            .filter(|id| id.ends_with(":1"))
            .map(str::to_owned)
    });
    server.signal("TERM");
    events
        .stdout
        .wait_for("the goodbye", |line| (line == "event: bye").then_some(()));
    events.ends_within(DEADLINE);
    server.ends_within(DEADLINE);

    let server = data.server();
    say(&server, "two");
    let header = format!("Last-Event-ID: {id}");
    let mut events = stream(&server, &["-H", &header], "/rooms/ops/events");
    let mut texts = Vec::new();
    say(&server, "three");
    while texts.len() < 2 {
        let data = events.stdout.wait_for("an event", |line| {
            line.strip_prefix("data: ").map(str::to_owned)
        });
        let data = json(&data);
        assert_ne!(data["ev"], "gap");
        texts.extend(data["text"].as_str().map(str::to_owned));
    }
    assert_eq!(texts, ["two", "three"]);
}
