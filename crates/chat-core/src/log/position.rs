//! Positions of messages in a room's log, the times when they were accepted, and the sessions that wrote them.
//!
//! Invariant: a [`Seq`] grows within one [`Epoch`] and is never reused in it.

use std::fmt;
use std::str::FromStr;

/// A message's position in its room's log. A later message has a larger position. The difference of two successive
/// positions may be more than one. A position is meaningful only together with the log's [`Epoch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seq(pub u64);

impl Seq {
    /// The position before the first message.
    pub const START: Self = Self(0);
    /// A position after every message.
    pub const END: Self = Self(u64::MAX);

    /// Returns this position plus one. For [`END`](Self::END), returns `END`.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Distinguishes the logs that a room has had. The epoch of a room changes when its log is lost or restored. A [`Seq`]
/// from another epoch says nothing about the present log.
///
/// Send an epoch to clients as text, with its `Display`: many clients can't hold every `u64` in a JSON number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(pub u64);

impl Epoch {
    /// Creates a random epoch. It is practically certain that no earlier log had this epoch.
    #[must_use]
    pub fn random() -> Self {
        use std::hash::{BuildHasher, RandomState};
        Self(RandomState::new().hash_one("epoch"))
    }
}

impl FromStr for Epoch {
    type Err = ParseEpochError;

    /// Parses an epoch from the text that its `Display` writes.
    fn from_str(text: &str) -> Result<Self, ParseEpochError> {
        let is_written_so = text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        match u64::from_str_radix(text, 36) {
            Ok(epoch) if is_written_so => Ok(Self(epoch)),
            _ => Err(ParseEpochError),
        }
    }
}

/// The error for a text that is not an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseEpochError;

impl fmt::Display for ParseEpochError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an epoch: pass what the server gave")
    }
}

impl std::error::Error for ParseEpochError {}

impl fmt::Display for Epoch {
    /// Writes the epoch in base 36, which is short and safe in any protocol.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = Vec::with_capacity(13);
        let mut rest = self.0;
        loop {
            digits.push(b"0123456789abcdefghijklmnopqrstuvwxyz"[(rest % 36) as usize]);
            rest /= 36;
            if rest == 0 {
                break;
            }
        }
        digits.reverse();
        f.write_str(&String::from_utf8_lossy(&digits))
    }
}

/// A position in a room's log, with its epoch. The position stays valid across connections, until the log has another
/// epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// The epoch of the log that `seq` is a position in.
    pub epoch: Epoch,
    /// The position.
    pub seq: Seq,
}

/// A time in milliseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Returns the present time of the system clock; 0 if the clock is before 1970.
    #[must_use]
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self(since.map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        }))
    }
}

/// The session that wrote a batch: the incarnation of its hub, and a counter that the hub never reuses.
///
/// The upper 20 bits are the incarnation, the lower 44 bits are the counter. A hub that shares no log has incarnation
/// 0.
///
/// Two hubs that share a log may use the same counter. A log must therefore yield the batches of other hubs with an
/// incarnation that this hub does not have. Otherwise a session of this hub could mistake another session's message for
/// its own.
///
/// # Examples
///
/// ```
/// use chat_core::log::SessionId;
///
/// let id = SessionId::new(7, 3);
/// assert_eq!((id.incarnation(), id.counter()), (7, 3));
/// assert_eq!(SessionId::new(0, 3), SessionId(3));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

impl SessionId {
    /// The id of no session. Messages that an earlier process appended have this author, because a session of this
    /// process may have the id of the original author.
    pub const NOBODY: Self = Self(0);

    /// The largest incarnation.
    pub const INCARNATION_MAX: u32 = (1 << (64 - COUNTER_BITS)) - 1;

    /// Creates the id of a session. Only the lower 20 bits of the hub's incarnation and the lower 44 bits of the
    /// session's counter are used.
    #[must_use]
    pub const fn new(incarnation: u32, counter: u64) -> Self {
        Self(((incarnation as u64) << COUNTER_BITS) | (counter & COUNTER_MAX))
    }

    /// Returns the incarnation of the session's hub.
    #[must_use]
    pub const fn incarnation(self) -> u32 {
        // At most 20 bits are left after the shift, so the conversion loses nothing.
        (self.0 >> COUNTER_BITS) as u32
    }

    /// Returns the session's number within its hub.
    #[must_use]
    pub const fn counter(self) -> u64 {
        self.0 & COUNTER_MAX
    }
}

/// The number of bits of a [`SessionId`] that hold the counter. At 1,000 new sessions a second, the counter lasts for
/// 500 years.
const COUNTER_BITS: u32 = 44;

const COUNTER_MAX: u64 = (1 << COUNTER_BITS) - 1;

impl fmt::Display for SessionId {
    /// Writes the counter. If the incarnation is not 0, writes the incarnation before the counter.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.incarnation() {
            0 => self.0.fmt(f),
            incarnation => write!(f, "{incarnation}-{}", self.counter()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_told_from_that_of_another_hub() {
        let max = SessionId::new(SessionId::INCARNATION_MAX, COUNTER_MAX);
        assert_eq!(max, SessionId(u64::MAX));
        assert_eq!(max.incarnation(), SessionId::INCARNATION_MAX);
        assert_ne!(SessionId::new(1, 3), SessionId::new(2, 3));
        assert_eq!(SessionId::new(1 << 20, 1 << 44), SessionId::NOBODY);
        assert_eq!(SessionId::new(0, 3).to_string(), "3");
        assert_eq!(SessionId::new(7, 3).to_string(), "7-3");
    }

    #[test]
    fn an_epoch_is_short_and_plain() {
        assert_eq!(Epoch(0).to_string(), "0");
        assert_eq!(Epoch(u64::MAX).to_string(), "3w5e11264sgsf");
        assert_ne!(Epoch::random(), Epoch::random());
        assert_eq!("3w5e11264sgsf".parse(), Ok(Epoch(u64::MAX)));
        for text in ["", "3w5e11264sgsg", "K3F", "+1", "k-3"] {
            assert_eq!(text.parse::<Epoch>(), Err(ParseEpochError), "{text}");
        }
    }
}
