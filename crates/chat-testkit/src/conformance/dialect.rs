//! The suite for dialects: what no dialect may do, whatever it is given.

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

/// How many random runs there are if a [`Speech`] does not say.
const SEEDS: Range<u64> = 0..32;

/// What is said in a dialect: how its connections begin, and lines to vary.
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
    repeats: bool,
    seeds: Range<u64>,
}

impl Speech {
    /// Creates a speech of first lines, each of which a connection may begin with. They differ in no setting.
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

    /// Adds lines that may follow. They are said as they are, and with what is wrong in them; the more of the
    /// dialect's commands are among them, the more of it is tested.
    #[must_use]
    pub fn lines<L: Into<String>>(mut self, lines: impl IntoIterator<Item = L>) -> Self {
        self.lines.extend(lines.into_iter().map(Into::into));
        self
    }

    /// Allows the dialect to write a control character that is part of its protocol, such as IRC's U+0001.
    #[must_use]
    pub fn allow(mut self, allowed: char) -> Self {
        self.allowed.push(allowed);
        self
    }

    /// Allows the dialect to repeat to a peer the control characters beyond ASCII's first 32 that the peer itself has
    /// sent, as it does that gives back an id which is the peer's own affair.
    #[must_use]
    pub const fn allow_repeating(mut self) -> Self {
        self.repeats = true;
        self
    }

    /// Sets the seeds of the random runs: a violation's own to see it again, or more of them for a night.
    #[must_use]
    pub const fn seeds(mut self, seeds: Range<u64>) -> Self {
        self.seeds = seeds;
        self
    }
}

/// Runs a dialect through the suite: its detector's answers, its encoder's output, and what it makes of lines and
/// replies, without a connection. [`connection`] is the suite with one.
///
/// Texts and names are as core gives them to a dialect: hostile, but cleaned. Lines are as a peer may send them.
/// Wants a Tokio runtime, for it asks a hub for what there is to tell.
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
/// `Json` is the detector of another crate here:
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

/// The dialect that a first line opens.
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

/// A text of which as much is shown as tells it apart.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 160;
    let end = text.floor_char_boundary(SHOWN);
    if text.len() <= 2 * SHOWN {
        return text.to_owned();
    }
    let rest = &text[text.ceil_char_boundary(text.len() - SHOWN)..];
    format!("{}… ({} bytes) …{rest}", &text[..end], text.len())
}

/// Does it, and says so if it panics.
fn unpanicked<T>(doing: &str, does: impl FnOnce() -> T) -> Result<T, Violation> {
    catch_unwind(AssertUnwindSafe(does)).map_err(|panic| {
        let message = panic.downcast_ref::<&str>().map(ToString::to_string);
        let message = message.or_else(|| panic.downcast_ref::<String>().cloned());
        let seen =
            message.map_or_else(|| "a panic".into(), |message| format!("a panic: {message}"));
        Violation::new(Rule::Panics, doing, seen)
    })
}
