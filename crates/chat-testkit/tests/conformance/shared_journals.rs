//! Tests of the suite for journals that several hubs share. One journal satisfies all rules and passes. Each other
//! journal has a fault, and the suite must report the broken rule.

use chat_core::log::{
    Appended, Drafts, Followed, Head, Journal, JournalError, Log, MemoryJournal, Page, Position,
    Seq, Span,
};
use chat_core::{Limits, RoomName};
use chat_testkit::conformance::{self, Rule};
use chat_testkit::{SharedJournal, SharedLog, SharedNode};
use futures::StreamExt;
use futures::stream::BoxStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// A followed log does not yield the appends of other nodes.
    YieldsItsOwnOnly,
    /// A followed log leaves out a batch.
    LeavesOneOut,
    /// A followed log yields a batch twice.
    YieldsOneTwice,
    /// The batches of other nodes keep the author's session id, although the author has no session on this node.
    KeepsAuthors,
    /// A key that was used before is not recognised.
    ForgetsKeys,
    /// If a hub follows a log again, the stream yields the log from its beginning.
    FollowsAllAgain,
    /// A page continues after lost messages as if no messages were lost.
    ReadsOverHoles,
    /// The stream of a followed log omits lost messages without a gap.
    FollowsOverHoles,
}

struct Wrong(SharedNode, Fault);

struct WrongLog(SharedLog, Fault, Arc<AtomicUsize>);

impl Journal for Wrong {
    type Log = WrongLog;

    async fn open(&self, room: &RoomName, key: &str) -> Result<WrongLog, JournalError> {
        Ok(WrongLog(
            self.0.open(room, key).await?,
            self.1,
            Arc::default(),
        ))
    }
}

impl Log for WrongLog {
    fn head(&self) -> Head {
        self.0.head()
    }

    fn append(
        &self,
        drafts: Drafts,
    ) -> impl Future<Output = Result<Appended, JournalError>> + Send + 'static {
        if self.1 != Fault::ForgetsKeys {
            return self.0.append(drafts);
        }
        let mut unkeyed = Drafts::new(drafts.author(), drafts.from().clone(), drafts.at());
        for draft in drafts.messages() {
            unkeyed.push(draft.kind, draft.text);
        }
        self.0.append(unkeyed)
    }

    fn follow(&self, after: Position) -> Option<BoxStream<'static, Followed>> {
        let (fault, count) = (self.1, Arc::clone(&self.2));
        let after = match fault {
            Fault::FollowsAllAgain => Position {
                seq: Seq::START,
                ..after
            },
            _ => after,
        };
        Some(Box::pin(self.0.follow(after)?.flat_map(move |followed| {
            let is_third = count.fetch_add(1, Ordering::Relaxed) == 2;
            let Followed::Batch(batch) = &followed else {
                let is_silent = fault == Fault::FollowsOverHoles;
                return futures::stream::iter(if is_silent {
                    Vec::new()
                } else {
                    vec![followed]
                });
            };
            let is_foreign = batch.author().incarnation() > 0;
            futures::stream::iter(match fault {
                Fault::YieldsItsOwnOnly if is_foreign => Vec::new(),
                Fault::LeavesOneOut if is_third => Vec::new(),
                Fault::YieldsOneTwice if is_third => vec![followed.clone(), followed],
                Fault::KeepsAuthors if is_foreign => {
                    let author = chat_core::log::SessionId::new(0, batch.author().counter());
                    let mut drafts = Drafts::new(author, batch.from().clone(), batch.at());
                    for message in batch.messages(0..batch.len()) {
                        drafts.restore(message.kind, message.text, message.kept_key);
                    }
                    let seqs: Vec<_> = batch.messages(0..batch.len()).map(|m| m.seq).collect();
                    vec![Followed::Batch(Arc::new(
                        drafts.number(batch.room().clone(), seqs),
                    ))]
                }
                _ => vec![followed],
            })
        })))
    }

    async fn read(&self, span: Span, limit: usize) -> Result<Page, JournalError> {
        let mut page = self.0.read(span, limit).await?;
        if self.1 == Fault::ReadsOverHoles
            && let Some(last) = page.last()
        {
            let left = limit - page.len();
            page.slices
                .extend(self.0.read(Span::After(last), left).await?.slices);
        }
        Ok(page)
    }
}

#[tokio::test(start_paused = true)]
async fn a_shared_journal_conforms() {
    for seed in 0..8 {
        let shared = SharedJournal::new(seed);
        let nodes = [shared.node(1), shared.node(2)];
        conformance::assert_conforms(conformance::shared_journal(nodes).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_does_not_follow_is_named() {
    let nodes = [(); 2].map(|()| MemoryJournal::new(&Limits::default()));
    let violation = conformance::shared_journal(nodes).await.unwrap_err();
    assert_eq!(violation.rule, Rule::Follows, "{violation}");
}

#[tokio::test(start_paused = true)]
async fn each_fault_of_a_shared_journal_breaks_the_rule_that_it_should() {
    for (fault, rule) in [
        (Fault::YieldsItsOwnOnly, Rule::Follows),
        (Fault::LeavesOneOut, Rule::Follows),
        (Fault::YieldsOneTwice, Rule::Follows),
        (Fault::KeepsAuthors, Rule::Author),
        (Fault::ForgetsKeys, Rule::Keys),
        (Fault::FollowsAllAgain, Rule::Follows),
    ] {
        let shared = SharedJournal::new(1);
        let nodes = [1, 2].map(|node| Wrong(shared.node(node), fault));
        let violation = conformance::shared_journal(nodes).await.unwrap_err();
        assert_eq!(violation.rule, rule, "{fault:?}: {violation}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shared_journal_with_holes_conforms() {
    for seed in 0..8 {
        let shared = SharedJournal::new(seed);
        let nodes = [shared.node(1), shared.node(2)];
        let lose = async |room: &str, gap| shared.lose(room, gap);
        conformance::assert_conforms(conformance::shared_journal_with_holes(nodes, lose).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hole_that_is_silent_is_named() {
    for (fault, rule) in [
        (Fault::ReadsOverHoles, Rule::Gaps),
        (Fault::FollowsOverHoles, Rule::Follows),
    ] {
        let shared = SharedJournal::new(1);
        let nodes = [1, 2].map(|node| Wrong(shared.node(node), fault));
        let lose = async |room: &str, gap| shared.lose(room, gap);
        let violation = conformance::shared_journal_with_holes(nodes, lose).await;
        let violation = violation.unwrap_err();
        assert_eq!(violation.rule, rule, "{fault:?}: {violation}");
    }
}
