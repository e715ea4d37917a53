//! What a message is: said, acted, a topic.

/// What a message in a room's log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Somebody said something.
    Said,
    /// Somebody did something (`/me`).
    Acted,
    /// Somebody set the room's topic; an empty text takes it away.
    Topic,
}
