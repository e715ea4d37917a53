//! What is carried from file to file.

use super::*;
use chat_sqlite::{ImportError, Record, RecordError, export, import};

fn record(seq: u64, text: &str) -> Record {
    Record {
        room: "ops".into(),
        seq: Seq(seq),
        at: Timestamp(seq * 1000),
        from: "김철수".into(),
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
    export(file, None, None, &mut each).unwrap();
    records
}

#[test]
fn places_are_kept_in_an_empty_room_and_follow_in_another() {
    let dir = Dir::new();
    let first = [record(5, "five"), record(9, "nine")];
    import(&dir.file(), &options(), first.clone()).unwrap();
    assert_eq!(exported(&dir.file()), first);
    import(&dir.file(), &options(), [record(2, "again")]).unwrap();
    let all = exported(&dir.file());
    assert_eq!(all.last().unwrap().seq, Seq(10));
    assert_eq!(all.last().unwrap().at, Timestamp(2000));
}

#[test]
fn what_can_not_be_taken_ends_it_and_what_precedes_it_is_imported() {
    for (bad, expected) in [
        (record(1 << 40, "far"), "seq"),
        (record(2, &"x".repeat((1 << 20) + 1)), "text"),
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

#[test]
fn nothing_that_is_imported_controls_a_terminal() {
    let dir = Dir::new();
    import(&dir.file(), &options(), [record(1, "a\x1b[2Jb\nc")]).unwrap();
    let text = &exported(&dir.file())[0].text;
    assert!(!text.contains(['\x1b', '\n']), "{text:?}");
}
