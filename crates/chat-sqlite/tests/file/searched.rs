//! Searches that take long.

use super::*;
use std::future::{Future, poll_fn};
use std::task::Poll;
use std::time::{Duration, Instant};

/// A phrase of 64 pairs, as many as a query may have: all are in each message, and the phrase is in none.
fn everywhere() -> String {
    "가".repeat(64) + "나"
}

/// A room in which a search for [`everywhere`] takes some 200 milliseconds.
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
    let journal = SqliteJournal::open(&dir.file(), &long).unwrap();
    let ops = filled(&journal).await;
    let words = everywhere();
    let begun = Instant::now();
    assert!(ops.search(&words, Seq::END, 1).await.unwrap().is_empty());
    let one = begun.elapsed();
    // Two run, the others wait; one more is refused.
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
