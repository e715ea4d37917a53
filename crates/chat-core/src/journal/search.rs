//! Searching a log that has no index: it is read from its end.

use super::{Excerpt, JournalError, Log, Page, Span};
use crate::batch::Seq;

/// How many messages are read at a time.
const PAGE: usize = 256;

/// How many messages are looked at in all: many times what a log in memory holds.
const LOOKED_AT_MAX: usize = 65_536;

/// The latest messages that hold all the words; see [`Log::search`].
pub(super) async fn search<L: Log + ?Sized>(
    log: &L,
    text: &str,
    before: Seq,
    limit: usize,
) -> Result<Page, JournalError> {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    let (mut before, mut looked_at) = (before, 0);
    let mut found = Vec::new();
    while !words.is_empty() && found.len() < limit && looked_at < LOOKED_AT_MAX {
        let page = log.read(Span::Before(before), PAGE).await?;
        let missing = page.gap.map(|gap| gap.from);
        let Some(first) = page.first().or(missing) else {
            break;
        };
        before = first;
        looked_at += page.len().max(1);
        for Excerpt { batch, range } in page.excerpts.into_iter().rev() {
            let texts: Vec<_> = batch.messages(range.clone()).collect();
            for (at, message) in range.zip(texts).rev() {
                let text = message.text.to_lowercase();
                if found.len() < limit && words.iter().all(|word| text.contains(word)) {
                    found.push(Excerpt {
                        batch: std::sync::Arc::clone(&batch),
                        range: at..at + 1,
                    });
                }
            }
        }
    }
    found.reverse();
    Ok(Page {
        gap: None,
        excerpts: found,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Drafts, Kind, SessionId, Timestamp};
    use crate::journal::{Journal, MemoryJournal};
    use crate::limits::Limits;
    use crate::name::{Nick, RoomName};

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
                let texts = page.excerpts.iter().flat_map(|excerpt| {
                    let messages = excerpt.batch.messages(excerpt.range.clone());
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
}
