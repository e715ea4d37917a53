//! The file can't be written for some time.

use super::*;

/// Returns the error for a message that can't be stored.
async fn refusal(log: &SqliteLog) -> String {
    match say(log, "lost?").await {
        Err(JournalError::Unavailable(why)) => why.into_owned(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_full_disk_refuses_keeps_nothing_of_that_and_goes_on_when_there_is_room() {
    let dir = Dir::new();
    let mut little = options();
    little.pages_max = Some(60);
    let journal = SqliteJournal::open(&dir.file(), &little).unwrap();
    let ops = log(&journal, "ops").await;
    let (mut kept, filler) = (0, "x".repeat(3000));
    let refusal = loop {
        match say(&ops, &filler).await {
            Ok(seq) => {
                kept += 1;
                assert_eq!(seq, Seq(kept));
            }
            Err(error) => break error,
        }
    };
    assert!(
        matches!(&refusal, JournalError::Unavailable(why) if why == "the disk is full"),
        "{refusal:?}"
    );
    assert_eq!(all(&ops).await.len() as u64, kept);
    let elsewhere = log(&journal, "elsewhere").await;
    assert_eq!(elsewhere.head().tail, Seq::START, "it can be entered");
    drop((ops, elsewhere, journal));
    // The disk has free space again.
    let journal = open(&dir.file());
    let ops = log(&journal, "ops").await;
    assert_eq!(ops.head().tail, Seq(kept));
    assert_eq!(say(&ops, "room again").await.unwrap(), Seq(kept + 1));
    assert!(check(&dir.file()).unwrap().is_whole());
}

#[tokio::test]
async fn while_another_program_has_it_locked_nothing_is_kept() {
    let dir = Dir::new();
    let journal = open(&dir.file());
    let ops = log(&journal, "ops").await;
    say(&ops, "one").await.unwrap();
    let other = Connection::open(dir.file()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(refusal(&ops).await, "its file is in use");
    assert_eq!(texts(&all(&ops).await), ["one"], "it can be read");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(say(&ops, "two").await.unwrap(), Seq(2));
}

#[tokio::test]
async fn what_would_be_written_into_a_file_that_is_gone_is_refused() {
    let dir = Dir::new();
    let journal = open(&dir.file());
    let ops = log(&journal, "ops").await;
    say(&ops, "one").await.unwrap();
    for name in ["log.db", "log.db-wal", "log.db-state"] {
        let path = dir.0.path().join(name);
        let elsewhere = dir.0.path().join("elsewhere");
        std::fs::rename(&path, &elsewhere).unwrap();
        assert_eq!(refusal(&ops).await, "its file is gone", "{name}");
        std::fs::rename(&elsewhere, &path).unwrap();
        say(&ops, "back").await.unwrap();
    }
    drop((ops, journal));
    let journal = open(&dir.file());
    let kept = all(&log(&journal, "ops").await).await;
    assert_eq!(texts(&kept), ["one", "back", "back", "back"]);
}

#[tokio::test]
async fn a_file_that_can_not_be_written_is_refused_with_what_to_do() {
    let dir = Dir::new();
    written(&dir.file(), 1).await;
    let bytes = std::fs::read(dir.file()).unwrap();
    let mut read_only = bytes.clone();
    // The user who runs this test may be able to write every file. So the test changes the "write version" in the
    // file's header to a number that no SQLite knows. SQLite then opens the file for reading only.
    read_only[18] = 3;
    std::fs::write(dir.file(), read_only).unwrap();
    let refused = SqliteJournal::open(&dir.file(), &options());
    assert!(matches!(refused, Err(OpenError::ReadOnly)), "{refused:?}");
    std::fs::write(dir.file(), bytes).unwrap();
    written(&dir.file(), 1).await;
}

/// Each case has the name of a file, and the length to which the file is truncated in place. In a case with `None`, the
/// file is overwritten with zeros.
#[cfg(unix)]
#[tokio::test]
async fn what_would_be_written_into_a_file_that_was_cut_short_is_refused() {
    use std::os::unix::fs::FileExt;
    let cases = [
        ("log.db", Some(0)),
        ("log.db", Some(4096)),
        ("log.db", None),
        ("log.db-wal", Some(0)),
        ("log.db-wal", Some(32)),
        ("log.db-wal", None),
    ];
    for (name, left) in cases {
        let dir = Dir::new();
        written(&dir.file(), 500).await;
        let journal = open(&dir.file());
        let ops = log(&journal, "ops").await;
        say(&ops, "one").await.unwrap();
        say(&ops, "two").await.unwrap();
        let path = dir.0.path().join(name);
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        match left {
            Some(left) => file.set_len(left).unwrap(),
            None => {
                let zeros = vec![0; file.metadata().unwrap().len() as usize];
                file.write_all_at(&zeros, 0).unwrap();
            }
        }
        // If the test closed the file, the locks that SQLite holds on the file would be released.
        std::mem::forget(file);
        for _ in 0..2 {
            assert_eq!(
                refusal(&ops).await,
                "its file was cut short",
                "{name} {left:?}"
            );
        }
        let cut = std::fs::metadata(&path).unwrap().len();
        drop((ops, journal));
        let found = std::fs::metadata(&path).unwrap().len();
        assert_eq!(found, cut, "{name} {left:?}: it is left as it is");
    }
}

/// Checkpoints and `VACUUM` change the length of the file. The journal must not mistake such a change for
/// damage.
#[tokio::test]
async fn what_sqlite_does_to_its_files_is_not_taken_for_damage() {
    let dir = Dir::new();
    let journal = open(&dir.file());
    let ops = log(&journal, "ops").await;
    let other = Connection::open(dir.file()).unwrap();
    for number in 1..=300 {
        let text = "x".repeat(number * 37 % 3000);
        assert_eq!(say(&ops, &text).await.unwrap().0, number as u64 * 2 - 1);
        match number % 30 {
            7 => other
                .execute_batch("PRAGMA wal_checkpoint(RESTART)")
                .unwrap(),
            13 => other
                .execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
                .unwrap(),
            19 => drop(ops.search("x", Seq::END, 3).await.unwrap()),
            29 => other
                .execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")
                .unwrap(),
            _ => {}
        }
        say(&ops, &text).await.unwrap();
    }
}
