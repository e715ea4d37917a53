//! The result of a suite that found an error: the broken rule, and how it was broken.

use std::fmt;

/// A rule that a journal, a dialect or a roster must keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// Journal: opening, appending and reading work.
    Works,
    /// Journal: messages stand in the log in the order of the append calls, each exactly once.
    Order,
    /// Journal: positions are greater than [`Seq::START`](chat_core::Seq::START), grow, and are never reused in an
    /// epoch.
    Places,
    /// Journal: a message is read back with the same room, author, nick, time, kind, text and key.
    Content,
    /// Journal: no appended message is lost, except that a bounded log drops its oldest messages.
    Loss,
    /// Journal: if the future of an append is dropped, the messages of the append stay in the log.
    Cancelled,
    /// Journal: a read returns messages of its span, at most as many as its limit. If the span has more messages, the
    /// read returns the messages nearest to the position that the span names.
    Ranges,
    /// Journal: a gap covers exactly the messages that a log no longer holds.
    Gaps,
    /// Journal: messages of one room are not in another room's log. Two names with the same key are the same room.
    Rooms,
    /// Journal: opening a log returns a head that has the log's last position, topic and modes.
    Head,
    /// Journal: a log keeps its epoch as long as the log exists. A log that begins anew gets another epoch.
    Epoch,
    /// Journal: the author of a message from an earlier process is not taken for a session of this process.
    Author,
    /// Journal: a second message under a key is a duplicate on every node. The append of a duplicate returns the
    /// position of the first message.
    Keys,
    /// Journal: each node that shares the journal follows the whole log in one order.
    Follows,
    /// Dialect: no input makes the dialect panic.
    Panics,
    /// Dialect: the output has only complete lines.
    Lines,
    /// Dialect: the output has no control characters and no bidirectional controls.
    Clean,
    /// Dialect: the encoding of a batch is the concatenation of the encodings of its messages.
    Pieces,
    /// Dialect: the encoding of an item depends on nothing but the item.
    Repeatable,
    /// Dialect: connections with the same settings share one encoder.
    SharedForm,
    /// Dialect: once a detector has decided about a prefix, it makes the same decision if more bytes follow.
    Verdicts,
    /// Dialect: the server serves a connection until the peer closes the connection.
    Serves,
    /// Roster: a nick has one owner, or belongs to the sessions of one account.
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
            Self::Head => "a log's head has its last place, topic and modes, and who set the topic",
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

/// A broken rule, what the suite expected, and what the suite saw instead.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Violation {
    /// The rule that was broken.
    pub rule: Rule,
    /// What the suite expected.
    pub expected: String,
    /// What the suite saw instead.
    pub seen: String,
    /// The seed that reproduces the violation. `None` if the violation occurs with every seed.
    pub seed: Option<u64>,
    /// The operations that the suite performed before the violation, the latest last.
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

    /// Adds the latest operations before the violation, at most `SHOWN`.
    pub(crate) fn after(mut self, done: &[String]) -> Self {
        /// The maximum number of operations that a violation lists: as many lines as fit on a screen.
        const SHOWN: usize = 16;
        self.done = done[done.len().saturating_sub(SHOWN)..].to_vec();
        self
    }

    /// Adds the seed that reproduces the violation.
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

/// Panics with a readable message if a suite found a violation.
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
