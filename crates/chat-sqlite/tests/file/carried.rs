//! Exporting a file's messages, and importing them into another file.

use super::*;
use chat_sqlite::{ExportError, ImportError, Record, RecordError, export, import};

fn record(seq: u64, text: &str) -> Record {
    Record {
        room: "ops".into(),
        seq: Seq(seq),
        at: Timestamp(seq * 1000),
        from: "김철수".into(),
        account: None,
        kind: Kind::Said,
        text: text.into(),
        key: None,
    }
}

fn exported(file: &Path) -> Vec<Record> {
    let mut records = Vec::new();
    let mut each = |record| {
        records.push(record);
        Ok(())
    };
    let exported = export(file, &options(), None, None, &mut each).unwrap();
    assert_eq!(exported.unreadable, []);
    records
}

#[test]
fn what_is_damaged_is_passed_over_and_the_rest_can_be_carried_to_a_new_file() {
    let dir = Dir::new();
    let records = (1..=500).map(|seq| record(seq, &format!("{seq} {}", "x".repeat(90))));
    import(&dir.file(), &options(), records).unwrap();
    let whole = std::fs::read(dir.file()).unwrap();
    let (mut passed_over, mut refused) = (0, 0);
    for page in 1..whole.len() / 4096 {
        let mut damaged = whole.clone();
        damaged[page * 4096..(page + 1) * 4096].fill(0xff);
        std::fs::write(dir.file(), damaged).unwrap();
        let report = check(&dir.file()).unwrap();
        assert!(!report.is_whole(), "page {page}: {report}");
        let mut saved = Vec::new();
        let exported = export(&dir.file(), &options(), None, None, &mut |record| {
            saved.push(record);
            Ok(())
        });
        let Ok(exported) = exported else {
            refused += 1;
            continue;
        };
        assert_eq!(exported.messages, report.messages());
        assert_eq!(exported.unreadable, report.unreadable);
        let lost = exported
            .unreadable
            .iter()
            .map(|lost| lost.to.0 - lost.from.0 + 1);
        assert_eq!(saved.len() as u64 + lost.sum::<u64>(), 500, "page {page}");
        passed_over += usize::from(!exported.unreadable.is_empty());
        assert!(
            saved
                .iter()
                .all(|record| record.text.starts_with(&format!("{} x", record.seq)))
        );
        let new = dir.0.path().join("new.db");
        import(&new, &options(), saved).unwrap();
        assert!(check(&new).unwrap().is_whole());
        for name in ["new.db", "new.db-state"] {
            std::fs::remove_file(dir.0.path().join(name)).unwrap();
        }
    }
    // If a page with messages is damaged, the export leaves the messages of this page out. If the schema, the rooms or
    // the counts are damaged, the export refuses the file.
    assert!(passed_over > 10 && refused < 5, "{passed_over}, {refused}");
}

#[test]
fn every_kind_is_carried_those_of_later_versions_too() {
    let dir = Dir::new();
    let records: Vec<_> = (0..=u8::MAX)
        .map(|number| Record {
            kind: Kind::from_number(number),
            ..record(u64::from(number) + 1, "x")
        })
        .collect();
    import(&dir.file(), &options(), records.clone()).unwrap();
    assert_eq!(exported(&dir.file()), records);
    assert!(check(&dir.file()).unwrap().is_whole());
}

#[test]
fn who_said_it_is_carried() {
    let dir = Dir::new();
    let of = |seq, account: Option<&str>| Record {
        account: account.map(str::to_owned),
        ..record(seq, "x")
    };
    let records = [of(1, Some("kim")), of(2, None), of(3, Some("이"))];
    import(&dir.file(), &options(), records.clone()).unwrap();
    assert_eq!(exported(&dir.file()), records);
}

#[test]
fn places_are_kept_in_an_empty_room_and_follow_in_another() {
    let dir = Dir::new();
    let first = [record(5, "five"), record(6, "six")];
    import(&dir.file(), &options(), first.clone()).unwrap();
    assert_eq!(exported(&dir.file()), first);
    import(&dir.file(), &options(), [record(2, "again")]).unwrap();
    let all = exported(&dir.file());
    assert_eq!(all.last().unwrap().seq, Seq(7));
    assert_eq!(all.last().unwrap().at, Timestamp(2000));
    import(&dir.file(), &options(), [record(20, "much later")]).unwrap();
    assert_eq!(exported(&dir.file()).last().unwrap().seq, Seq(8));
}

#[test]
fn what_can_not_be_taken_ends_it_and_what_precedes_it_is_imported() {
    for (bad, expected) in [
        (record(1 << 40, "far"), "seq"),
        (record(2, &"x".repeat((64 << 10) + 1)), "text"),
        (
            Record {
                room: "no room".into(),
                ..record(2, "x")
            },
            "room",
        ),
        (
            Record {
                from: "no\nbody".into(),
                ..record(2, "x")
            },
            "from",
        ),
        (
            Record {
                account: Some("k".repeat(65)),
                ..record(2, "x")
            },
            "account",
        ),
    ] {
        let dir = Dir::new();
        let records = [record(1, "one"), bad, record(3, "three")];
        let refused = import(&dir.file(), &options(), records).unwrap_err();
        assert!(refused.to_string().starts_with("message 2: "), "{refused}");
        let ImportError::Refused { why, imported, .. } = refused else {
            panic!("{refused:?}");
        };
        let why: RecordError = why;
        assert!(why.to_string().starts_with(expected), "{why}");
        assert_eq!(imported.messages, 1);
        assert_eq!(exported(&dir.file()), [record(1, "one")]);
        assert!(check(&dir.file()).unwrap().is_whole());
    }
}

/// An iterator may yield records after its end. An import must not take these records.
#[test]
fn an_import_that_has_ended_does_not_go_on() {
    let dir = Dir::new();
    let mut lines = [Some(1), None, Some(3)].into_iter();
    let records = std::iter::from_fn(|| lines.next()?.map(|seq| record(seq, "x")));
    assert_eq!(
        import(&dir.file(), &options(), records).unwrap().messages,
        1
    );
}

#[test]
fn a_room_is_exported_however_its_name_is_spelled_and_must_be_there() {
    let dir = Dir::new();
    import(&dir.file(), &options(), [record(1, "one")]).unwrap();
    let count = |room: &str| {
        let exported = export(&dir.file(), &options(), Some(room), None, &mut |_| Ok(()));
        exported.map(|exported| exported.messages)
    };
    assert_eq!(count("#OPS").unwrap(), 1);
    assert!(matches!(count("nosuch"), Err(ExportError::NoRoom(_))));
    assert!(matches!(count("no room"), Err(ExportError::Room(_))));
}

/// 33 of 300 messages can't be read. All other messages must be exported.
#[test]
fn an_export_passes_over_no_more_than_what_is_damaged() {
    let dir = Dir::new();
    import(
        &dir.file(),
        &options(),
        (1..=300).map(|seq| record(seq, "x")),
    )
    .unwrap();
    let damage = Connection::open(dir.file()).unwrap();
    let sql = "UPDATE messages SET text = x'ff' WHERE (id & 0xffffffffff) BETWEEN 101 AND 133";
    assert_eq!(damage.execute(sql, []).unwrap(), 33);
    drop(damage);
    let exported = export(&dir.file(), &options(), None, None, &mut |_| Ok(())).unwrap();
    assert_eq!(exported.messages, 267);
    assert_eq!(exported.unreadable.len(), 1);
    let lost = &exported.unreadable[0];
    assert_eq!((lost.from, lost.to), (Seq(101), Seq(133)));
    let report = check(&dir.file()).unwrap();
    assert_eq!(report.unreadable, exported.unreadable);
}

#[test]
fn nothing_that_is_imported_controls_a_terminal() {
    let dir = Dir::new();
    import(&dir.file(), &options(), [record(1, "a\x1b[2Jb\nc")]).unwrap();
    let text = &exported(&dir.file())[0].text;
    assert!(!text.contains(['\x1b', '\n']), "{text:?}");
}

#[tokio::test]
async fn whose_key_it_is_is_kept_and_not_carried() {
    let dir = Dir::new();
    let kept_key = "k1\u{1f}000102030405060708090a0b0c0d0e0f";
    {
        let log = log(&open(&dir.file()), "ops").await;
        let mut drafts = Drafts::new(SessionId(7), Nick::parse("kim").unwrap(), Timestamp(0));
        drafts.restore(Kind::Said, "deployed", Some(kept_key));
        log.append(drafts).await.unwrap();
    }
    {
        let page = all(&log(&open(&dir.file()), "ops").await).await;
        let message = page.slices[0].batch.messages(0..1).next().unwrap();
        assert_eq!(
            (message.key, message.kept_key),
            (Some("k1"), Some(kept_key))
        );
    }
    assert_eq!(exported(&dir.file())[0].key.as_deref(), Some("k1"));
}

#[tokio::test]
async fn modes_are_carried_with_the_messages_that_set_them() {
    let dir = Dir::new();
    let mode = |seq, text: &str| Record {
        kind: Kind::Mode,
        ..record(seq, text)
    };
    let records = [
        record(1, "one"),
        mode(2, "+moderated +ban x"),
        mode(3, "-moderated +secret"),
    ];
    import(&dir.file(), &options(), records.clone()).unwrap();
    assert_eq!(exported(&dir.file()), records);
    let journal = open(&dir.file());
    let modes = log(&journal, "ops").await.head().modes.to_string();
    assert_eq!(modes, "secret\nban x!*@* 김철수 2000\n");
}

#[tokio::test]
async fn a_key_of_a_room_is_not_carried_and_the_room_stays_shut() {
    let dir = Dir::new();
    let mode = Record {
        kind: Kind::Mode,
        ..record(1, "+key s3cret")
    };
    import(&dir.file(), &options(), [mode]).unwrap();
    assert_eq!(exported(&dir.file())[0].text, "+key *");
    let journal = open(&dir.file());
    let modes = log(&journal, "ops").await.head().modes;
    assert!(!modes.to_string().is_empty(), "a key is set");
}
