//! Searches that take a long time.

use super::*;
use std::future::{Future, poll_fn};
use std::task::Poll;
use std::time::{Duration, Instant};

/// Returns a phrase of 64 pairs of characters, which is the maximum for a query. Each message contains all pairs, but
/// no message contains the phrase.
fn everywhere() -> String {
    "가".repeat(64) + "나"
}

/// Fills a room so that a search for [`everywhere`] takes about 200 milliseconds.
async fn filled(journal: &SqliteJournal) -> SqliteLog {
    let ops = log(journal, "ops").await;
    let nick = Nick::parse("alice").unwrap();
    for _ in 0..100 {
        let mut drafts = Drafts::new(SessionId(7), nick.clone(), Timestamp::now());
        for _ in 0..20 {
            drafts.push(Kind::Said, &format!("가나 {}", "가".repeat(1290)));
        }
        ops.append(drafts).await.unwrap();
    }
    say(&ops, "needle").await.unwrap();
    indexed(journal).await;
    ops
}

async fn is_found(log: &SqliteLog) -> bool {
    let found = log.search("needle", Seq::END, 1).await;
    found.unwrap().len() == 1
}

#[tokio::test]
async fn a_search_ends_when_its_time_is_over() {
    let dir = Dir::new();
    let mut short = options();
    short.search_time_max = Duration::from_millis(1);
    short.indexed_per_second = usize::MAX;
    let journal = SqliteJournal::open(&dir.file(), &short).unwrap();
    let ops = filled(&journal).await;
    let found = ops.search(&everywhere(), Seq::END, 1).await;
    assert!(matches!(found, Err(JournalError::TooBroad)), "{found:?}");
    drop((ops, journal));
    let journal = open(&dir.file());
    assert!(is_found(&log(&journal, "ops").await).await);
}

#[tokio::test]
async fn a_search_whose_asker_is_gone_ends_at_once_and_reads_never_wait_for_one() {
    let dir = Dir::new();
    let mut long = options();
    long.search_time_max = Duration::from_secs(3600);
    long.indexed_per_second = usize::MAX;
    let journal = SqliteJournal::open(&dir.file(), &long).unwrap();
    let ops = filled(&journal).await;
    let words = everywhere();
    let begun = Instant::now();
    assert!(ops.search(&words, Seq::END, 1).await.unwrap().is_empty());
    let one = begun.elapsed();
    // Two searches run at a time, and 32 searches wait. One more search is refused.
    let mut searches: Vec<_> = (0..34)
        .map(|_| Box::pin(ops.search(&words, Seq::END, 1)))
        .collect();
    for search in &mut searches {
        let is_pending = poll_fn(|cx| Poll::Ready(search.as_mut().poll(cx).is_pending()));
        assert!(is_pending.await);
    }
    let refused = ops.search("needle", Seq::END, 1).await;
    assert!(
        matches!(&refused, Err(JournalError::Unavailable(why)) if why.contains("too many searches")),
        "{refused:?}"
    );
    let begun = Instant::now();
    assert_eq!(ops.read(Span::Before(Seq::END), 5).await.unwrap().len(), 5);
    drop(searches);
    assert!(is_found(&ops).await);
    let waited = begun.elapsed();
    assert!(waited < one / 2, "{waited:?}, and one search {one:?}");
}

#[tokio::test]
async fn too_many_words_are_refused_as_too_broad() {
    let dir = Dir::new();
    let journal = open(&dir.file());
    let ops = log(&journal, "ops").await;
    say(&ops, "needle").await.unwrap();
    let found = ops.search(&"가나다라마바사".repeat(143), Seq::END, 1).await;
    assert!(matches!(found, Err(JournalError::TooBroad)), "{found:?}");
    assert!(is_found(&ops).await);
}

#[tokio::test]
async fn what_is_not_indexed_is_indexed_by_the_next_one_to_open_the_file() {
    let dir = Dir::new();
    let journal = SqliteJournal::open(&dir.file(), &unindexed()).unwrap();
    let (ops, tea) = (log(&journal, "ops").await, log(&journal, "tea").await);
    for number in 0..40 {
        say(&ops, &format!("number {number}")).await.unwrap();
    }
    say(&tea, "number one").await.unwrap();
    assert_eq!(journal.unindexed().await.unwrap(), 41);
    drop((ops, tea, journal));
    let report = check(&dir.file()).unwrap();
    assert!(report.is_whole(), "{report}");
    assert_eq!((report.indexed, report.unindexed), (0, 41));
    // Most of the messages are removed before they are indexed.
    let mut few = options();
    few.keep = chat_sqlite::Keep::Count(3);
    let journal = SqliteJournal::open(&dir.file(), &few).unwrap();
    while journal.kept().await.unwrap() > 4 {
        tokio::task::yield_now().await;
    }
    indexed(&journal).await;
    let ops = log(&journal, "ops").await;
    let found = ops.search("number", Seq::END, 100).await.unwrap();
    assert_eq!(texts(&found), ["number 37", "number 38", "number 39"]);
    drop((ops, journal));
    let report = check(&dir.file()).unwrap();
    assert!(report.is_whole(), "{report}");
    assert_eq!((report.indexed, report.unindexed), (4, 0));
}

/// Returns options with which no message is indexed.
fn unindexed() -> Options {
    let mut options = options();
    options.indexed_per_second = 0;
    options
}

/// Opens a file with ten indexed messages. Messages that are added later are not indexed.
async fn ten_indexed(dir: &Dir) -> (SqliteJournal, SqliteLog) {
    written(&dir.file(), 10).await;
    indexed(&open(&dir.file())).await;
    let journal = SqliteJournal::open(&dir.file(), &unindexed()).unwrap();
    let ops = log(&journal, "ops").await;
    (journal, ops)
}

/// The results of a search depend neither on which messages are indexed, nor on messages that are added later.
#[tokio::test]
async fn what_is_indexed_and_what_is_not_are_found_as_one() {
    let dir = Dir::new();
    let (journal, ops) = ten_indexed(&dir).await;
    for number in 10..20 {
        say(&ops, &format!("number {number}")).await.unwrap();
    }
    assert_eq!(journal.unindexed().await.unwrap(), 10);
    for (before, limit, first, count) in [
        (Seq::END, 100, 1, 20),
        (Seq::END, 5, 16, 5),
        (Seq(13), 5, 8, 5),
        (Seq(12), 1, 11, 1),
        (Seq(11), 3, 8, 3),
        (Seq(4), 100, 1, 3),
    ] {
        let found = ops.search("number", before, limit).await.unwrap();
        assert_eq!(
            (found.first(), found.len()),
            (Some(Seq(first)), count),
            "{before}"
        );
        assert!(found.gap.is_none());
    }
}

#[tokio::test]
async fn what_a_search_has_no_time_for_is_said() {
    let dir = Dir::new();
    let mut short = options();
    short.search_time_max = Duration::from_millis(2);
    short.indexed_per_second = 0;
    let journal = SqliteJournal::open(&dir.file(), &short).unwrap();
    let ops = log(&journal, "ops").await;
    let nick = Nick::parse("alice").unwrap();
    for _ in 0..50 {
        let mut drafts = Drafts::new(SessionId(7), nick.clone(), Timestamp::now());
        (0..20).for_each(|_| drafts.push(Kind::Said, &"many words ".repeat(300)));
        ops.append(drafts).await.unwrap();
    }
    let found = loop {
        match ops.search("needle", Seq::END, 100).await {
            // The machine was so busy that the search exceeded its time limit. The test tries again.
            Err(JournalError::TooBroad) => {}
            found => break found.unwrap(),
        }
    };
    let gap = found.gap.expect("two milliseconds are not enough");
    assert_eq!(gap.from, Seq(1));
    assert!(gap.to <= Seq(1000), "{gap:?}");
}

#[tokio::test]
async fn a_damaged_page_beyond_the_index_is_a_gap_and_the_index_is_searched() {
    let dir = Dir::new();
    let (journal, ops) = ten_indexed(&dir).await;
    for number in 10..60 {
        let text = format!("number {number} {}", "x".repeat(1000));
        say(&ops, &text).await.unwrap();
    }
    drop((ops, journal));
    let mut bytes = std::fs::read(dir.file()).unwrap();
    let at = bytes.windows(10).position(|part| part == b"number 30 ");
    let page = at.unwrap() / 4096 * 4096;
    bytes[page..page + 4096].fill(0xff);
    std::fs::write(dir.file(), bytes).unwrap();
    let journal = SqliteJournal::open(&dir.file(), &unindexed()).unwrap();
    let ops = log(&journal, "ops").await;
    let found = ops.search("number", Seq::END, 100).await.unwrap();
    assert_eq!((found.first(), found.last()), (Some(Seq(1)), Some(Seq(60))));
    let gap = found.gap.unwrap();
    assert_eq!(gap.from, Seq(11));
    assert!((Seq(31)..Seq(36)).contains(&gap.to), "{gap:?}");
}
