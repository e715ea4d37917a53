//! The suite for journals that may lose messages in the middle of a log. Such a journal must report each loss.

use super::{Rule, Violation, failed};
use chat_core::log::{
    Appended, Drafts, Followed, Gap, Journal, Log, Page, Position, SessionId, Span, Timestamp,
};
use chat_core::{Nick, RoomName, Seq};
use futures::StreamExt;

/// The number of batches of two messages that are appended.
const BATCHES: usize = 12;

/// The indexes of the lost batches: two ranges, one in the middle and one at the end of the log.
const LOST: [std::ops::Range<usize>; 2] = [4..6, 10..12];

/// The limits of the reads, in messages.
const LIMITS: [usize; 5] = [1, 2, 3, 7, 100];

/// Runs a journal that two hubs share through the suite for logs that lose messages, even in the middle of a log. A
/// log that is followed or read must yield each message or a gap in its place. A page must not continue past lost
/// messages: the page ends before the lost messages, and the next page begins with the gap.
///
/// `nodes` are two nodes of one journal, over a store that is empty at first. The suite calls `lose` to remove the
/// messages at the given positions from the room's log.
///
/// # Errors
///
/// Returns the first [`Violation`].
///
/// # Cancel safety
///
/// Dropping the future drops the logs and ends the suite.
///
/// # Examples
///
/// ```
/// use chat_testkit::{SharedJournal, conformance};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// let shared = SharedJournal::new(1);
/// let nodes = [shared.node(1), shared.node(2)];
/// let lose = async |room: &_, gap| shared.lose(room, gap);
/// conformance::assert_conforms(conformance::shared_journal_with_holes(nodes, lose).await);
/// # });
/// ```
pub async fn shared_journal_with_holes<J: Journal>(
    nodes: [J; 2],
    lose: impl AsyncFn(&str, Gap),
) -> Result<(), Violation> {
    let name = RoomName::parse("holes").expect("this is a name");
    let mut logs = Vec::new();
    for node in &nodes {
        let log = node.open(&name, name.as_str()).await;
        logs.push(log.map_err(|error| failed("a log that opens", &error))?);
    }
    let start = logs[0].head().position();
    let batches = append(&logs[0], &name).await?;
    for range in LOST {
        let lost = &batches[range];
        let (first, last) = (lost[0][0], lost[lost.len() - 1][1]);
        let gap = Gap {
            from: first,
            to: last,
        };
        lose(name.as_str(), gap).await;
    }
    for log in &logs {
        // The suite follows the log only from the end of a batch, as a room does. The last of these positions is
        // directly before a hole.
        for seq in [start.seq, batches[1][1], batches[3][1]] {
            check_follow(log, Position { seq, ..start }, &batches).await?;
        }
        for after in [start.seq, batches[1][0], batches[4][0]] {
            for limit in LIMITS {
                check_read(log, after, limit, &batches).await?;
            }
        }
    }
    Ok(())
}

/// Appends the batches one after the other, and returns the positions of their messages.
async fn append<L: Log>(log: &L, name: &RoomName) -> Result<Vec<[Seq; 2]>, Violation> {
    let mut batches = Vec::new();
    for number in 0..BATCHES {
        let nick = Nick::parse("alice").expect("this is a nick");
        let mut drafts = Drafts::new(SessionId(1), nick, Timestamp::now());
        for message in 0..2 {
            drafts.push(chat_core::Kind::Said, &format!("{name} {number}.{message}"));
        }
        match log.append(drafts).await {
            Ok(Appended::Batch(batch)) => batches.push([batch.first(), batch.last()]),
            Ok(other) => {
                return Err(Violation::new(
                    Rule::Content,
                    "a batch",
                    format!("{other:?}"),
                ));
            }
            Err(error) => return Err(failed("an append that succeeds", &error)),
        }
    }
    Ok(batches)
}

/// Follows the log from `after`. Checks that the stream yields each later position as a message or as part of a gap.
async fn check_follow<L: Log>(
    log: &L,
    after: Position,
    batches: &[[Seq; 2]],
) -> Result<(), Violation> {
    let mut followed = log.follow(after).ok_or_else(|| {
        let expected = "a log that yields what other nodes append";
        Violation::new(Rule::Follows, expected, "it does not follow")
    })?;
    let mut seen = Seen::after(after.seq, batches);
    while !seen.rest.is_empty() {
        match followed.next().await {
            Some(Followed::Batch(batch)) => {
                for message in batch.messages(0..batch.len()) {
                    seen.message(message.seq, Rule::Follows)?;
                }
            }
            Some(Followed::Gap(gap)) => seen.gap(gap, Rule::Follows)?,
            Some(Followed::Reachable(_)) => {}
            other => {
                let expected = format!("the message at {}", seen.rest[0]);
                return Err(Violation::new(
                    Rule::Follows,
                    expected,
                    format!("{other:?}"),
                ));
            }
        }
    }
    Ok(())
}

/// Reads the log page by page, and checks that each position is read as a message or as part of a gap.
async fn check_read<L: Log>(
    log: &L,
    after: Seq,
    limit: usize,
    batches: &[[Seq; 2]],
) -> Result<(), Violation> {
    let mut seen = Seen::after(after, batches);
    let mut after = after;
    while let Some(&next) = seen.rest.first() {
        let page = log.read(Span::After(after), limit).await;
        let page = page.map_err(|error| failed("a log that can be read", &error))?;
        if let Some(gap) = page.gap {
            seen.gap(gap, Rule::Gaps)?;
            after = gap.to;
        }
        for message in page.messages() {
            seen.message(message.seq(), Rule::Gaps)?;
            after = message.seq();
        }
        if is_blank(&page) {
            let expected = format!("the message at {next} or a gap, after {after}");
            return Err(Violation::new(Rule::Gaps, expected, "an empty page"));
        }
    }
    Ok(())
}

fn is_blank(page: &Page) -> bool {
    page.is_empty() && page.gap.is_none()
}

/// The positions that the log still has to yield, and the positions that were lost.
struct Seen {
    rest: Vec<Seq>,
    lost: Vec<Seq>,
}

impl Seen {
    fn after(after: Seq, batches: &[[Seq; 2]]) -> Self {
        let lost = LOST.into_iter().flat_map(|range| &batches[range]);
        Self {
            rest: batches
                .iter()
                .flatten()
                .filter(|seq| **seq > after)
                .copied()
                .collect(),
            lost: lost.flatten().copied().collect(),
        }
    }

    fn message(&mut self, seq: Seq, rule: Rule) -> Result<(), Violation> {
        match self.rest.first() {
            Some(next) if *next == seq => {
                self.rest.remove(0);
                Ok(())
            }
            next => {
                let expected = format!("{next:?}, or a gap of it, next");
                Err(Violation::new(rule, expected, format!("{seq}")))
            }
        }
    }

    /// Checks that a gap begins with the next expected position, and covers only lost messages.
    fn gap(&mut self, gap: Gap, rule: Rule) -> Result<(), Violation> {
        let is_in = |seq: &Seq| gap.from <= *seq && *seq <= gap.to;
        let begins = self.rest.first().is_some_and(is_in);
        let held = self
            .rest
            .iter()
            .find(|seq| is_in(seq) && !self.lost.contains(seq));
        if !begins || held.is_some() {
            let expected = format!(
                "a gap that begins at {:?}, of lost messages",
                self.rest.first()
            );
            let seen = format!("a gap of {}..={}", gap.from, gap.to);
            return Err(Violation::new(rule, expected, seen));
        }
        self.rest.retain(|seq| !is_in(seq));
        Ok(())
    }
}
