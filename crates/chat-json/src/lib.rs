//! JSON Lines for programs: `chat/1`, one object a line, on the same port as the plain dialect.
//!
//! Three parts that share their types: [`wire`] is what goes over the wire, [`JsonLines`] lets a hub speak it, and
//! [`Client`] is the other end, for programs that want to say something and know that it was said.
//!
//! A [`Client`] reconnects by itself, resumes each room where it was, and repeats what was not answered under a key,
//! so that its caller sees each message once and in order, or receives a gap.

#![deny(missing_docs)]

mod client;
mod server;
mod token;
pub mod wire;

pub use client::{
    ByteStream, Client, ClientBuilder, Connect, Event, Events, GapCause, IfMissing, Listing,
    Message, MessageKind, OpenError, Present, RequestError, Room,
};
pub use server::JsonLines;

/// The examples of this package's README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
