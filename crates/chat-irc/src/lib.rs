//! The IRC dialect of chat-core: any IRC client, in the same rooms as all other peers.
//!
//! [`Irc`] lets a server speak IRC. The room `ops` is the channel `#ops`. The documents are the Modern IRC Client Protocol
//! and the IRCv3 specifications.
//!
//! ```text
//! bytes -> message (grammar) -> commands/* -> chat_core::protocol::Command
//! Reply  -> replies          -> reply (writer) -> bytes
//! Broadcast -> encoder       -> reply (writer) -> bytes
//! ```

#![deny(missing_docs)]

mod capability;
mod commands;
mod detector;
mod dialect;
mod encoder;
mod isupport;
pub mod message;
mod modes;
mod msgid;
mod names;
pub mod numeric;
mod pending;
mod refusals;
mod register;
mod replies;
mod reply;
mod time;

pub use detector::Irc;

/// Turns the examples in this package's README into tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
