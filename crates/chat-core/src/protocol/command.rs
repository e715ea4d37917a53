//! What a peer asks, whatever the dialect it asks in.

use crate::hub::IfMissing;
use crate::hub::authenticator::Credentials;
use crate::log::{Epoch, Seq, TokenDigest};
use crate::session::JoinRequest;
use std::borrow::Cow;

/// One thing that a peer wants done; names are not checked yet, texts not cleaned.
///
/// Where `room` is `None`, the room is meant that the session joined last. A `key` is the author's name for a message:
/// what the same client says again under it within ten minutes is not said twice.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command<'a> {
    /// Say something in a room.
    Say {
        /// Where.
        room: Option<Cow<'a, str>>,
        /// What.
        text: Cow<'a, str>,
        /// Under which key; at most 64 bytes.
        key: Option<Cow<'a, str>>,
    },
    /// Do something in a room.
    Act {
        /// Where.
        room: Option<Cow<'a, str>>,
        /// What.
        text: Cow<'a, str>,
        /// Under which key; at most 64 bytes.
        key: Option<Cow<'a, str>>,
    },
    /// Say something in a room that the session need not be in: nobody is told of a coming or going.
    Publish {
        /// Where.
        room: Cow<'a, str>,
        /// What.
        text: Cow<'a, str>,
        /// Under which key; at most 64 bytes.
        key: Option<Cow<'a, str>>,
        /// What to do if there is no such room.
        if_missing: IfMissing,
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
    /// Begin: take a nick and join rooms, all at once.
    Hello {
        /// Which nick; `None` keeps the one that the session was given.
        nick: Option<Cow<'a, str>>,
        /// By what the client is known again: it has the keys that it used with this token, and takes its nick from a
        /// session that came with it. `None`: it isn't, and its keys are of no use after this session.
        token: Option<TokenDigest>,
        /// Which rooms.
        rooms: Vec<JoinRequest<'a>>,
    },
    /// Prove who the peer is. The session, or the one that begins later, then has the account.
    Authenticate(Credentials<'a>),
    /// Join a room.
    Join(JoinRequest<'a>),
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
    Rooms {
        /// Only those that follow this room by name; `None`: the first ones.
        after: Option<Cow<'a, str>>,
        /// How many at most; `None`: as many as one answer lists.
        limit: Option<usize>,
    },
    /// Be shown what was said in a room, as if it were said now: answered with events.
    History {
        /// Which.
        room: Option<Cow<'a, str>>,
        /// What precedes this place; `None`: the end.
        before: Option<Seq>,
        /// How many messages; `None`: as many as a newcomer is shown.
        limit: Option<usize>,
    },
    /// Read from a room's log: answered with one page.
    Read {
        /// Which.
        room: Option<Cow<'a, str>>,
        /// What follows this place; wins over `before`.
        after: Option<Seq>,
        /// Which life of the log the places are in; `None`: the present one.
        epoch: Option<Epoch>,
        /// What precedes this place; `None`: the end.
        before: Option<Seq>,
        /// How many messages at most; `None`: as many as a newcomer is shown.
        limit: Option<usize>,
    },
    /// Search a room's log: answered with what was found.
    Search {
        /// Which.
        room: Option<Cow<'a, str>>,
        /// Words that a message must hold.
        text: Cow<'a, str>,
        /// Only what precedes this place; `None`: the end.
        before: Option<Seq>,
        /// How many messages at most; `None`: as many as a newcomer is shown.
        limit: Option<usize>,
    },
    /// Say that it is there.
    Ping,
    /// End the session.
    Quit {
        /// Why.
        reason: Option<Cow<'a, str>>,
    },
    /// The dialect's encoder or echo has changed: it takes effect now.
    OptionsChanged,
}

impl Command<'_> {
    /// The same command without the line that it was read from.
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
