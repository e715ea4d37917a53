//! What a message is: said, acted, a notice, a topic, a change of modes, or a kind that a later version defines.
//!
//! Invariant: each kind has one number, which never changes, and each number stands for a kind. So a message whose kind
//! a later version has added is stored, exported and imported unchanged.

use std::fmt;

/// What a message in a room's log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A text that a member said.
    Said,
    /// An action of a member (`/me`): "alice waves".
    Acted,
    /// The room's new topic; an empty text removes the topic.
    Topic,
    /// A text that no program should answer automatically, such as a message of a bot or a service.
    Notice,
    /// A change of the room's modes. The text holds the changes, as [`ModeChanges`](crate::rooms::ModeChanges) writes
    /// them.
    Mode,
    /// A kind that this version does not know. Such a message is stored and delivered, but no dialect shows it.
    Unknown(UnknownKind),
}

impl Kind {
    /// Returns the number under which journals store this kind. The number of a kind never changes.
    ///
    /// # Examples
    ///
    /// ```
    /// use chat_core::Kind;
    ///
    /// assert_eq!(Kind::Topic.number(), 2);
    /// assert_eq!(Kind::from_number(Kind::Notice.number()), Kind::Notice);
    /// assert_eq!(Kind::from_number(200).number(), 200);
    /// ```
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Said => 0,
            Self::Acted => 1,
            Self::Topic => 2,
            Self::Notice => 3,
            Self::Mode => 4,
            Self::Unknown(UnknownKind(number)) => number,
        }
    }

    /// Returns whether a message of this kind changes the room's state.
    pub(crate) const fn is_state(self) -> bool {
        matches!(self, Self::Topic | Self::Mode)
    }

    /// Returns the kind with this number; [`Kind::Unknown`] if this version does not know the number.
    #[must_use]
    pub const fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Said,
            1 => Self::Acted,
            2 => Self::Topic,
            3 => Self::Notice,
            4 => Self::Mode,
            number => Self::Unknown(UnknownKind(number)),
        }
    }
}

/// The number of a kind that this version does not know. Only [`Kind::from_number`] creates this value, so the number
/// never belongs to a known kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UnknownKind(u8);

impl fmt::Display for UnknownKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_one_kind() {
        for number in 0..=u8::MAX {
            assert_eq!(Kind::from_number(number).number(), number);
        }
        assert_ne!(Kind::from_number(4), Kind::from_number(5));
    }
}
