//! Chat rooms to embed in a program: a [`Hub`] built on [`tokio::sync::broadcast`], a [`LineCodec`](codec::LineCodec),
//! and a server that any line-based client can use.
//!
//! Each room has an ordered log of messages. A new message is appended to the log and then delivered to the members of
//! the room. History is read from the log. A lagging member reads the log from the position that it has reached until
//! it has caught up. A program joins rooms with [`Session`] and [`Member`]. Peers over a connection join the same rooms
//! through [`serve()`] or [`serve_connection`].
//!
//! The [guide] begins with [rooms in ten minutes](guide::start_here).
//!
//! This crate opens no sockets of its own: the caller passes listeners and streams. It reads no environment variables
//! and installs no signal handler and no log subscriber.

#![deny(missing_docs)]

mod admission;
mod connection;
mod event;
pub mod guide;
mod hub;
mod limits;
mod line;
pub mod log;
mod log_gate;
pub mod name;
mod peer;
mod plain;
pub mod protocol;
mod request;
mod room;
mod server;
mod session;
mod stats;
mod sync;
pub mod text;
mod time_slice;

pub use event::{
    CloseReason, Direct, DirectKind, Event, Missed, Presence, PresenceChange, Profile,
};
pub use hub::{Follower, Hub, HubBuilder, Policy, policy};
pub use limits::{Limits, Loopback, Rate};
pub use log::{Kind, Message, Seq};
pub use name::{Nick, RoomName};
pub use peer::Peer;
pub use plain::WallTime;
pub use request::{AddressMeter, Guest, GuestEvents, GuestPage, GuestPublished};
pub use room::Echo;
pub use server::{Server, listener, serve, serve_connection};
pub use session::{
    JoinRequest, Member, MemberHandle, Published, Session, SessionEvent, SessionEvents,
};
pub use stats::Stats;

/// Turns bytes into lines, for [`tokio_util::codec::Framed`].
pub mod codec {
    pub use crate::limits::LINE_BYTES_MAX;
    pub use crate::line::{Charset, Inbound, Line, LineCodec};
}

/// The errors of sessions, rooms and messages: one enum for each kind of operation.
pub mod error {
    pub use crate::hub::{HistoryError, InviteError, KickError, NickError, TellError};
    pub use crate::log::KeyError;
    pub use crate::room::{Denied, JoinError, NotInRoom, PublishError};
    pub use crate::session::{DisconnectError, SessionError, WatchError};
}

/// Who peers are: accounts, and server operators.
pub mod auth {
    pub use crate::hub::authenticator::{AuthError, Authenticator, Credentials, Secret};
    pub use crate::hub::operators::Operators;
}

/// What is known of sessions besides their nicks: in lists of members, and in answers to those who ask.
pub mod profile {
    pub use crate::event::{EndedSession, MemberInfo, NickStatus, Profile, Whois};
}

/// Which session owns a nick, and which rooms a session is in. Implement [`Roster`](crate::roster::Roster) to let
/// several hubs share their sessions.
pub mod roster {
    pub use crate::hub::{
        Claimed, IfTaken, LocalRoster, NickClaim, NickKeys, Roster, RosterCommand, RosterEvent,
        SessionPresence,
    };
}

/// Descriptions of rooms: of their members, their topics, their modes and the ends of their logs.
pub mod rooms {
    pub use crate::event::{RoomInfo, RoomSummary};
    pub use crate::log::{
        Mask, MaskEntry, MaskError, MaskList, MaskSubject, ModeChange, ModeChanges, ModeParseError,
        Modes, Role, RoleTarget, RoomKey, Setting,
    };
}

/// Runs the examples of this package's README as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// Runs the program in the workspace's README as a test.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct WorkspaceReadme;
