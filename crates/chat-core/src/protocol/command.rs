//! The requests of a peer, in the form that is the same for all dialects.

use crate::event::DirectKind;
use crate::hub::IfMissing;
use crate::hub::authenticator::{Credentials, Secret};
use crate::log::{Epoch, ModeChanges, Seq, TokenDigest};
use crate::session::JoinRequest;
use std::borrow::Cow;

/// One request of a peer. The dialect passes names and texts on as the peer wrote them: the hub validates the names and
/// cleans the texts.
///
/// In a variant whose `room` is optional, `None` is the room that the session joined last, unless the variant says
/// otherwise. A `key` is a text that a client chooses to identify one of its messages. If the client sends the message
/// again under the same key within [`Limits::key_lifetime`](crate::Limits::key_lifetime), the message is not published
/// again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command<'a> {
    /// Publishes a message in a room that the session is in.
    Say {
        /// The room. `None` is the room that the session joined last.
        room: Option<Cow<'a, str>>,
        /// The text of the message.
        text: Cow<'a, str>,
        /// The key, at most 64 bytes.
        key: Option<Cow<'a, str>>,
    },
    /// Publishes an action of the author, such as `waves`, in a room that the session is in.
    Act {
        /// The room. `None` is the room that the session joined last.
        room: Option<Cow<'a, str>>,
        /// What the author does.
        text: Cow<'a, str>,
        /// The key, at most 64 bytes.
        key: Option<Cow<'a, str>>,
    },
    /// Publishes a message in a room, whether or not the session is in that room. The session does not join the room,
    /// so no join or leave is announced.
    Publish {
        /// The room.
        room: Cow<'a, str>,
        /// The text of the message.
        text: Cow<'a, str>,
        /// The key, at most 64 bytes.
        key: Option<Cow<'a, str>>,
        /// What the hub does if the room does not exist: open the room, or refuse the message.
        if_missing: IfMissing,
    },
    /// Sets a room's topic, or asks for it. To set the topic, the session must be in the room.
    Topic {
        /// The room. `None` is the room that the session joined last.
        room: Option<Cow<'a, str>>,
        /// The new topic; an empty text removes the topic. `None` asks for the topic.
        text: Option<Cow<'a, str>>,
    },
    /// Sends a direct message to one session.
    Tell {
        /// The nick of the recipient.
        to: Cow<'a, str>,
        /// The text of the message.
        text: Cow<'a, str>,
    },
    /// Begins the session: takes a nick and joins rooms in one step. If one room can't be joined, the session still
    /// joins the other rooms.
    Hello {
        /// The requested nick. With `None`, the session keeps its nick, and a new session gets a guest nick.
        nick: Option<Cow<'a, str>>,
        /// The digest of a secret by which the hub recognises a client over several sessions. Keys of messages that the
        /// client used in an earlier session with this token remain known. If an earlier session with this token still
        /// holds the nick, the new session takes the nick over. With `None`, the client's keys are forgotten when the
        /// session ends.
        token: Option<TokenDigest>,
        /// The rooms to join.
        rooms: Vec<JoinRequest<'a>>,
    },
    /// Proves that the peer has an account. The session of the connection gets the account. If no session has begun,
    /// the session that begins later gets the account.
    ///
    /// A failed attempt is charged like many lines, and several failed attempts in a row end the connection; see
    /// [`Limits::failed_authentications`](crate::Limits::failed_authentications).
    Authenticate(Credentials<'a>),
    /// Joins a room.
    Join(JoinRequest<'a>),
    /// Joins a room and leaves all other rooms, for dialects in which a session is in one room at a time.
    Move {
        /// The room to join. `None` is the lobby.
        room: Option<Cow<'a, str>>,
        /// The key of the room, which the session needs if the room has one.
        key: Option<Cow<'a, str>>,
    },
    /// Leaves a room.
    Leave {
        /// The room. `None` is the room that the session joined last.
        room: Option<Cow<'a, str>>,
    },
    /// Changes the nick.
    Nick {
        /// The new nick.
        nick: Cow<'a, str>,
    },
    /// Asks for a room's topic, its number of members, and the nicks of the first 100 members. The answer is
    /// [`Reply::Who`](crate::protocol::Reply::Who).
    Who {
        /// The room. `None` is the room that the session joined last.
        room: Option<Cow<'a, str>>,
    },
    /// Asks for all members of a room, with what is known of them. The answer is one or more
    /// [`Reply::Members`](crate::protocol::Reply::Members). The session need not be in the room.
    Members {
        /// The room. `None` is the room that the session joined last.
        room: Option<Cow<'a, str>>,
    },
    /// Asks which rooms exist.
    Rooms {
        /// Lists only rooms whose names sort after this name. `None` lists from the first room.
        after: Option<Cow<'a, str>>,
        /// Maximum number of rooms in the answer, at most 100. `None` is 100.
        limit: Option<usize>,
    },
    /// Asks for past messages of a room that the session is in. The answer is
    /// [`Reply::History`](crate::protocol::Reply::History). The messages follow the answer as events of the room, which
    /// the encoder writes.
    History {
        /// The room. `None` is the room that the session joined last.
        room: Option<Cow<'a, str>>,
        /// Returns only messages before this position. `None` returns the latest messages.
        before: Option<Seq>,
        /// Maximum number of messages, at most [`Limits::history_max`](crate::Limits::history_max). `None` is
        /// [`Limits::history`](crate::Limits::history).
        limit: Option<usize>,
    },
    /// Reads from the log of a room that the session is in. The answer is one
    /// [`Reply::Page`](crate::protocol::Reply::Page) that holds the messages.
    Read {
        /// The room. `None` is the room that the session joined last.
        room: Option<Cow<'a, str>>,
        /// Returns the earliest messages after this position. If `after` is set, `before` is ignored.
        after: Option<Seq>,
        /// The epoch of `after` and `before`. `None` is the log's current epoch.
        epoch: Option<Epoch>,
        /// Returns only messages before this position. `None` returns the latest messages.
        before: Option<Seq>,
        /// Maximum number of messages, at most [`Limits::history_max`](crate::Limits::history_max). `None` is
        /// [`Limits::history`](crate::Limits::history).
        limit: Option<usize>,
    },
    /// Searches the log of a room that the session is in. The answer is
    /// [`Reply::Found`](crate::protocol::Reply::Found).
    Search {
        /// The room. `None` is the room that the session joined last.
        room: Option<Cow<'a, str>>,
        /// The words to search for. A message is found if it contains all of them.
        text: Cow<'a, str>,
        /// Searches only messages before this position. `None` searches from the end of the log.
        before: Option<Seq>,
        /// Maximum number of messages, at most [`Limits::history_max`](crate::Limits::history_max). `None` is
        /// [`Limits::history`](crate::Limits::history).
        limit: Option<usize>,
    },
    /// Changes the modes of a room that the session is in, or asks for the modes of a room. The answer to a change is
    /// [`Reply::Published`](crate::protocol::Reply::Published), because the change is a message of
    /// [`Kind::Mode`](crate::Kind::Mode). The answer to a question is [`Reply::Modes`](crate::protocol::Reply::Modes).
    Mode {
        /// The room. `None` is the room that the session joined last.
        room: Option<Cow<'a, str>>,
        /// The changes. An empty list asks for the modes.
        changes: ModeChanges,
    },
    /// Takes another session out of a room. The answer is [`Reply::Kicked`](crate::protocol::Reply::Kicked).
    Kick {
        /// The room. `None` is the room that the session joined last.
        room: Option<Cow<'a, str>>,
        /// The nick of the session to take out.
        nick: Cow<'a, str>,
        /// The reason, which the members see. `None` gives no reason.
        reason: Option<Cow<'a, str>>,
    },
    /// Invites another session to a room. The answer is [`Reply::Invited`](crate::protocol::Reply::Invited).
    Invite {
        /// The room. `None` is the room that the session joined last.
        room: Option<Cow<'a, str>>,
        /// The nick of the session to invite.
        nick: Cow<'a, str>,
    },
    /// Asks for a [`Reply::Pong`](crate::protocol::Reply::Pong).
    Ping,
    /// Ends the session and the connection.
    Quit {
        /// The reason, which the members of the session's rooms receive. `None` means that the session gives no reason.
        reason: Option<Cow<'a, str>>,
    },
    /// Tells the connection to ask the dialect again for its [encoder](crate::protocol::Dialect::encoder), its
    /// [echo](crate::protocol::Dialect::echo) and its [options](crate::protocol::Dialect::options). A dialect adds this
    /// command when it has changed one of them. Core does not answer this command.
    OptionsChanged,
    /// Publishes a text that no program should answer automatically ([`Kind::Notice`](crate::Kind::Notice)), in a room
    /// that the session is in.
    Notice {
        /// The room. `None` is the room that the session joined last.
        room: Option<Cow<'a, str>>,
        /// The text of the notice.
        text: Cow<'a, str>,
        /// The key, at most 64 bytes.
        key: Option<Cow<'a, str>>,
    },
    /// Sends a direct message of any kind to one session. The answer is the same as for [`Tell`](Self::Tell), which
    /// sends a [`DirectKind::Said`].
    TellAs {
        /// The nick of the recipient.
        to: Cow<'a, str>,
        /// What the message is.
        kind: DirectKind,
        /// The text of the message.
        text: Cow<'a, str>,
    },
    /// Marks the session as away, or as back. The answer is [`Reply::AwaySet`](crate::protocol::Reply::AwaySet).
    Away {
        /// The message for those who write to the session. `None`, or a text without a visible character, marks the
        /// session as back.
        message: Option<Cow<'a, str>>,
    },
    /// Sets what the peer says of itself. A value that is `None` stays as it is; with all of them `None`, the command
    /// only asks. The answer is [`Reply::ProfileSet`](crate::protocol::Reply::ProfileSet).
    ///
    /// A peer may send this before its session has begun; see
    /// [`registers`](crate::protocol::DialectOptions::registers). The session then begins with these values.
    SetProfile {
        /// The user name.
        user: Option<Cow<'a, str>>,
        /// The real name; an empty text removes it.
        real_name: Option<Cow<'a, str>>,
        /// Whether the peer is a bot.
        is_bot: Option<bool>,
    },
    /// Asks what is known of the sessions that have a nick. The answer is
    /// [`Reply::Whois`](crate::protocol::Reply::Whois).
    Whois {
        /// The nick.
        nick: Cow<'a, str>,
    },
    /// Asks what is remembered of sessions that had a nick, and have ended or taken another nick. The answer is
    /// [`Reply::Whowas`](crate::protocol::Reply::Whowas).
    Whowas {
        /// The nick.
        nick: Cow<'a, str>,
        /// Maximum number of sessions, at most 16. `None` is 16.
        limit: Option<usize>,
    },
    /// Asks which of these nicks are online. The answer is [`Reply::Online`](crate::protocol::Reply::Online).
    Online {
        /// The nicks: at most 100. Further ones are left out of the answer.
        nicks: Vec<Cow<'a, str>>,
    },
    /// Changes which nicks the session watches. [`Dialect::watched`](crate::protocol::Dialect::watched) is called when a
    /// watched nick comes or goes. The answer is [`Reply::Watching`](crate::protocol::Reply::Watching).
    Watch {
        /// What to do.
        change: WatchChange,
        /// The nicks to add or to remove: at most 100. Further ones are ignored.
        nicks: Vec<Cow<'a, str>>,
    },
    /// Makes the session a server operator, if the hub's [`Operators`](crate::auth::Operators) accept the name and the
    /// password. The answer is [`Reply::Operating`](crate::protocol::Reply::Operating). A failed attempt is charged as
    /// one of [`Authenticate`](Self::Authenticate) is, and as many failures in a row end the connection. A success of
    /// `Authenticate` does not reset their number.
    Operate {
        /// The name of the operator.
        name: Cow<'a, str>,
        /// The password.
        password: Secret<'a>,
    },
    /// Ends the session with a nick, on any node. Only a server operator may do this. The answer is
    /// [`Reply::Disconnected`](crate::protocol::Reply::Disconnected).
    Disconnect {
        /// The nick.
        nick: Cow<'a, str>,
        /// The reason, which the session and its rooms receive after the operator's nick. `None` gives no reason.
        reason: Option<Cow<'a, str>>,
    },
}

/// What [`Command::Watch`] does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchChange {
    /// Watches the nicks, too.
    Add,
    /// Ceases to watch the nicks.
    Remove,
    /// Ceases to watch all nicks.
    Clear,
    /// Changes nothing: asks which nicks the session watches.
    List,
}

impl<'a> Command<'a> {
    /// Creates a [`Say`](Self::Say) without a key: publishes a message in a room that the session is in.
    pub fn say(room: impl Into<Cow<'a, str>>, text: impl Into<Cow<'a, str>>) -> Self {
        Self::Say {
            room: Some(room.into()),
            text: text.into(),
            key: None,
        }
    }

    /// Creates a [`Hello`](Self::Hello) that begins a session with this nick, without a token and in no room.
    pub fn hello(nick: impl Into<Cow<'a, str>>) -> Self {
        Self::Hello {
            nick: Some(nick.into()),
            token: None,
            rooms: Vec::new(),
        }
    }

    /// Creates a [`Join`](Self::Join) of a room, without a replay of earlier messages.
    pub fn join(room: impl Into<Cow<'a, str>>) -> Self {
        Self::Join(JoinRequest::new(room.into()))
    }

    /// Creates a [`Leave`](Self::Leave) of a room.
    pub fn leave(room: impl Into<Cow<'a, str>>) -> Self {
        Self::Leave {
            room: Some(room.into()),
        }
    }

    /// Creates a [`Tell`](Self::Tell): a direct message to the session with the nick `to`.
    pub fn tell(to: impl Into<Cow<'a, str>>, text: impl Into<Cow<'a, str>>) -> Self {
        Self::Tell {
            to: to.into(),
            text: text.into(),
        }
    }

    /// Creates a [`Members`](Self::Members): asks for the nicks of all members of a room.
    pub fn members(room: impl Into<Cow<'a, str>>) -> Self {
        Self::Members {
            room: Some(room.into()),
        }
    }

    /// Creates a [`Topic`](Self::Topic) that asks for the topic of a room.
    pub fn topic(room: impl Into<Cow<'a, str>>) -> Self {
        Self::Topic {
            room: Some(room.into()),
            text: None,
        }
    }

    /// Creates a [`Topic`](Self::Topic) that sets the topic of a room. An empty text removes the topic.
    pub fn set_topic(room: impl Into<Cow<'a, str>>, text: impl Into<Cow<'a, str>>) -> Self {
        Self::Topic {
            room: Some(room.into()),
            text: Some(text.into()),
        }
    }

    /// Creates a [`Nick`](Self::Nick): changes the session's nick.
    pub fn nick(nick: impl Into<Cow<'a, str>>) -> Self {
        Self::Nick { nick: nick.into() }
    }

    /// Creates a [`Quit`](Self::Quit) with a reason: ends the session.
    pub fn quit(reason: impl Into<Cow<'a, str>>) -> Self {
        Self::Quit {
            reason: Some(reason.into()),
        }
    }
}

impl Command<'_> {
    /// Copies the command's texts, so that the command no longer borrows from the input line.
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
            Self::Move { room, key } => Command::Move { room: opt(room), key: opt(key) },
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
            Self::Mode { room, changes } => Command::Mode { room: opt(room), changes },
            Self::Kick { room, nick, reason } => Command::Kick { room: opt(room), nick: own(nick), reason: opt(reason) },
            Self::Invite { room, nick } => Command::Invite { room: opt(room), nick: own(nick) },
            Self::Ping => Command::Ping,
            Self::Quit { reason } => Command::Quit { reason: opt(reason) },
            Self::OptionsChanged => Command::OptionsChanged,
            Self::Notice { room, text, key } => Command::Notice { room: opt(room), text: own(text), key: opt(key) },
            Self::TellAs { to, kind, text } => Command::TellAs { to: own(to), kind, text: own(text) },
            Self::Away { message } => Command::Away { message: opt(message) },
            Self::SetProfile { user, real_name, is_bot } => {
                Command::SetProfile { user: opt(user), real_name: opt(real_name), is_bot }
            }
            Self::Whois { nick } => Command::Whois { nick: own(nick) },
            Self::Whowas { nick, limit } => Command::Whowas { nick: own(nick), limit },
            Self::Online { nicks } => Command::Online { nicks: nicks.into_iter().map(own).collect() },
            Self::Watch { change, nicks } => {
                Command::Watch { change, nicks: nicks.into_iter().map(own).collect() }
            }
            Self::Operate { name, password } => {
                Command::Operate { name: own(name), password: password.into_owned() }
            }
            Self::Disconnect { nick, reason } => {
                Command::Disconnect { nick: own(nick), reason: opt(reason) }
            }
        }
    }
}
