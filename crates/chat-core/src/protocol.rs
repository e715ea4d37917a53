//! What a dialect is made of: how connections talk.

mod command;
mod detect;
mod dialect;
mod refusal;

pub use command::{Command, JoinRequest};
pub(crate) use detect::reserved;
pub use detect::{Detected, Detection, Detector};
pub use dialect::{Delimiter, Dialect, DialectOptions, Greeting, Joined, Reply};
pub use refusal::{Code, Refusal};

pub use crate::event::{Broadcast, Encoder, Missed, Moment};
pub use crate::hub::IfMissing;
pub use crate::log::TokenDigest;
