//! Rooms to embed: a [`Hub`] built on [`tokio::sync::broadcast`], a [`LineCodec`](codec::LineCodec), and a server that any line client
//! can reach.
//!
//! A room is an ordered log of messages, with members who tail it. Fan-out is tailing the log, history is reading it,
//! catching up after lag is reading it from a position. A program joins rooms through [`Session`] and [`Member`];
//! peers on a wire through [`serve()`] or [`serve_connection`], and all meet in the same rooms.
//!
//! The [guide] begins with [rooms in ten minutes](guide::start_here).
//!
//! This crate opens no socket that it was not handed, reads no environment, and installs no signal handler and no log
//! subscriber.

#![deny(missing_docs)]

mod address;
mod batch;
mod builder;
mod charset;
mod command;
mod connection;
mod connection_limiter;
mod delivery;
mod detect;
mod dialect;
mod event;
mod feed;
mod follower;
pub mod guide;
mod hub;
mod input;
mod journal;
mod key;
mod limits;
mod line;
pub mod listener;
mod log_gate;
mod member;
pub mod name;
mod outbound;
mod peer;
mod plain;
pub mod policy;
mod rate;
mod refusal;
mod repair;
mod room;
mod roster;
mod search_queue;
mod serve;
mod session;
mod stats;
mod sync;
mod telnet;
pub mod text;
mod time_slice;
mod wire_member;

pub use batch::{Kind, Message, Seq};
pub use builder::HubBuilder;
pub use connection::serve_connection;
pub use delivery::Echo;
pub use event::{CloseReason, Direct, Event, Presence, PresenceChange};
pub use follower::Follower;
pub use hub::Hub;
pub use limits::{Limits, Loopback, Rate};
pub use member::Member;
pub use name::{Nick, RoomName};
pub use peer::Peer;
pub use policy::Policy;
pub use serve::serve;
pub use session::Session;
pub use stats::Stats;

/// Bytes to lines, for [`tokio_util::codec::Framed`].
pub mod codec {
    pub use crate::charset::Charset;
    pub use crate::line::{Inbound, LINE_BYTES_MAX, Line, LineCodec};
}

/// Why something was not done: one enum for each operation.
pub mod error {
    pub use crate::hub::{HistoryError, JoinError, SessionError};
    pub use crate::room::PublishError;
    pub use crate::roster::NickError;
    pub use crate::session::TellError;
}

/// What a journal is made of: where rooms' logs are kept, and what is in them.
pub mod log {
    pub use crate::batch::{
        Batch, DraftRef, Drafts, Epoch, MessageRef, ParseEpochError, Position, SessionId, Timestamp,
    };
    pub use crate::journal::{
        BatchSlice, Gap, Head, Journal, JournalError, Log, MemoryJournal, MemoryLog, Page, Span,
    };
}

/// What is known of a room.
pub mod rooms {
    pub use crate::room::{RoomInfo, RoomSummary};
}

/// What a dialect is made of: how connections talk.
pub mod wire {
    pub use crate::builder::WallTime;
    pub use crate::command::{Command, IfMissing, JoinRequest};
    pub use crate::detect::{Detected, Detection, Detector};
    pub use crate::dialect::{Delimiter, Dialect, DialectOptions, Greeting, Joined, Reply};
    pub use crate::event::{Broadcast, Encoder, Missed, Moment};
    pub use crate::key::TokenDigest;
    pub use crate::refusal::{Code, Refusal};
}

/// The examples of this package's README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// So is the program in the workspace's README.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct WorkspaceReadme;
