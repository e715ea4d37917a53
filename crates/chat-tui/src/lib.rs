//! The full-screen client: what is on the screen, how it changes, and how it is drawn.
//!
//! Three parts that know each other in one direction. *State* is plain data. *Update* takes a key or an event and
//! changes the state; what has to be done besides it returns as effects. *View* draws the state and nothing else. The
//! driver is the one place with I/O: it waits, has the effects done, and draws.
//!
//! Connecting, resuming and repeating are [`chat_json::Client`]'s; editing is `tui-input`'s; drawing `ratatui`'s.

mod backend;
mod command;
mod complete;
mod driver;
mod editor;
mod found;
mod memory;
mod names;
mod perform;
mod room;
mod scrollback;
mod session;
mod state;
mod store;
mod terminal;
mod theme;
mod update;
mod view;
mod wrap;

pub use command::{commands, keys};
pub use driver::{TuiError, run};
pub use memory::{Memory, ReadMark, Server};
pub use store::Store;

/// Where to connect, as whom, and what to show.
#[derive(Debug, Clone)]
pub struct Config {
    /// The server, as `HOST:PORT`.
    pub address: String,
    /// The nick to take; `None`: the one that was used last, or a guest's.
    pub nick: Option<String>,
    /// The room to join besides those that were open last; `None`: the server's lobby, if none was.
    pub room: Option<String>,
    /// What is remembered: the nick, the rooms and what was read.
    pub memory: Store,
    /// Whether colours may be used (see <https://no-color.org>).
    pub colours: Colours,
}

/// Whether colours may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colours {
    /// The terminal's 16 colours, which its owner has chosen to be readable.
    Terminal,
    /// None: bold, dim and reversed only.
    Off,
}

/// The room that newcomers are in, where the server does not say.
pub(crate) const LOBBY: &str = "lobby";
