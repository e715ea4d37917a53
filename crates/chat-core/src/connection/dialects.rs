//! The protocols that a connection may speak.

use crate::log::Timestamp;
use crate::plain::{Plain, PlainEncoders, WallTime};
use crate::protocol::{Detection, Detector, Dialect, reserved};
use std::fmt;
use std::sync::Arc;

/// The protocols that a server's connections may speak, and the encoders of the plain dialect. The encoders hold the
/// function that converts a timestamp to the server's local time.
#[derive(Clone)]
pub(crate) struct Dialects {
    detectors: Vec<Arc<dyn Detector>>,
    /// How many detectors the program added. They come first in `detectors`. The detectors that refuse other protocols
    /// follow.
    added: usize,
    plain: PlainEncoders,
    /// Creates the dialect of a peer that no detector recognises. `None` selects the plain dialect.
    fallback: Option<Arc<MakeDialect>>,
}

type MakeDialect = dyn Fn() -> Box<dyn Dialect> + Send + Sync;

/// The dialect of peers that no detector recognises, or that send nothing.
pub(crate) enum Fallback {
    /// The plain dialect. A peer that sends nothing is greeted in the plain dialect, and its first bytes may still
    /// select another dialect.
    Plain(Box<dyn Dialect>),
    /// A dialect that the program has set as the default. The peer's later bytes can't select another one.
    Other(Box<dyn Dialect>),
}

impl Dialects {
    /// Adds a detector. Detectors are called in the order in which they were added, and before the detectors that
    /// refuse protocols. A protocol that is refused by default can therefore be added.
    pub(crate) fn add(&mut self, detector: impl Detector) {
        self.detectors.insert(self.added, Arc::new(detector));
        self.added += 1;
    }

    /// Sets the function that turns a timestamp into the time that the plain dialect shows.
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

    /// Calls the detectors with a prefix that is complete: the peer sends no more bytes of the line.
    pub(crate) fn choose_last(&self, prefix: &[u8]) -> Detection {
        match self.choose(&[prefix, b"\n"].concat()) {
            // No detector recognises the prefix as a complete line, but it may be the incomplete opening of a protocol.
            Detection::NotFound | Detection::NeedMore => self.choose(prefix),
            found => found,
        }
    }

    /// Calls only the detectors that the program added, with a prefix that still has its telnet commands and byte-order
    /// marks. The detectors that refuse protocols are not called, because they could mistake telnet for such a
    /// protocol.
    pub(crate) fn choose_raw(&self, prefix: &[u8]) -> Detection {
        detect(&self.detectors[..self.added], false, prefix)
    }

    /// Returns whether there is a protocol that may take over the byte stream.
    pub(crate) fn may_take_over(&self) -> bool {
        let mut detectors = self.detectors.iter();
        detectors.any(|detector| detector.may_take_over())
    }

    /// Calls, in order, the detectors whose protocols may take over the byte stream.
    pub(crate) fn take_over(&self, prefix: &[u8]) -> Detection {
        detect(&self.detectors, true, prefix)
    }

    /// Calls, in order, the detectors whose protocols can't take over the byte stream.
    pub(crate) fn choose(&self, prefix: &[u8]) -> Detection {
        detect(&self.detectors, false, prefix)
    }
}

/// Calls, in order, the detectors for which [`Detector::may_take_over`] returns the given value.
fn detect(detectors: &[Arc<dyn Detector>], may_take_over: bool, prefix: &[u8]) -> Detection {
    let mut detection = Detection::NotFound;
    for detector in detectors {
        if detector.may_take_over() != may_take_over {
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

impl Default for Dialects {
    /// Supports only the plain dialect, and refuses the protocols that `reserved` recognises, such as HTTP.
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
