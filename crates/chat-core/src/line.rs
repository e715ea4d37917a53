//! Turns bytes into lines.

mod charset;
mod codec;
mod input;
mod line_clock;
mod telnet;

pub use charset::Charset;
pub(crate) use charset::{is_unmarked_utf16, starts_with_mark};
pub use codec::{Inbound, Line, LineCodec};
pub(crate) use input::{Input, Mode};
pub(crate) use line_clock::LineClock;
