//! How a suite says what is wrong.

use std::fmt;

/// What a journal, a dialect or a roster must keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// Journal: opening, appending and reading work.
    Works,
    /// Journal: messages stand in the log in the order of the append calls, each once.
    Order,
    /// Journal: places are beyond [`Seq::START`](chat_core::Seq::START), grow, and are never given twice in an epoch.
    Places,
    /// Journal: a message comes back with the room, author, nick, time, kind, text and key that it was given.
    Content,
    /// Journal: what was appended is in the log, but for the oldest messages of a bounded one.
    Loss,
    /// Journal: dropping the future of an append does not take its messages back.
    Cancelled,
    /// Journal: a read gives the messages of its span that are nearest to the end it names, as many as its limit.
    Ranges,
    /// Journal: what a log no longer holds is a gap that covers just that.
    Gaps,
    /// Journal: what is said in one room is not in another's log; the key alone decides which room it is.
    Rooms,
    /// Journal: the head of a log that is opened has its last place and topic.
    Head,
    /// Journal: an epoch survives with its log, and a log that begins anew has another one.
    Epoch,
    /// Journal: what a session of an earlier process wrote is not taken for the words of one of this process.
    Author,
    /// Journal: a message that was said under a key is a duplicate, on every node, and has the first one's place.
    Keys,
    /// Journal: each node that shares it follows the whole log in one order.
    Follows,
    /// Dialect: it does not panic, whatever it is given.
    Panics,
    /// Dialect: it writes whole lines.
    Lines,
    /// Dialect: it writes no control characters and no bidirectional controls.
    Clean,
    /// Dialect: the encoding of a batch is those of its messages, one after the other.
    Pieces,
    /// Dialect: an encoding depends on nothing but the item.
    Repeatable,
    /// Dialect: connections with the same settings share one encoder.
    SharedForm,
    /// Dialect: a detector's answer does not change its mind.
    Verdicts,
    /// Dialect: its connection serves its peer to the end.
    Serves,
    /// Roster: one nick has one owner, or the sessions of one account.
    Nicks,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Works => "a journal opens, appends and reads",
            Self::Order => "messages stand in the order of the append calls, each once",
            Self::Places => "places grow and are never given twice",
            Self::Content => "a message comes back as it was given",
            Self::Loss => "what was appended is in the log",
            Self::Cancelled => "dropping an append does not take its messages back",
            Self::Ranges => "a read gives what is nearest to the end it names",
            Self::Gaps => "what is lost is told as a gap, and nothing else is",
            Self::Rooms => "one key, one room: rooms do not see each other",
            Self::Head => "a log's head has its last place and topic",
            Self::Epoch => "an epoch lives as long as its log",
            Self::Author => "a restart makes nobody the author of another's words",
            Self::Keys => "a key is said once, and a repetition is told its place",
            Self::Follows => "all nodes follow one order of the whole log",
            Self::Panics => "a dialect does not panic",
            Self::Lines => "a dialect writes whole lines",
            Self::Clean => "a dialect writes no control characters",
            Self::Pieces => "a batch's encoding is those of its messages",
            Self::Repeatable => "an encoding depends on nothing but the item",
            Self::SharedForm => "equal connections share one encoder",
            Self::Verdicts => "a verdict is not taken back",
            Self::Serves => "a connection is served to its end",
            Self::Nicks => "one nick has one owner",
        })
    }
}

/// A rule that an implementation has broken, and how.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// What the suite expected.
    pub expected: String,
    /// What it saw instead.
    pub seen: String,
    /// With which seed it happens again; `None` if it always does.
    pub seed: Option<u64>,
    /// What was done before, the latest last.
    pub done: Vec<String>,
}

impl Violation {
    pub(crate) fn new(rule: Rule, expected: impl Into<String>, seen: impl Into<String>) -> Self {
        Self {
            rule,
            expected: expected.into(),
            seen: seen.into(),
            seed: None,
            done: Vec::new(),
        }
    }

    /// Adds what was done before, the latest of it.
    pub(crate) fn after(mut self, done: &[String]) -> Self {
        /// As much as fits on a screen.
        const SHOWN: usize = 16;
        self.done = done[done.len().saturating_sub(SHOWN)..].to_vec();
        self
    }

    /// Adds the seed with which it happens again.
    pub(crate) const fn seeded(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "broken: {} ({:?})", self.rule, self.rule)?;
        writeln!(f, "  expected: {}", self.expected)?;
        write!(f, "  seen:     {}", self.seen)?;
        if let Some(seed) = self.seed {
            write!(f, "\n  seed:     {seed}")?;
        }
        for (at, done) in self.done.iter().enumerate() {
            let head = if at == 0 {
                "  after:    "
            } else {
                "            "
            };
            write!(f, "\n{head}{done}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Violation {}

/// Panics with what a suite found, readably.
///
/// # Panics
///
/// Panics if there is a violation.
///
/// # Examples
///
/// ```
/// use chat_core::Limits;
/// use chat_core::log::MemoryJournal;
/// use chat_testkit::conformance::{self, InMemory};
///
/// # fn main() {
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let ring = InMemory(|| MemoryJournal::new(&Limits::default()));
/// conformance::assert_conforms(conformance::journal(ring).await);
/// # })
/// # }
/// ```
#[track_caller]
pub fn assert_conforms(result: Result<(), Violation>) {
    if let Err(violation) = result {
        panic!("{violation}");
    }
}
