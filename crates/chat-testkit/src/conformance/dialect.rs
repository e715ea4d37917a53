//! The suite for dialects: rules that a dialect must keep for any input.

mod connection;
mod encoders;
mod hostile;
mod replies;
mod verdicts;
mod written;

use super::{Rule, Violation};
use chat_core::protocol::{Detected, Detection, Detector, Dialect};
use replies::Scene;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use connection::connection;

/// The default seeds of the random runs.
const SEEDS: Range<u64> = 0..32;

/// The input with which a suite tests a dialect: lines that open a connection, and lines that may follow.
///
/// # Examples
///
/// ```
/// use chat_testkit::conformance::Speech;
///
/// let json = Speech::new([r#"{"cmd":"hello"}"#]).lines([r#"{"cmd":"ping"}"#, r#"{"cmd":"rooms"}"#]);
/// # drop(json);
/// ```
#[derive(Debug, Clone)]
pub struct Speech {
    openings: Vec<String>,
    lines: Vec<String>,
    allowed: Vec<char>,
    /// Whether the dialect may send control characters above U+007E back to the peer that has sent them.
    repeats: bool,
    seeds: Range<u64>,
}

impl Speech {
    /// Creates the input of a suite from the possible first lines of a connection. Each of these lines alone must open
    /// a connection in the dialect. All of them must give the connection the same options.
    #[must_use]
    pub fn new<L: Into<String>>(openings: impl IntoIterator<Item = L>) -> Self {
        Self {
            openings: openings.into_iter().map(Into::into).collect(),
            lines: Vec::new(),
            allowed: Vec::new(),
            repeats: false,
            seeds: SEEDS,
        }
    }

    /// Adds lines that may follow a first line. The suite sends these lines unchanged, and with errors in them. The
    /// suite tests only the commands that are in these lines.
    #[must_use]
    pub fn lines<L: Into<String>>(mut self, lines: impl IntoIterator<Item = L>) -> Self {
        self.lines.extend(lines.into_iter().map(Into::into));
        self
    }

    /// Allows the dialect to write this control character, because the character is part of the protocol. An example is
    /// U+0001 in IRC.
    #[must_use]
    pub fn allow(mut self, allowed: char) -> Self {
        self.allowed.push(allowed);
        self
    }

    /// Allows the dialect to send control characters above U+007E back to the peer that has sent them. A dialect needs
    /// this permission if it returns ids that only the peer itself interprets.
    #[must_use]
    pub const fn allow_repeating(mut self) -> Self {
        self.repeats = true;
        self
    }

    /// Sets the seeds of the random runs. The seed of a violation reproduces the violation. More seeds make a longer
    /// test.
    #[must_use]
    pub const fn seeds(mut self, seeds: Range<u64>) -> Self {
        self.seeds = seeds;
        self
    }
}

/// Runs a dialect through the suite without a connection. The suite checks the decisions of the detector, the output
/// of the encoder, and how the dialect handles lines and replies. [`connection`] is the suite with a connection.
///
/// The texts and names in replies and events are hostile but cleaned, as core passes them to a dialect. The lines are
/// not cleaned, because a peer may send any line. The suite needs a Tokio runtime, because it takes its replies from a
/// hub.
///
/// # Errors
///
/// Returns the first [`Violation`].
///
/// # Cancel safety
///
/// Dropping the future ends the suite.
///
/// # Examples
///
/// Here, `Json` is the detector of another crate:
///
/// ```
/// # use chat_core::protocol::{Detector, Detection};
/// # struct Json;
/// # impl Detector for Json { fn detect(&self, _: &[u8]) -> Detection { Detection::NotFound } }
/// use chat_testkit::conformance::{self, Rule, Speech};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let speech = Speech::new([r#"{"cmd":"hello"}"#]).lines([r#"{"cmd":"ping"}"#]);
/// let conforms = conformance::dialect(&Json, &speech).await;
/// # // This one is a stub that recognises nothing.
/// # assert_eq!(conforms.unwrap_err().rule, Rule::Verdicts);
/// # })
/// ```
pub async fn dialect(detector: &impl Detector, speech: &Speech) -> Result<(), Violation> {
    verdicts::check(detector, speech)?;
    let scene = Scene::new().await;
    for opening in &speech.openings {
        let (one, other) = (open(detector, opening)?, open(detector, opening)?);
        encoders::check(&*one, &*other, speech)?;
        for seed in speech.seeds.clone() {
            let dialect = open(detector, opening)?;
            replies::check(dialect, opening, speech, &scene, seed)
                .map_err(|violation| violation.seeded(seed))?;
        }
    }
    Ok(())
}

/// Returns the dialect that the detector selects for the first line `opening`.
fn open(detector: &impl Detector, opening: &str) -> Result<Box<dyn Dialect>, Violation> {
    let prefix = format!("{opening}\n");
    match unpanicked("sniffing", || detector.detect(prefix.as_bytes()))? {
        Detection::Found(Detected::Dialect(dialect)) => Ok(dialect),
        verdict => Err(Violation::new(
            Rule::Verdicts,
            format!("that {opening:?} opens the dialect"),
            format!("{verdict:?}"),
        )),
    }
}

/// Returns a short text unchanged, and the beginning and the end of a long one.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 160;
    let end = text.floor_char_boundary(SHOWN);
    if text.len() <= 2 * SHOWN {
        return text.to_owned();
    }
    let rest = &text[text.ceil_char_boundary(text.len() - SHOWN)..];
    format!("{}… ({} bytes) …{rest}", &text[..end], text.len())
}

/// Runs a closure, and returns a violation if the closure panics.
fn unpanicked<T>(doing: &str, does: impl FnOnce() -> T) -> Result<T, Violation> {
    catch_unwind(AssertUnwindSafe(does)).map_err(|panic| {
        let message = panic.downcast_ref::<&str>().map(ToString::to_string);
        let message = message.or_else(|| panic.downcast_ref::<String>().cloned());
        let seen =
            message.map_or_else(|| "a panic".into(), |message| format!("a panic: {message}"));
        Violation::new(Rule::Panics, doing, seen)
    })
}
