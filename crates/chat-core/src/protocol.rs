//! The protocols of peers: the traits that recognise a protocol, read its input and write its output, and the types
//! that these traits use.

mod command;
mod commands;
mod detect;
mod dialect;
mod framing;
mod refusal;
mod take_over;

pub use crate::session::JoinRequest;
pub use command::{Command, WatchChange};
pub use commands::{Commands, Step};
pub(crate) use detect::reserved;
pub use detect::{Detected, Detection, Detector, begins_irc};
pub use dialect::{Delimiter, Dialect, DialectOptions, Greeting, Joined, Reply};
pub use framing::Framing;
pub use refusal::{Code, Hint, Refusal};
pub(crate) use take_over::downcast;
pub use take_over::{Next, Stream, TakeOver, TakenOver};

pub use crate::event::{Broadcast, Encoder, Missed, Moment};
pub use crate::hub::IfMissing;
pub use crate::log::TokenDigest;
