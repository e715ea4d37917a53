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
    /// Some within it are not there, and nothing says so.
    Hole,
    /// Nothing is there, as if nothing had ever been.
    Empty,
    Panicked,
}

pub(super) async fn run(stage: &Stage<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    let (messages, times) = (stage.pick(3000, 300), stage.pick(1000, 60));
    findings.did(format!(
        "{} messages, half of them in the file and half in its log of changes; {} times one is cut or has bits turned over",
        grouped(messages as u64),
        grouped(times as u64)
    ));
    let dir = tempfile::Builder::new().prefix("chat-bench-").tempdir()?;
    let file = dir.path().join("chat.db");
    write(stage, &file, messages).await?;
    let files = files(dir.path())?;
    let mut random = stage.random(0);
    let whole = read(&file).await;
    let whole = whole.context("the file as it was left can't be read")?;
    ensure!(whole.texts.len() == messages, "it was not all written");
    put_back(dir.path(), &files)?;
    let again = read(&file).await?;
    ensure!(
        again.epoch == whole.epoch,
        "what is put back is another one, damaged or not"
    );
    let (mut fates, mut praised, mut saved) = (Vec::new(), Vec::new(), (0, 0));
    for _ in 0..times {
        put_back(dir.path(), &files)?;
        let what = damage(dir.path(), &mut random)?;
        let path = file.clone();
        let fate = tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build()?;
            anyhow::Ok(catch_unwind(AssertUnwindSafe(|| {
                let found = runtime.block_on(read(&path));
                let saved = chat_sqlite::export(&path, None, None, &mut |_| Ok(()));
                let is_whole = chat_sqlite::check(&path).is_ok_and(|report| report.is_whole());
                let saved = saved.map_or(0, |exported| exported.messages);
                (found, saved, is_whole)
            })))
        });
        let fate = match fate.await.context("no thread")?? {
            Err(_) => Fate::Panicked,
            Ok((found, count, is_whole)) => {
                let fate = judge(&whole, found);
                let is_damaged = matches!(fate, Fate::Refused(_) | Fate::Unreadable);
                if is_damaged && is_whole {
                    praised.push(format!("{what}: {fate:?}"));
                }
                if is_damaged {
                    saved.0 += count;
                    saved.1 += messages as u64;
                }
                fate
            }
        };
        fates.push((what, fate));
    }
    report(&fates, findings);
    let (saved, of) = (grouped(saved.0), grouped(saved.1));
    findings.figure(
        "messages that can be exported of such",
        format!("{saved} of {of}"),
    );
    findings.none("damaged, and `check` calls it whole", &praised);
    Ok(())
}

/// Has a server keep messages and end, which puts all into the file; and then more, and kills it.
async fn write(stage: &Stage<'_>, file: &Path, messages: usize) -> anyhow::Result<()> {
    let file = file.to_string_lossy().into_owned();
    let half = messages / 2;
    for (numbers, is_last) in [(0..half, false), (half..messages, true)] {
        let mut server = stage.start(16, &["--data", &file])?;
        let mut client = Client::arrive(server.port(), "kim").await?;
        client.go_to(ROOM).await?;
        for number in numbers {
            let line = format!("message {number} 결제 of {messages}\n");
            client.writer.send(line.as_bytes()).await?;
        }
        // Answers come in order: by now all is kept.
        client.ask("/topic\n", "* no topic is set").await?;
        // Otherwise it is asked to end, and waited for.
        if is_last {
            server.kill()?;
        }
    }
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

/// Has the files as they were, and no others. They are written over: a copy would be known for one.
fn put_back(dir: &Path, files: &[(PathBuf, Vec<u8>)]) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if !files.iter().any(|(name, _)| path.ends_with(name)) {
            std::fs::remove_file(path)?;
        }
    }
    for (name, bytes) in files {
        std::fs::write(dir.join(name), bytes)?;
    }
    Ok(())
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
    seqs: Vec<u64>,
    texts: Vec<String>,
    has_gap: bool,
}

async fn read(path: &Path) -> anyhow::Result<Found> {
    let journal = SqliteJournal::open(path, &Options::default()).context(REFUSED)?;
    let room = RoomName::parse(ROOM)?;
    let log = Journal::open(&journal, &room, ROOM).await?;
    let mut found = Found {
        epoch: log.head().epoch.0,
        seqs: Vec::new(),
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
            for message in excerpt.batch.messages(excerpt.range) {
                found.seqs.push(message.seq.0);
                found.texts.push(message.text.to_owned());
            }
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
    } else if found.seqs.windows(2).any(|pair| pair[1] != pair[0] + 1) && !is_new_epoch {
        Fate::Hole
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
    findings.none(
        "some within lost in the same epoch",
        &cases(|fate| *fate == Fate::Hole),
    );
}
