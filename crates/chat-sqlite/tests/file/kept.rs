//! Retention: removing messages that are older than the options allow.

use super::*;
use chat_sqlite::Keep;

#[tokio::test]
async fn what_is_no_longer_kept_is_a_gap_and_is_not_found() {
    let dir = Dir::new();
    written(&dir.file(), 1500).await;
    let mut few = options();
    few.keep = Keep::Count(3);
    let journal = SqliteJournal::open(&dir.file(), &few).unwrap();
    while journal.kept().await.unwrap() > 3 {
        tokio::task::yield_now().await;
    }
    let ops = log(&journal, "ops").await;
    let page = all(&ops).await;
    let gap = page.gap.unwrap();
    assert_eq!((gap.from, gap.to), (Seq(1), Seq(1497)));
    assert_eq!(texts(&page), ["number 1497", "number 1498", "number 1499"]);
    let found = ops.search("number", Seq::END, 100).await.unwrap();
    assert_eq!(found.len(), 3);
    assert_eq!(say(&ops, "next").await.unwrap(), Seq(1501));
    assert!(check(&dir.file()).unwrap().is_whole());
}

#[tokio::test]
async fn each_room_can_be_kept_in_its_own_way() {
    let dir = Dir::new();
    let mut few = options();
    few.keep = Keep::Count(2);
    few.keep_in = vec![
        (RoomName::parse("Ops").unwrap(), Keep::Everything),
        (RoomName::parse("secret").unwrap(), Keep::Count(0)),
    ];
    let journal = SqliteJournal::open(&dir.file(), &few).unwrap();
    for room in ["lobby", "ops", "secret"] {
        let log = log(&journal, room).await;
        for number in 0..5 {
            say(&log, &format!("number {number}")).await.unwrap();
        }
    }
    while journal.kept().await.unwrap() > 2 + 5 {
        tokio::task::yield_now().await;
    }
    let count = async |room| all(&log(&journal, room).await).await.len();
    assert_eq!(count("lobby").await, 2);
    assert_eq!(count("ops").await, 5);
    assert_eq!(count("secret").await, 0);
    let secret = log(&journal, "secret").await;
    assert_eq!(
        all(&secret).await.gap.unwrap().to,
        Seq(5),
        "what was not kept is a gap"
    );
    assert_eq!(secret.head().tail, Seq(5));
}

#[tokio::test]
async fn what_is_no_longer_kept_is_removed_though_there_is_never_a_pause() {
    let dir = Dir::new();
    let mut few = options();
    few.keep = Keep::Count(10);
    let journal = SqliteJournal::open(&dir.file(), &few).unwrap();
    let ops = log(&journal, "ops").await;
    let nick = Nick::parse("alice").unwrap();
    // The test starts all appends at once. One transaction does not accept all of them.
    let filler = "x".repeat(100_000);
    let appends: Vec<_> = (0..100)
        .map(|_| {
            let mut drafts = Drafts::new(SessionId(7), nick.clone(), Timestamp::now());
            drafts.push(Kind::Said, &filler);
            ops.append(drafts)
        })
        .collect();
    let mut most = 0;
    for append in appends {
        append.await.unwrap();
        most = most.max(journal.kept().await.unwrap());
    }
    assert!(most < 60, "{most} of 100 were kept at the same time");
}

#[tokio::test]
async fn closing_writes_what_waits_and_gives_the_file_back() {
    let dir = Dir::new();
    let journal = open(&dir.file());
    let ops = log(&journal, "ops").await;
    let nick = Nick::parse("alice").unwrap();
    let mut drafts = Drafts::new(SessionId(7), nick, Timestamp::now());
    drafts.push(Kind::Said, "handed over");
    let appended = ops.append(drafts);
    journal.close().await.unwrap();
    assert_eq!(appended.await.unwrap().last(), Seq(1));
    assert!(matches!(say(&ops, "late").await, Err(JournalError::Gone)));
    journal.close().await.unwrap();
    // The handles of the closed journal still exist when the file is opened again.
    let again = open(&dir.file());
    let page = all(&log(&again, "ops").await).await;
    assert_eq!(texts(&page), ["handed over"]);
}
