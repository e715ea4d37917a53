//! The protocols that a connection may speak.

use crate::log::Timestamp;
use crate::plain::{Plain, PlainEncoders, WallTime};
use crate::protocol::{Detected, Detection, Detector, Dialect, reserved};
use std::fmt;
use std::sync::Arc;

/// The protocols of a server, and how it shows the time to plain members.
#[derive(Clone)]
pub(crate) struct Dialects {
    detectors: Vec<Arc<dyn Detector>>,
    /// How many of them were added. They precede the detectors that refuse other protocols.
    added: usize,
    plain: PlainEncoders,
    /// Makes the dialect of peers that no detector recognises; `None` is plain.
    fallback: Option<Arc<MakeDialect>>,
}

type MakeDialect = dyn Fn() -> Box<dyn Dialect> + Send + Sync;

/// The dialect of peers that no detector recognises, or that send nothing.
pub(crate) enum Fallback {
    /// A silent peer is greeted, and may still select another dialect.
    Plain(Box<dyn Dialect>),
    /// The peer keeps this dialect.
    Other(Box<dyn Dialect>),
}

/// What the detectors find in a prefix.
pub(crate) enum Choice {
    Detected(Detected),
    NeedMore,
    Plain,
}

impl Dialects {
    /// Adds a protocol, which is asked after those that were added before it. It may be one that is otherwise refused.
    pub(crate) fn add(&mut self, detector: impl Detector) {
        self.detectors.insert(self.added, Arc::new(detector));
        self.added += 1;
    }

    /// Sets how the time is shown to plain members.
    pub(crate) fn set_wall_time(&mut self, wall_time: fn(Timestamp) -> WallTime) {
        self.plain = PlainEncoders::new(wall_time);
    }

    /// Sets the dialect of peers that no detector recognises.
    pub(crate) fn set_fallback(
        &mut self,
        make: impl Fn() -> Box<dyn Dialect> + Send + Sync + 'static,
    ) {
        self.fallback = Some(Arc::new(make));
    }

    /// Creates the dialect of a peer that no detector recognises.
    pub(crate) fn fallback(&self) -> Fallback {
        match &self.fallback {
            None => Fallback::Plain(Box::new(Plain::new(self.plain.clone()))),
            Some(make) => Fallback::Other(make()),
        }
    }

    /// Asks the detectors about a prefix that nothing follows.
    pub(crate) fn choose_last(&self, prefix: &[u8]) -> Choice {
        match self.choose(&[prefix, b"\n"].concat()) {
            // No detector recognises it as a complete line, but it may be the opening of a protocol, cut short.
            Choice::Plain | Choice::NeedMore => self.choose(prefix),
            opening => opening,
        }
    }

    /// Asks the detectors that were added about a prefix with telnet's commands in it. Only an added protocol can be
    /// binary, and one that is refused could be taken for telnet.
    pub(crate) fn choose_raw(&self, prefix: &[u8]) -> Choice {
        choose(&self.detectors[..self.added], prefix)
    }

    /// Whether there is a protocol that may take over the byte stream.
    pub(crate) fn may_take_over(&self) -> bool {
        let mut detectors = self.detectors.iter();
        detectors.any(|detector| detector.may_take_over())
    }

    /// Asks, in order, the detectors whose protocols may take over the byte stream.
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

    /// Asks the other detectors, in order.
    pub(crate) fn choose(&self, prefix: &[u8]) -> Choice {
        choose(&self.detectors, prefix)
    }
}

fn choose(detectors: &[Arc<dyn Detector>], prefix: &[u8]) -> Choice {
    let mut choice = Choice::Plain;
    for detector in detectors {
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

impl Default for Dialects {
    /// Plain alone; other protocols are refused.
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
