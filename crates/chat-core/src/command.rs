//! What a peer asks, whatever the dialect it asks in.

use crate::batch::Seq;
use std::borrow::Cow;

/// One thing that a peer wants done; names are not checked yet, texts not cleaned.
///
/// Where `room` is `None`, the room is meant that the session joined last.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command<'a> {
    /// Say something in a room.
    Say {
        /// Where.
        room: Option<Cow<'a, str>>,
        /// What.
        text: Cow<'a, str>,
    },
    /// Do something in a room.
    Act {
        /// Where.
        room: Option<Cow<'a, str>>,
        /// What.
        text: Cow<'a, str>,
    },
    /// Set a room's topic, or ask for it.
    Topic {
        /// Where.
        room: Option<Cow<'a, str>>,
        /// The new topic, empty to take it away; `None` asks.
        text: Option<Cow<'a, str>>,
    },
    /// Say something to one session alone.
    Tell {
        /// The nick of that session.
        to: Cow<'a, str>,
        /// What.
        text: Cow<'a, str>,
    },
    /// Join a room.
    Join {
        /// Which.
        room: Cow<'a, str>,
    },
    /// Join a room and leave all others, for dialects in which one is in one room at a time. `None`: the lobby.
    Move {
        /// Which.
        room: Option<Cow<'a, str>>,
    },
    /// Leave a room.
    Leave {
        /// Which.
        room: Option<Cow<'a, str>>,
    },
    /// Take another nick.
    Nick {
        /// Which.
        nick: Cow<'a, str>,
    },
    /// Ask who is in a room.
    Who {
        /// Which.
        room: Option<Cow<'a, str>>,
    },
    /// Ask which rooms there are.
    Rooms,
    /// Read from a room's log.
    History {
        /// Which.
        room: Option<Cow<'a, str>>,
        /// What precedes this place; `None`: the end.
        before: Option<Seq>,
        /// How many messages; `None`: as many as a newcomer is shown.
        limit: Option<usize>,
    },
    /// End the session.
    Quit {
        /// Why.
        reason: Option<Cow<'a, str>>,
    },
    /// The dialect's form or echo has changed: let it take effect.
    Retune,
}
