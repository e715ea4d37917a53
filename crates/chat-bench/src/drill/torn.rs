//! `torn`: files are truncated or have flipped bits, as bad disks and bad copies leave them. An unreadable file must be
//! refused, or reading it must report an error. No file may cause a panic, and no damaged file may be shown as an empty
//! history.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, ensure};
use chat_core::log::{Drafts, Journal, Log, SessionId, Span, Timestamp};
use chat_core::{Kind, Nick, RoomName, Seq};
use chat_sqlite::{Options, SqliteJournal, SqliteLog};

use super::client::Client;
use super::findings::{Findings, grouped};
use super::log::ROOM;
use super::stage::Stage;
use fastrand::Rng;

/// The result of opening, reading and appending to a damaged file.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// The file can't be opened, for this reason.
    Refused(String),
    /// The file can be opened, but reading reports an error or a gap.
    Unreadable,
    /// All messages are there, unaltered.
    Whole,
    /// Messages are missing, and the log has a new epoch.
    Begun,
    /// All messages are there, but texts are altered.
    Altered,
    /// The log is empty and has the same epoch.
    Empty,
    /// The last messages are missing, and the log has the same epoch. The number is how many messages are left.
    Short(usize),
    /// Messages before the last message are missing. The log has the same epoch.
    Hole,
    /// A new message was acknowledged but is not in the log. The string is the text of the message.
    Lost(String),
    Panicked,
}

/// The number of panics on all threads.
static PANICS: AtomicUsize = AtomicUsize::new(0);

pub(super) async fn run(stage: &Stage<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    let (messages, times) = (stage.pick(3000, 300), stage.pick(1000, 60));
    findings.did(format!(
        "{} messages, half of them in the file and half in its write-ahead log; {} times one or two files are truncated, removed or have bits flipped",
        grouped(messages as u64),
        grouped(times as u64)
    ));
    let dir = tempfile::Builder::new().prefix("chat-bench-").tempdir()?;
    let file = dir.path().join("chat.db");
    write(stage, &file, messages).await?;
    let files = files(dir.path())?;
    let mut random = stage.random(0);
    let whole = read(&file).await;
    let whole = whole.context("the undamaged file can't be read")?;
    ensure!(
        whole.texts.len() == messages,
        "not all messages were written"
    );
    put_back(dir.path(), &files)?;
    let again = read(&file).await?;
    ensure!(
        again.epoch == whole.epoch,
        "a restored file gets a new epoch without damage"
    );
    let (mut fates, mut passed_checks, mut saved) = (Vec::new(), Vec::new(), (0, 0));
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {
        PANICS.fetch_add(1, Ordering::Relaxed);
    }));
    for _ in 0..times {
        put_back(dir.path(), &files)?;
        let what = damage(dir.path(), &mut random)?;
        let path = file.clone();
        let before = PANICS.load(Ordering::Relaxed);
        let looking = tokio::task::spawn_blocking(move || look_at(&path));
        let looked = looking.await;
        let has_panicked = PANICS.load(Ordering::Relaxed) > before;
        let fate = match looked {
            Ok(looked) if !has_panicked => {
                let Looked {
                    found,
                    count,
                    is_whole,
                } = looked?;
                let fate = judge(&whole, found);
                let is_damaged = matches!(fate, Fate::Refused(_) | Fate::Unreadable);
                if is_damaged && is_whole {
                    passed_checks.push(format!("{what}: {fate:?}"));
                }
                if is_damaged {
                    saved.0 += count;
                    saved.1 += messages as u64;
                }
                fate
            }
            _ => Fate::Panicked,
        };
        fates.push((what, fate));
    }
    std::panic::set_hook(hook);
    report(&fates, findings);
    let (saved, of) = (grouped(saved.0), grouped(saved.1));
    findings.figure(
        "messages that can be exported from these",
        format!("{saved} of {of}"),
    );
    findings.none("damaged, but `check` reports it as whole", &passed_checks);
    Ok(())
}

/// The result of examining a damaged file.
struct Looked {
    found: anyhow::Result<Found>,
    /// The number of messages that can be exported.
    count: u64,
    is_whole: bool,
}

/// Checks a damaged file, exports its messages, reads its log, and appends to the log.
fn look_at(path: &Path) -> anyhow::Result<Looked> {
    let is_whole = chat_sqlite::check(path).is_ok_and(|report| report.is_whole());
    let exported = chat_sqlite::export(path, &options(), None, None, &mut |_| Ok(()));
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    Ok(Looked {
        found: runtime.block_on(use_all(path)),
        count: exported.map_or(0, |exported| exported.messages),
        is_whole,
    })
}

/// Fills the log with two servers. The first ends normally, which moves its messages into the file. The second is
/// killed, so that its messages stay in the write-ahead log.
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
        // The server replies in order, so once this reply arrives, the server has stored all messages.
        client.ask("/topic\n", "* no topic is set").await?;
        // Only the last server is killed. Dropping a server ends it with SIGTERM, after which the server moves the
        // messages from the write-ahead log into the file.
        if is_last {
            server.kill()?;
        }
    }
    Ok(())
}

/// Returns the files of a log, and their contents.
fn files(dir: &Path) -> anyhow::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().context("a file has a name")?;
        files.push((name.into(), std::fs::read(&path)?));
    }
    Ok(files)
}

/// Restores the given files, and removes all other files in the directory.
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

/// Truncates or removes one or two files, or flips bits in them. Returns a description of the damage.
fn damage(dir: &Path, random: &mut Rng) -> anyhow::Result<String> {
    let mut names = vec!["chat.db", "chat.db-wal", "chat.db-state"];
    let count = if random.usize(..4) == 0 { 2 } else { 1 };
    let mut done = Vec::new();
    for _ in 0..count {
        // The state file is small, so it is damaged less often.
        let at = if random.usize(..8) == 0 {
            2
        } else {
            random.usize(..2)
        };
        let name = names.remove(at.min(names.len() - 1));
        let path = dir.join(name);
        let mut bytes = std::fs::read(&path)?;
        done.push(if random.usize(..16) == 0 {
            std::fs::remove_file(path)?;
            format!("{name} removed")
        } else if random.usize(..2) == 0 {
            let at = random.usize(..bytes.len());
            bytes.truncate(at);
            std::fs::write(path, bytes)?;
            format!("{name} truncated to {at} bytes")
        } else {
            let count = 1 + random.usize(..16);
            for _ in 0..count {
                let at = random.usize(..bytes.len());
                bytes[at] ^= 1 << random.usize(..8);
            }
            std::fs::write(path, bytes)?;
            format!("{count} bits of {name} flipped")
        });
    }
    Ok(done.join(", "))
}

/// The contents of a log.
#[derive(Debug)]
struct Found {
    epoch: u64,
    seqs: Vec<u64>,
    texts: Vec<String>,
    has_gap: bool,
    /// The text of a message that was acknowledged after the damage, but is missing.
    lost: Option<String>,
}

/// By default, the journal recognises a restored file as a copy and begins a new epoch. These options trust copies, so
/// that a new epoch can only come from damage.
fn options() -> Options {
    let mut options = Options::default();
    options.trusts_copies = true;
    options
}

async fn open(path: &Path) -> anyhow::Result<SqliteJournal> {
    SqliteJournal::open(path, &options()).context(REFUSED)
}

async fn log(journal: &SqliteJournal) -> anyhow::Result<SqliteLog> {
    Ok(Journal::open(journal, &RoomName::parse(ROOM)?, ROOM).await?)
}

/// Opens and reads a file that should be complete.
async fn read(path: &Path) -> anyhow::Result<Found> {
    let journal = open(path).await?;
    read_on(&log(&journal).await?).await
}

/// Reads a log from its beginning to its end.
async fn read_on(log: &SqliteLog) -> anyhow::Result<Found> {
    let mut found = Found {
        epoch: log.head().epoch.0,
        seqs: Vec::new(),
        texts: Vec::new(),
        has_gap: false,
        lost: None,
    };
    let mut after = Seq::START;
    loop {
        let page = log.read(Span::After(after), 1000).await?;
        found.has_gap |= page.gap.is_some();
        let Some(to) = page.last().or_else(|| page.gap.map(|gap| gap.to)) else {
            break;
        };
        ensure!(to > after, "a page does not advance");
        after = to;
        for slice in page.slices {
            for message in slice.batch.messages(slice.range) {
                found.seqs.push(message.seq.0);
                found.texts.push(message.text.to_owned());
            }
        }
    }
    ensure!(after >= log.head().tail, "the log ends before its tail");
    Ok(found)
}

/// Reads the log in both directions, searches it, and appends to it.
async fn use_all(path: &Path) -> anyhow::Result<Found> {
    let journal = open(path).await?;
    let log = log(&journal).await?;
    let found = read_on(&log).await;
    let mut before = Seq::END;
    while let Ok(page) = log.read(Span::Before(before), 100).await
        && let Some(first) = page.first().or_else(|| page.gap.map(|gap| gap.from))
    {
        ensure!(first < before, "a page does not advance");
        before = first;
    }
    // Any search result is valid. The search only must not panic or block.
    drop(log.search("결제", Seq::END, 20).await);
    let mut lost = None;
    for number in 0..3 {
        let text = format!("said afterwards {number}");
        let mut drafts = Drafts::new(SessionId(1), Nick::parse("kim")?, Timestamp::now());
        drafts.push(Kind::Said, &text);
        let Ok(batch) = log.append(drafts).await else {
            continue;
        };
        let last = batch.last();
        let page = log.read(Span::After(Seq(last.0 - 1)), 1).await;
        let is_there = page.is_ok_and(|page| {
            let slices = page.slices.iter();
            let mut messages = slices.flat_map(|slice| slice.batch.messages(slice.range.clone()));
            messages.any(|message| message.seq == last && message.text == text)
        });
        if !is_there {
            lost = Some(text);
        }
    }
    Ok(Found { lost, ..found? })
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
    if let Some(text) = found.lost {
        return Fate::Lost(text);
    }
    let is_same_life = found.epoch == whole.epoch;
    match () {
        () if found.has_gap => Fate::Unreadable,
        () if found.seqs == whole.seqs && found.texts == whole.texts => Fate::Whole,
        () if found.seqs == whole.seqs => Fate::Altered,
        () if !is_same_life => Fate::Begun,
        () if found.seqs.is_empty() => Fate::Empty,
        () if whole.seqs.starts_with(&found.seqs) => Fate::Short(found.seqs.len()),
        () => Fate::Hole,
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
        "opened, and reading reports the damage",
        shown(count(|fate| *fate == Fate::Unreadable)),
    );
    findings.figure("complete", shown(count(|fate| *fate == Fate::Whole)));
    findings.figure(
        "incomplete, with a new epoch",
        shown(count(|fate| *fate == Fate::Begun)),
    );
    findings.figure(
        "texts altered, which needs checksums to detect",
        shown(count(|fate| *fate == Fate::Altered)),
    );
    findings.at_least("damaged", fates.len() as u64, 50);
    findings.none("panics", &cases(|fate| *fate == Fate::Panicked));
    findings.none(
        "an empty history in the same epoch",
        &cases(|fate| *fate == Fate::Empty),
    );
    findings.none(
        "the last messages missing in the same epoch",
        &cases(|fate| matches!(fate, Fate::Short(_))),
    );
    findings.none(
        "acknowledged after the damage, but missing",
        &cases(|fate| matches!(fate, Fate::Lost(_))),
    );
    findings.none(
        "messages within missing in the same epoch",
        &cases(|fate| *fate == Fate::Hole),
    );
}
