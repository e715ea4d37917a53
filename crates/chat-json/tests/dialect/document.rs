//! Runs the transcripts in the protocol's document. Each transcript has its own hub, and the output must match the
//! document.
//!
//! A program whose transcript does not begin with a hello is already in `ops`. Programs join in the order in which they
//! appear. A line without a name belongs to the program [`BOT`]. After each line that is sent, the test records all
//! lines that the programs receive. [`is_like`] says which values may differ from the document.

use crate::program::Program;
use crate::{hub, unlimited};
use chat_core::{Member, Session};
use chat_testkit::TestHub;
use serde_json::Value;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::time::Duration;

const DOCUMENT: &str = include_str!("../../../../docs/protocol.md");

/// The name of the program whose lines have no name before them.
const BOT: &str = "bot";

/// Maps each epoch in the document to the server's epoch that it stands for.
type Epochs = HashMap<String, String>;

/// One line of a transcript.
#[derive(Debug, Clone, Copy)]
enum Line<'a> {
    Sent(&'a str, &'a str),
    Seen(&'a str, &'a str),
    /// An event that no connection causes, written in parentheses: `(it happens)`.
    Happens(&'a str),
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Self {
        if let Some(what) = line.strip_prefix('(') {
            return Self::Happens(what.trim_end_matches(')'));
        }
        let (name, rest) = line.split_at(line.find(['>', '<']).expect("somebody sends or sees"));
        let name = if name.is_empty() { BOT } else { name };
        let object = rest[1..].trim();
        if rest.starts_with('>') {
            Self::Sent(name, object)
        } else {
            Self::Seen(name, object)
        }
    }

    fn name(self) -> Option<&'a str> {
        match self {
            Self::Sent(name, _) | Self::Seen(name, _) => Some(name),
            Self::Happens(_) => None,
        }
    }
}

/// A hub, and the programs of a transcript in the order of their appearance.
struct Stage {
    hub: TestHub,
    programs: Vec<(String, Program)>,
    /// The lines that were recorded so far.
    written: Vec<String>,
    epochs: Epochs,
    crowd: Vec<(Session, Member)>,
}

impl Stage {
    async fn set(lines: &[Line<'_>]) -> Self {
        let mut limits = unlimited();
        limits.journal_messages = NonZeroUsize::new(5).unwrap();
        let mut stage = Self {
            hub: hub(limits),
            programs: Vec::new(),
            written: Vec::new(),
            epochs: Epochs::new(),
            crowd: Vec::new(),
        };
        for line in lines {
            let Some(name) = line.name() else { continue };
            if stage.programs.iter().any(|(known, _)| known == name) {
                continue;
            }
            let opens = lines.iter().any(|line| {
                matches!(*line, Line::Sent(by, object)
                    if by == name && object.starts_with(r#"{"cmd":"hello""#))
            });
            let program = if opens {
                Program::connect(&mut stage.hub, name)
            } else {
                Program::join(&mut stage.hub, name, &["ops"]).await
            };
            stage.programs.push((name.into(), program));
        }
        for (_, program) in &mut stage.programs {
            program.sees_until_quiet().await;
        }
        stage
    }

    fn program(&mut self, name: &str) -> &mut Program {
        let mut programs = self.programs.iter_mut();
        let (_, program) = programs.find(|(known, _)| known == name).unwrap();
        program
    }

    /// Runs a transcript. Returns the recorded lines if they do not match the transcript.
    async fn play(written: &[&str]) -> Option<String> {
        let lines: Vec<_> = written.iter().map(|line| Line::parse(line)).collect();
        let mut stage = Self::set(&lines).await;
        let mut is_as_written = true;
        for line in lines {
            match line {
                Line::Sent(name, object) => stage.send(name, object).await,
                Line::Happens(what) => stage.happen(what).await,
                Line::Seen(..) => continue,
            }
            stage.look().await;
            is_as_written = stage.is_like(written);
        }
        is_as_written &= stage.written.len() == written.len();
        (!is_as_written).then(|| stage.written.join("\n"))
    }

    /// Returns whether the lines recorded so far match the beginning of the transcript.
    fn is_like(&mut self, written: &[&str]) -> bool {
        let Self {
            written: played,
            epochs,
            ..
        } = self;
        written.len() >= played.len()
            && written.iter().zip(played).all(|(line, played)| {
                match (Line::parse(line), Line::parse(played)) {
                    (Line::Seen(name, object), Line::Seen(saw, seen)) => {
                        let read = |object| serde_json::from_str::<Value>(object).unwrap();
                        name == saw && is_like(&read(object), &read(seen), epochs)
                    }
                    _ => *line == played.as_str(),
                }
            })
    }

    /// Sends a line as the program `name`. Epochs of the document are replaced by the server's epochs.
    async fn send(&mut self, name: &str, object: &str) {
        self.written.push(format!("{}> {object}", shown(name)));
        let mut sent = object.to_owned();
        for (written, real) in &self.epochs {
            sent = sent.replace(&format!("\"{written}\""), &format!("\"{real}\""));
        }
        self.program(name).wire.sends(&sent).await;
    }

    async fn happen(&mut self, what: &str) {
        self.written.push(format!("({what})"));
        match what {
            "25 seconds pass" => tokio::time::sleep(Duration::from_secs(25)).await,
            "the server shuts down" => self.hub.hub.drain(),
            "the application takes bot out of ops" => {
                self.hub
                    .hub
                    .remove("ops", "bot", "too chatty")
                    .await
                    .unwrap();
            }
            "the application closes ops" => {
                self.hub.hub.close_room("ops", "").unwrap();
            }
            "the application kicks alice" => {
                self.hub.hub.kick("alice", "good night").await.unwrap();
            }
            "alice has said six things" => {
                let alice = self.hub.hub.session(Some("alice")).await.unwrap();
                let member = alice.join("ops").await.unwrap();
                for number in 1..=6 {
                    member.say(&format!("number {number}")).await.unwrap();
                }
                self.crowd.push((alice, member));
            }
            "a hundred more join" => {
                for number in 0..100 {
                    let session = self
                        .hub
                        .hub
                        .session(Some(&format!("m{number}")))
                        .await
                        .unwrap();
                    let member = session.join("ops").await.unwrap();
                    self.crowd.push((session, member));
                }
                self.look().await;
                self.written.retain(|line| !line.contains(r#""joined""#));
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            other => panic!("nobody knows how to play {other:?}"),
        }
    }

    /// Records the lines that all programs have received.
    async fn look(&mut self) {
        for (name, program) in &mut self.programs {
            for seen in program.wire.sees_until_quiet().await {
                self.written.push(format!("{}< {seen}", shown(name)));
            }
        }
    }
}

fn shown(name: &str) -> &str {
    if name == BOT { "" } else { name }
}

/// Returns whether a received object matches the object in the document. Two received epochs must be equal if the
/// document's epochs are equal. A reconnect delay may have any value.
fn is_like(written: &Value, seen: &Value, epochs: &mut Epochs) -> bool {
    match (written, seen) {
        (Value::Object(written), Value::Object(seen)) => {
            written.keys().eq(seen.keys())
                && written.iter().all(|(field, written)| {
                    let seen = &seen[field];
                    match (field.as_str(), written, seen) {
                        ("epoch", Value::String(written), Value::String(seen)) => {
                            let known = epochs.entry(written.clone());
                            known.or_insert_with(|| seen.clone()) == seen
                        }
                        ("after_ms", Value::Number(_), Value::Number(_)) => true,
                        // The server chooses the token, unless the client sent one.
                        ("token", Value::String(written), Value::String(seen)) => {
                            written.ends_with('…') || written == seen
                        }
                        _ => is_like(written, seen, epochs),
                    }
                })
        }
        (Value::Array(written), Value::Array(seen)) => {
            written.len() == seen.len()
                && written
                    .iter()
                    .zip(seen)
                    .all(|(written, seen)| is_like(written, seen, epochs))
        }
        _ => written == seen,
    }
}

/// Returns the transcripts in the document, each with the number of its first line.
fn transcripts() -> Vec<(usize, Vec<&'static str>)> {
    let mut found: Vec<(usize, Vec<_>)> = Vec::new();
    let mut is_inside = false;
    for (number, line) in DOCUMENT.lines().enumerate() {
        if line == "```chat" {
            is_inside = true;
            found.push((number + 2, Vec::new()));
        } else if line.starts_with("```") {
            is_inside = false;
        } else if is_inside {
            found.last_mut().unwrap().1.push(line);
        }
    }
    found
}

#[tokio::test(start_paused = true)]
async fn every_transcript_comes_out_as_it_is_written() {
    let mut wrong = String::new();
    for (number, written) in transcripts() {
        if let Some(played) = Stage::play(&written).await {
            wrong += &format!("docs/protocol.md:{number} comes out as\n{played}\n\n");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn every_command_and_event_has_a_transcript() {
    let transcripts: String = transcripts()
        .into_iter()
        .flat_map(|(_, lines)| lines)
        .collect();
    for cmd in [
        "hello", "join", "leave", "say", "act", "tell", "nick", "topic", "who", "rooms", "history",
        "search", "ping", "quit",
    ] {
        let sent = format!(r#"{{"cmd":"{cmd}""#);
        assert!(transcripts.contains(&sent), "{cmd}");
    }
    for ev in [
        "said", "acted", "topic", "joined", "left", "renamed", "members", "hushed", "told", "gap",
        "ping", "bye", "removed",
    ] {
        let seen = format!(r#"{{"ev":"{ev}""#);
        assert!(transcripts.contains(&seen), "{ev}");
    }
    for why in ["expired", "limit", "epoch"] {
        let seen = format!(r#""why":"{why}""#);
        assert!(transcripts.contains(&seen), "{why}");
    }
}
