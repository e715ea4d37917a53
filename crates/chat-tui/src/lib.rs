//! The full-screen client: the state of the screen, its transitions, and how it is drawn.
//!
//! Three parts depend on each other in one direction. *State* is plain data. *Update* applies a key or an event to the
//! state, and returns effects. *View* only draws the state. The driver does the I/O: it waits, runs the effects, and
//! draws.
//!
//! [`chat_json::Client`] connects, resumes and repeats messages; `tui-input` edits lines; `ratatui` draws.

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

/// The configuration of [`run`].
#[derive(Debug, Clone)]
pub struct Config {
    /// The server's address, as `HOST:PORT`.
    pub address: String,
    /// The nick to request. `None` requests the remembered nick, or a guest's nick if no nick is remembered.
    pub nick: Option<String>,
    /// A room to join in addition to the remembered rooms. `None` joins only the remembered rooms, or the server's
    /// lobby if no rooms are remembered.
    pub room: Option<String>,
    /// The remembered state (nick, rooms and read positions) and its file.
    pub memory: Store,
    /// Whether colours may be used (see <https://no-color.org>).
    pub colours: Colours,
}

/// Which colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colours {
    /// The terminal's own 16 colours, which its user can choose.
    Terminal,
    /// No colours: only bold, dim and reversed text.
    Off,
}

/// The name of the lobby if the server does not send a name.
pub(crate) const LOBBY: &str = "lobby";
