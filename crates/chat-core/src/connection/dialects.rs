//! The protocols that a connection may turn out to speak.

use crate::log::Timestamp;
use crate::plain::{Plain, PlainEncoders, WallTime};
use crate::protocol::{Detected, Detection, Detector, Dialect, reserved};
use std::fmt;
use std::sync::Arc;

/// The protocols of a server, and how it shows the time to plain members.
#[derive(Clone)]
pub(crate) struct Dialects {
    detectors: Vec<Arc<dyn Detector>>,
    /// How many of them were added: they come before those that refuse other protocols.
    added: usize,
    plain: PlainEncoders,
    /// Makes the dialect of peers that open with no other; `None`: plain.
    fallback: Option<Arc<MakeDialect>>,
}

type MakeDialect = dyn Fn() -> Box<dyn Dialect> + Send + Sync;

/// The dialect of peers that open with no other, or say nothing.
pub(crate) enum Fallback {
    /// A silent peer is greeted, and may still open with another dialect.
    Plain(Box<dyn Dialect>),
    /// This one, for good.
    Other(Box<dyn Dialect>),
}

/// What the dialects make of a prefix.
pub(crate) enum Choice {
    Detected(Detected),
    NeedMore,
    Plain,
}

impl Dialects {
    /// Adds a protocol, which is asked after those that were added before it. It may be one that is refused otherwise.
    pub(crate) fn add(&mut self, detector: impl Detector) {
        self.detectors.insert(self.added, Arc::new(detector));
        self.added += 1;
    }

    /// Sets how plain members are shown the time.
    pub(crate) fn set_wall_time(&mut self, wall_time: fn(Timestamp) -> WallTime) {
        self.plain = PlainEncoders::new(wall_time);
    }

    /// Sets the dialect of peers that open with no other.
    pub(crate) fn set_fallback(
        &mut self,
        make: impl Fn() -> Box<dyn Dialect> + Send + Sync + 'static,
    ) {
        self.fallback = Some(Arc::new(make));
    }

    /// The dialect of a peer that opens with no other.
    pub(crate) fn fallback(&self) -> Fallback {
        match &self.fallback {
            None => Fallback::Plain(Box::new(Plain::new(self.plain.clone()))),
            Some(make) => Fallback::Other(make()),
        }
    }

    /// Asks the detectors what they make of a prefix after which nothing comes.
    pub(crate) fn choose_last(&self, prefix: &[u8]) -> Choice {
        match self.choose(&[prefix, b"\n"].concat()) {
            // As a line it is nobody's; but was it meant to become one?
            Choice::Plain | Choice::NeedMore => self.choose(prefix),
            opening => opening,
        }
    }

    /// Whether there is a protocol that may take over the byte stream.
    pub(crate) fn may_take_over(&self) -> bool {
        let mut detectors = self.detectors.iter();
        detectors.any(|detector| detector.may_take_over())
    }

    /// Asks those detectors in turn whose protocols may take over the byte stream.
    pub(crate) fn take_over(&self, prefix: &[u8]) -> Detection {
        let mut detection = Detection::NotFound;
        for detector in &self.detectors {
            if !detector.may_take_over() {
                continue;
            }
            match detector.detect(prefix) {
                found @ Detection::Found(_) => return found,
                Detection::NeedMore => detection = Detection::NeedMore,
                Detection::NotFound => {}
            }
        }
        detection
    }

    /// Asks the other detectors in turn.
    pub(crate) fn choose(&self, prefix: &[u8]) -> Choice {
        let mut choice = Choice::Plain;
        for detector in &self.detectors {
            if detector.may_take_over() {
                continue;
            }
            match detector.detect(prefix) {
                Detection::Found(opening) => return Choice::Detected(opening),
                Detection::NeedMore => choice = Choice::NeedMore,
                Detection::NotFound => {}
            }
        }
        choice
    }
}

impl Default for Dialects {
    /// Plain alone; what other protocols begin with is refused.
    fn default() -> Self {
        Self {
            detectors: reserved().collect(),
            added: 0,
            plain: PlainEncoders::new(WallTime::utc),
            fallback: None,
        }
    }
}

impl fmt::Debug for Dialects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialects")
            .field("detectors", &self.detectors.len())
            .finish_non_exhaustive()
    }
}
