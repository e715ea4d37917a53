//! The suite for journals that hubs share: each node follows what the other nodes append.

use super::{Rule, Violation, failed};
use crate::random::Random;
use chat_core::log::{
    Appended, Batch, Drafts, Followed, Journal, JournalError, Log, Position, SessionId, Span,
    Timestamp,
};
use chat_core::{Kind, Nick, RoomName, Seq};
use futures::StreamExt;
use futures::future::{BoxFuture, join_all};
use futures::stream::BoxStream;
use std::sync::Arc;

/// The number of random runs.
const SEEDS: u64 = 8;

/// The number of batches that each run appends to one room.
const BATCHES: usize = 60;

/// The number of nodes. The sessions of both nodes have the same numbers. So the suite notices a node that takes an
/// author on the other node for one of its own sessions.
const NODES: usize = 2;

/// The mark of a key's owner, as a journal stores it. All keys have one owner: a client that uses both nodes.
const OWNER: &str = "\u{1f}000102030405060708090a0b0c0d0e0f";

/// Runs a journal that two hubs share through the suite. The suite checks these rules: both nodes follow all appended
/// batches in one order; a node that follows from a position in the middle gets the batches after that position; the
/// author of a batch of the other node can't be taken for a session of this node; a message whose key was used on one
/// node is a duplicate on the other.
///
/// `nodes` are two nodes of one journal, over a store that is empty at first.
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
/// conformance::assert_conforms(conformance::shared_journal([shared.node(1), shared.node(2)]).await);
/// # });
/// ```
pub async fn shared_journal<J: Journal>(nodes: [J; NODES]) -> Result<(), Violation> {
    for seed in 0..SEEDS {
        let done = run(&nodes, seed).await;
        done.map_err(|violation| violation.seeded(seed))?;
    }
    Ok(())
}

/// One node's log, the stream of its followed items, and the log's last position when the suite opened the log.
struct Node<L> {
    log: L,
    followed: BoxStream<'static, Followed>,
    tail: Seq,
}

/// One append: its node, its drafts and its answer.
struct Record {
    node: usize,
    drafts: Drafts,
    appended: Result<Appended, JournalError>,
}

async fn run<J: Journal>(nodes: &[J; NODES], seed: u64) -> Result<(), Violation> {
    let mut random = Random::new(seed);
    let name = RoomName::parse(&format!("shared-{seed}")).expect("this is a name");
    let mut open = Vec::new();
    for node in nodes {
        open.push(open_node(node, &name).await?);
    }
    let (drafts, answers) = append(&open, &mut random);
    let answers = join_all(answers).await;
    let records: Vec<_> = drafts
        .into_iter()
        .zip(answers)
        .map(|((node, drafts), appended)| Record {
            node,
            drafts,
            appended,
        })
        .collect();
    let order = check_answers(&records)?;
    let mut seen = Vec::new();
    for (at, node) in open.iter_mut().enumerate() {
        let batches = follow(node, &order).await?;
        check_batches(at, &batches, &records)?;
        seen.push(places(&batches));
        follow_again(node, &order, &batches).await?;
    }
    if seen[0] != seen[1] {
        let expected = format!("one order on both nodes: {:?}", seen[0]);
        return Err(Violation::new(
            Rule::Follows,
            expected,
            format!("{:?}", seen[1]),
        ));
    }
    for node in &open {
        check_read(node, &seen[0]).await?;
    }
    let tail = seen[0].last().map_or(Seq::START, |(seq, _)| *seq);
    drop(open);
    let again = open_node(&nodes[0], &name).await?;
    if again.tail != tail {
        let expected = format!("the tail {tail}");
        return Err(Violation::new(
            Rule::Head,
            expected,
            format!("{}", again.tail),
        ));
    }
    Ok(())
}

async fn open_node<J: Journal>(node: &J, name: &RoomName) -> Result<Node<J::Log>, Violation> {
    let log = node.open(name, name.as_str()).await;
    let log = log.map_err(|error| failed("a log that opens", &error))?;
    let followed = log.follow(log.head().position()).ok_or_else(|| {
        let expected = "a log that yields what other nodes append";
        Violation::new(Rule::Follows, expected, "it does not follow")
    })?;
    let tail = log.head().tail;
    Ok(Node {
        log,
        followed,
        tail,
    })
}

type Answers = Vec<BoxFuture<'static, Result<Appended, JournalError>>>;

/// Appends batches on random nodes, without waiting for the results. Some messages have a key, which an earlier message
/// may already have used.
fn append<L: Log>(nodes: &[Node<L>], random: &mut Random) -> (Vec<(usize, Drafts)>, Answers) {
    let (mut all, mut answers): (_, Answers) = (Vec::new(), Vec::new());
    let nicks = ["alice", "bob"].map(|nick| Nick::parse(nick).expect("this is a nick"));
    for number in 0..BATCHES {
        let node = random.below(NODES);
        let author = SessionId(1 + random.below(3) as u64);
        let at = Timestamp(Timestamp::now().0 + number as u64);
        let mut drafts = Drafts::new(author, nicks[node].clone(), at);
        if random.once_in(3) {
            // There are only a few keys, so that many messages repeat a key of the same node or of the other node.
            let key = format!("key-{}{OWNER}", random.below(8));
            drafts.restore(Kind::Said, &format!("{number}.0"), Some(&key));
        } else {
            for message in 0..=random.below(3) {
                drafts.push(Kind::Said, &format!("{number}.{message}"));
            }
        }
        answers.push(Box::pin(nodes[node].log.append(drafts.clone())));
        all.push((node, drafts));
    }
    (all, answers)
}

/// Checks the answers of the appends. Returns the first position of each appended batch, in the order of the log.
fn check_answers(records: &[Record]) -> Result<Vec<Seq>, Violation> {
    let (mut order, mut keys) = (Vec::new(), Vec::new());
    for record in records {
        match &record.appended {
            Err(error) => return Err(failed("an append that succeeds", error)),
            Ok(Appended::Batch(batch)) if batch.len() == record.drafts.len() => {
                order.push(batch.first());
                keys.extend(key(&record.drafts));
            }
            Ok(Appended::Batch(batch)) => {
                let expected = format!("a batch of {} messages", record.drafts.len());
                let seen = format!("{} messages", batch.len());
                return Err(Violation::new(Rule::Content, expected, seen));
            }
            Ok(Appended::Duplicate(seq)) => check_duplicate(record, *seq, records)?,
        }
    }
    order.sort_unstable();
    keys.sort_unstable();
    match keys.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => {
            let expected = format!("one message under the key {:?}", pair[0]);
            Err(Violation::new(Rule::Keys, expected, "two"))
        }
        None => Ok(order),
    }
}

/// Checks that a duplicate has the position of the first message with its key.
fn check_duplicate(record: &Record, seq: Seq, records: &[Record]) -> Result<(), Violation> {
    let Some(key) = key(&record.drafts) else {
        let seen = "a duplicate of a message without a key";
        return Err(Violation::new(Rule::Keys, "a message in the log", seen));
    };
    let is_first = |other: &&Record| {
        matches!(&other.appended, Ok(Appended::Batch(batch)) if batch.first() == seq)
            && self::key(&other.drafts).as_ref() == Some(&key)
    };
    match records.iter().find(is_first) {
        Some(_) => Ok(()),
        None => {
            let expected = format!("the place of what was said under {key:?}");
            Err(Violation::new(Rule::Keys, expected, format!("{seq}")))
        }
    }
}

fn key(drafts: &Drafts) -> Option<String> {
    drafts.messages().find_map(|draft| draft.key_id(0))
}

/// Follows a node's log, and checks that its batches begin at these positions, in order.
async fn follow<L: Log>(node: &mut Node<L>, order: &[Seq]) -> Result<Vec<Arc<Batch>>, Violation> {
    let mut batches = Vec::new();
    while let Some(expected) = order.get(batches.len()) {
        match node.followed.next().await {
            Some(Followed::Batch(batch)) if batch.first() == *expected => batches.push(batch),
            Some(Followed::Reachable(_)) => {}
            other => {
                let expected = format!("the batch at {expected}");
                return Err(Violation::new(
                    Rule::Follows,
                    expected,
                    format!("{other:?}"),
                ));
            }
        }
    }
    Ok(batches)
}

/// Checks that a node that follows its log again from the middle receives the batches after the middle.
async fn follow_again<L: Log>(
    node: &mut Node<L>,
    order: &[Seq],
    batches: &[Arc<Batch>],
) -> Result<(), Violation> {
    let middle = order.len() / 2;
    let after_middle = Position {
        epoch: node.log.head().epoch,
        seq: batches
            .get(middle - 1)
            .map_or(node.tail, |last| last.last()),
    };
    node.followed = node.log.follow(after_middle).ok_or_else(|| {
        let expected = "a log that can be followed again";
        Violation::new(Rule::Follows, expected, "it does not follow")
    })?;
    follow(node, &order[middle..]).await?;
    Ok(())
}

/// Compares the followed batches with the appended batches.
fn check_batches(at: usize, batches: &[Arc<Batch>], records: &[Record]) -> Result<(), Violation> {
    let mut last = Seq::START;
    let mut next = [0; NODES];
    for batch in batches {
        let mut places = batch.messages(0..batch.len()).map(|message| message.seq);
        if let Some(seq) = places.find(|seq| *seq <= std::mem::replace(&mut last, *seq)) {
            let expected = "places that grow";
            return Err(Violation::new(Rule::Places, expected, format!("{seq}")));
        }
        let found = records.iter().position(|record| {
            matches!(&record.appended, Ok(Appended::Batch(own)) if own.first() == batch.first())
        });
        let Some(found) = found else {
            let seen = format!("a batch at {}", batch.first());
            return Err(Violation::new(
                Rule::Follows,
                "only what was appended",
                seen,
            ));
        };
        let record = &records[found];
        let texts = |drafts: &Drafts| -> Vec<String> {
            drafts
                .messages()
                .map(|draft| draft.text.to_owned())
                .collect()
        };
        let seen: Vec<_> = batch
            .messages(0..batch.len())
            .map(|m| m.text.to_owned())
            .collect();
        if seen != texts(&record.drafts) || batch.from() != record.drafts.from() {
            let expected = format!("{:?} of {}", texts(&record.drafts), record.drafts.from());
            return Err(Violation::new(
                Rule::Content,
                expected,
                format!("{seen:?} of {}", batch.from()),
            ));
        }
        let author = record.drafts.author();
        if (batch.author() == author) != (record.node == at) {
            let expected = match record.node == at {
                true => format!("author {author}, of this node"),
                false => format!("an author of another node than {author}"),
            };
            return Err(Violation::new(
                Rule::Author,
                expected,
                format!("{}", batch.author()),
            ));
        }
        if found < std::mem::replace(&mut next[record.node], found) {
            let expected = "a node's messages in the order of its calls";
            return Err(Violation::new(
                Rule::Order,
                expected,
                format!("{seen:?} late"),
            ));
        }
    }
    Ok(())
}

fn places(batches: &[Arc<Batch>]) -> Vec<(Seq, String)> {
    let messages = batches
        .iter()
        .flat_map(|batch| batch.messages(0..batch.len()));
    messages
        .map(|message| (message.seq, message.text.to_owned()))
        .collect()
}

/// Checks that the followed messages can be read.
async fn check_read<L: Log>(node: &Node<L>, seen: &[(Seq, String)]) -> Result<(), Violation> {
    let page = node.log.read(Span::After(node.tail), seen.len()).await;
    let page = page.map_err(|error| failed("a log that can be read", &error))?;
    let slices = page.slices.iter();
    let read: Vec<_> = slices
        .flat_map(|slice| slice.batch.messages(slice.range.clone()))
        .map(|message| (message.seq, message.text.to_owned()))
        .collect();
    if read != seen {
        let expected = format!("what was followed: {seen:?}");
        return Err(Violation::new(Rule::Follows, expected, format!("{read:?}")));
    }
    Ok(())
}
