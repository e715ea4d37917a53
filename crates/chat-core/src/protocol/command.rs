//! What a peer asks for, independent of its dialect.

use crate::hub::IfMissing;
use crate::hub::authenticator::Credentials;
use crate::log::{Epoch, Seq, TokenDigest};
use crate::session::JoinRequest;
use std::borrow::Cow;

/// One request of a peer. Names are not validated yet, and texts are not cleaned.
///
/// If `room` is `None`, the request is for the room that the session joined last. A `key` is the author's name for a
/// message: a message that the same client repeats under its key within ten minutes is not published again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command<'a> {
    /// Publishes a message in a room.
    Say {
        /// The room.
        room: Option<Cow<'a, str>>,
        /// The text.
        text: Cow<'a, str>,
        /// The key, at most 64 bytes.
        key: Option<Cow<'a, str>>,
    },
    /// Publishes an action of the author in a room.
    Act {
        /// The room.
        room: Option<Cow<'a, str>>,
        /// The text.
        text: Cow<'a, str>,
        /// The key, at most 64 bytes.
        key: Option<Cow<'a, str>>,
    },
    /// Publishes a message in a room that the session need not be in. No join or leave is announced.
    Publish {
        /// The room.
        room: Cow<'a, str>,
        /// The text.
        text: Cow<'a, str>,
        /// The key, at most 64 bytes.
        key: Option<Cow<'a, str>>,
        /// What happens if the room does not exist.
        if_missing: IfMissing,
    },
    /// Sets a room's topic, or asks for it.
    Topic {
        /// The room.
        room: Option<Cow<'a, str>>,
        /// The new topic; an empty one removes it. `None` asks for the topic.
        text: Option<Cow<'a, str>>,
    },
    /// Sends a direct message to one session.
    Tell {
        /// The nick of that session.
        to: Cow<'a, str>,
        /// The text.
        text: Cow<'a, str>,
    },
    /// Begins the session: takes a nick and joins rooms in one step.
    Hello {
        /// The nick; `None` keeps the one that the session was given.
        nick: Option<Cow<'a, str>>,
        /// Identifies the client across sessions. The client keeps the keys that it used with this token, and takes its
        /// nick over from a session with the same token. If `None`, its keys are lost with this session.
        token: Option<TokenDigest>,
        /// The rooms to join.
        rooms: Vec<JoinRequest<'a>>,
    },
    /// Proves who the peer is. The session, or the one that begins later, then has the account.
    /// Wrong credentials cost the peer much, and several in a row end the connection; see
    /// [`Limits::failed_authentications`](crate::Limits::failed_authentications).
    Authenticate(Credentials<'a>),
    /// Joins a room.
    Join(JoinRequest<'a>),
    /// Joins a room and leaves all others, for dialects in which a session is in one room at a time.
    Move {
        /// The room; `None` is the lobby.
        room: Option<Cow<'a, str>>,
    },
    /// Leaves a room.
    Leave {
        /// The room.
        room: Option<Cow<'a, str>>,
    },
    /// Changes the nick.
    Nick {
        /// The new nick.
        nick: Cow<'a, str>,
    },
    /// Asks for a room's information and its first 100 members.
    Who {
        /// The room.
        room: Option<Cow<'a, str>>,
    },
    /// Asks for all members of a room. The answer is one or more [`Reply::Members`](crate::protocol::Reply::Members).
    Members {
        /// The room.
        room: Option<Cow<'a, str>>,
    },
    /// Asks which rooms exist.
    Rooms {
        /// Only rooms that follow this one by name; `None` begins with the first.
        after: Option<Cow<'a, str>>,
        /// Maximum number of rooms; `None` is as many as one answer lists.
        limit: Option<usize>,
    },
    /// Asks for past messages of a room. They are delivered as events, like live messages.
    History {
        /// The room.
        room: Option<Cow<'a, str>>,
        /// Only messages before this position; `None` is the end of the log.
        before: Option<Seq>,
        /// Maximum number of messages; `None` is as many as a newcomer is shown.
        limit: Option<usize>,
    },
    /// Reads from a room's log. The answer is one page.
    Read {
        /// The room.
        room: Option<Cow<'a, str>>,
        /// Only messages after this position; takes precedence over `before`.
        after: Option<Seq>,
        /// The epoch of the positions; `None` is the current epoch.
        epoch: Option<Epoch>,
        /// Only messages before this position; `None` is the end of the log.
        before: Option<Seq>,
        /// Maximum number of messages; `None` is as many as a newcomer is shown.
        limit: Option<usize>,
    },
    /// Searches a room's log. The answer is what was found.
    Search {
        /// The room.
        room: Option<Cow<'a, str>>,
        /// Words that a message must contain.
        text: Cow<'a, str>,
        /// Only messages before this position; `None` is the end of the log.
        before: Option<Seq>,
        /// Maximum number of messages; `None` is as many as a newcomer is shown.
        limit: Option<usize>,
    },
    /// Shows that the peer is still there.
    Ping,
    /// Ends the session.
    Quit {
        /// The reason.
        reason: Option<Cow<'a, str>>,
    },
    /// Applies a change of the dialect's encoder or echo.
    OptionsChanged,
}

impl<'a> Command<'a> {
    /// Publishes a message in a room that the session is in.
    pub fn say(room: impl Into<Cow<'a, str>>, text: impl Into<Cow<'a, str>>) -> Self {
        Self::Say {
            room: Some(room.into()),
            text: text.into(),
            key: None,
        }
    }

    /// Begins a session with this nick, in no room.
    pub fn hello(nick: impl Into<Cow<'a, str>>) -> Self {
        Self::Hello {
            nick: Some(nick.into()),
            token: None,
            rooms: Vec::new(),
        }
    }

    /// Joins a room without a replay.
    pub fn join(room: impl Into<Cow<'a, str>>) -> Self {
        Self::Join(JoinRequest::new(room.into()))
    }

    /// Leaves a room.
    pub fn leave(room: impl Into<Cow<'a, str>>) -> Self {
        Self::Leave {
            room: Some(room.into()),
        }
    }

    /// Sends a direct message to the session that has this nick.
    pub fn tell(to: impl Into<Cow<'a, str>>, text: impl Into<Cow<'a, str>>) -> Self {
        Self::Tell {
            to: to.into(),
            text: text.into(),
        }
    }

    /// Asks for all members of a room.
    pub fn members(room: impl Into<Cow<'a, str>>) -> Self {
        Self::Members {
            room: Some(room.into()),
        }
    }

    /// Asks for the topic of a room.
    pub fn topic(room: impl Into<Cow<'a, str>>) -> Self {
        Self::Topic {
            room: Some(room.into()),
            text: None,
        }
    }

    /// Sets the topic of a room. An empty text removes it.
    pub fn set_topic(room: impl Into<Cow<'a, str>>, text: impl Into<Cow<'a, str>>) -> Self {
        Self::Topic {
            room: Some(room.into()),
            text: Some(text.into()),
        }
    }

    /// Changes the nick.
    pub fn nick(nick: impl Into<Cow<'a, str>>) -> Self {
        Self::Nick { nick: nick.into() }
    }

    /// Ends the session.
    pub fn quit(reason: impl Into<Cow<'a, str>>) -> Self {
        Self::Quit {
            reason: Some(reason.into()),
        }
    }
}

impl Command<'_> {
    /// Returns the same command without borrowing from the line.
    #[rustfmt::skip]
    pub(crate) fn into_owned(self) -> Command<'static> {
        type Optional<'a> = Option<Cow<'a, str>>;
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        let opt = |text: Optional<'_>| text.map(own);
        match self {
            Self::Say { room, text, key } => Command::Say { room: opt(room), text: own(text), key: opt(key) },
            Self::Act { room, text, key } => Command::Act { room: opt(room), text: own(text), key: opt(key) },
            Self::Publish { room, text, key, if_missing } => {
                Command::Publish { room: own(room), text: own(text), key: opt(key), if_missing }
            }
            Self::Topic { room, text } => Command::Topic { room: opt(room), text: opt(text) },
            Self::Tell { to, text } => Command::Tell { to: own(to), text: own(text) },
            Self::Hello { nick, token, rooms } => {
                let rooms = rooms.into_iter().map(JoinRequest::into_owned).collect();
                Command::Hello { nick: opt(nick), token, rooms }
            }
            Self::Authenticate(credentials) => Command::Authenticate(credentials.into_owned()),
            Self::Join(request) => Command::Join(request.into_owned()),
            Self::Move { room } => Command::Move { room: opt(room) },
            Self::Leave { room } => Command::Leave { room: opt(room) },
            Self::Nick { nick } => Command::Nick { nick: own(nick) },
            Self::Who { room } => Command::Who { room: opt(room) },
            Self::Members { room } => Command::Members { room: opt(room) },
            Self::Rooms { after, limit } => Command::Rooms { after: opt(after), limit },
            Self::History { room, before, limit } => Command::History { room: opt(room), before, limit },
            Self::Read { room, after, epoch, before, limit } => {
                Command::Read { room: opt(room), after, epoch, before, limit }
            }
            Self::Search { room, text, before, limit } => {
                Command::Search { room: opt(room), text: own(text), before, limit }
            }
            Self::Ping => Command::Ping,
            Self::Quit { reason } => Command::Quit { reason: opt(reason) },
            Self::OptionsChanged => Command::OptionsChanged,
        }
    }
}
