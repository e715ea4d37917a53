//! Searches a log that has no index: reads the log from its end.
//!
//! Invariant: every search does a bounded amount of work, and yields to other tasks every few hundred microseconds.

use crate::log::journal::{BatchSlice, JournalError, Log, Page, Span};
use crate::log::position::Seq;

/// The number of messages that one read asks for.
const PAGE: usize = 256;

/// The most messages that one search examines. A log in memory holds far fewer messages by default.
const LOOKED_AT_MAX: usize = 65_536;

/// The most different words of one search, and the most bytes of one word. Both limit the work, because a search looks
/// for every word in every message.
const WORDS_MAX: usize = 16;
const WORD_BYTES_MAX: usize = 256;

/// The most work of one search, in compared bytes. A byte takes about a nanosecond, so this is about 50 ms. A search
/// for 16 words in a room of 1 MiB, the most that a log in memory holds by default, does about half of this work.
const WORK_MAX: usize = 48 * 1024 * 1024;

/// The work, in compared bytes, after which a search yields to other tasks. This work takes about 0.25 ms.
const WORK_PER_TURN: usize = 256 * 1024;

/// Applying [`Fold`] to one byte of a text that is not ASCII costs as much as comparing this many bytes.
const FOLDING: usize = 16;

/// Maps a text to the form in which a search compares it, such as lower case.
pub(crate) type Fold = fn(&str) -> String;

/// Returns the latest messages that hold all the words of `text`; see [`Log::search`].
pub(super) async fn search<L: Log + ?Sized>(
    log: &L,
    fold: Fold,
    text: &str,
    before: Seq,
    limit: usize,
) -> Result<Page, JournalError> {
    let words = Words::parse(text, fold)?;
    let (mut before, mut looked_at) = (before, 0);
    let mut work = Work::default();
    let mut found = Vec::new();
    while !words.folded.is_empty() && found.len() < limit && looked_at < LOOKED_AT_MAX {
        let page = log.read(Span::Before(before), PAGE).await?;
        let missing = page.gap.map(|gap| gap.from);
        let Some(first) = page.first().or(missing) else {
            break;
        };
        before = first;
        looked_at += page.len().max(1);
        for BatchSlice { batch, range } in page.slices.into_iter().rev() {
            let texts: Vec<_> = batch.messages(range.clone()).collect();
            for (at, message) in range.zip(texts).rev() {
                if found.len() >= limit {
                    break;
                }
                if words.are_in(message.text, &mut work) {
                    found.push(BatchSlice {
                        batch: std::sync::Arc::clone(&batch),
                        range: at..at + 1,
                    });
                }
                if work.done > WORK_MAX {
                    return Err(JournalError::TooBroad);
                }
                work.take_turns().await;
            }
        }
    }
    found.reverse();
    Ok(Page::new(None, found))
}

/// The different words of a search.
struct Words {
    folded: Vec<String>,
    fold: Fold,
}

impl Words {
    /// Splits a text at white space.
    ///
    /// # Errors
    ///
    /// [`JournalError::TooBroad`] if there are more than [`WORDS_MAX`] words, or a word is longer than
    /// [`WORD_BYTES_MAX`].
    fn parse(text: &str, fold: Fold) -> Result<Self, JournalError> {
        let mut words: Vec<&str> = Vec::new();
        for word in text.split_whitespace() {
            if words.contains(&word) {
                continue;
            }
            if words.len() == WORDS_MAX || word.len() > WORD_BYTES_MAX {
                return Err(JournalError::TooBroad);
            }
            words.push(word);
        }
        let mut folded: Vec<String> = words.into_iter().map(fold).collect();
        folded.sort_unstable();
        folded.dedup();
        Ok(Self { folded, fold })
    }

    /// Returns whether a text holds all the words.
    fn are_in(&self, text: &str, work: &mut Work) -> bool {
        let text = if text.is_ascii() {
            work.add(text.len());
            text.to_ascii_lowercase()
        } else {
            work.add(text.len() * FOLDING);
            (self.fold)(text)
        };
        self.folded.iter().all(|word| {
            work.add(text.len());
            text.contains(word.as_str())
        })
    }
}

/// The work that a search has done. The unit is the cost of comparing one byte.
#[derive(Debug, Default)]
struct Work {
    done: usize,
    /// The number of bytes compared since the search last yielded to other tasks.
    since_turn: usize,
}

impl Work {
    const fn add(&mut self, bytes: usize) {
        self.done = self.done.saturating_add(bytes);
        self.since_turn = self.since_turn.saturating_add(bytes);
    }

    /// Yields to other tasks if the search has done [`WORK_PER_TURN`] since it last yielded.
    async fn take_turns(&mut self) {
        if self.since_turn >= WORK_PER_TURN {
            self.since_turn = 0;
            tokio::task::yield_now().await;
        }
    }
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::log::drafts::Drafts;
    use crate::log::journal::Journal;
    use crate::log::kind::Kind;
    use crate::log::memory::{MemoryJournal, MemoryLog};
    use crate::log::position::{SessionId, Timestamp};
    use crate::name::{Nick, RoomName};
    use std::future::Future;

    #[tokio::test]
    async fn the_latest_that_hold_all_the_words_are_found() {
        let journal = MemoryJournal::new(&Limits::default());
        let log = journal.open(&RoomName::lobby(), "lobby").await.unwrap();
        for number in 1..=600 {
            let nick = Nick::parse("alice").unwrap();
            let mut drafts = Drafts::new(SessionId(1), nick, Timestamp(0));
            drafts.push(Kind::Said, &format!("Build {number} 결제 done"));
            drafts.push(Kind::Said, "nothing");
            log.append(drafts).await.unwrap();
        }
        let found = |text: &'static str, before, limit| {
            let log = &log;
            async move {
                let page = log.search(text, before, limit).await.unwrap();
                let texts = page.slices.iter().flat_map(|slice| {
                    let messages = slice.batch.messages(slice.range.clone());
                    messages.map(|message| message.text.to_owned())
                });
                texts.collect::<Vec<_>>()
            }
        };
        let latest = ["Build 599 결제 done", "Build 600 결제 done"];
        assert_eq!(found("결제 build", Seq::END, 2).await, latest);
        assert_eq!(
            found("build 300", Seq::END, 9).await,
            ["Build 300 결제 done"]
        );
        assert_eq!(found("build", Seq(1199), 1).await, ["Build 599 결제 done"]);
        assert!(found("elsewhere", Seq::END, 9).await.is_empty());
        assert!(found(" ", Seq::END, 9).await.is_empty());
    }

    async fn full_of(text: &str) -> MemoryLog {
        let limits = Limits::default();
        let log = MemoryJournal::new(&limits)
            .open(&RoomName::lobby(), "lobby")
            .await
            .unwrap();
        for _ in 0..limits.journal_bytes.get() / text.len() {
            let nick = Nick::parse("alice").unwrap();
            let mut drafts = Drafts::new(SessionId(1), nick, Timestamp(0));
            drafts.push(Kind::Said, text);
            log.append(drafts).await.unwrap();
        }
        log
    }

    fn words(count: usize) -> String {
        let words = (1..=count).map(|length| format!("{}b", "a".repeat(length)));
        words.collect::<Vec<_>>().join(" ")
    }

    #[tokio::test]
    async fn a_search_yields_before_it_has_done_much() {
        let log = full_of(&"ab".repeat(2000)).await;
        let text = words(WORDS_MAX);
        let mut search = Box::pin(Log::search(&log, &text, Seq::END, 9));
        let mut turns = 1;
        std::future::poll_fn(|cx| {
            let found = search.as_mut().poll(cx);
            turns += usize::from(found.is_pending());
            found.map(drop)
        })
        .await;
        let compared = log.read(Span::Before(Seq::END), usize::MAX).await.unwrap();
        assert!(
            turns > compared.len() * 4000 / WORK_PER_TURN,
            "{turns} turns"
        );
    }

    #[tokio::test]
    async fn a_search_that_costs_too_much_is_refused() {
        let log = full_of("hello").await;
        let search = |text: String| {
            let log = &log;
            async move { log.search(&text, Seq::END, 1).await.map(|page| page.len()) }
        };
        assert_eq!(search(words(WORDS_MAX)).await.unwrap(), 0);
        let too_many = search(words(WORDS_MAX + 1)).await;
        assert!(matches!(too_many, Err(JournalError::TooBroad)));
        let too_long = search("한".repeat(WORD_BYTES_MAX / 3 + 1)).await;
        assert!(matches!(too_long, Err(JournalError::TooBroad)));
        assert_eq!(search("hello ".repeat(10_000)).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_search_in_a_log_without_an_end_is_given_up() {
        let limits = Limits {
            journal_messages: 1_000_000.try_into().unwrap(),
            journal_bytes: (1 << 30).try_into().unwrap(),
            ..Limits::default()
        };
        let log = MemoryJournal::new(&limits)
            .open(&RoomName::lobby(), "lobby")
            .await
            .unwrap();
        let text = "a".repeat(4096);
        for _ in 0..=WORK_MAX / text.len() / 2 {
            let nick = Nick::parse("alice").unwrap();
            let mut drafts = Drafts::new(SessionId(1), nick, Timestamp(0));
            drafts.push(Kind::Said, &text);
            log.append(drafts).await.unwrap();
        }
        let found = log.search("b", Seq::END, 1).await;
        assert!(matches!(found, Err(JournalError::TooBroad)));
    }

    #[tokio::test]
    async fn a_text_is_found_in_whatever_normal_form_it_was_typed() {
        // Composes the only pair of characters that this test needs.
        fn compose(text: &str) -> String {
            text.replace("e\u{301}", "\u{e9}").to_lowercase()
        }
        let journal = MemoryJournal::new(&Limits::default()).fold(compose);
        let log = journal.open(&RoomName::lobby(), "lobby").await.unwrap();
        let nick = Nick::parse("alice").unwrap();
        let mut drafts = Drafts::new(SessionId(1), nick, Timestamp(0));
        drafts.push(Kind::Said, "Cafe\u{301}");
        log.append(drafts).await.unwrap();
        assert_eq!(log.search("caf\u{e9}", Seq::END, 1).await.unwrap().len(), 1);
    }
}
