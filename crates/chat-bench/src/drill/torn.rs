//! `torn`: files that lost their end or had bits turned over, as bad disks and bad copies leave them. A file that can't
//! be read is refused or says so; none makes a panic, and none shows an empty history as if that were all.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use chat_core::log::{Journal, Log, Span};
use chat_core::{RoomName, Seq};
use chat_sqlite::{Options, SqliteJournal};

use super::client::Client;
use super::findings::{Findings, grouped};
use super::ledger::ROOM;
use super::random::Random;
use super::stage::Stage;

/// What became of a file.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// It is not opened, for this reason.
    Refused(String),
    /// It is opened, and reading says that something is wrong.
    Unreadable,
    /// All is there.
    Whole,
    /// The last of it is not; the log says that it is another one (`true`), or as if it had never been.
    Short {
        kept: usize,
        is_new_epoch: bool,
    },
    /// All is there, but not as it was said.
    Altered,
    /// Nothing is there, as if nothing had ever been.
    Empty,
    Panicked,
}

pub(super) async fn run(stage: &Stage<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    let (messages, times) = (stage.pick(3000, 300), stage.pick(1000, 60));
    findings.did(format!(
        "{} messages, kill -9; {} times the file and its log of changes are cut or bits in them turned over",
        grouped(messages as u64),
        grouped(times as u64)
    ));
    let dir = tempfile::Builder::new().prefix("chat-bench-").tempdir()?;
    let file = dir.path().join("chat.db");
    write(stage, &file, messages).await?;
    let files = files(dir.path())?;
    let mut random = stage.random(0);
    let whole = {
        let copy = copy(&files)?;
        let log = read(&copy.path().join("chat.db")).await;
        log.context("the file as it was left can't be read")?
    };
    ensure!(whole.texts.len() == messages, "it was not all written");
    let mut fates = Vec::new();
    for _ in 0..times {
        let copy = copy(&files)?;
        let what = damage(copy.path(), &mut random)?;
        let path = copy.path().join("chat.db");
        let fate = tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build()?;
            anyhow::Ok(catch_unwind(AssertUnwindSafe(|| {
                runtime.block_on(read(&path))
            })))
        });
        let fate = match fate.await.context("no thread")?? {
            Err(_) => Fate::Panicked,
            Ok(found) => judge(&whole, found),
        };
        fates.push((what, fate));
    }
    report(&fates, findings);
    Ok(())
}

/// Has a server keep messages, and kills it.
async fn write(stage: &Stage<'_>, file: &Path, messages: usize) -> anyhow::Result<()> {
    let file = file.to_string_lossy().into_owned();
    let mut server = stage.start(16, &["--data", &file])?;
    let mut client = Client::arrive(server.port(), "kim").await?;
    client.go_to(ROOM).await?;
    for number in 0..messages {
        let line = format!("message {number} 결제 of {messages}\n");
        client.writer.send(line.as_bytes()).await?;
    }
    // Answers come in order: by now all is kept.
    client.ask("/topic\n", "* no topic is set").await?;
    server.kill()?;
    Ok(())
}

/// The files of a log, with what is in them.
fn files(dir: &Path) -> anyhow::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().context("a file has a name")?;
        files.push((name.into(), std::fs::read(&path)?));
    }
    Ok(files)
}

fn copy(files: &[(PathBuf, Vec<u8>)]) -> anyhow::Result<tempfile::TempDir> {
    let dir = tempfile::Builder::new().prefix("chat-bench-").tempdir()?;
    for (name, bytes) in files {
        std::fs::write(dir.path().join(name), bytes)?;
    }
    Ok(dir)
}

/// Cuts a file, or turns bits over; says what was done.
fn damage(dir: &Path, random: &mut Random) -> anyhow::Result<String> {
    let mut names = vec!["chat.db"];
    if dir.join("chat.db-wal").exists() {
        names.push("chat.db-wal");
    }
    let name = *random.pick(&names);
    let path = dir.join(name);
    let mut bytes = std::fs::read(&path)?;
    let what = if random.once_in(2) {
        let at = random.below(bytes.len());
        bytes.truncate(at);
        format!("{name} cut at {at}")
    } else {
        let count = 1 + random.below(16);
        for _ in 0..count {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        }
        format!("{count} bits of {name}")
    };
    std::fs::write(&path, bytes)?;
    Ok(what)
}

/// What a file holds.
#[derive(Debug)]
struct Found {
    epoch: u64,
    texts: Vec<String>,
    has_gap: bool,
}

async fn read(path: &Path) -> anyhow::Result<Found> {
    let journal = SqliteJournal::open(path, &Options::default()).context(REFUSED)?;
    let room = RoomName::parse(ROOM)?;
    let log = Journal::open(&journal, &room, ROOM).await?;
    let mut found = Found {
        epoch: log.head().epoch.0,
        texts: Vec::new(),
        has_gap: false,
    };
    let mut after = Seq::START;
    loop {
        let page = log.read(Span::After(after), 1000).await?;
        found.has_gap |= page.gap.is_some();
        let Some(last) = page.last() else { break };
        after = last;
        for excerpt in page.excerpts {
            let messages = excerpt.batch.messages(excerpt.range);
            found
                .texts
                .extend(messages.map(|message| message.text.to_owned()));
        }
    }
    ensure!(
        after >= log.head().tail,
        "the log does not reach its own end"
    );
    Ok(found)
}

const REFUSED: &str = "refused";

fn judge(whole: &Found, found: anyhow::Result<Found>) -> Fate {
    let found = match found {
        Ok(found) => found,
        Err(error) if error.to_string() == REFUSED => {
            return Fate::Refused(error.root_cause().to_string());
        }
        Err(_) => return Fate::Unreadable,
    };
    let is_new_epoch = found.epoch != whole.epoch;
    let same = whole
        .texts
        .iter()
        .zip(&found.texts)
        .take_while(|(a, b)| a == b);
    let same = same.count();
    if found.has_gap {
        Fate::Unreadable
    } else if found.texts.is_empty() && !is_new_epoch {
        Fate::Empty
    } else if same < found.texts.len() {
        Fate::Altered
    } else if same < whole.texts.len() {
        Fate::Short {
            kept: same,
            is_new_epoch,
        }
    } else {
        Fate::Whole
    }
}

fn report(fates: &[(String, Fate)], findings: &mut Findings) {
    let count = |is: fn(&Fate) -> bool| fates.iter().filter(|(_, fate)| is(fate)).count();
    let cases = |is: fn(&Fate) -> bool| -> Vec<String> {
        let fates = fates.iter().filter(|(_, fate)| is(fate));
        fates
            .map(|(what, fate)| format!("{what}: {fate:?}"))
            .collect()
    };
    let shown = |count: usize| grouped(count as u64);
    findings.figure(
        "not opened",
        shown(count(|fate| matches!(fate, Fate::Refused(_)))),
    );
    findings.figure(
        "opened, and reading says so",
        shown(count(|fate| *fate == Fate::Unreadable)),
    );
    findings.figure(
        "whole all the same",
        shown(count(|fate| *fate == Fate::Whole)),
    );
    let is_told = |fate: &Fate| {
        matches!(
            fate,
            Fate::Short {
                is_new_epoch: true,
                ..
            }
        )
    };
    findings.figure(
        "the last lost, and a new epoch says so",
        shown(count(is_told)),
    );
    findings.figure(
        "texts altered, which no database without checksums sees",
        shown(count(|fate| *fate == Fate::Altered)),
    );
    findings.at_least("damaged", fates.len() as u64, 50);
    findings.none("panics", &cases(|fate| *fate == Fate::Panicked));
    findings.none(
        "an empty history as if that were all",
        &cases(|fate| *fate == Fate::Empty),
    );
    let is_silent = |fate: &Fate| {
        matches!(
            fate,
            Fate::Short {
                is_new_epoch: false,
                ..
            }
        )
    };
    findings.none("the last lost in the same epoch", &cases(is_silent));
}
