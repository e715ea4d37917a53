//! A message to a single session.

use crate::log::{Timestamp, UserHost};
use crate::name::{Nick, RoomName};
use std::sync::Arc;

/// A message to a single session.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Direct {
    /// The sender's nick.
    pub from: Nick,
    /// The time at which the hub accepted the message.
    pub at: Timestamp,
    /// The text of the message, without control characters. Empty if this is an invitation.
    pub text: Arc<str>,
    /// What the message is.
    pub kind: DirectKind,
    /// The sender's user name and host; `None` if the program sent the message.
    pub user_host: Option<UserHost>,
}

/// What a direct message is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DirectKind {
    /// A text that the sender said.
    #[default]
    Said,
    /// An action of the sender: "alice waves".
    Acted,
    /// A text that no program should answer automatically.
    Notice,
    /// A request to the recipient's program, not to a person, such as `VERSION` (IRC's CTCP). A dialect whose clients
    /// do not answer such requests does not show them.
    Request,
    /// The answer of a program to a [`Request`](Self::Request). A dialect whose clients do not send such requests does
    /// not show answers.
    Response,
    /// An invitation to this room. The session may join the room once although the room is invite-only.
    Invitation(RoomName),
}

impl Direct {
    /// Creates a direct message of [`DirectKind::Said`], for tests of a dialect. Control characters in `text` are not
    /// removed.
    #[must_use]
    pub const fn new(from: Nick, at: Timestamp, text: Arc<str>) -> Self {
        Self {
            from,
            at,
            text,
            kind: DirectKind::Said,
            user_host: None,
        }
    }

    /// Sets what the message is, for tests of a dialect.
    #[must_use]
    pub fn of_kind(mut self, kind: DirectKind) -> Self {
        self.kind = kind;
        self
    }

    /// Sets the sender's user name and host. By default there are none.
    #[must_use]
    pub fn with_user_host(mut self, user_host: Option<UserHost>) -> Self {
        self.user_host = user_host;
        self
    }

    /// Creates an invitation to a room.
    #[must_use]
    pub fn invitation(from: Nick, at: Timestamp, room: RoomName) -> Self {
        Self {
            from,
            at,
            text: Arc::default(),
            kind: DirectKind::Invitation(room),
            user_host: None,
        }
    }
}
