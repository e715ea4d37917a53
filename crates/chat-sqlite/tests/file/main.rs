//! Files in all their states: new, in use, foreign, damaged, restored and full.

#![expect(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

mod carried;
mod failing;
mod kept;
mod keyed;
mod searched;

use chat_core::log::{Drafts, Journal, JournalError, Log, Page, SessionId, Span, Timestamp};
use chat_core::rooms::Modes;
use chat_core::{Kind, Nick, RoomName, Seq};
use chat_sqlite::{OpenError, Options, SqliteJournal, SqliteLog, Sync, check};
use rusqlite::Connection;
use std::path::{Path, PathBuf};

struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("log.db")
    }
}

fn options() -> Options {
    let mut options = Options::default();
    options.sync = Sync::Normal;
    options
}

fn open(file: &Path) -> SqliteJournal {
    SqliteJournal::open(file, &options()).unwrap()
}

async fn log(journal: &SqliteJournal, room: &str) -> SqliteLog {
    Journal::open(journal, &RoomName::parse(room).unwrap(), room)
        .await
        .unwrap()
}

async fn say(log: &SqliteLog, text: &str) -> Result<Seq, JournalError> {
    let nick = Nick::parse("alice").unwrap();
    let mut drafts = Drafts::new(SessionId(7), nick, Timestamp::now());
    drafts.push(Kind::Said, text);
    Ok(log.append(drafts).await?.last())
}

fn texts(page: &Page) -> Vec<String> {
    let slices = page.slices.iter();
    let messages = slices.flat_map(|slice| slice.batch.messages(slice.range.clone()));
    messages.map(|message| message.text.to_owned()).collect()
}

async fn all(log: &SqliteLog) -> Page {
    log.read(Span::After(Seq::START), usize::MAX).await.unwrap()
}

#[tokio::test]
async fn words_of_all_scripts_are_found_and_nothing_breaks_out_of_them() {
    let dir = Dir::new();
    let mut unindexed = options();
    unindexed.indexed_per_second = 0;
    let journal = SqliteJournal::open(&dir.file(), &unindexed).unwrap();
    let ops = log(&journal, "ops").await;
    let elsewhere = log(&journal, "elsewhere").await;
    let decomposed = "\u{1100}\u{1167}\u{11af}\u{110c}\u{1166} caf\u{65}\u{301}";
    for text in [
        "결제완료 되었습니다",
        "the 결제 server is DOWN",
        "支付失败，请重试",
        "東京タワーで会いましょう",
        decomposed,
        "don't say \"OR\" or NEAR(x)",
        "api결제v2",
        "nothing to see",
        "ΟΔΟΣ Ünïcödé ЙОД wörk² ÆØ",
        "ไม่รู้ नमस्ते",
        "x\u{302}y ﾊﾝ 〇々",
        "don\u{2019}t a_b-c",
    ] {
        say(&ops, text).await.unwrap();
        say(&elsewhere, text).await.unwrap();
    }
    assert_eq!(journal.unindexed().await.unwrap(), 24);
    assert_words_are_found(&ops).await;
    drop((ops, elsewhere, journal));
    let journal = open(&dir.file());
    indexed(&journal).await;
    assert_words_are_found(&log(&journal, "ops").await).await;
    drop(journal);
    let report = check(&dir.file()).unwrap();
    assert_eq!((report.indexed, report.unindexed), (24, 0));
}

/// Waits until the journal has indexed all messages for search.
async fn indexed(journal: &SqliteJournal) {
    while journal.unindexed().await.unwrap() > 0 {
        tokio::task::yield_now().await;
    }
}

async fn assert_words_are_found(ops: &SqliteLog) {
    for (query, expected) in [
        ("결제", &[1, 2, 5, 7][..]),
        ("결제완료", &[1]),
        ("완료 결제", &[1]),
        ("제완", &[1]),
        ("결", &[1, 2, 5, 7]),
        ("다", &[1]),
        ("제결", &[]),
        ("결제 server", &[2]),
        ("down", &[2]),
        ("dow", &[]),
        ("支付", &[3]),
        ("失败", &[3]),
        ("重", &[3]),
        ("東京", &[4]),
        ("タワー", &[4]),
        ("会い", &[4]),
        ("café", &[5]),
        ("CAFE\u{301} 결제", &[5]),
        ("or", &[6]),
        ("\"OR\"", &[6]),
        ("near x", &[6]),
        ("NEAR(x)", &[6]),
        ("api", &[7]),
        ("words : see", &[]),
        ("see -nothing", &[8]),
        ("see*", &[8]),
        ("\"", &[]),
        ("* ^ ( AND", &[]),
        ("", &[]),
        ("οδος", &[9]),
        ("οδοσ", &[9]),
        ("unicode", &[9]),
        ("UNICÖDE", &[9]),
        ("йод", &[9]),
        ("иод", &[]),
        ("work²", &[9]),
        ("work", &[]),
        ("æø", &[9]),
        ("ae", &[]),
        ("ไม่รู้", &[10]),
        ("नमस्ते", &[10]),
        ("xy", &[11]),
        ("ﾊ", &[11]),
        ("々", &[11]),
        ("a b", &[12]),
        ("don t", &[6, 12]),
    ] {
        let found = ops.search(query, Seq::END, 100).await.unwrap();
        let slices = found.slices.iter();
        let seqs: Vec<_> = slices
            .flat_map(|slice| slice.batch.messages(slice.range.clone()))
            .map(|message| message.seq.0)
            .collect();
        assert_eq!(seqs, expected, "{query:?}");
    }
    let latest = ops.search("결제", Seq::END, 2).await.unwrap();
    assert_eq!(
        (latest.first(), latest.last()),
        (Some(Seq(5)), Some(Seq(7)))
    );
    let before = ops.search("결제", Seq(5), 1).await.unwrap();
    assert_eq!(texts(&before), ["the 결제 server is DOWN"]);
}

#[tokio::test]
async fn a_file_is_written_by_one() {
    let dir = Dir::new();
    let journal = open(&dir.file());
    let second = SqliteJournal::open(&dir.file(), &options());
    assert!(matches!(second, Err(OpenError::InUse)), "{second:?}");
    let link = dir.0.path().join("link.db");
    std::os::unix::fs::symlink(dir.file(), &link).unwrap();
    let second = SqliteJournal::open(&link, &options());
    assert!(matches!(second, Err(OpenError::InUse)), "{second:?}");
    drop(journal);
    open(&link);
}

/// If a program opens a file under another path, SQLite uses another write-ahead log. Two processes would then not see
/// each other's changes.
#[cfg(unix)]
#[tokio::test]
async fn a_file_is_written_by_one_under_whatever_path() {
    let dir = Dir::new();
    let journal = open(&dir.file());
    say(&log(&journal, "ops").await, "one").await.unwrap();
    // The lock is on the file itself, so a process that uses another path sees the lock too.
    let file = std::fs::File::open(dir.file()).unwrap();
    assert!(file.try_lock().is_err());
    let other = dir.0.path().join("other.db");
    std::fs::write(&other, "").unwrap();
    let mount = |arguments: &[&Path]| {
        let mut mount = std::process::Command::new("mount");
        mount.arg("--bind").args(arguments).status()
    };
    if mount(&[&dir.file(), &other]).is_ok_and(|status| status.success()) {
        let second = SqliteJournal::open(&other, &options());
        let unmounted = std::process::Command::new("umount").arg(&other).status();
        assert!(unmounted.unwrap().success());
        assert!(matches!(second, Err(OpenError::InUse)), "{second:?}");
        assert!(!dir.0.path().join("other.db-wal").exists());
    } else {
        eprintln!("skipped: this user may not mount");
    }
    drop((file, journal));
    // This lock has the same effect as another process that has the file open.
    let file = std::fs::File::open(dir.file()).unwrap();
    file.lock().unwrap();
    let second = SqliteJournal::open(&dir.file(), &options());
    assert!(matches!(second, Err(OpenError::InUse)), "{second:?}");
    drop(file);
    open(&dir.file());
}

#[tokio::test]
async fn a_file_that_was_made_and_never_filled_is_a_new_one() {
    let dir = Dir::new();
    let connection = Connection::open(dir.file()).unwrap();
    connection
        .pragma_update(None, "journal_mode", "WAL")
        .unwrap();
    drop(connection);
    assert!(std::fs::metadata(dir.file()).unwrap().len() > 0);
    written(&dir.file(), 1).await;
}

#[tokio::test]
async fn what_is_not_ours_is_refused_and_left_alone() {
    let dir = Dir::new();
    std::fs::write(dir.file(), "a letter\n".repeat(500)).unwrap();
    let letter = SqliteJournal::open(&dir.file(), &options());
    assert!(matches!(letter, Err(OpenError::Foreign)), "{letter:?}");
    let other = dir.0.path().join("other.db");
    Connection::open(&other)
        .unwrap()
        .execute_batch("CREATE TABLE x (y)")
        .unwrap();
    let refused = SqliteJournal::open(&other, &options());
    assert!(matches!(refused, Err(OpenError::Foreign)), "{refused:?}");
    assert!(!dir.0.path().join("other.db-state").exists());
    drop(open(&dir.0.path().join("newer.db")));
    let newer = dir.0.path().join("newer.db");
    Connection::open(&newer)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    let refused = SqliteJournal::open(&newer, &options());
    assert!(
        matches!(refused, Err(OpenError::Newer { found: 99, .. })),
        "{refused:?}"
    );
}

/// Appends `count` messages to the log of the room `ops`, and closes the journal.
async fn written(file: &Path, count: usize) {
    let journal = open(file);
    let ops = log(&journal, "ops").await;
    for number in 0..count {
        say(&ops, &format!("number {number}")).await.unwrap();
    }
}

#[tokio::test]
async fn a_file_that_lost_something_is_another_life_of_its_logs() {
    let dir = Dir::new();
    written(&dir.file(), 10).await;
    let copy = std::fs::read(dir.file()).unwrap();
    let epoch = log(&open(&dir.file()), "ops").await.head().epoch;
    written(&dir.file(), 5).await;
    assert_eq!(
        log(&open(&dir.file()), "ops").await.head().epoch,
        epoch,
        "nothing is lost"
    );
    // Case 1: an older copy is written over the file.
    std::fs::write(dir.file(), copy).unwrap();
    let restored = log(&open(&dir.file()), "ops").await.head();
    assert_eq!(restored.tail, Seq(10));
    assert_ne!(restored.epoch, epoch);
    // Case 2: an older copy replaces the file, and a copy of its state file replaces the state file.
    let copies = ["log.db", "log.db-state"].map(|name| {
        let path = dir.0.path().join(name);
        (std::fs::read(&path).unwrap(), path)
    });
    written(&dir.file(), 5).await;
    for (bytes, path) in copies {
        std::fs::remove_file(&path).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let rewound = log(&open(&dir.file()), "ops").await.head();
    assert_eq!(rewound.tail, Seq(10));
    assert_ne!(rewound.epoch, restored.epoch);
    // Case 3: the file is moved without its state file.
    std::fs::remove_file(dir.0.path().join("log.db-state")).unwrap();
    let carried = log(&open(&dir.file()), "ops").await.head();
    assert_ne!(carried.epoch, rewound.epoch);
}

#[tokio::test]
async fn a_file_without_its_end_is_damaged_or_empty_by_name() {
    let dir = Dir::new();
    written(&dir.file(), 500).await;
    let whole = std::fs::read(dir.file()).unwrap();
    let mut refused = 0;
    for part in 1..40 {
        std::fs::write(dir.file(), &whole[..whole.len() * part / 40]).unwrap();
        let opened = SqliteJournal::open(&dir.file(), &options());
        let Ok(journal) = opened else {
            refused += 1;
            continue;
        };
        let ops = log(&journal, "ops").await;
        match ops.read(Span::After(Seq::START), 1000).await {
            Ok(page) if page.len() as u64 == ops.head().tail.0 => {}
            // Messages before the damage can be read. The next page fails or reports a gap.
            Ok(page) => {
                let rest = ops.read(Span::After(page.last().unwrap()), 1000).await;
                assert!(rest.is_err() || rest.unwrap().gap.is_some());
                refused += 1;
            }
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 30, "{refused}");
    std::fs::write(dir.file(), &whole).unwrap();
    assert!(check(&dir.file()).unwrap().is_whole());
}

#[tokio::test]
async fn a_room_in_which_nothing_is_said_leaves_nothing_behind() {
    let dir = Dir::new();
    let journal = open(&dir.file());
    for number in 0..100 {
        log(&journal, &format!("room-{number}")).await;
    }
    drop(journal);
    assert_eq!(check(&dir.file()).unwrap().rooms, []);
}

/// The earlier schemas of the file, exactly as they were released. These texts must not change.
const EARLIER_SCHEMAS: [&str; 3] = [
    include_str!("../schema-1.sql"),
    include_str!("../schema-2.sql"),
    include_str!("../schema-3.sql"),
];

#[tokio::test]
async fn a_file_of_each_earlier_schema_can_be_opened() {
    for earlier in EARLIER_SCHEMAS {
        let dir = Dir::new();
        let connection = Connection::open(dir.file()).unwrap();
        connection.execute_batch(earlier).unwrap();
        drop(connection);
        let journal = open(&dir.file());
        let ops = log(&journal, "ops").await;
        assert_eq!(texts(&all(&ops).await), ["안녕", "결제 is down"]);
        assert_eq!(ops.search("결제", Seq::END, 9).await.unwrap().len(), 1);
        assert_eq!(say(&ops, "still here").await.unwrap(), Seq(3));
        let accounts = all(&ops).await;
        assert!(accounts.slices.iter().all(|s| s.batch.account().is_none()));
        assert_eq!(ops.head().modes, Modes::default());
        set_modes(&ops, "+moderated +key s3cret +ban x").await;
        drop((ops, journal));
        let journal = open(&dir.file());
        let ops = log(&journal, "ops").await;
        assert_eq!(
            ops.head().modes.to_string(),
            "moderated\nkey s3cret\nban x!*@* alice 7\n"
        );
        // The key is kept with the modes alone, and not in the message that sets it.
        let last = texts(&all(&ops).await).pop();
        assert_eq!(last.as_deref(), Some("+moderated +key * +ban x"));
        drop((ops, journal));
        assert!(check(&dir.file()).unwrap().is_whole());
    }
}

async fn set_modes(log: &SqliteLog, changes: &str) {
    let mut drafts = Drafts::new(SessionId(1), Nick::parse("alice").unwrap(), Timestamp(7));
    drafts.push(Kind::Mode, changes);
    log.append(drafts).await.unwrap();
}

#[tokio::test]
async fn a_file_of_each_earlier_schema_can_be_read_as_it_is() {
    for earlier in EARLIER_SCHEMAS {
        let dir = Dir::new();
        let connection = Connection::open(dir.file()).unwrap();
        connection.execute_batch(earlier).unwrap();
        drop(connection);
        let before = std::fs::read(dir.file()).unwrap();
        assert_eq!(check(&dir.file()).unwrap().messages(), 2);
        let mut texts = Vec::new();
        let exported = chat_sqlite::export(&dir.file(), &options(), None, None, &mut |record| {
            texts.push(record.text);
            Ok(())
        });
        assert_eq!(exported.unwrap().messages, 2);
        assert_eq!(texts, ["안녕", "결제 is down"]);
        assert!(before == std::fs::read(dir.file()).unwrap());
    }
}

#[tokio::test]
async fn a_hole_in_a_log_is_told_of_whichever_way_it_is_read() {
    let dir = Dir::new();
    written(&dir.file(), 20).await;
    let damage = Connection::open(dir.file()).unwrap();
    let sql = "DELETE FROM messages WHERE id & 0xffffffffff IN (5, 6, 15)";
    assert_eq!(damage.execute(sql, []).unwrap(), 3);
    drop(damage);
    let journal = open(&dir.file());
    let ops = log(&journal, "ops").await;
    let mut read = Vec::new();
    let mut after = Seq::START;
    while after < ops.head().tail {
        let page = ops.read(Span::After(after), 1000).await.unwrap();
        read.extend(page.gap.map(|gap| format!("{}-{}", gap.from, gap.to)));
        read.push(format!("{} more", page.len()));
        after = page.last().unwrap();
    }
    assert_eq!(read, ["4 more", "5-6", "8 more", "15-15", "5 more"]);
    let latest = ops.read(Span::Before(Seq::END), 1000).await.unwrap();
    assert_eq!((latest.first(), latest.len()), (Some(Seq(16)), 5));
    let before = ops.read(Span::Before(Seq(16)), 1000).await.unwrap();
    let gap = before.gap.unwrap();
    assert_eq!((gap.from, gap.to, before.len()), (Seq(15), Seq(15), 0));
    let before = ops.read(Span::Before(Seq(15)), 1000).await.unwrap();
    assert_eq!((before.first(), before.len()), (Some(Seq(7)), 8));
}

/// Tests the state of the files after the machine was restarted while the server was running.
#[tokio::test]
async fn after_a_power_cut_a_log_that_may_have_lost_something_begins_anew() {
    for (sync, begins_anew) in [(Sync::Normal, true), (Sync::Full, false)] {
        let dir = Dir::new();
        let mut options = options();
        options.sync = sync;
        let state = dir.0.path().join("log.db-state");
        let journal = SqliteJournal::open(&dir.file(), &options).unwrap();
        let ops = log(&journal, "ops").await;
        say(&ops, "one").await.unwrap();
        let epoch = ops.head().epoch;
        let killed = std::fs::read(&state).unwrap();
        drop((ops, journal));
        // This is the state after the server was killed and started again, without a restart of the machine.
        std::fs::write(&state, &killed).unwrap();
        assert_eq!(log(&open(&dir.file()), "ops").await.head().epoch, epoch);
        // After a restart of the machine, the recorded boot differs from the current boot.
        let mut cut = killed;
        if cut[32..40] != [0; 8] {
            cut[32] ^= 0xff;
        }
        std::fs::write(&state, &cut).unwrap();
        let journal = SqliteJournal::open(&dir.file(), &options).unwrap();
        let found = log(&journal, "ops").await.head().epoch;
        assert_eq!(found != epoch, begins_anew, "{sync:?}");
        // After a clean shutdown, nothing can have been lost.
        drop(journal);
        let ended = std::fs::read(&state).unwrap();
        assert_eq!(ended[32..40], [0; 8]);
    }
}

/// A copy may be written over `FILE-state` without replacing the file. Then only the difference between the recorded
/// time and the change time shows the copy. The test sets the recorded time to a minute earlier.
#[tokio::test]
async fn copies_that_are_written_over_their_files_are_another_life() {
    let dir = Dir::new();
    written(&dir.file(), 10).await;
    let epoch = log(&open(&dir.file()), "ops").await.head().epoch;
    let state = dir.0.path().join("log.db-state");
    let mut copy = std::fs::read(&state).unwrap();
    std::fs::write(&state, &copy).unwrap();
    assert_eq!(log(&open(&dir.file()), "ops").await.head().epoch, epoch);
    copy = std::fs::read(&state).unwrap();
    let at = u64::from_le_bytes(copy[40..].try_into().unwrap()) - 60_000;
    copy[40..].copy_from_slice(&at.to_le_bytes());
    std::fs::write(&state, &copy).unwrap();
    assert_ne!(log(&open(&dir.file()), "ops").await.head().epoch, epoch);
}

#[tokio::test]
async fn a_file_that_lost_all_is_not_served_as_a_new_one() {
    let dir = Dir::new();
    written(&dir.file(), 10).await;
    let whole = std::fs::read(dir.file()).unwrap();
    std::fs::write(dir.file(), "").unwrap();
    let refused = SqliteJournal::open(&dir.file(), &options());
    assert!(
        matches!(refused, Err(OpenError::Emptied(10))),
        "{refused:?}"
    );
    // The beginning of the file is overwritten with zeros.
    let mut headless = whole.clone();
    headless[..100].fill(0);
    std::fs::write(dir.file(), headless).unwrap();
    let refused = SqliteJournal::open(&dir.file(), &options());
    assert!(matches!(refused, Err(OpenError::Damaged(_))), "{refused:?}");
    std::fs::write(dir.file(), whole).unwrap();
    written(&dir.file(), 1).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_is_nobody_elses_to_read_and_has_one_name() {
    use std::os::unix::fs::PermissionsExt;
    let dir = Dir::new();
    let journal = open(&dir.file());
    say(&log(&journal, "ops").await, "one").await.unwrap();
    for name in ["log.db", "log.db-wal", "log.db-shm", "log.db-state"] {
        let mode = std::fs::metadata(dir.0.path().join(name)).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600, "{name}");
    }
    drop(journal);
    let other = dir.0.path().join("other.db");
    std::fs::hard_link(dir.file(), &other).unwrap();
    let refused = SqliteJournal::open(&other, &options());
    assert!(matches!(refused, Err(OpenError::Linked)), "{refused:?}");
    std::fs::remove_file(other).unwrap();
    open(&dir.file());
}

#[tokio::test]
async fn what_was_kept_and_is_missing_is_a_complaint() {
    let dir = Dir::new();
    written(&dir.file(), 10).await;
    let copy = std::fs::read(dir.file()).unwrap();
    written(&dir.file(), 5).await;
    assert!(check(&dir.file()).unwrap().is_whole());
    std::fs::write(dir.file(), copy).unwrap();
    let report = check(&dir.file()).unwrap();
    assert!(
        report
            .to_string()
            .contains("5 messages that were kept are not in it"),
        "{report}"
    );
}

#[tokio::test]
async fn one_message_that_can_not_be_read_is_a_hole_and_the_rest_is_there() {
    let dir = Dir::new();
    written(&dir.file(), 20).await;
    let damage = Connection::open(dir.file()).unwrap();
    let sql = "UPDATE messages SET text = x'ff' WHERE (id & 0xffffffffff) IN (10, 20)";
    assert_eq!(damage.execute(sql, []).unwrap(), 2);
    drop(damage);
    let journal = open(&dir.file());
    let ops = log(&journal, "ops").await;
    let page = ops.read(Span::After(Seq(9)), 1).await.unwrap();
    let gap = page.gap.unwrap();
    assert_eq!((gap.from, gap.to, page.len()), (Seq(10), Seq(10), 0));
    let page = ops.read(Span::Before(Seq::END), 5).await.unwrap();
    assert_eq!(page.gap.unwrap().from, Seq(20));
    let page = ops.read(Span::Before(Seq(20)), 5).await.unwrap();
    assert_eq!((page.gap, page.len()), (None, 5));
}
