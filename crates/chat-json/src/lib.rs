//! JSON Lines for programs: `chat/1`, one object a line, on the same port as the plain dialect.
//!
//! The crate has three parts: [`wire`] has the types of the lines, [`JsonLines`] lets a server speak the protocol, and
//! [`Client`] is the client's end, for programs that must know whether their messages were published.
//!
//! A [`Client`] reconnects by itself, resumes each room where it left off, and repeats unanswered messages under their
//! keys. So the caller receives each message once and in order, or a gap.

#![deny(missing_docs)]

mod client;
mod server;
mod token;
pub mod wire;

pub use client::{
    ByteStream, Client, ClientBuilder, Connect, Event, Events, GapCause, IfMissing, Listing,
    Message, MessageKind, OpenError, Present, RequestError, Room, Whois,
};
pub use server::{JsonLines, answer, found_messages, page_messages};

/// Turns the examples in this package's README into tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
