//! The plain dialect, for people with `nc` or telnet and for simple programs.

mod commands;
mod dialect;
mod encoder;
mod modes;
mod wall_time;
mod whois;
mod write;

pub(crate) use dialect::Plain;
pub(crate) use encoder::PlainEncoders;
pub use wall_time::WallTime;
